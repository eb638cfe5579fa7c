"""The kernel's page tracking from Python: userfaultfd, pagemap, PAGEMAP_SCAN, soft-dirty, fault counters.

For prototypes and experiments, and the one place where Python has the kernel's numbers of page tracking; C has them in
``native/include/pagetables.h``. Addresses and sizes are bytes and whole pages; every call that the kernel refuses
raises OSError with its reason.
"""

import ctypes
import errno
import fcntl
import os
import platform
import resource
import struct
from typing import TYPE_CHECKING, Self

from gcbarrier.errors import Unavailable
from gcbarrier.model import PAGE_BYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UFFD_WP_BIT = 57
"""Of a pagemap entry: set while the page is write-protected and has not been written."""
SOFT_DIRTY_BIT = 55
PAGE_IS_WRITTEN = 1 << 1
PAGE_IS_FILE = 1 << 2
PAGE_IS_PRESENT = 1 << 3
PAGE_IS_SWAPPED = 1 << 4
PAGE_IS_PFNZERO = 1 << 5
PAGE_IS_HUGE = 1 << 6
PAGE_IS_SOFT_DIRTY = 1 << 7

UFFD_FEATURE_PAGEFAULT_FLAG_WP = 1 << 0
UFFD_FEATURE_SIGBUS = 1 << 7
UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12
UFFD_FEATURE_WP_ASYNC = 1 << 15
UFFD_EVENT_PAGEFAULT = 0x12
UFFD_MESSAGE = struct.Struct("B7xQQ8x")
"""``struct uffd_msg``: event, flags and address of the fault."""

# Numbers of the kernel's binary interface, which never change.
_SYSCALLS = {
    "x86_64": {"userfaultfd": 323, "perf_event_open": 298, "kcmp": 312},
    "aarch64": {"userfaultfd": 282, "perf_event_open": 241, "kcmp": 272},
}
_UFFD_USER_MODE_ONLY = 1
_UFFD_API = 0xAA
_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_UFFDIO_UNREGISTER = 0x8010AA01
_UFFDIO_WRITEPROTECT = 0xC018AA06
_REGISTER_MODE_WP = 2
_WRITEPROTECT_MODE_WP = 1
_PAGEMAP_SCAN = 0xC0606610
_SCAN_ARGUMENT = struct.Struct("12Q")
_REGIONS = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def syscall(name: str, *arguments: object) -> int:
    """``userfaultfd``, ``perf_event_open`` or ``kcmp``, for which the C library has no function. Raises Unavailable
    where the processor is one whose numbers are not here.
    """
    numbers = _SYSCALLS.get(platform.machine())
    if numbers is None:
        why = f"gcbarrier does not know the {platform.machine()} system calls"
        raise Unavailable(name, why, "use x86_64 or aarch64")
    result: int = _libc.syscall(ctypes.c_long(numbers[name]), *arguments)
    if result < 0:
        raise _refusal()
    return result


class Userfaultfd:
    """A write-protecting userfaultfd that needs no privilege; a context manager.

    By default an asynchronous one: the kernel resolves each fault itself and drops the page's bit. Other ``features``
    (``UFFD_FEATURE_...``) make other ones. Raises Unavailable, with reason and remedy, where there is none; OSError
    with EINVAL where the kernel lacks one of the features.
    """

    def __init__(self, features: int = UFFD_FEATURE_WP_ASYNC) -> None:
        self._handle = _open_userfaultfd()
        try:
            fcntl.ioctl(self._handle, _UFFDIO_API, bytearray(struct.pack("QQQ", _UFFD_API, features, 0)))
        except OSError:
            self.close()
            raise

    @classmethod
    def of_another(cls, handle: int) -> Self:
        """One that another process has opened and handed over: it acts on that process's memory. Closed with this."""
        made = cls.__new__(cls)
        made._handle = handle
        return made

    def fileno(self) -> int:
        """Readable when there is a message: of a userfaultfd that isn't asynchronous."""
        return self._handle

    def register(self, address: int, size_bytes: int) -> None:
        """Take charge of a range. Nothing in it is protected yet: every page reads as written."""
        argument = bytearray(struct.pack("QQQQ", address, size_bytes, _REGISTER_MODE_WP, 0))
        fcntl.ioctl(self._handle, _UFFDIO_REGISTER, argument)

    def unregister(self, address: int, size_bytes: int) -> None:
        """Give up a range, which may hold mappings that were never registered; what was protected no longer is."""
        fcntl.ioctl(self._handle, _UFFDIO_UNREGISTER, struct.pack("QQ", address, size_bytes))

    def protect(self, address: int, size_bytes: int) -> None:
        """Write-protect a range: from now on each page's first store is noticed."""
        argument = struct.pack("QQQ", address, size_bytes, _WRITEPROTECT_MODE_WP)
        fcntl.ioctl(self._handle, _UFFDIO_WRITEPROTECT, argument)

    def unprotect(self, address: int, size_bytes: int) -> None:
        """Let stores to a range pass, and those that wait for it go on."""
        fcntl.ioctl(self._handle, _UFFDIO_WRITEPROTECT, struct.pack("QQQ", address, size_bytes, 0))

    def close(self) -> None:
        """Give up the ranges."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Pagemap:
    """``/proc/PID/pagemap`` (``Documentation/admin-guide/mm/pagemap.rst``), by default our own; a context manager.

    Of another process it stays that of the program that it was opened of: once that has ended, or has executed another,
    nothing is found in it.
    """

    def __init__(self, pid: int | None = None) -> None:
        name = "self" if pid is None else pid
        self._file = open(f"/proc/{name}/pagemap", "rb", buffering=0)  # noqa: SIM115 - closed by close()

    def read(self, address: int, pages: int) -> "NDArray[np.uint64]":
        """The entries of so many pages: uint64[pages]."""
        # Imported when first needed: whoever only lists plug-ins needs no arrays.
        import numpy as np

        data = os.pread(self._file.fileno(), pages * 8, address // PAGE_BYTES * 8)
        return np.frombuffer(data, np.uint64)

    def bit(self, address: int, bit: int) -> bool:
        """One bit of the entry of the page at ``address``."""
        entry = os.pread(self._file.fileno(), 8, address // PAGE_BYTES * 8)
        return bool(int.from_bytes(entry, "little") >> bit & 1)

    def scan(
        self, address: int, size_bytes: int, *, category: int = PAGE_IS_WRITTEN, rearm: bool
    ) -> "NDArray[np.int64]":
        """Numbers of the range's pages in ``category``, ascending; ``rearm`` protects them again in the same step."""
        import numpy as np

        regions = np.empty((_REGIONS, 3), np.uint64)
        at, end = address, address + size_bytes
        found = [np.empty(0, np.int64)]
        while at < end:
            fields = (96, 1 if rearm else 0, at, end, 0, regions.ctypes.data, _REGIONS, 0, 0, category, 0, category)
            question = bytearray(_SCAN_ARGUMENT.pack(*fields))
            count = fcntl.ioctl(self._file, _PAGEMAP_SCAN, question)
            # A full vector ends the walk early, and walk_end is where it goes on. Of a walk to its end it may be one
            # before that, where the kernel's own buffer was full once.
            at = struct.unpack_from("Q", question, 32)[0] if count == _REGIONS else end
            for first, last, _ in ((regions[:count].astype(np.int64) - [address, address, 0]) // PAGE_BYTES).tolist():
                found.append(np.arange(first, last))
        return np.concatenate(found)

    def runs(
        self,
        start: int,
        end: int,
        into: "NDArray[np.uint64]",
        *,
        category: int,
        inverted: int = 0,
        any_of: int = 0,
        rearm: bool,
    ) -> "tuple[NDArray[np.uint64], int]":
        """Runs of pages between two addresses that are in all of ``category`` and in one of ``any_of``.

        Bits of either that are ``inverted`` count where they are not set. ``rearm`` protects the pages found again, in
        the same step, and passes over mappings that no asynchronous userfaultfd watches. Returns uint64[n, 2], first
        address and the one behind the last, ascending: a view of ``into``, uint64[any number, 3]; and the address to go
        on at, which is ``end`` unless ``into`` is full.
        """
        fields = (start, end, 0, into.ctypes.data, len(into), 0, inverted, category, any_of, PAGE_IS_WRITTEN)
        question = bytearray(_SCAN_ARGUMENT.pack(96, 1 if rearm else 0, *fields))
        count = fcntl.ioctl(self._file, _PAGEMAP_SCAN, question)
        # As above.
        walked: int = struct.unpack_from("Q", question, 32)[0] if count == len(into) else end
        return into[:count, :2], walked

    def scan_nothing(self) -> int:
        """Ask PAGEMAP_SCAN about an empty range: 0 from a kernel that knows the question, ENOTTY from others."""
        answer: int = fcntl.ioctl(self._file, _PAGEMAP_SCAN, bytearray(_SCAN_ARGUMENT.pack(96, *[0] * 11)))
        return answer

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clear_soft_dirty(pid: int | None = None) -> None:
    """Clear the soft-dirty bits of a whole process, by default our own. Succeeds even where the kernel has none: probe
    for them first.
    """
    with open(f"/proc/{'self' if pid is None else pid}/clear_refs", "wb", buffering=0) as file:
        file.write(b"4")


def minor_faults() -> int:
    """Minor page faults of the calling thread so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


def madvise(address: int, size_bytes: int, advice: int) -> None:
    """``madvise(2)``."""
    if _libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size_bytes), advice):
        raise _refusal()


def _open_userfaultfd() -> int:
    try:
        return syscall("userfaultfd", os.O_CLOEXEC | os.O_NONBLOCK | _UFFD_USER_MODE_ONLY)
    except OSError as problem:
        answers = {
            errno.ENOSYS: ("this kernel has no userfaultfd", "boot one with CONFIG_USERFAULTFD"),
            errno.EPERM: (
                "a sandbox forbids userfaultfd",
                "allow that system call in the container's seccomp profile",
            ),
            errno.EINVAL: ("userfaultfd has no unprivileged mode", "boot Linux 6.7 or newer"),
        }
        if problem.errno not in answers:
            raise
        raise Unavailable("userfaultfd", *answers[problem.errno]) from problem


def _refusal() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
