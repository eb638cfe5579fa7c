"""A stock kernel in QEMU, as a machine on which to measure what this machine's kernel can't do.

Inside the guest: ``first`` is its first program, ``agent`` takes calls, ``calls`` is one of them, and ``wire`` is what
both ends say to each other. Fetched once: ``sources`` says which archive is trusted, ``apt`` asks it, ``setup``
fetches, ``status`` looks whether all is there, and ``whole`` whether it still is as it was. What a guest boots:
``image`` is its first file system, ``overlay`` the part made anew for each boot, ``cpio`` the format. To run one:
``qemu`` is the command line, ``boot`` chooses the accelerator, ``guest`` is one guest that is up, and ``executor``
gives it jobs. ``paths`` and ``files`` are where and how all of it is kept.
"""

from gcbarrier.machines.lab.calls import report_progress, run_command
from gcbarrier.machines.lab.executor import GuestFacts, LabExecutor
from gcbarrier.machines.lab.setup import plan, setup
from gcbarrier.machines.lab.status import Kernel, LabStatus, status

__all__ = [
    "GuestFacts",
    "Kernel",
    "LabExecutor",
    "LabStatus",
    "plan",
    "report_progress",
    "run_command",
    "setup",
    "status",
]
