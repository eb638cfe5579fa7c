"""Holding another process still for a moment, unseen by its parent: every thread stopped by ptrace, and let go again.

Soft-dirty bits are read in one step and cleared in another; what is written between the two is lost, so nothing may
write there. SIGSTOP would do, but a shell is told of it and takes its terminal back. Here nobody is attached for
longer than the moment takes: signals that come meanwhile are delivered when it ends, and a program that its user has
stopped stays so. As with any stop, a few system calls (``epoll_wait`` and ``sigtimedwait`` among them) may return
``EINTR`` to the program.
"""

import contextlib
import ctypes
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gcbarrier.errors import GcBarrierError, Unavailable

_PTRACE_INTERRUPT = 0x4207
_PTRACE_SEIZE = 0x4206
_PTRACE_DETACH = 17
_WALL = 0x40000000
_EVENT_STOP = 128
# Once a thread sleeps without listening to signals, it runs nothing of the program's until it has met our stop.
_DEAF = ("D", "Z", "X")
_LOOK_AGAIN_S = 50e-6
# A parent that waits for what it has vforked is deaf until that has executed a program, which takes no longer.
_LATE_S = 5e-3

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


class Still:
    """What stops one process, again and again; all from one thread, as ptrace knows its tracer by that."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        # Threads that could not be let go, being asleep in the kernel: of a parent that waits for its vfork, say.
        self._late: set[int] = set()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No thread of the process runs inside the block, except that what the kernel does for it goes on.

        Raises GcBarrierError where it is another's to trace, and ProcessLookupError where it has ended.
        """
        stopped: dict[int, int] = {}
        seized: set[int] = set(self._late)
        try:
            self._stop(seized, stopped)
            yield
        finally:
            self._let_go(seized, stopped)

    def close(self) -> None:
        """Wait for whoever could not be let go yet: as long as a child that it has vforked executes no program."""
        while self._late:
            self._let_go(set(self._late), {})

    def _stop(self, seized: set[int], stopped: dict[int, int]) -> None:
        """Stop all threads; a thread that still runs may begin another, so until none is new."""
        while new := self._threads() - seized:
            for thread in new:
                if self._seize(thread):
                    seized.add(thread)
            for thread in seized - stopped.keys():
                self._await(thread, seized, stopped)
            if not new & seized:
                return

    def _threads(self) -> set[int]:
        try:
            return set(map(int, os.listdir(f"/proc/{self._pid}/task")))
        except FileNotFoundError:
            raise ProcessLookupError(errno.ESRCH, "the process has ended") from None

    def _seize(self, thread: int) -> bool:
        try:
            _ptrace(_PTRACE_SEIZE, thread)
            _ptrace(_PTRACE_INTERRUPT, thread)
        except ProcessLookupError:
            return False
        except PermissionError:
            if _state(thread) in ("Z", "X", ""):
                return False
            raise _refused(self._pid) from None
        return True

    def _await(self, thread: int, seized: set[int], stopped: dict[int, int]) -> None:
        """Wait until a thread has stopped or ended, or sleeps so that it will stop before it runs again."""
        while (signal_number := self._met(thread)) is None:
            if _state(thread) in _DEAF:
                # It may have stopped or ended since it was asked.
                if (signal_number := self._met(thread)) is None:
                    return
                break
            time.sleep(_LOOK_AGAIN_S)
        if signal_number < 0:
            seized.discard(thread)
            self._late.discard(thread)
        else:
            stopped[thread] = signal_number

    def _met(self, thread: int) -> int | None:
        """The signal that a stopped thread is to be given when it goes on (0: none), -1 of one that ended, or None."""
        flags = os.WEXITED | os.WSTOPPED | os.WNOHANG | _WALL
        try:
            seen = os.waitid(os.P_PID, thread, flags | os.WNOWAIT)
            if seen is None:
                return None
            if seen.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
                # How our own child ended is for whoever waits for it; another's parent hears of it once we have.
                if not (thread == self._pid and _parent(thread) == os.getpid()):
                    os.waitid(os.P_PID, thread, flags)
                return -1
            _, status = os.waitpid(thread, os.WNOHANG | _WALL)
        except ChildProcessError:
            return -1
        # A stop of ours, or the one that its user made and that goes on, has no signal to pass on.
        return 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status)

    def _let_go(self, seized: set[int], stopped: dict[int, int]) -> None:
        give_up_s = time.monotonic() + _LATE_S
        while late := seized - stopped.keys():
            for thread in late:
                self._await(thread, seized, stopped)
            if time.monotonic() > give_up_s:
                break
        # It will stop, and goes on at the next look or when we end.
        self._late = seized - stopped.keys()
        for thread, signal_number in stopped.items():
            # Killed meanwhile: then there is nothing to let go.
            with contextlib.suppress(ProcessLookupError):
                _ptrace(_PTRACE_DETACH, thread, signal_number)


def _ptrace(request: int, thread: int, data: int = 0) -> None:
    if _libc.ptrace(request, thread, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _status(thread: int, name: str) -> str:
    """A field of the thread's status; "" once it is gone."""
    try:
        text = Path(f"/proc/{thread}/status").read_text()
    except OSError:
        return ""
    return next((line.split()[1] for line in text.splitlines() if line.startswith(f"{name}:")), "")


def _state(thread: int) -> str:
    return _status(thread, "State")


def _parent(thread: int) -> int:
    return int(_status(thread, "PPid") or 0)


def _refused(pid: int) -> GcBarrierError:
    if (tracer := int(_status(pid, "TracerPid") or 0)) not in (0, os.getpid()):
        return GcBarrierError(f"process {pid} is being traced by process {tracer}: end that first")
    why = "the kernel does not let this user trace it"
    return Unavailable(f"holding process {pid} still", why, "run it as that process's user, or as root")
