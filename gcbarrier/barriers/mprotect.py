"""Page protection and SIGSEGV: mprotect(2) takes the right to write, the handler notes the page and gives it back.

What every Unix has; Appel and Li, "Virtual memory primitives for user programs" (ASPLOS 1991). A signal and a system
call for each first store. Protections that alternate split the mapping: where the process would get more mappings than
``vm.max_map_count`` (``Documentation/admin-guide/sysctl/vm.rst``) everything becomes writable, nothing is lost, and
collecting fails with an error that names the setting until the barrier is armed anew.

A system call that writes into a protected page fails with EFAULT and has written nothing there. Faults elsewhere go to
the SIGSEGV handler that was there before.
"""

from gcbarrier.barriers import Barrier

BARRIER = Barrier(
    atomic=True,
    memories=("shmem", "shmem-thp", "anonymous", "anonymous-thp"),
    loses="a system call's write into a protected page fails with EFAULT; the program's own mprotect() ends tracking",
)
