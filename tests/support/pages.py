"""Pages of tracked memory, written and collected, and what a process holds: for barriers that notice by page."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from places import CHECKOUT

from gcbarrier.model import PAGE_BYTES
from gcbarrier.tracked import Tracked

_libc = ctypes.CDLL(None, use_errno=True)


def write(memory: Tracked, pages: Sequence[int], value: int = 1, at: int = 0) -> None:
    """One byte to each page."""
    for page in pages:
        memory.view[page * PAGE_BYTES + at] = value


def collected(memory: Tracked, *, rearm: bool) -> list[int]:
    """The numbers of the pages reported."""
    return [int(page) for page in memory.collect(rearm=rearm)]


def left_behind() -> tuple[list[str], list[str], list[bytes]]:
    """Threads, file descriptors, and the handlers of SIGSEGV and SIGBUS."""
    handlers = []
    for number in (signal.SIGSEGV, signal.SIGBUS):
        handler = ctypes.create_string_buffer(256)
        assert _libc.sigaction(number, None, handler) == 0
        handlers.append(handler.raw[:8])
    files = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            files.append(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return sorted(os.listdir("/proc/self/task")), sorted(files), handlers


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in an interpreter of its own."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=CHECKOUT)
