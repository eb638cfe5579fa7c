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

import io
import warnings
from collections.abc import Iterator, Sequence
from math import inf, prod
from pathlib import Path
from tokenize import TokenError
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

STAMP = np.dtype([("gap_ns", "<u4"), ("took_ns", "<u4")])
"""As :mod:`gcbarrier.core.times` has it, and so the next."""
FIRST = np.dtype([("first_ns", "<u8"), ("count", "<u8")])

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
    return kept_in(run.event_files[index])


def kept_in(path: Path) -> Kept | None:
    """The same, of a file of raw events."""
    try:
        data = regular(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise GcBarrierError(f"{path} can't be read as raw events: {problem}") from problem
    try:
        with warnings.catch_warnings():
            # numpy only warns of headers that Python 2 wrote; no version of ours did.
            warnings.filterwarnings("error", message="Reading `.npy` or `.npz` file")
            arrays = list(_arrays(data))
        # An older run has no more than the events.
        if len(arrays) < 3 or not len(arrays[2]):
            return None
        return _decoded(arrays[1], arrays[2])
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, TokenError, UserWarning) as problem:
        why = " ".join(str(problem).split())[:200]
        raise GcBarrierError(f"{path} can't be read as raw events: {why}") from problem


def _arrays(data: bytes) -> Iterator[NDArray[Any]]:
    """One after the other, as ``numpy.save`` has written them, and none that promises more than there is."""
    stream = io.BytesIO(data)
    while (at := stream.tell()) < len(data):
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"the array at byte {at} is of version {version}, not 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        count, left = prod(shape), len(data) - stream.tell()
        if dtype.hasobject or len(shape) != 1 or not 0 <= count * dtype.itemsize <= left:
            raise ValueError(f"the array at byte {at} is none of ours, or not all of it is there")
        yield np.frombuffer(data, dtype, count, stream.tell())
        stream.seek(count * dtype.itemsize, io.SEEK_CUR)


def _decoded(firsts: NDArray[Any], stamps: NDArray[Any]) -> Kept:
    if firsts.dtype != FIRST or stamps.dtype != STAMP:
        raise ValueError("what follows the events are no stamps")
    counts, begins = firsts["count"].tolist(), firsts["first_ns"].tolist()
    if sum(counts) != len(stamps) or max(begins, default=0) >= 1 << 62:
        raise ValueError("it does not hold as many stamps as it says")
    took = stamps["took_ns"].astype(np.int64)
    start = np.empty(len(stamps), np.int64)
    at = 0
    for first_ns, count in zip(begins, counts, strict=True):
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


__all__ = ["WINDOWS_NS", "Kept", "Served", "arrivals", "kept", "kept_in", "percentiles", "served"]
