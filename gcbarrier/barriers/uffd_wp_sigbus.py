"""Synchronous userfaultfd write-protection and SIGBUS: the storing thread's own handler unprotects and notes the page.

``UFFD_FEATURE_SIGBUS`` (``Documentation/admin-guide/mm/userfaultfd.rst``; with write-protection of shared memory since
Linux 5.19) has the kernel raise a signal where it would send a message, so that no other thread need be woken: a
signal and a system call for each first store, as with ``mprotect``, without the mappings that this one splits.

A system call that writes into a protected page fails with EFAULT and has written nothing there, with privilege or
without: the kernel's own stores can't be sent a signal. SIGBUS of another cause (a page behind its file's end) goes to
the handler that was there before. A thread that has SIGBUS blocked may not store.
"""

from gcbarrier.barriers import Barrier

BARRIER = Barrier(
    needs=("uffd-sigbus",),
    atomic=True,
    memories=("shmem", "shmem-thp", "anonymous", "anonymous-thp"),
    loses="a system call's write into a protected page fails with EFAULT; private memory that MADV_DONTNEED gave back "
    "comes back unprotected",
)
