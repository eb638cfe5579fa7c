"""Latency of operations: simple, which is how long each took, and metered, which is how long its caller waited.

A mutator that is stopped begins no operation, so that a long pause makes one operation slow and not the many that
would have come meanwhile. **Metered** latency (DaCapo Chopin: Blackburn et al., "Rethinking Java Performance Analysis",
ASPLOS 2025) takes operations to arrive at an even rate, and counts from when each arrived where it began later than
that: what queues behind a pause counts. The rate is even over the run as a whole (``window_ns`` infinite), or over a
window around each moment, which leaves what programs do in phases as it is.

Arrivals here are those of the rate of the operations that began, averaged over such a window; of the whole run they lie
equally far apart. It needs when each operation began, which is kept where all mutators together do at most some million
(``native/world/stamps.h``), behind the events in the same file.
"""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import regular
from gcbarrier.model import Outcome
from gcbarrier.results.cells import Cell, cells
from gcbarrier.results.operations import histogram
from gcbarrier.results.run import Run

WINDOWS_NS = (1e6, 1e7, 1e8, inf)
"""That metered latency is usually shown for."""


@frozen(kw_only=True, eq=False)
class Kept:
    """Every operation of an invocation, of all mutators together, by when it began."""

    start_ns: NDArray[np.int64] = field(repr=False)
    took_ns: NDArray[np.int64] = field(repr=False)

    def metered(self, window_ns: float) -> NDArray[np.float64]:
        """How long each took from its arrival on, in ns; an even rate over ``window_ns``, 0 for the simple latency."""
        start = (self.start_ns - self.start_ns[0]).astype(np.float64)
        waited: NDArray[np.float64] = np.maximum(start - arrivals(start, window_ns), 0)
        metered: NDArray[np.float64] = waited + self.took_ns
        return metered


def arrivals(start_ns: ArrayLike, window_ns: float) -> NDArray[np.float64]:
    """When operations that began then (ascending) would have come at a rate that is even over so long a window.

    Of the number of operations that had begun, as a function of time, the mean over the window around each moment is
    when so many have come. Before the first and after the last it goes on at the rate of the whole.
    """
    start = np.asarray(start_ns, np.float64)
    count = len(start)
    if count < 2 or window_ns <= 0 or start[-1] == start[0]:
        return start
    numbers = np.arange(count, dtype=np.float64)
    even: NDArray[np.float64] = start[0] + (start[-1] - start[0]) * numbers / (count - 1)
    if window_ns >= start[-1] - start[0]:
        return even
    half, rate = window_ns / 2, (count - 1) / (start[-1] - start[0])
    at = np.concatenate([[start[0] - 2 * half], start, [start[-1] + 2 * half]])
    begun = np.concatenate([[-2 * half * rate], numbers, [count - 1 + 2 * half * rate]])
    area = np.concatenate([[0.0], np.cumsum((begun[1:] + begun[:-1]) / 2 * np.diff(at))])

    def integral(moment: NDArray[np.float64]) -> NDArray[np.float64]:
        place = np.clip(np.searchsorted(at, moment, "right") - 1, 0, len(at) - 2)
        past = moment - at[place]
        here = np.interp(moment, at, begun)
        found: NDArray[np.float64] = area[place] + (begun[place] + here) / 2 * past
        return found

    moments = np.unique(
        np.concatenate([start, np.maximum(start - half, start[0]), np.minimum(start + half, start[-1])])
    )
    smooth = (integral(moments + half) - integral(moments - half)) / window_ns
    came: NDArray[np.float64] = np.interp(numbers, np.maximum.accumulate(smooth), moments)
    return came


def kept(run: Run, index: int) -> Kept | None:
    """Every operation of ``outcomes[index]``; None where they were not timed, or were too many to be kept.

    Raises GcBarrierError where the file is damaged.
    """
    path = run.event_files[index]
    try:
        with regular(path).open("rb") as file:
            arrays: list[NDArray[Any]] = [np.load(file, allow_pickle=False)]
            # An older run ends here.
            while file.peek(1):
                arrays.append(np.load(file, allow_pickle=False))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as problem:
        raise GcBarrierError(f"{path} can't be read as raw events: {problem}") from problem
    if len(arrays) < 3 or not len(arrays[2]):
        return None
    firsts, stamps = arrays[1], arrays[2]
    if int(firsts["count"].sum()) != len(stamps):
        raise GcBarrierError(f"{path} can't be read as raw events: it does not hold as many stamps as it says")
    return _decoded(firsts, stamps)


def _decoded(firsts: NDArray[Any], stamps: NDArray[Any]) -> Kept:
    took = stamps["took_ns"].astype(np.int64)
    start = np.empty(len(stamps), np.int64)
    at = 0
    for first_ns, count in zip(firsts["first_ns"].tolist(), firsts["count"].tolist(), strict=True):
        own = slice(at, at + count)
        start[own] = first_ns + np.cumsum(stamps["gap_ns"][own].astype(np.int64) + took[own]) - took[own]
        at += count
    order = np.argsort(start, kind="stable")
    return Kept(start_ns=start[order], took_ns=took[order])


@frozen(kw_only=True, eq=False, slots=False)
class Served(Cell):
    """A cell whose invocations' operations were timed, with each of them where they were kept."""

    operations: tuple[Kept | None, ...] = field(repr=False)
    """Of each good invocation."""

    def percentiles(self, outcome: int, q: ArrayLike, window_ns: float = 0.0) -> NDArray[np.float64]:
        """Of one of the good invocations, in ns; nan where nothing can tell.

        Simple latency (``window_ns`` 0) comes from the histogram of the operations where these were not kept.
        """
        levels = np.atleast_1d(np.asarray(q, np.float64))
        own = self.operations[outcome]
        if own is not None:
            return percentiles(own.metered(window_ns), levels)
        return _of_histogram(self.good[outcome], levels) if not window_ns else np.full(levels.shape, np.nan)


def percentiles(values: ArrayLike, q: ArrayLike) -> NDArray[np.float64]:
    """The least value that at least ``q`` per cent do not exceed, as HdrHistogram has it."""
    ordered = np.sort(np.asarray(values, np.float64))
    if not len(ordered):
        return np.full(np.shape(q), np.nan)
    # In whole operations, rounded against what floats make of, say, 99.99 % of them.
    rank = np.ceil(np.asarray(q, np.float64) / 100 * len(ordered) - 1e-6).astype(np.int64)
    found: NDArray[np.float64] = ordered[np.clip(rank, 1, len(ordered)) - 1]
    return found


def _of_histogram(outcome: Outcome, q: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    times = histogram([outcome])
    return np.array([times.percentile(float(each)) for each in q])


def served(run: Run, machine: str) -> tuple[Served, ...]:
    """The cells of one machine whose operations were timed."""
    place = {id(outcome): index for index, outcome in enumerate(run.outcomes)}
    return tuple(
        Served(
            machine=cell.machine,
            config=cell.config,
            outcomes=cell.outcomes,
            operations=tuple(kept(run, place[id(outcome)]) for outcome in cell.good),
        )
        for cell in cells(run.on(machine))
        if cell.config.timed
    )


__all__ = ["WINDOWS_NS", "Kept", "Served", "arrivals", "kept", "percentiles", "served"]
