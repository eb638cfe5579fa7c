"""Recordings in words: a column for each program, a line for each process, and what is small print in the figure."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from rich.table import Table
from rich.text import Text

from gcbarrier.page_traces.overview import Overview
from gcbarrier.page_traces.records import Recording
from gcbarrier.report.text import fold
from gcbarrier.report.units import DASH, NS, PERCENT, RATIO, TIMES, format_ns, format_number

_WITHIN = (10e6, 100e6, 1e9)
_MOST = 90


def page_table(every: Sequence[Overview]) -> Table:
    """A column for each: how much is written, how much of it again, and what being watched cost."""
    table = Table(box=None)
    table.add_column("", no_wrap=True)
    for own in every:
        table.add_column(Text(own.name), justify="right", no_wrap=True)
    for name, values in _rows(every):
        table.add_row(name, *values)
    return table


def markdown(every: Sequence[Overview]) -> str:
    """The same for a text."""
    lines = [["", *(own.name for own in every)], ["---", *("---:" for _ in every)]]
    lines += [[name, *values] for name, values in _rows(every)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(every: Sequence[Overview]) -> Iterator[tuple[str, list[str]]]:
    for name, words in _ROWS.items():
        yield name, [words(own) for own in every]
    for ns in _WITHIN:
        yield f"written within {format_ns(ns)}", [_pages(own.pages_within(ns)) for own in every]
    for ns in sorted({each.every_ns for own in every for each in own.slowdowns if each.every_ns}):
        yield f"time when armed every {format_ns(ns)}", [_cost(own, ns, "wall") for own in every]
        yield f"processor time when armed every {format_ns(ns)}", [_cost(own, ns, "cpu") for own in every]


_ROWS: Mapping[str, Callable[[Overview], str]] = {
    "watched for": lambda own: seconds(own),
    "processors in use": lambda own: format_number(own.processors, 2),
    "a tick": lambda own: NS.words(own.tick_ns),
    "pages written": lambda own: _pages(len(own.written)),
    "in half of the ticks, at most": lambda own: _pages(_percentile(own, 50)),
    f"in {_MOST} % of the ticks, at most": lambda own: _pages(_percentile(own, _MOST)),
    f"that take {_MOST} % of the writes": lambda own: _pages(own.rewrites.pages_for(_MOST / 100)),
    "writes to pages of the tick before": lambda own: PERCENT.words(100 * own.rewrites.within(1)),
}


def _percentile(own: Overview, percent: float) -> float:
    return float(np.percentile(own.trace.counts, percent)) if own.trace.ticks else float("nan")


def _cost(own: Overview, interval: int, of: str) -> str:
    found: list[tuple[float, ...]] = [getattr(each, of) for each in own.slowdowns if each.every_ns == interval]
    return f"{TIMES} {RATIO.words(float(np.median(found[0])))}" if found and found[0] else DASH


def process_table(recording: Recording) -> Table:
    """A line for each process, in the order in which they began; the number is what picks one."""
    table = Table(box=None)
    for head in ("process", "began", "ended", "ticks", "pages", "writes"):
        table.add_column(head, justify="right" if head in ("ticks", "pages", "writes") else "left", no_wrap=True)
    table.add_column("command")
    for number, trace in enumerate(recording.traces):
        table.add_row(
            str(number),
            trace.began,
            trace.ended,
            format_number(trace.ticks),
            _pages(len(trace.pages) if trace.ticks else 0),
            _pages(int(trace.counts.sum())),
            Text(shlex.join(trace.command).replace("\n", " ")),
        )
    return table


def small_print(every: Sequence[Overview], letters: int) -> str:
    """Where these were recorded and how: what all have in common is said once."""
    said = [
        [f"{name} {value}" for name, value in own.recording.facts.items()] + [f"recorded by {own.recording.tracker}"]
        for own in every
    ]
    shared = [fact for fact in said[0] if all(fact in each for each in said)]
    lines = fold(shared, letters)
    for own, each in zip(every, said, strict=True):
        own_facts = [
            f"{own.name}: {' '.join(own.trace.command).replace(chr(10), ' ')}",
            f"asked for {format_ns(own.recording.every_ns)}",
        ]
        if len(own.recording.traces) > 1:
            own_facts.append(f"one of {len(own.recording.traces)} processes")
        lines += fold([*own_facts, *(fact for fact in each if fact not in shared), *own.recording.notes], letters)
    return "\n".join(lines)


def seconds(own: Overview) -> str:
    """How long it was watched."""
    return NS.words(own.trace.duration_ns)


def _pages(count: float) -> str:
    return format_number(round(count)) if count == count else DASH


__all__ = ["markdown", "page_table", "process_table", "seconds", "small_print"]
