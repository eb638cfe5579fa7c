"""Synchronous userfaultfd write-protection: each first store is a message, resolved by a thread of the barrier.

The generic mode (``Documentation/admin-guide/mm/userfaultfd.rst``, ``UFFDIO_REGISTER_MODE_WP`` without ``WP_ASYNC``;
shared memory since Linux 5.19): the writing thread sleeps until the barrier's own thread has read the message, noted
the page and unprotected it. Two switches of thread for each first store, and collecting costs what was written and
not what there is.

A system call that writes into a protected page waits like any store where the process may have its kernel-mode faults
handled too: as root, or with ``vm.unprivileged_userfaultfd=1``. Otherwise the call fails with EFAULT and has written
nothing there.
"""

from gcbarrier.barriers import Barrier

BARRIER = Barrier(
    needs=("sync-uffd-wp",),
    atomic=True,
    memories=("shmem", "shmem-thp", "anonymous", "anonymous-thp"),
    loses="without privilege a system call's write into a protected page fails with EFAULT; private memory that "
    "MADV_DONTNEED gave back comes back unprotected",
)
