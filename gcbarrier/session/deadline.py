"""When a session counts as hung, told in its own process, where it is known how fast this machine is.

Whoever began it has set an alarm by a guess (:class:`gcbarrier.machines.fresh.Within`). Once the heap is built this one
goes off sooner: what is left is the configuration's duration, and making everything ready has shown what this machine
takes for things. A number of operations may take any time: then the guess stands.
"""

import signal
import time

_TIMES = 10
_PATIENCE_S = 10.0
"""For the last operation, the last cycle and a processor that others have: nobody's duration is about that."""


class Deadline:
    """The alarm of this process, if there is one."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        left_s = signal.getitimer(signal.ITIMER_REAL)[0]
        self._end_s = self._begun_s + left_s if left_s else None

    def built(self, duration_s: float) -> None:
        """The mutators run from now on, for so long."""
        if self._end_s is None:
            return
        now_s = time.monotonic()
        allowed_s = 2 * duration_s + _TIMES * (now_s - self._begun_s) + _PATIENCE_S
        signal.setitimer(signal.ITIMER_REAL, min(allowed_s, max(self._end_s - now_s, 0.001)))

    def over(self) -> None:
        """They have ended: what follows, checking it all, has what is left of the guess."""
        if self._end_s is not None:
            signal.setitimer(signal.ITIMER_REAL, max(self._end_s - time.monotonic(), 0.001))


__all__ = ["Deadline"]
