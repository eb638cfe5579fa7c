"""The figure's numbers for a terminal or a log file."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gcbarrier.model import Config, evolve
from gcbarrier.report.differing import pair_words, workload_words
from gcbarrier.report.grammar import Names, bracketed
from gcbarrier.report.looks import sort_key
from gcbarrier.report.numbered import Numbered
from gcbarrier.report.shown import note
from gcbarrier.report.text import fold
from gcbarrier.report.units import DASH, format_ns, format_number
from gcbarrier.results import (
    Cell,
    Spread,
    Workload,
    all_cpu_ns_per_operation,
    cpu_ns_per_operation,
    faults_per_operation,
    operations_per_second,
    percentile,
    relative,
    spread,
    workloads,
)

FALLBACK = "fallbacks: "
"""How the names of such tallies begin."""
_ANY_WIDTH = 10_000


@frozen
class Pauses:
    """A table for each workload, a row for each barrier, collector and kind of pause.

    As in the figure, times are medians over the invocations of each one's median, and ``stopped/cycle`` is the time
    that all pauses of a cycle take together; ``p95`` and ``worst`` are of all pauses of the kind, and the former is
    below the table once more, with its interval (:meth:`gcbarrier.results.Cell.percentile`) or the range of the
    invocations' own. Throughput and processor time, the mutators' and ``all``, with the collector's, are geometric
    means over invocations against those of ``none``.

    Where it does not fit into a terminal's width, it becomes a list with the same numbers.
    """

    def parts(self, machine: str, cells: Sequence[Cell], by: Names) -> Iterator[RenderableType]:  # noqa: ARG002
        works = workloads(outcome for cell in cells for outcome in cell.outcomes)
        for work in works:
            yield _WorkloadTable(work, [one.config for one in works])
        yield from map(Text, _fallbacks(cells))


def _fallbacks(found: Sequence[Cell]) -> Iterator[str]:
    """What barriers did in another way than their own, and why."""
    for cell in found:
        told: Counter[str] = Counter()
        for outcome in cell.good:
            told.update({name: count for name, count in outcome.tallies.items() if name.startswith(FALLBACK)})
        if any(told.values()):
            where = f"{cell.machine}: {cell.config.heap}, {cell.config.barrier}"
            reasons = ", ".join(f"{count} {name.removeprefix(FALLBACK)}" for name, count in told.items() if count)
            pauses = int(cell.pauses()["fell_back"].sum())
            yield f"{where}: fell back to a slower way {told.total()} times, {pauses} of them in pauses ({reasons})"


class _WorkloadTable:
    """One workload; it chooses its form only when it knows where it is printed."""

    def __init__(self, work: Workload, among: Sequence[Config]) -> None:
        self._work = work
        self._among = among
        self._told = pair_words([cell.config for cell in work.cells])
        # Not when it is printed, which is after the report has noted what its tables show.
        self._lines, self._late = list(self._rows()), list(self._tails())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        config = self._work.config
        # All parameters are named, and of the rest what tells it from the others.
        plain, among = evolve(config, heap_params={}), [evolve(one, heap_params={}) for one in self._among]
        title = ", ".join([f"{self._work.machine} · {config.heap}", config.size, *workload_words(plain, among)])
        if config.heap_params:
            title += f" ({', '.join(f'{key}={value}' for key, value in config.heap_params.items())})"
        yield Text(title, style="bold" if console.is_terminal else "")
        rows = self._lines
        table = _table(rows, box.SIMPLE_HEAD if console.is_terminal else None)
        # Squeezed, rich would cut numbers off.
        fits = Measurement.get(console, options.update(width=_ANY_WIDTH), table).maximum <= options.max_width
        yield table if fits else _listed(rows, options.max_width)
        if self._late:
            yield Text("\n".join(fold(["p95 of all pauses together", *self._late], options.max_width)))
        yield Text()

    def _tails(self) -> Iterator[str]:
        """The 95th percentiles with their brackets, for which the table is too wide."""
        for cell in _ordered(self._work.cells):
            for kind in cell.kinds:
                late = cell.percentile(95, kind)
                note(cell, f"95th percentile of {kind} pauses", late)
                if len(late.each) > 1:
                    who = ", ".join(filter(None, [cell.config.barrier, self._told[cell.config]]))
                    yield f"{who} {kind} {bracketed(late, lambda value, _: format_ns(value))}"

    def _rows(self) -> Iterator[tuple[Numbered, ...]]:
        for cell in _ordered(self._work.cells):
            whole = _whole(cell, self._work.baseline)
            for row, kind in enumerate(cell.kinds or ("",)):
                # What belongs to the invocation, not to a kind of pause, is said once.
                collector = ", ".join(filter(None, [cell.config.collector, self._told[cell.config]]))
                names = [Numbered(name, again=row > 0) for name in (cell.config.barrier, collector)]
                once = [Numbered(words, value, again=row > 0) for words, value in whole]
                yield (*names, Numbered(kind or DASH), *_times(cell, kind), *once)


def _ordered(cells: Sequence[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (sort_key(cell.config.barrier), cell.config.collector))


_NAMES = ("barrier", "collector", "pause")
_HEADS = (
    "n",
    "median",
    "p95",
    "worst",
    "to safepoint",
    "collect",
    "rescan",
    "preempted",
    "stopped/cycle",
    "stalls",
    "worst stall",
    "ops/s vs none",
    "CPU/op vs none",
    "all CPU vs none",
    "faults/1k ops",
)


def _table(rows: Iterable[Sequence[Numbered]], lines: box.Box | None) -> Table:
    table = Table(box=lines, pad_edge=False, padding=(0, 1, 0, 0))
    for name in _NAMES:
        table.add_column(name, no_wrap=True)
    for head in _HEADS:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _listed(rows: Iterable[Sequence[Numbered]], width: int) -> Text:
    """The rows as paragraphs, broken between numbers; what a row lacks is left out."""
    lines: list[str] = []
    for row in rows:
        barrier, collector, kind, *numbers = (place.plain for place in row)
        if barrier:
            lines.append(f"{barrier}, {collector}")
        said = [f"{head} {number}" for head, number in zip(_HEADS, numbers, strict=True) if number not in ("", DASH)]
        facts = ["no pauses" if kind == DASH else kind, *said]
        lines += [f"  {line}" for line in fold(facts, width - 2)]
    return Text("\n".join(lines))


def _times(cell: Cell, kind: str) -> tuple[Numbered, ...]:
    table = cell.pauses(kind) if kind else cell.pauses()[:0]

    def typical(column: str) -> Numbered:
        return _time(cell.medians(kind, column).centre)

    return (
        _count(len(table)),
        typical("pause_ns"),
        _time(cell.percentile(95, kind).centre),
        _time(percentile(table["pause_ns"], 100)),
        typical("ttsp_ns"),
        typical("collect_ns"),
        typical("rescan_ns"),
        _count(int(table["preempted"].sum())),
    )


def _time(ns: float) -> Numbered:
    return Numbered(format_ns(ns), ns)


def _count(count: int) -> Numbered:
    return Numbered(str(count), count)


def _whole(cell: Cell, baseline: Cell | None) -> tuple[tuple[str, float], ...]:
    """Each number in words, and the number."""

    def word(one: Spread) -> tuple[str, float]:
        words = f"{one.centre:.3f}" if 0.1 <= one.centre < 10 else format_number(one.centre)
        return words, one.centre

    faults = spread([1000 * faults_per_operation(outcome) for outcome in cell.good]).centre
    stopped, stalls = cell.stopped().centre, cell.stalls_ns
    worst = float(stalls.max()) if len(stalls) else float("nan")
    return (
        (format_ns(stopped), stopped),
        (str(len(stalls)), len(stalls)),
        (format_ns(worst), worst),
        word(relative(cell, baseline, operations_per_second)),
        word(relative(cell, baseline, cpu_ns_per_operation)),
        word(relative(cell, baseline, all_cpu_ns_per_operation)),
        (format_number(faults), faults),
    )


__all__ = ["Pauses"]
