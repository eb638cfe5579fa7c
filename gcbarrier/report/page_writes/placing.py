"""Where a write is drawn: pages in rows by their address, without what lies between them; ticks in columns by time."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import PurePath

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from gcbarrier.page_traces.overview import Overview
from gcbarrier.page_traces.records import PageTrace

ANONYMOUS = "anonymous"


@frozen
class Region:
    """Neighbours in one kind of mapping."""

    name: str
    first: int
    """Of the pages that were written, the number of the first one in it."""
    pages: int

    @property
    def middle(self) -> float:
        """Where its name belongs."""
        return self.first + self.pages / 2


def regions(overview: Overview) -> list[Region]:
    """The written pages, parted by what they are a part of, in order of address."""
    names, which = _names(overview.trace, overview.trace.pages[overview.written])
    found, at = [], 0
    for name, group in groupby(which.tolist()):
        count = len(list(group))
        found.append(Region(names[name], at, count))
        at += count
    return found


def labelled(found: Sequence[Region], least: float) -> list[Region]:
    """Those of at least ``least`` pages, which have room for a name. What lies between them is left out.

    Neighbours of one name are then one, if next to nothing lies between.
    """
    kept: list[Region] = []
    for region in found:
        if region.pages < least:
            continue
        last = kept[-1] if kept else None
        if last is not None and last.name == region.name and region.first - last.first - last.pages < least:
            kept[-1] = evolve(last, pages=region.first + region.pages - last.first)
        else:
            kept.append(region)
    return kept


def _names(trace: PageTrace, pages: NDArray[np.uint64]) -> tuple[list[str], NDArray[np.int64]]:
    names: list[str] = [ANONYMOUS]
    which = np.zeros(len(pages), dtype=np.int64)
    ends = [trace.ticks if each.until is None else each.until for each in trace.mappings]
    lives = [end - each.since for end, each in zip(ends, trace.mappings, strict=True)]
    # Where several followed one another at a place, it is called after the one that was there longest.
    for at in np.argsort(lives, kind="stable"):
        mapping = trace.mappings[at]
        name = short(mapping.name)
        if name not in names:
            names.append(name)
        first, end = np.searchsorted(pages, np.array([mapping.start, mapping.end], dtype=np.uint64))
        which[first:end] = names.index(name)
    return names, which


def short(name: str) -> str:
    """A mapping's name for a reader: a file's without its folders."""
    return PurePath(name).name if name.startswith("/") else name or ANONYMOUS


def raster(overview: Overview, rows: int, columns: int) -> NDArray[np.float64]:
    """float64[rows, columns]: the share of a spot's pages and ticks that were written; nan where there is no tick.

    There are fewer of either where there are no more pages or ticks. A tick that lasted long takes several columns.
    """
    trace, written = overview.trace, overview.written
    rows, columns = min(rows, len(written)), min(columns, trace.ticks)
    seen, ticks = np.zeros((rows, columns)), np.zeros(columns)
    if not rows or not columns:
        return seen
    row_of = np.zeros(len(trace.pages), dtype=np.int64)
    row_of[written] = np.arange(len(written)) * rows // len(written)
    for (first, end), pages in zip(_columns(trace, columns), trace.writes(), strict=True):
        ticks[first:end] += 1
        seen[:, first:end] += np.bincount(row_of[pages], minlength=rows)[:, None]
    pages_of = np.bincount(row_of[written], minlength=rows)
    with np.errstate(invalid="ignore"):
        share: NDArray[np.float64] = seen / (pages_of[:, None] * ticks[None, :])
    return share


def _columns(trace: PageTrace, columns: int) -> Iterator[tuple[int, int]]:
    """For each tick, its first column and the one behind its last."""
    begins, ends = (
        (times - trace.begin_ns[0]) * columns // max(trace.duration_ns, 1) for times in (trace.begin_ns, trace.end_ns)
    )
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        first = min(begin, columns - 1)
        yield first, max(end, first + 1)


__all__ = ["ANONYMOUS", "Region", "labelled", "raster", "regions", "short"]
