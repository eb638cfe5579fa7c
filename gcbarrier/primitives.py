"""The kernel's page tracking from Python: userfaultfd, pagemap, PAGEMAP_SCAN, soft-dirty, fault counters.

For prototypes and experiments. Addresses and sizes are bytes and whole pages; every call that the kernel refuses raises
OSError with its reason.
"""

import ctypes
import fcntl
import os
import resource
import struct
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gcbarrier.machines.features import open_userfaultfd
from gcbarrier.model import PAGE_BYTES

UFFD_WP_BIT = 57
"""Of a pagemap entry: set while the page is write-protected and has not been written."""
SOFT_DIRTY_BIT = 55
PAGE_IS_WRITTEN = 1 << 1
PAGE_IS_SOFT_DIRTY = 1 << 7

_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_UFFDIO_WRITEPROTECT = 0xC018AA06
_PAGEMAP_SCAN = 0xC0606610
_REGIONS = 4096


class Userfaultfd:
    """An asynchronous write-protecting userfaultfd: the kernel resolves each fault itself and drops the page's bit."""

    def __init__(self) -> None:
        self._handle = open_userfaultfd()
        fcntl.ioctl(self._handle, _UFFDIO_API, bytearray(struct.pack("QQQ", 0xAA, 1 << 15, 0)))

    def register(self, address: int, size_bytes: int) -> None:
        """Take charge of a range. Nothing in it is protected yet: every page reads as written."""
        fcntl.ioctl(self._handle, _UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", address, size_bytes, 2, 0)))

    def protect(self, address: int, size_bytes: int) -> None:
        """Write-protect a range: from now on each page's first store is noticed."""
        fcntl.ioctl(self._handle, _UFFDIO_WRITEPROTECT, struct.pack("QQQ", address, size_bytes, 1))

    def close(self) -> None:
        """Give up the ranges."""
        os.close(self._handle)


class Pagemap:
    """``/proc/self/pagemap`` (``Documentation/admin-guide/mm/pagemap.rst``)."""

    def __init__(self) -> None:
        self._file = open("/proc/self/pagemap", "rb", buffering=0)  # noqa: SIM115 - closed by close()

    def read(self, address: int, pages: int) -> NDArray[np.uint64]:
        """The entries of so many pages: uint64[pages]."""
        data = os.pread(self._file.fileno(), pages * 8, address // PAGE_BYTES * 8)
        return np.frombuffer(data, np.uint64)

    def scan(self, address: int, size_bytes: int, *, category: int = PAGE_IS_WRITTEN, rearm: bool) -> NDArray[np.int64]:
        """Numbers of the range's pages in ``category``, ascending; ``rearm`` protects them again in the same step."""
        regions = np.empty((_REGIONS, 3), np.uint64)
        at, end = address, address + size_bytes
        found = [np.empty(0, np.int64)]
        while at < end:
            fields = (96, 1 if rearm else 0, at, end, 0, regions.ctypes.data, _REGIONS, 0, 0, category, 0, category)
            question = bytearray(struct.pack("12Q", *fields))
            count = fcntl.ioctl(self._file, _PAGEMAP_SCAN, question)
            # A full vector ends the walk early; walk_end is where it goes on.
            at = struct.unpack_from("Q", question, 32)[0]
            for first, last, _ in ((regions[:count].astype(np.int64) - [address, address, 0]) // PAGE_BYTES).tolist():
                found.append(np.arange(first, last))
        return np.concatenate(found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clear_soft_dirty() -> None:
    """Clear the soft-dirty bits of the whole process. Succeeds even where the kernel has none: probe for them first."""
    with open("/proc/self/clear_refs", "wb", buffering=0) as file:
        file.write(b"4")


def minor_faults() -> int:
    """Minor page faults of the calling thread so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


def madvise(address: int, size_bytes: int, advice: int) -> None:
    """``madvise(2)``."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size_bytes), advice):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
