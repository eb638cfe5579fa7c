"""Two of the kernel's descriptors that Python has no functions for: ticks of a clock, and signals."""

import contextlib
import ctypes
import os
import select
import signal
import struct
import time
from collections.abc import Iterable

from attrs import frozen

_SIGNAL = struct.Struct("=3iI112x")
_TIMES = struct.Struct("=4q")
_NS = 1_000_000_000
_ABSOLUTE = 1
_FROM_A_PROCESS = 0
"""``SI_USER``; whatever comes of the terminal is the kernel's."""

HANDED_ON = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
"""Signals that are the program's, whoever of us gets them."""

_libc = ctypes.CDLL(None, use_errno=True)


class Clock:
    """Ticks on a schedule that does not drift, by CLOCK_MONOTONIC: ``every_ns``, from now on."""

    def __init__(self, every_ns: int) -> None:
        self._file = _made(_libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK))
        first_ns = time.monotonic_ns() + every_ns
        times = _TIMES.pack(*divmod(every_ns, _NS), *divmod(first_ns, _NS))
        _made(_libc.timerfd_settime(self._file, _ABSOLUTE, times, None))

    def fileno(self) -> int:
        """Readable when it ticks."""
        return self._file

    def ticks(self) -> int:
        """How many there were since this was asked last."""
        try:
            return int.from_bytes(os.read(self._file, 8), "little")
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Tick no longer."""
        os.close(self._file)


@frozen
class Came:
    """A signal, and whether a process sent it: what a terminal's key brings goes to the program as well."""

    number: int
    sent: bool
    by: int = 0
    """That process's number; 0: nobody sent it, or one of another namespace."""


class Signals:
    """Signals that wait to be read, and do nothing else meanwhile; a context manager.

    For the main thread, before there are others: a signal comes to any that doesn't block it.
    """

    def __init__(self, numbers: Iterable[int] = HANDED_ON) -> None:
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        """What was blocked without this."""
        mask = bytearray(128)
        for number in numbers:
            mask[(number - 1) // 8] |= 1 << (number - 1) % 8
        self._file = _made(_libc.signalfd(-1, bytes(mask), os.O_CLOEXEC | os.O_NONBLOCK))

    def fileno(self) -> int:
        """Readable when one has come."""
        return self._file

    def come(self) -> list[Came]:
        """Those that have come since this was asked last."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                number, _error, code, sender = _SIGNAL.unpack(os.read(self._file, _SIGNAL.size))
                found.append(Came(number, code <= _FROM_A_PROCESS, sender if code <= _FROM_A_PROCESS else 0))
        return found

    def close(self) -> None:
        """They do again what they did."""
        # What came in the last moment was the program's.
        self.come()
        os.close(self._file)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)

    def __enter__(self) -> "Signals":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def readable(descriptor: int) -> bool:
    """Whether there is something to read; a pidfd's is that its process has ended."""
    poll = select.poll()  # select(2) takes no descriptor above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _made(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
