"""A stock kernel in QEMU, as a machine on which to measure what this machine's kernel can't do."""

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
