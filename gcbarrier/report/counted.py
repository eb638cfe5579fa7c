"""What barriers and collectors counted beside the pauses, for a terminal or a log file."""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.model import Config, Scalar, evolve
from gcbarrier.report.differing import workload_words
from gcbarrier.report.looks import sort_key
from gcbarrier.report.numbered import Numbered
from gcbarrier.report.units import DASH, format_number
from gcbarrier.results import Cell, cells, percentile, spread
from gcbarrier.results.run import Run

_WHERE = 4
"""Columns that say of what it is: those that repeat are left blank."""


def counted_table(run: Run) -> RenderableType | None:
    """A row for each number that a configuration's barrier or collector has a name for; None where none has.

    The median is over the good invocations, ``from`` and ``to`` are their range: of a barrier's count in each of them,
    of a collector's number the median over each one's cycles. ``sum`` is of them all. What a barrier counts and never
    happened is left out; the run's file has it.
    """
    rows = []
    every = cells(run.outcomes)
    varied = _varied(cell.config for cell in every)
    for cell in every:
        config = cell.config
        key = (cell.machine, config.heap, config.heap_bytes, sort_key(config.barrier), config.collector)
        plain = [evolve(one.config, heap_params={}) for one in every]
        heap = ", ".join([config.heap, config.size, *workload_words(evolve(config, heap_params={}), plain)])
        where = (
            *(cell.machine, _with(heap, config.heap_params, varied)),
            _with(config.barrier, config.barrier_params, varied),
            _with(config.collector, config.collector_params, varied),
        )
        rows += [(key, (*where, *counted)) for counted in (*_tallies(cell), *_notes(cell))]
    if not rows:
        return None
    table = Table(title=Text("counted beside the pauses"), box=None)
    table.title_justify = "left"
    for head in ("machine", "heap", "barrier", "collector", "what", "in each"):
        # What tells heaps apart may be long: it is folded rather than cut.
        table.add_column(head, no_wrap=head != "heap", overflow="fold")
    for head in ("median", "from", "to", "sum"):
        table.add_column(head, justify="right", no_wrap=True)
    above: tuple[str, ...] = ()
    for _, row in sorted(rows, key=lambda pair: pair[0]):
        same = row[:_WHERE] == above
        above = row[:_WHERE]
        table.add_row(*(Numbered(each, again=same) for each in row[:_WHERE]), *map(Text, row[_WHERE:]))
    return table


def _tallies(cell: Cell) -> Iterator[tuple[str, ...]]:
    for name in dict.fromkeys(name for outcome in cell.good for name in outcome.tallies):
        counts = [outcome.tallies[name] for outcome in cell.good if name in outcome.tallies]
        if any(counts):
            yield _row(name, "invocation", counts, sum(counts))


def _notes(cell: Cell) -> Iterator[tuple[str, ...]]:
    for name in dict.fromkeys(note.name for outcome in cell.good for note in outcome.notes):
        values = [[note.value for note in outcome.notes if note.name == name] for outcome in cell.good]
        yield _row(name, "cycle", [percentile(each, 50) for each in values], sum(map(sum, values)))


def _varied(configs: Iterable[Config]) -> set[str]:
    """The parameters that are not the same in all that have them."""
    seen: dict[str, set[Scalar]] = {}
    for config in configs:
        for params in (config.heap_params, config.barrier_params, config.collector_params):
            for name, value in params.items():
                seen.setdefault(name, set()).add(value)
    return {name for name, values in seen.items() if len(values) > 1}


def _with(name: str, params: Mapping[str, Scalar], varied: set[str]) -> str:
    """The name, with what tells it apart from its like."""
    said = [f"{key}={value}" for key, value in params.items() if key in varied]
    return f"{name} ({', '.join(said)})" if said else name


def _row(name: str, per: str, each: list[float] | list[int], total: float) -> tuple[str, ...]:
    found = spread(each)
    numbers = [format_number(value) for value in (found.centre, min(each), max(each), total)]
    # Of one there is no range.
    return (name, per, numbers[0], *(numbers[1:3] if len(found.each) > 1 else (DASH, DASH)), numbers[3])


__all__ = ["counted_table"]
