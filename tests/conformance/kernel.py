"""The few system calls that Python lacks, and a mapping of one's own to try things on."""

import contextlib
import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from typing import Any

from gcbarrier.model import PAGE_BYTES

PROT_NONE, PROT_READ, PROT_READ_WRITE = 0, 1, 3
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE = 1, 2, 0x10, 0x20, 0x100000
MADV_DONTNEED, MADV_REMOVE, MADV_HUGEPAGE, MADV_NOHUGEPAGE = 4, 9, 14, 15
MADV_PAGEOUT, MADV_COLLAPSE = 21, 25
MREMAP_MAYMOVE, MREMAP_FIXED = 1, 2
FALLOC_FL_KEEP_SIZE_PUNCH_HOLE = 3

SOFT_DIRTY_BIT, UFFD_WP_BIT = 55, 57
_UFFDIO_API, _UFFDIO_REGISTER, _UFFDIO_WRITEPROTECT = 0xC018AA3F, 0xC020AA00, 0xC018AA06
_UFFD_WP_ASYNC = 1 << 15
_USERFAULTFD = {"x86_64": 323, "aarch64": 282}

_libc: Any = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = _libc.mremap.restype = ctypes.c_void_p
_FAILED = ctypes.c_void_p(-1).value
_L = ctypes.c_long


def mmap(
    size: int, *, flags: int, at: int = 0, protection: int = PROT_READ_WRITE, file: int = -1, offset: int = 0
) -> int:
    """The address. Raises OSError."""
    address = _libc.mmap(ctypes.c_void_p(at), _L(size), protection, flags, file, _L(offset))
    return int(_good(address != _FAILED, address))


def munmap(address: int, size: int) -> None:
    """Raises OSError."""
    _good(_libc.munmap(ctypes.c_void_p(address), _L(size)) == 0)


def mprotect(address: int, size: int, protection: int) -> None:
    """Raises OSError."""
    _good(_libc.mprotect(ctypes.c_void_p(address), _L(size), protection) == 0)


def madvise(address: int, size: int, advice: int) -> None:
    """Raises OSError."""
    _good(_libc.madvise(ctypes.c_void_p(address), _L(size), advice) == 0)


def mremap(address: int, size: int, new_size: int, *, to: int = 0) -> int:
    """The new address; ``to`` where it must be. Raises OSError."""
    flags = MREMAP_MAYMOVE | (MREMAP_FIXED if to else 0)
    moved = _libc.mremap(ctypes.c_void_p(address), _L(size), _L(new_size), flags, ctypes.c_void_p(to))
    return int(_good(moved != _FAILED, moved))


def punch_hole(file: int, offset: int, size: int) -> None:
    """Raises OSError."""
    _good(_libc.fallocate(file, FALLOC_FL_KEEP_SIZE_PUNCH_HOLE, _L(offset), _L(size)) == 0)


def poke(address: int, pages: Any, value: int = 1) -> None:
    """Store a byte at the beginning of each of the pages from ``address`` on."""
    for page in pages:
        ctypes.c_ubyte.from_address(address + int(page) * PAGE_BYTES).value = value


def peek(address: int, page: int) -> int:
    """The byte at the beginning of a page."""
    return int(ctypes.c_ubyte.from_address(address + page * PAGE_BYTES).value)


def pages_with_bit(address: int, pages: int, bit: int) -> list[int]:
    """The pages whose pagemap entry has the bit."""
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        entries = os.pread(pagemap.fileno(), pages * 8, address // PAGE_BYTES * 8)
    return [page for page in range(pages) if entries[page * 8 + bit // 8] >> bit % 8 & 1]


def clear_soft_dirty() -> None:
    """Of the whole process."""
    with open("/proc/self/clear_refs", "wb", buffering=0) as clear:
        clear.write(b"4")


@contextlib.contextmanager
def tracked_by_uffd(address: int, size: int, *, protect: bool = True) -> Iterator[None]:
    """Asynchronous write-protection of a range. Raises OSError where it can't be had."""
    handle = _libc.syscall(_L(_USERFAULTFD[os.uname().machine]), os.O_CLOEXEC | os.O_NONBLOCK | 1)
    _good(handle >= 0)
    try:
        fcntl.ioctl(handle, _UFFDIO_API, bytearray(struct.pack("QQQ", 0xAA, _UFFD_WP_ASYNC, 0)))
        fcntl.ioctl(handle, _UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", address, size, 2, 0)))
        if protect:
            fcntl.ioctl(handle, _UFFDIO_WRITEPROTECT, struct.pack("QQQ", address, size, 1))
        yield
    finally:
        os.close(handle)


def written_by_uffd(address: int, pages: int) -> list[int]:
    """The pages of a tracked range that lack the protection."""
    protected = set(pages_with_bit(address, pages, UFFD_WP_BIT))
    return [page for page in range(pages) if page not in protected]


def is_guard(address: int) -> bool:
    """Whether the page belongs to a mapping that nobody may touch."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            ends, permissions = line.split()[:2]
            begin, end = (int(part, 16) for part in ends.split("-"))
            if begin <= address < end:
                return permissions.startswith("---")
    return False


def memory_file_of(address: int) -> int | None:
    """A handle of the memory file that is mapped at the address; None where it is none."""
    with open("/proc/self/maps") as maps:
        mapped = [line for line in maps if int(line.partition("-")[0], 16) == address]
    if not mapped or "/memfd:" not in mapped[0]:
        return None
    inode = int(mapped[0].split()[4])
    for handle in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            if os.fstat(handle).st_ino == inode and os.readlink(f"/proc/self/fd/{handle}").startswith("/memfd:"):
                return os.dup(handle)
    return None


def _good(fine: bool, value: Any = None) -> Any:
    if not fine:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return value
