"""Tables of a report: a line for each cell, or one name by another. No drawing here."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import field, frozen
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.report.grammar import Axis, Column, Measure, Names
from gcbarrier.report.numbered import Numbered
from gcbarrier.report.sentences import Flag, Sentence, sentences
from gcbarrier.report.units import DASH


@runtime_checkable
class Tabled(Protocol):
    """One of a report's tables."""

    def parts(self, machine: str, cells: Sequence[Any], by: Names) -> Iterator[RenderableType]:
        """What it says of the cells of one machine; ``by`` is what the report tells apart."""


Written = Callable[[str, Sequence[Any]], Sequence[RenderableType]]
"""A table by hand: it gets the machine's name and the cells."""

Says = Axis | Names | Measure | Flag | Column
"""What may be a column."""


@frozen(init=False)
class Lines:
    """A row for each cell: its series (where these have a heading), and what the columns say.

    ``per``: a table for each value of it.

    ::

        Lines(RATE, REMARK.ranged, STOPS, title="{heap}, {heap_bytes}, redirects only")
    """

    columns: tuple[Says, ...]
    per: Axis | Names | None
    title: Sentence
    keep: Callable[[Any], bool] | None
    after: Sentence

    def __init__(
        self,
        *columns: Says,
        per: Axis | Names | None = None,
        title: Sentence = "",
        keep: Callable[[Any], bool] | None = None,
        after: Sentence = "",
    ) -> None:
        """``keep`` says which cells are in it; ``after`` are sentences below each table about its cells."""
        self.__attrs_init__(columns, per, title, keep, after)

    def parts(self, machine: str, cells: Sequence[Any], by: Names) -> Iterator[RenderableType]:
        kept = [cell for cell in cells if self.keep is None or self.keep(cell)]
        for group, mine in self.per.groups(kept) if self.per is not None else [("", kept)]:
            if mine:
                yield heading(machine, group, self.title, mine)
                yield self._table(mine, by)
                yield from map(Text, sentences(self.after, mine))
                yield Text()

    def _table(self, cells: Sequence[Any], by: Names) -> Table:
        named, own = by.names(cells), bool(by.head) and by not in self.columns
        columns = [column for each in self.columns for column in _columns(each)]
        lines = plain([Column(head=by.head, words=by.name, left=True), *columns] if own else columns)
        ordered = [each for each in (*(by,) * own, *self.columns) if isinstance(each, Axis | Names)]
        ranks = [rank(each, cells) for each in ordered]
        before = ""
        placed = [cell for cell in cells if all(id(cell) in ranked for ranked in ranks)]
        for cell in sorted(placed, key=lambda cell: [ranked[id(cell)] for ranked in ranks]):
            places = [column.place(cell, cells) for column in columns]
            if own:
                name = named[id(cell)]
                # Said once for all its rows.
                places.insert(0, Numbered(name, again=name == before))
                before = name
            lines.add_row(*places)
        return lines


@frozen(kw_only=True)
class Across:
    """A row for each name (or number) of ``rows``, a column for each of ``columns``, and in it the ``value``.

    ::

        Across(rows=BARRIER, columns=SIZE, value=REMARK.ranged, title="the whole remark", last=(GROWTH,))
    """

    rows: Axis | Names
    columns: Axis | Names
    value: Measure | Column
    title: Sentence = ""
    last: Sequence[tuple[str, Callable[[Sequence[Any]], str]]] = ()
    """More columns: their heads, and what they say of a row's cells (in the order of the columns)."""
    keep: Callable[[Any], bool] | None = None
    per: Axis | Names | None = None
    after: Sentence = ""

    def parts(self, machine: str, cells: Sequence[Any], by: Names) -> Iterator[RenderableType]:  # noqa: ARG002
        kept = [cell for cell in cells if self.keep is None or self.keep(cell)]
        for group, mine in self.per.groups(kept) if self.per is not None else [("", kept)]:
            if mine:
                yield heading(machine, group, self.title, mine)
                yield self._table(mine)
                yield from map(Text, sentences(self.after, mine))
                yield Text()

    def _table(self, cells: Sequence[Any]) -> Table:
        (value,) = _columns(self.value)
        columns = self.columns.groups(cells)
        heads = [*(name for name, _ in columns), *(head for head, _ in self.last)]
        lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        lines.add_column(Text(self.rows.head), no_wrap=True)
        for head in heads:
            lines.add_column(Text(head), justify="right", no_wrap=True)
        for name, mine in self.rows.groups(cells):
            # One cell at a place; of several the first, as everywhere in their order.
            found = [next((cell for cell in group if any(cell is one for one in mine)), None) for _, group in columns]
            there = [cell for cell in found if cell is not None]
            places = [Numbered(DASH) if cell is None else value.place(cell, cells) for cell in found]
            lines.add_row(Text(name), *places, *(Text(say(there)) for _, say in self.last))
        return lines


@frozen
class ByHand:
    """A table by hand, among the others."""

    function: Written = field()

    def parts(self, machine: str, cells: Sequence[Any], by: Names) -> Iterator[RenderableType]:  # noqa: ARG002
        yield from self.function(machine, cells)


def heading(machine: str, group: str, title: Sentence, cells: Sequence[Any]) -> Text:
    """The line above a table: where, of which group, and what."""
    return Text(" · ".join(part for part in (machine, group, *sentences(title, cells)) if part))


def rank(what: Axis | Names, cells: Sequence[Any]) -> dict[int, int]:
    """The place of each cell, by its ``id``, among the values or names of all."""
    return {id(cell): place for place, (_, mine) in enumerate(what.groups(cells)) for cell in mine}


def plain(columns: Sequence[Column]) -> Table:
    """An empty table without lines."""
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        lines.add_column(Text(column.head), justify="left" if column.left else "right", no_wrap=True)
    return lines


def _columns(what: Says) -> tuple[Column, ...]:
    return (what,) if isinstance(what, Column) else what.columns


__all__ = ["Across", "ByHand", "Lines", "Says", "Tabled", "Written", "heading", "plain", "rank"]
