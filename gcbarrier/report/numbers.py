"""Tables of numbers for a text, out of summaries: no number in it is typed by hand.

Summaries lie in a folder for each machine, ``<machine>/<experiment>.json``; beside these ``tables.toml`` says which
tables there are. A table stands in the text between ``<!-- numbers NAME -->`` and ``<!-- end of numbers -->``::

    [[table]]
    name = "rates"
    [[table.row]]
    title = "remark at 100,000 stores/s"
    experiment = "goals"
    measure = "remark"
    of = { barrier = "uffd-wp-log", heap_bytes = 1073741824, "heap_params.rate_per_s" = 100000.0 }

``of`` says which configuration (or probe), by the values of its fields; a row with ``over`` is the ratio of ``of``'s to
``over``'s, which inherits what it does not say. ``machine`` is ``native`` by default, ``lab`` is any guest; ``since``
leaves out what was measured before that day, as by a version that did it another way. A table with ``columns`` has one
for each, whose fields its rows take over; one without has what its rows are on all machines. A row that no machine has
is left out, and so is a column.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import format_bytes
from gcbarrier.report.compared_table import number
from gcbarrier.report.units import DASH, TIMES, format_ratio
from gcbarrier.results.intervals import Interval
from gcbarrier.results.judging import ratio_of
from gcbarrier.results.matched import Match, value_of
from gcbarrier.results.summary import Entry, Summary, read

TABLES = "tables.toml"
_END = "<!-- end of numbers -->"

Summaries = Mapping[str, Mapping[str, Summary]]
"""By machine, then by experiment."""


def summaries(folder: Path) -> Summaries:
    """Those in a folder. Raises GcBarrierError where there are none or one can't be read."""
    files = sorted(folder.glob("*/*.json"))
    if not files:
        raise GcBarrierError(
            f"{folder} holds no summaries: write one with `gcbarrier summary RUN --out MACHINE/NAME.json`"
        )
    found: dict[str, dict[str, Summary]] = {}
    for file in files:
        found.setdefault(file.parent.name, {})[file.stem] = read(file)
    return found


def written(text: str, folder: Path) -> str:
    """``text`` with its tables as the summaries in ``folder`` have them. Raises GcBarrierError where one isn't told."""
    tables = {str(table.get("name")): table for table in _tables(folder / TABLES)}
    known = summaries(folder)

    def table(found: re.Match[str]) -> str:
        if found[1] not in tables:
            raise GcBarrierError(f"{folder / TABLES} tells of no table {found[1]!r}: there are {', '.join(tables)}")
        try:
            lines = "\n".join(_markdown(tables[found[1]], known))
        except KeyError as missing:
            raise GcBarrierError(f"{folder / TABLES}: a row of {found[1]!r} does not say its {missing}") from missing
        return f"<!-- numbers {found[1]} -->\n{lines}\n{_END}"

    return re.sub(rf"<!-- numbers (\S+) -->\n.*?{re.escape(_END)}", table, text, flags=re.DOTALL)


def _tables(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise GcBarrierError(f"{path} can't be read: {problem}") from problem
    found = told.get("table", [])
    return found if isinstance(found, list) else []


@frozen
class Found:
    """One number on one machine."""

    machine: str
    value: Interval
    unit: str
    """"" of a ratio."""


def _markdown(table: Mapping[str, Any], known: Summaries) -> Iterator[str]:
    if columns := table.get("columns"):
        yield from _matrix(table, columns, known)
    else:
        yield from _list(table, known)
    used = {name for row in table["row"] for name in _used(row, table, known)}
    if used:
        yield ""
        told = [_machine(name, known[name], table) for name in sorted(used)]
        yield f"{'Machines' if len(told) > 1 else 'Machine'}: {'; '.join(told)}."


def _used(row: Mapping[str, Any], table: Mapping[str, Any], known: Summaries) -> set[str]:
    columns = table.get("columns") or [{}]
    return {one.machine for column in columns for one in _found({**table, **column, **row, **_of(column, row)}, known)}


def _of(column: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {"of": {**column.get("of", {}), **row.get("of", {})}}


def _list(table: Mapping[str, Any], known: Summaries) -> Iterator[str]:
    yield "| | median | over all invocations | machines |"
    yield "| --- | ---: | ---: | ---: |"
    for row in table["row"]:
        if found := _found({**table, **row}, known):
            low, high = min(one.value.low for one in found), max(one.value.high for one in found)
            unit = found[0].unit
            yield f"| {row['title']} | {_span(found)} | {_said(low, high, unit)} | {len(found)} |"


def _matrix(table: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], known: Summaries) -> Iterator[str]:
    rows = [
        [row["title"], *(_found({**table, **column, **row, **_of(column, row)}, known) for column in columns)]
        for row in table["row"]
    ]
    there = [at for at in range(len(columns)) if any(row[at + 1] for row in rows)]
    yield f"| {' | '.join([str(table.get('head', '')), *(str(columns[at]['title']) for at in there)])} |"
    yield f"| --- |{' ---: |' * len(there)}"
    for title, *cells in rows:
        if any(cells):
            yield f"| {' | '.join([title, *(_span(cells[at]) for at in there)])} |"


def _span(found: Sequence[Found]) -> str:
    """The machines' centres, from the least to the greatest."""
    if not found:
        return DASH
    centres = [one.value.centre for one in found]
    return _said(min(centres), max(centres), found[0].unit)


def _said(low: float, high: float, unit: str) -> str:
    first, last = (
        f"{format_ratio(one, 2)} times" if not unit else number(float(f"{one:.2g}"), unit) for one in (low, high)
    )
    if first == last:
        return first
    # The unit once, where it is the same.
    value, _, word = first.partition(" ")
    return f"{value}{DASH}{last}" if word and last.endswith(f" {word}") else f"{first} {DASH} {last}"


def _found(row: Mapping[str, Any], known: Summaries) -> list[Found]:
    found = []
    for name, experiments in known.items():
        summary = experiments.get(row["experiment"])
        if summary is None or summary.date < str(row.get("since", "")):
            continue
        for place, told in summary.machines.items():
            if place == row.get("machine", "native") or (row.get("machine") == "lab" and place.startswith("lab-")):
                value, unit = _value(row, told.cells)
                if value is not None and value.centre == value.centre:
                    found.append(Found(name, value, unit))
    return found


def _value(row: Mapping[str, Any], cells: Sequence[Entry]) -> tuple[Interval | None, str]:
    measure = str(row["measure"])
    one = _pick(row["title"], cells, row["of"], measure)
    if one is None:
        return None, ""
    if "over" not in row:
        return one.measures[measure].interval, one.measures[measure].unit
    other = _pick(row["title"], cells, {**row["of"], **row["over"]}, measure)
    if other is None:
        return None, ""
    return ratio_of(Match(machine="", what="", a=other, b=one).samples(measure)), ""


def _pick(title: str, cells: Sequence[Entry], wanted: Mapping[str, Any], measure: str) -> Entry | None:
    fitting = [
        one
        for one in cells
        if all(value_of(one, key) == value for key, value in wanted.items())
        and measure in one.measures
        and one.measures[measure].n
    ]
    if len(fitting) > 1:
        raise GcBarrierError(
            f"{title!r} fits {len(fitting)} configurations, {fitting[0].label} and {fitting[1].label}: say more of it"
        )
    return fitting[0] if fitting else None


def _machine(name: str, experiments: Mapping[str, Summary], table: Mapping[str, Any]) -> str:
    wanted = {row.get("experiment", table.get("experiment")) for row in table["row"]}
    wanted |= {column.get("experiment") for column in table.get("columns", ())}
    mine = [summary for experiment, summary in experiments.items() if experiment in wanted]
    facts = next((place.facts for summary in mine for place in summary.machines.values()), {})
    cpu, memory = facts.get("cpu", {}), facts.get("memory", {}).get("total")
    size = f", {format_bytes(round(memory / (1 << 30)) << 30)}" if isinstance(memory, int) else ""
    days = sorted({f"{summary.date} by {summary.version}" for summary in mine})
    busy = {place.temper for summary in mine for place in summary.machines.values()} - {"", "quiet"}
    return (
        f"`{name}`: {_processors(str(cpu.get('online', '')))}{cpu.get('model', 'unknown')}{size}, "
        f"Linux {facts.get('kernel', {}).get('release', 'unknown')}, {' and '.join(days)}"
        f"{', ' * bool(busy)}{', '.join(sorted(busy))}"
    )


def _processors(online: str) -> str:
    """``0-3,8``: five of them."""
    ends = [part.partition("-") for part in online.split(",") if part]
    try:
        return f"{sum(int(last or first) - int(first) + 1 for first, _, last in ends)} {TIMES} " if ends else ""
    except ValueError:
        return ""


__all__ = ["TABLES", "Summaries", "summaries", "written"]
