"""One process of a recording, with the numbers that figures, tables and whoever compares programs ask for."""

from functools import cached_property

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from gcbarrier.page_traces.numbers import Rewrites, first_writes_of_each, rewrites, working_set
from gcbarrier.page_traces.records import PageTrace, Recording


@frozen(kw_only=True)
class Against:
    """What a program took, watched at one interval, over the median of what it took without: 1 is no difference."""

    every_ns: int
    """0: the repetitions without, which show how far these lie apart by themselves."""
    wall: tuple[float, ...]
    """From start to end, a repetition each."""
    cpu: tuple[float, ...]
    """In processor time of the program and its children, likewise."""


@frozen(kw_only=True, eq=False, slots=False)
class Overview:
    """A process, and its numbers, each computed once and when it is asked for."""

    name: str
    """What the recording is called."""
    recording: Recording
    trace: PageTrace

    @cached_property
    def tick_ns(self) -> float:
        """How long a tick was: the median, which may lie above what was asked for; nan where there is none."""
        return float(np.median(self.trace.end_ns - self.trace.begin_ns)) if self.trace.ticks else float("nan")

    @property
    def processors(self) -> float:
        """How many processors it used, on average: its processor time over the time; nan where there was none.

        Far below 1 in a program that does not wait says that others had them.
        """
        spent = int(self.trace.cpu_ns.sum())
        return spent / self.trace.duration_ns if self.trace.duration_ns else float("nan")

    @cached_property
    def rewrites(self) -> Rewrites:
        """How often pages are written again."""
        return rewrites(self.trace)

    @cached_property
    def written(self) -> NDArray[np.intp]:
        """Indices into the trace's pages: those that were written while it was watched."""
        return np.flatnonzero(self.rewrites.per_page)

    @property
    def written_bytes(self) -> int:
        """Their memory."""
        return len(self.written) * self.trace.page_bytes

    @cached_property
    def windows(self) -> tuple[int, ...]:
        """In ticks: 1, 2, 4 and so on, as long as the trace has a few of them."""
        most = max(self.trace.ticks // 4, min(self.trace.ticks, 1))
        return tuple(1 << power for power in range(most.bit_length()))

    @cached_property
    def working_set(self) -> NDArray[np.float64]:
        """Distinct pages written within each of ``windows``, on average."""
        return working_set(self.trace, self.windows)

    @cached_property
    def spread(self) -> NDArray[np.float64]:
        """float64[windows, 2]: the 10th and 90th percentile of the pages written in consecutive windows."""
        each = first_writes_of_each(self.trace, self.windows)
        return np.array([np.percentile(counts, (10, 90)) for counts in each]).reshape(-1, 2)

    def pages_within(self, ns: float) -> float:
        """Distinct pages written within so long, on average, to the nearest whole number of ticks.

        nan where that is less than half a tick, or more than the trace.
        """
        ticks = round(ns / self.tick_ns) if self.trace.ticks else 0
        return float(working_set(self.trace, [ticks])[0])

    @cached_property
    def slowdowns(self) -> tuple[Against, ...]:
        """What being watched cost at each interval, without first; none where there is nothing to compare with."""
        measured = sorted(self.recording.slowdowns, key=lambda each: each.every_ns)
        bare = next((each for each in measured if not each.every_ns and each.wall_ns), None)
        if bare is None or not np.median(bare.wall_ns) > 0 or not np.median(bare.cpu_ns or (0,)) > 0:
            return ()
        wall, cpu = float(np.median(bare.wall_ns)), float(np.median(bare.cpu_ns))
        return tuple(
            Against(
                every_ns=each.every_ns,
                wall=tuple(ns / wall for ns in each.wall_ns),
                cpu=tuple(ns / cpu for ns in each.cpu_ns),
            )
            for each in measured
        )


__all__ = ["Against", "Overview"]
