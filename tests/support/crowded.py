"""An invocation in a process that has few mappings left to the kernel's limit."""

import ctypes
import mmap
from pathlib import Path

from gcbarrier.model import PAGE_BYTES
from gcbarrier.session import ours as session

LIMIT = Path("/proc/sys/vm/max_map_count")


def most_mappings() -> int:
    """What one process may have."""
    return int(LIMIT.read_text())


def run(job: session.SessionJob, left: int) -> session.Measured:
    """With ``left`` mappings to go, or a few less: every other page of a large one is protected."""
    there = len(Path("/proc/self/maps").read_text().splitlines())
    pages = max(most_mappings() - there - left, 2)
    memory = mmap.mmap(-1, pages * PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for page in range(0, pages, 2):
        if libc.mprotect(ctypes.c_void_p(base + page * PAGE_BYTES), ctypes.c_size_t(PAGE_BYTES), mmap.PROT_READ):
            raise OSError(ctypes.get_errno(), "mprotect")
    return session.run(job)
