"""What a notebook shows of records: small tables, without a style or a script of their own."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from gcbarrier.model import Finding, Outcome
from gcbarrier.report.displayed import Figures
from gcbarrier.report.grammar import Column, Measure
from gcbarrier.report.html.figures import svg
from gcbarrier.report.html.markup import Child, Markup, element
from gcbarrier.report.html.tables import table
from gcbarrier.report.looks import sort_key
from gcbarrier.report.tables import plain
from gcbarrier.report.units import DASH, NS, RATIO, format_ns, format_number
from gcbarrier.results import (
    Cell,
    Spread,
    all_cpu_ns_per_operation,
    cells,
    cpu_ns_per_operation,
    pauses,
    percentile,
    relative,
    workloads,
)
from gcbarrier.results.outcomes import Outcomes
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

_MOST = 30
"""Rows: a notebook is read, and the record has the rest."""
_LONGEST = 300
"""Characters of an error."""


def html(record: object) -> str | None:
    """A record as a fragment of HTML; None: it is none of those that are shown here."""
    for kind, show in _SHOWN.items():
        if isinstance(record, kind):
            return element("div", *show(record))
    return None


def _run(run: Run) -> Iterator[Child]:
    dates = ", ".join(dict.fromkeys(str(each.get("date", ""))[:10] for each in run.manifests if each.get("date")))
    quick = "measured with --quick" if any(each.get("quick") for each in run.manifests) else ""
    facts = [dates, ", ".join(run.machines), _counted((*run.outcomes, *run.findings)), quick]
    yield _heading(run.experiment, *facts)
    yield from _cells(cells(run.outcomes), machines=len(run.machines) > 1)
    yield from _readings([point for machine in run.machines for point in points(run, machine)])
    yield from _errors((*run.outcomes, *run.findings))


def _outcomes(outcomes: Outcomes) -> Iterator[Child]:
    found = cells(outcomes)
    yield _heading("Outcomes", _counted(outcomes))
    yield from _cells(found, machines=len({cell.machine for cell in found}) > 1)
    yield from _errors(outcomes)


def _cell(cell: Cell) -> Iterator[Child]:
    yield _heading(cell.label, cell.config.size, cell.machine, _counted(cell.outcomes))
    columns = (
        Column(head="invocation", words=lambda one: str(one.invocation.index)),
        Column(
            head="pause", words=lambda one: " and ".join(dict.fromkeys(each.kind for each in one.pauses)), left=True
        ),
        _number("pauses", lambda one: len(one.pauses), str),
        _number("median", lambda one: percentile([each.pause_ns for each in one.pauses], 50), format_ns),
        _number("worst", lambda one: percentile([each.pause_ns for each in one.pauses], 100), format_ns),
        *_OF_OUTCOMES,
    )
    yield from _lines(columns, cell.good)
    yield from _errors(cell.outcomes)


def _kinds(outcome: Outcome) -> str:
    return " and ".join(dict.fromkeys(each.kind for each in outcome.pauses))


def _outcome(outcome: Outcome) -> Iterator[Child]:
    invocation = outcome.invocation
    facts = (invocation.config.size, outcome.machine, f"invocation {invocation.index}", f"seed {invocation.seed}")
    yield _heading(invocation.config.label, *facts)
    yield from _errors([outcome])
    found = pauses([outcome])

    def of(share: float) -> Callable[[str], float]:
        return lambda kind: percentile(found["pause_ns"][found["kind"] == kind], share)

    columns = (
        Column(head="pause", words=str, left=True),
        _number("n", lambda kind: int((found["kind"] == kind).sum()), str),
        *(_number(head, of(share), format_ns) for head, share in (("median", 50), ("p95", 95), ("worst", 100))),
    )
    yield from _lines(columns, [str(kind) for kind in np.unique(found["kind"])])
    yield from _lines(_OF_OUTCOMES, [outcome] if outcome.operations else [])


def _finding(finding: Finding) -> Iterator[Child]:
    yield _heading(finding.probe.label, finding.probe.memory, finding.machine, f"invocation {finding.index}")
    yield from _errors([finding])
    columns = (
        Column(head="what", words=lambda reading: reading.what, left=True),
        _number("x", lambda reading: reading.x, format_number),
        _number("value", lambda reading: reading.value, format_number),
        Column(head="unit", words=lambda reading: reading.unit, left=True),
        _number("samples", lambda reading: reading.samples, str),
    )
    yield from _lines(columns, finding.readings)


def _figures(figures: Any) -> Iterator[Child]:
    # Ids are the whole notebook's: two outputs of one figure have the same, and mean the same.
    for name, figure in figures.items():
        yield element("div", svg(figure, re.sub(r"\W+", "-", name) + "-", name))


def _number(head: str, of: Callable[[Any], float], words: Callable[[Any], str]) -> Column:
    return Column(head=head, words=lambda one: words(of(one)), number=lambda one, _: float(of(one)))


_OF_OUTCOMES = (
    _number("wall", lambda one: one.wall_ns or float("nan"), format_ns),
    _number("operations", lambda one: one.operations, lambda count: f"{count:,}"),
    _number("CPU/op", cpu_ns_per_operation, format_ns),
    _number("all CPU/op", all_cpu_ns_per_operation, format_ns),
    _number("faults", lambda one: one.minor_faults, lambda count: f"{count:,}"),
    _number("stalls", lambda one: len(one.stalls), str),
)
"""What an outcome says of itself, and never of its pauses alone."""


def _cells(found: Sequence[Cell], *, machines: bool) -> Iterator[Child]:
    """A row for each configuration: how its cycles end, and the bill, against that of its own workload's baseline."""
    found = sorted(found, key=lambda cell: (cell.machine, cell.config.heap, sort_key(cell.config.barrier)))
    base = {id(cell): work.baseline for work in workloads(_all(found)) for cell in _same(work.cells, found)}

    def against(cost: Callable[[Outcome], float]) -> Callable[[Cell], Spread]:
        return lambda cell: relative(cell, base.get(id(cell)), cost)

    columns = (
        *([Column(head="machine", words=lambda cell: cell.machine, left=True)] if machines else []),
        Column(head="heap", words=lambda cell: f"{cell.config.heap}, {cell.config.size}", left=True),
        Column(head="barrier", words=lambda cell: cell.config.barrier, left=True),
        Column(head="collector", words=lambda cell: cell.config.collector, left=True),
        Column(head="n", words=lambda cell: str(len(cell.good))),
        Column(head="pause", words=lambda cell: cell.kinds[0] if cell.kinds else DASH, left=True),
        Measure("median", NS, lambda cell: cell.medians(cell.kinds[0]) if cell.kinds else None).ranged,
        Measure("stopped/cycle", NS, lambda cell: cell.stopped()).ranged,
        Measure("CPU/op vs none", RATIO, against(cpu_ns_per_operation)).ranged,
        Measure("all CPU vs none", RATIO, against(all_cpu_ns_per_operation)).ranged,
    )
    yield from _lines(columns, found)


def _all(found: Sequence[Cell]) -> Iterable[Outcome]:
    return (outcome for cell in found for outcome in cell.outcomes)


def _same(members: Sequence[Cell], found: Sequence[Cell]) -> list[Cell]:
    """The cells of ``found`` that have the outcomes of ``members``."""
    owners = {id(outcome): cell for cell in found for outcome in cell.outcomes}
    return [owners[id(cell.outcomes[0])] for cell in members]


def _readings(found: Sequence[Point]) -> Iterator[Child]:
    columns = (
        Column(head="barrier", words=lambda point: point.barrier, left=True),
        Column(head="memory", words=lambda point: point.memory, left=True),
        Column(head="what", words=lambda point: point.what, left=True),
        _number("x", lambda point: point.x, format_number),
        Measure("value", None, lambda point: point.value).ranged,
    )
    yield from _lines(columns, found)


def _lines(columns: Sequence[Column], rows: Sequence[Any]) -> Iterator[Child]:
    """A table of these columns, and how many rows there is no room for."""
    if not rows:
        return
    lines: Table = plain(columns)
    for row in rows[:_MOST]:
        lines.add_row(*(column.place(row, rows) for column in columns))
    yield table(lines, None, "")
    if len(rows) > _MOST:
        yield element("p", f"and {len(rows) - _MOST:,} more")


def _heading(name: str, *facts: str) -> Markup:
    return element("p", element("strong", name), "".join(f" \N{MIDDLE DOT} {fact}" for fact in facts if fact))


def _counted(records: Sequence[Outcome | Finding]) -> str:
    failed = sum(bool(record.error) for record in records)
    return f"{len(records):,} invocation{'s' * (len(records) != 1)}" + f", {failed} failed" * bool(failed)


def _errors(records: Sequence[Outcome | Finding]) -> Iterator[Child]:
    failed = [one for one in records if one.error]
    for one in failed[:3]:
        label = one.invocation.config.label if isinstance(one, Outcome) else one.probe.label
        yield element("p", f"failed: {label}: {one.error[:_LONGEST]}{'…' * (len(one.error) > _LONGEST)}")
    if len(failed) > 3:
        yield element("p", f"and {len(failed) - 3} more that failed")


_SHOWN: dict[type, Callable[[Any], Iterator[Child]]] = {
    Run: _run,
    Outcomes: _outcomes,
    Cell: _cell,
    Outcome: _outcome,
    Finding: _finding,
    Figures: _figures,
}

__all__ = ["html"]
