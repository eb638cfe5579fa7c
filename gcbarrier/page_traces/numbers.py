"""Numbers out of page writes: how many pages, how many of them again, and how many within a cycle.

Each takes one pass over the ticks and memory for a few numbers per page. What is counted is a page's being written
within a tick, once, however many stores there were: no recorder sees more than that.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class Writes(Protocol):
    """What the numbers are of: a :class:`gcbarrier.page_traces.records.PageTrace`, or anything like it."""

    @property
    def ticks(self) -> int:
        """How many there are."""
        ...

    @property
    def pages(self) -> NDArray[Any]:
        """As many as there are pages, written or not."""
        ...

    def writes(self) -> Iterable[NDArray[Any]]:
        """For each tick, the indices of the pages that were written in it, none twice."""
        ...


@frozen(kw_only=True, eq=False)
class Rewrites:
    """How often pages are written again. A *write* is a page's being written within one tick."""

    intervals: Counts
    """At ``k``: the writes to pages whose write before was ``k`` ticks earlier; none at 0. As long as there are ticks,
    and at least one."""
    firsts: int
    """Writes to pages that had not been written before, as far as the recording goes back: as many as pages were
    written at all."""
    per_page: Counts = field(repr=False)
    """For each page of the trace, how many ticks it was written in."""

    @property
    def writes(self) -> int:
        """All of them."""
        return self.firsts + int(self.intervals.sum())

    def within(self, ticks: int) -> float:
        """The share of all writes that went to pages which had been written within the last ``ticks`` ticks before.

        At most 1; nan where nothing was written. First writes count as not written before.
        """
        return int(self.intervals[: max(ticks, 0) + 1].sum()) / self.writes if self.writes else float("nan")

    def concentration(self) -> NDArray[np.float64]:
        """At ``n``: the share of all writes that the ``n`` pages take which are written most often.

        From 0 at no page to 1 at all pages that were written; only the 0 where none were.
        """
        often = -np.sort(-self.per_page[self.per_page > 0])
        return np.concatenate([[0.0], np.cumsum(often) / max(self.writes, 1)])

    def pages_for(self, share: float) -> int:
        """How few pages take at least ``share`` (0 to 1) of all writes."""
        found = int(np.searchsorted(self.concentration(), share - 1e-12))
        return min(found, self.firsts)


def working_set(trace: Writes, windows: Sequence[int]) -> NDArray[np.float64]:
    """How many distinct pages are written within so many ticks, on average, for each of ``windows``.

    The mean over all windows of exactly that length that lie within the trace, whichever tick they begin at; nan for a
    window that is longer than the trace, or is none. This is Denning and Schwartz's working-set curve ("Properties of
    the working-set model", 1972), for writes: not estimated, but counted, from the lengths of the gaps in which a page
    is not written.
    """
    gaps, pages = _gaps(trace)
    # A gap of g ticks has g - w + 1 windows of w ticks within it, in which that page is missing: summed up twice.
    missing = np.cumsum(np.cumsum(gaps[::-1]))[::-1]
    found = np.full(len(windows), np.nan)
    for at, window in enumerate(windows):
        if 1 <= window <= trace.ticks:
            found[at] = pages - missing[window] / (trace.ticks - window + 1)
    return found


def first_writes(trace: Writes, window: int) -> Counts:
    """For consecutive windows of ``window`` ticks, from the first on, the distinct pages written in each.

    So many pages fault in a cycle that begins by arming all of them and lasts so long. What is left over at the end
    is no whole window, and not among them. Raises ValueError for a window of no ticks.
    """
    return first_writes_of_each(trace, [window])[0]


def first_writes_of_each(trace: Writes, windows: Sequence[int]) -> list[Counts]:
    """The same for several lengths, in one pass for all."""
    if wrong := [window for window in windows if window < 1]:
        raise ValueError(f"a window has at least 1 tick, not {wrong[0]}")
    found = [np.zeros(trace.ticks // window, dtype=np.int64) for window in windows]
    latest = [np.full(len(trace.pages), -1, dtype=np.int32) for _ in windows]
    for tick, written in enumerate(trace.writes()):
        for window, counts, last in zip(windows, found, latest, strict=True):
            at = tick // window
            if at < len(counts):
                counts[at] += np.count_nonzero(last[written] != at)
                last[written] = at
    return found


def rewrites(trace: Writes) -> Rewrites:
    """How often pages are written again, and how soon."""
    intervals = np.zeros(max(trace.ticks, 1), dtype=np.int64)
    per_page = np.zeros(len(trace.pages), dtype=np.int64)
    latest = np.full(len(trace.pages), -1, dtype=np.int32)
    firsts = 0
    for tick, written in enumerate(trace.writes()):
        before = latest[written]
        again = before[before >= 0]
        firsts += len(before) - len(again)
        if len(again):
            _add(intervals, np.bincount(tick - again))
        latest[written] = tick
        per_page[written] += 1
    return Rewrites(intervals=intervals, firsts=firsts, per_page=per_page)


def per_tick(trace: Writes) -> Counts:
    """How many pages are written in a tick: all ticks' counts, ascending. The share ``(at + 1) / ticks`` of them has
    at most the count that stands at ``at``.
    """
    return np.sort(np.fromiter((len(written) for written in trace.writes()), np.int64, count=trace.ticks))


def _gaps(trace: Writes) -> tuple[Counts, int]:
    """At ``g``: how many gaps of ``g`` ticks pages have in which they aren't written; and how many pages there are
    that are written at all.
    """
    gaps = np.zeros(trace.ticks + 1, dtype=np.int64)
    latest = np.full(len(trace.pages), -1, dtype=np.int32)
    for tick, written in enumerate(trace.writes()):
        if len(written):
            # From -1 on: the gap before a page's first write is one too.
            _add(gaps, np.bincount(tick - 1 - latest[written]))
        latest[written] = tick
    last = latest[latest >= 0]
    if len(last):
        _add(gaps, np.bincount(trace.ticks - 1 - last))
    return gaps, len(last)


def _add(counts: Counts, more: NDArray[np.intp]) -> None:
    counts[: len(more)] += more


__all__ = [
    "Counts",
    "Rewrites",
    "Writes",
    "first_writes",
    "first_writes_of_each",
    "per_tick",
    "rewrites",
    "working_set",
]
