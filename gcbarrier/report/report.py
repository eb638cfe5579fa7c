"""A report: what is drawn and what is tabled of a run, one machine at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import field, frozen
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text

from gcbarrier.report.differing import labels
from gcbarrier.report.displayed import Figures
from gcbarrier.report.footer import lacking, left_out
from gcbarrier.report.grammar import BARRIER, Names
from gcbarrier.report.panels import Drawing, Drawn, Panel, View
from gcbarrier.report.sentences import Sentence, sentences
from gcbarrier.report.shares import shares
from gcbarrier.report.sheets import Sheet
from gcbarrier.report.shown import noting, spans
from gcbarrier.report.style import styled
from gcbarrier.report.tables import ByHand, Tabled, Written, rank
from gcbarrier.results import cells
from gcbarrier.results.points import points
from gcbarrier.results.run import Run


@runtime_checkable
class Whole(Protocol):
    """What draws a whole figure."""

    def figure(self, view: View, title: str, remarks: Sequence[str]) -> Figure:
        """Of one machine."""


def sessions(run: Run, machine: str) -> Sequence[Any]:
    """The cells of the sessions; what probes read where there are none."""
    return cells(run.on(machine)) or points(run, machine)


Row = Panel | Drawing | Sequence[Panel | Drawing]
"""A panel, or several side by side."""


def _whole(what: Whole | Row | Sequence[Sequence[Panel | Drawing]]) -> Whole:
    if isinstance(what, Whole):
        return what
    many = what if isinstance(what, Sequence) else (what,)
    rows = [each for each in many if isinstance(each, Sequence)]
    return Sheet(
        [_row(each) for each in rows]
        if rows
        else [_row([one for one in many if callable(one) or isinstance(one, Panel)])]
    )


def _row(panels: Sequence[Panel | Drawing]) -> Sequence[Panel]:
    return [one if isinstance(one, Panel) else Drawn(one) for one in panels]


def _tables(what: Tabled | Written | Sequence[Tabled | Written]) -> Sequence[Tabled]:
    many = what if isinstance(what, Sequence) else (what,)
    return [one if isinstance(one, Tabled) else ByHand(one) for one in many]


@frozen(kw_only=True)
class Report:
    """What an experiment shows of a run: ``figures`` and ``table`` are what it exports.

    Keys, captions, what failed, what was left out and the small print come of themselves.
    """

    title: Sentence
    """Of each figure: what it answers. ``{heap_bytes}`` and other paths are filled in from the cells."""
    _figure: Whole = field(converter=_whole)
    """A panel, several side by side, rows of these, or what draws a whole figure; a panel may be any function of axes
    and cells."""
    _table: Sequence[Tabled] = field(converter=_tables)
    """One table or several; one may be any function of the machine's name and the cells."""
    closing: Sentence | Sequence[Sentence] = ()
    """Sentences below the tables."""
    remarks: Sentence | Sequence[Sentence] = ()
    """Sentences below the panels and below the tables, for what captions can't know."""
    by: Names = BARRIER
    """What is told apart by colour and marker, and named first in a table."""
    cells: Callable[[Run, str], Sequence[Any]] = sessions
    """What panels and tables look at; records of the experiment's own if it likes."""

    def figures(self, run: Run) -> dict[str, Figure]:
        """One for each machine, by ``<experiment>-<machine>``.

        Where a user has swept what it has no room for, one for each value of that, which ends its name.
        """
        return Figures(
            {
                "-".join(filter(None, (run.experiment, machine, at))): self._drawn(share, machine, at)
                for machine in run.machines
                for at, share in self._shares(run, machine)
            }
        )

    def table(self, run: Run) -> RenderableType:
        """The figures' numbers and more, a machine after the other."""
        parts = [part for machine in run.machines for part in self._parts(run, machine)]
        return Group(*parts) if parts else Text("no invocation was recorded")

    def _found(self, run: Run, machine: str) -> Sequence[Any]:
        """The cells, those of a series together, in the order of the key."""
        found = self.cells(run, machine)
        place = rank(self.by, found)
        return sorted(found, key=lambda cell: place.get(id(cell), len(place)))

    def _shares(self, run: Run, machine: str) -> list[tuple[str, Run]]:
        """What of the run can be shown together, and at what that is."""
        drawn = self._figure.rows if isinstance(self._figure, Sheet) else [[self._figure]]
        parts = [*(panel for row in drawn for panel in row), *self._table]
        return shares(run, machine, self._found(run, machine), parts, self.by)

    def _drawn(self, run: Run, machine: str, at: str) -> Figure:
        found = self._found(run, machine)
        title, remarks = " ".join(sentences(self.title, found)), sentences(self.remarks, found)
        title += f" At {at}." * bool(at)
        with styled():
            return self._figure.figure(View(run=run, machine=machine, cells=found, by=self.by), title, remarks)

    def _parts(self, run: Run, machine: str) -> Iterator[RenderableType]:
        for at, share in self._shares(run, machine):
            yield from map(Text, [f"{machine} at {at}:", ""] if at else [])
            yield from self._said(share, machine)
        yield from map(Text, [*left_out(run, machine), *lacking(run, machine), *failures(run, machine)])
        yield Text()

    def _said(self, run: Run, machine: str) -> Iterator[RenderableType]:
        found = self._found(run, machine)
        parts: list[RenderableType] = []
        with noting() as shown:
            for table in self._table:
                # Wholly written before anything else is, so that nothing else is noted among it.
                parts += table.parts(machine, found, self.by)
        yield from parts
        if widths := spans(one.value for one in shown):
            yield Text(f"In brackets: {widths}.")
        said = [*sentences(self.remarks, found), *sentences(self.closing, found)]
        # Text, for an error may hold what rich takes for markup.
        yield from map(Text, said)


def failures(run: Run, machine: str) -> Iterator[str]:
    """A line for each invocation that failed."""
    failed = [outcome for outcome in run.on(machine) if outcome.error]
    called = labels(outcome.invocation.config for outcome in run.on(machine)) if failed else {}
    for outcome in failed:
        yield f"failed: {machine}: {called[outcome.invocation.config]} #{outcome.invocation.index}: {outcome.error}"
    for finding in run.found(machine):
        if finding.error:
            where = f"{finding.probe.label} ({finding.probe.memory})"
            yield f"failed: {machine}: {where} #{finding.index}: {finding.error}"


__all__ = ["Report", "Whole", "failures", "sessions"]
