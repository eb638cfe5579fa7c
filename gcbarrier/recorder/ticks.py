"""The loop: processes come and go, the clock ticks, signals are handed on; one thread, until the program has ended."""

import functools
import select
import time
from collections.abc import Callable

from gcbarrier.recorder.attach import Attached
from gcbarrier.recorder.descriptors import Clock, Signals
from gcbarrier.recorder.door import Door
from gcbarrier.recorder.launch import Child
from gcbarrier.recorder.process import Process
from gcbarrier.recorder.watch import Watch


class Loop:
    """Goes round until the child has ended. ``besides`` is called after each tick."""

    def __init__(
        self,
        *,
        watch: Watch,
        door: Door,
        child: Child | Attached,
        signals: Signals,
        every_ns: int,
        besides: Callable[[], None] = lambda: None,
    ) -> None:
        self.late = 0
        """Ticks that were left out because the one before took longer than the interval."""
        self.signalled = False
        """Whether a signal has come."""
        self._besides = besides
        self._watch, self._door, self._child, self._signals = watch, door, child, signals
        self._clock = Clock(every_ns)
        self._poll = select.epoll()
        self._does: dict[int, Callable[[], None]] = {}
        for each, does in (
            (door, self._let_in),
            (child, lambda: None),
            (signals, self._hand_on),
            (self._clock, self._tick),
        ):
            self._await(each.fileno(), does)
        self._handles: dict[int, int] = {}

    def run(self, until_ns: int | None = None) -> None:
        """Until the child has ended, or until that moment of CLOCK_MONOTONIC."""
        try:
            while not self._child.has_ended():
                left_s = None if until_ns is None else (until_ns - time.monotonic_ns()) / 1e9
                if left_s is not None and left_s <= 0:
                    return
                for descriptor, _ in self._poll.poll(left_s):
                    # An earlier one may have done away with it.
                    self._does.get(descriptor, lambda: None)()
        finally:
            self._poll.close()
            self._clock.close()

    def _await(self, descriptor: int, does: Callable[[], None]) -> None:
        self._does[descriptor] = does
        self._poll.register(descriptor, select.EPOLLIN)

    def _forget(self, descriptor: int) -> None:
        del self._does[descriptor]
        self._poll.unregister(descriptor)

    def _let_in(self) -> None:
        for descriptor in self._door.let_in():
            self._await(descriptor, functools.partial(self._hear, descriptor))

    def _hear(self, descriptor: int) -> None:
        self._forget(descriptor)
        caller = self._door.hear(descriptor)
        if caller is None:
            return
        known = self._watch.processes.get(caller.pid)
        try:
            process = self._watch.hear(caller)
        except BaseException:
            caller.answer(False)
            raise
        if known is not None and self._watch.processes.get(caller.pid) is not known:
            self._does.pop(known.handle, None)  # closed with it, which takes it out of the epoll
        if process is not None:
            self._await(process.handle, functools.partial(self._ended, process))

    def _ended(self, process: Process) -> None:
        self._forget(process.handle)
        self._watch.ended(process.pid)

    def _hand_on(self) -> None:
        for came in self._signals.come():
            # Sent to its own group, of which we are: it has done without us, and may be ready for it no longer.
            if came.by == self._child.pid or came.by in self._watch.known:
                continue
            self.signalled = True
            self._child.hand_on(came)

    def _tick(self) -> None:
        self.late += max(0, self._clock.ticks() - 1)
        self._watch.tick()
        self._besides()
