"""Operations' times out of histograms: percentiles, tails, and why the slowest were slow."""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from gcbarrier.model import Outcome, SlowOperation

IN_CYCLE = ("cycle", "mark", "sweep", "rescan", "arm", "collect", "pause")
"""The phases (:data:`gcbarrier.model.PHASES`) of a cycle under way."""


@frozen(kw_only=True, eq=False)
class Histogram:
    """Times in buckets, in ascending order; none is empty."""

    low_ns: NDArray[np.int64] = field(repr=False)
    high_ns: NDArray[np.int64] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)

    @property
    def total(self) -> int:
        """How many operations."""
        return int(self.counts.sum())

    def percentile(self, q: float) -> float:
        """The ``q``-th percentile (0 to 100) in ns: the middle of the bucket that it falls into; nan where it is empty.

        It is the least time that at least ``q`` per cent of the operations did not exceed.
        """
        if not self.total:
            return float("nan")
        # In whole operations, rounded against what floats make of, say, 99.99 % of them.
        rank = max(int(np.ceil(q / 100 * self.total - 1e-6)), 1)
        at = int(np.searchsorted(np.cumsum(self.counts), rank))
        return float((self.low_ns[at] + self.high_ns[at] - 1) / 2)

    def tail(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The complementary distribution: each bucket's middle in ns, and the share that took so long or longer."""
        middle = (self.low_ns + self.high_ns - 1) / 2
        return middle, self.counts[::-1].cumsum()[::-1] / max(self.total, 1)


def histogram(outcomes: Iterable[Outcome], phases: Iterable[str] | None = None) -> Histogram:
    """What the operations of ``outcomes`` took in these phases (None: in all), put together."""
    wanted = None if phases is None else set(phases)
    merged: Counter[tuple[int, int]] = Counter()
    for outcome in outcomes:
        for times in outcome.operation_times:
            if wanted is None or times.phase in wanted:
                for low_ns, high_ns, count in zip(times.low_ns, times.high_ns, times.counts, strict=True):
                    merged[low_ns, high_ns] += count
    rows = np.array([(*bounds, merged[bounds]) for bounds in sorted(merged)], np.int64).reshape(-1, 3)
    return Histogram(low_ns=rows[:, 0], high_ns=rows[:, 1], counts=rows[:, 2])


_CAUSES: tuple[tuple[str, Callable[[SlowOperation], bool]], ...] = (
    ("wait for memory", lambda one: "stall" in one.during),
    ("pause", lambda one: "pause" in one.during),
    ("held up to help", lambda one: "help" in one.during),
    ("descheduled", lambda one: one.preempted),
    ("waited in the kernel while arming", lambda one: one.blocked and "arm" in one.during),
    ("waited in the kernel while collecting", lambda one: one.blocked and "collect" in one.during),
    ("waited in the kernel", lambda one: one.blocked),
    ("while arming", lambda one: "arm" in one.during),
    ("while collecting", lambda one: "collect" in one.during),
)


def cause(operation: SlowOperation) -> str:
    """Why an operation was slow, by what it met: the first that applies, ``unexplained`` where nothing does.

    Then it was a page fault, an interrupt, or a processor that was taken away from the whole machine.
    """
    return next((name for name, applies in _CAUSES if applies(operation)), "unexplained")


def causes(outcomes: Iterable[Outcome], least_ns: float, phases: Iterable[str] | None = None) -> Counter[str]:
    """How many of the slow operations of at least ``least_ns``, in these phases, had which cause."""
    wanted = None if phases is None else set(phases)
    return Counter(
        cause(one)
        for outcome in outcomes
        for one in outcome.slow_operations
        if one.operation_ns >= least_ns and (wanted is None or one.phase in wanted)
    )


__all__ = ["IN_CYCLE", "Histogram", "cause", "causes", "histogram"]
