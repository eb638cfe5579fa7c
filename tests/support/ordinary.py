"""What an ordinary user may lock, as a privileged one: the rings of the fault log count against it."""

import contextlib
import ctypes
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

_CAP_IPC_LOCK = 1 << 14
_FIRST_UNUSED = 1 << 24
_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def ordinary(memlock_bytes: int) -> Iterator[int]:
    """This thread, and those it starts, may lock so much beyond what perf lets a user lock; how much that is in all.

    What a user has locked is counted over all its processes: where that may be had, this becomes one without others.
    """
    real = os.getuid()
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    header, kept, lowered = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    _call(_libc.capget, header, kept)
    lowered[:] = kept[:]
    lowered[0] &= ~_CAP_IPC_LOCK
    _call(_libc.capset, header, lowered)
    with contextlib.suppress(OSError):
        _call(_libc.setresuid, _FIRST_UNUSED + os.getpid(), -1, -1)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (memlock_bytes, hard))
    try:
        each_kib = int(Path("/proc/sys/kernel/perf_event_mlock_kb").read_text())
        yield memlock_bytes + each_kib * 1024 * os.sysconf("SC_NPROCESSORS_ONLN")
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))
        with contextlib.suppress(OSError):
            _call(_libc.setresuid, real, -1, -1)
        _call(_libc.capset, header, kept)


def rings() -> list[int]:
    """The bytes of this process's rings, the page with a ring's ends among them."""
    sizes = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "[perf_event]" in line:
            first, last = line.split()[0].split("-")
            sizes.append(int(last, 16) - int(first, 16))
    return sizes


def _call(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
