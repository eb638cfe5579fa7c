"""A recording in words: its processes in a table, what looking took, and what it cost the program."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.page_traces.records import PageTrace, Recording, Slowdown
from gcbarrier.report.units import DASH, TIMES, format_ns, format_number, format_ratio

_MOST = 12
_NOTES = 12
_HEADS = ("ticks", "pages", "written a tick", "95th", "a page, times", "faults", "looking took", "ended")


def recording_table(found: Recording, name: str, *, wall_ns: int | None = None, cpu_ns: int | None = None) -> Group:
    """The processes that wrote most, notes, and the slow-down where it was measured.

    ``wall_ns`` and ``cpu_ns``: how long it was recorded, and the recorder's own processor time, where they are known.
    """
    return Group(*_parts(found, name, wall_ns, cpu_ns))


def _parts(found: Recording, name: str, wall_ns: int | None, cpu_ns: int | None) -> Iterator[RenderableType]:
    ranked = sorted(found.traces, key=lambda trace: int(trace.counts.sum()), reverse=True)
    images = "a program" if len(ranked) == 1 else f"{len(ranked):,} programs and forks"
    yield Text(f"{name}: {images}, ticks of {format_ns(found.every_ns)}, {found.tracker}")
    yield _table(ranked[:_MOST])
    if len(ranked) > _MOST:
        rest = ranked[_MOST:]
        pages = sum(int(trace.counts.sum()) for trace in rest)
        yield Text(f"and {len(rest):,} more, which wrote {pages:,} pages in all ticks together")
    if wall_ns and cpu_ns is not None:
        yield Text(
            f"the recorder took {format_ns(cpu_ns)} of a processor in {format_ns(wall_ns)}"
            f" ({format_number(100 * cpu_ns / wall_ns, 2)} %)"
        )
    yield from map(Text, _slowdowns(found.slowdowns))
    yield from (Text(f"note: {each}") for each in found.notes[:_NOTES])
    if len(found.notes) > _NOTES:
        yield Text(f"and {len(found.notes) - _NOTES:,} more notes, which are in the recording")


def _table(traces: Sequence[PageTrace]) -> Table:
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column(Text("process"), no_wrap=True)
    for head in _HEADS:
        lines.add_column(Text(head), justify="right", no_wrap=True)
    for trace in traces:
        lines.add_row(*map(Text, _row(trace)))
    return lines


def _row(trace: PageTrace) -> Iterator[str]:
    counts = trace.counts
    yield f"{os.path.basename(trace.command[0]) if trace.command else DASH} ({trace.pid}, {trace.began})"
    yield f"{trace.ticks:,}"
    yield f"{len(trace.pages):,}"
    if not trace.ticks:
        yield from [DASH] * (len(_HEADS) - 3)
    else:
        yield format_number(float(np.median(counts)))
        yield format_number(float(np.percentile(counts, 95)))
        yield format_number(float(counts.sum()) / _written(trace)) if counts.any() else DASH
        yield f"{int(trace.faults.sum()):,}"
        yield format_ns(float(np.median(trace.collect_ns)))
    yield trace.ended


def _written(trace: PageTrace) -> int:
    """How many pages were written in any tick at all."""
    seen = np.zeros(len(trace.pages), dtype=bool)
    for pages in trace.writes():
        seen[pages] = True
    return int(seen.sum())


def _slowdowns(found: Sequence[Slowdown]) -> Iterator[str]:
    bare = next((each for each in found if not each.every_ns), None)
    for each in found:
        if bare is None or each is bare:
            continue
        wall, cpu = (_ratio(mine, its) for mine, its in ((each.wall_ns, bare.wall_ns), (each.cpu_ns, bare.cpu_ns)))
        runs = f"medians of {len(each.wall_ns)} and {len(bare.wall_ns)} runs"
        took = f"it took {TIMES}{wall} as long and {TIMES}{cpu} processor time"
        yield f"looked at every {format_ns(each.every_ns)} {took} ({runs})"


def _ratio(mine: Sequence[int], its: Sequence[int]) -> str:
    base = float(np.median(its))
    return format_ratio(float(np.median(mine)) / base) if base else DASH
