"""What a figure and a table are made of: names and numbers of a cell. No drawing and no tables here.

A cell is whatever a report looks at: a :class:`gcbarrier.results.Cell` of sessions, a
:class:`gcbarrier.results.points.Point` of probes, or a record of the experiment's own.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from gcbarrier.report.differing import pair_words
from gcbarrier.report.looks import Look, barrier_look, palette, sort_key, variant
from gcbarrier.report.numbered import Numbered
from gcbarrier.report.shown import note
from gcbarrier.report.units import COUNT, DASH, Unit, format_ratio, unit_named
from gcbarrier.results import Cell, Spread, over, spread
from gcbarrier.results.points import Point

Where = str | Callable[[Any], Any]
"""Where something is found in a cell: ``heap_params.rate_per_s``, a path through its configuration (or through the
cell itself), or a function of the cell."""


def find(cell: Any, where: Where, default: Any = None) -> Any:
    """What ``where`` says of ``cell``; ``default`` where there is no such thing."""
    if not isinstance(where, str):
        return where(cell)
    found = getattr(cell, "config", cell)
    for name in where.split("."):
        found = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
        if found is None:
            return default
    return found


def failed(cell: Any) -> bool:
    """Whether nothing came of it: it has no number, and is named where failures are."""
    return isinstance(cell, Cell) and not cell.good


@frozen(kw_only=True)
class Column:
    """A column of a table: its head, and what it says of a cell (``""``: nothing)."""

    head: str
    words: Callable[[Any], str] = lambda _: ""
    among: Callable[[Any, Sequence[Any]], str] | None = None
    """In place of ``words``: what it says of a cell among all cells of its table."""
    number: Callable[[Any, Sequence[Any]], float] | None = None
    """The number that it writes of a cell, for who sorts by it; None: what the words begin with."""
    left: bool = False

    def place(self, cell: Any, cells: Sequence[Any]) -> Numbered:
        """Its place in the row of a cell."""
        return Numbered(self.say(cell, cells), None if self.number is None else self.number(cell, cells))

    def say(self, cell: Any, cells: Sequence[Any]) -> str:
        """Of one cell in a table of ``cells``."""
        return self.words(cell) if self.among is None else self.among(cell, cells)


@frozen
class Axis:
    """A number that was set: the x of curves, what panels and tables are split by."""

    label: str
    where: Where
    unit: Unit = COUNT
    endless: float | None = field(default=None, kw_only=True)
    """The value that stands for no end at all; it lies to the right of all others."""
    unlimited: str = field(default="no limit", kw_only=True)
    """What that is called."""
    default: float = field(default=0.0, kw_only=True)
    """Of a cell that does not say."""
    short: str = field(default="", kw_only=True)
    """What it is called in a table and beside a value; "": as on the axis."""

    @property
    def head(self) -> str:
        """Of its column in a table."""
        return self.short or self.label

    def value(self, cell: Any) -> float:
        """Of one cell; infinity where there is no end."""
        number = float(find(cell, self.where, self.default))
        return float("inf") if number == self.endless else number

    def values(self, cells: Sequence[Any]) -> list[float]:
        """All that occur, in ascending order."""
        return sorted({self.value(cell) for cell in cells})

    def say(self, value: float) -> str:
        """A value in words."""
        return self.unlimited if value == float("inf") else self.unit.words(value)

    def title(self, value: float) -> str:
        """A value as a heading: with what it is of, where its own unit does not say so."""
        said = self.say(value)
        return said if value == float("inf") or not self.short else f"{said} {self.short}"

    def groups(self, cells: Sequence[Any]) -> list[tuple[str, list[Any]]]:
        """The cells by their value: its heading, and those that have it."""
        return [(self.title(value), [c for c in cells if self.value(c) == value]) for value in self.values(cells)]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of a table."""
        number = self.value
        return (Column(head=self.head, words=lambda cell: self.say(number(cell)), number=lambda cell, _: number(cell)),)


@frozen
class Names:
    """A name that cells have: whose curve, or which row, they belong to. ``""`` belongs to none and is left out."""

    head: str
    where: Where
    order: Sequence[str] = field(default=(), kw_only=True)
    """Names not in it follow as they are met."""
    looks: Mapping[str, Look] = field(factory=dict, kw_only=True)
    """Others get theirs by their place."""

    def name(self, cell: Any) -> str:
        """Of one cell."""
        return str(find(cell, self.where, ""))

    def names(self, cells: Sequence[Any]) -> dict[int, str]:
        """Of each cell, by its ``id``."""
        return {id(cell): self.name(cell) for cell in cells}

    def ordered(self, cells: Sequence[Any]) -> list[str]:
        """All that occur, each once."""
        met = [name for name in dict.fromkeys(self.names(cells).values()) if name]
        return [*(name for name in self.order if name in met), *(name for name in met if name not in self.order)]

    def look(self, cells: Sequence[Any]) -> Mapping[str, Look]:
        """Of each name."""
        return {**palette(self.ordered(cells)), **self.looks}

    def groups(self, cells: Sequence[Any]) -> list[tuple[str, list[Any]]]:
        """The cells by their name."""
        by = self.names(cells)
        return [(name, [cell for cell in cells if by[id(cell)] == name]) for name in self.ordered(cells)]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of a table."""
        return (Column(head=self.head, words=self.name, left=True),)


@frozen
class Barriers(Names):
    """The name of a barrier, and its collector's after it where a barrier of this figure runs under several.

    ``params``: and the parameters of both where the same pair runs one workload with several of them.
    """

    head: str = "barrier"
    where: Where = "barrier"
    params: bool = field(default=False, kw_only=True)

    def names(self, cells: Sequence[Any]) -> dict[int, str]:
        under: dict[str, set[str]] = {}
        for cell in cells:
            under.setdefault(self.name(cell), set()).add(str(find(cell, "collector", "")))
        told = pair_words([cell.config for cell in cells]) if self.params else {}
        found = {}
        for cell in cells:
            name, collector = self.name(cell), str(find(cell, "collector", ""))
            params = told[cell.config] if self.params else ""
            found[id(cell)] = ", ".join(filter(None, [name, collector * (len(under[name]) > 1), params]))
        return found

    def ordered(self, cells: Sequence[Any]) -> list[str]:
        return sorted(
            {name for name in self.names(cells).values() if name}, key=lambda n: (*sort_key(n.split(", ")[0]), n)
        )

    def look(self, cells: Sequence[Any]) -> Mapping[str, Look]:
        found: dict[str, Look] = {}
        met: Counter[str] = Counter()
        for name in self.ordered(cells):
            barrier = name.split(", ")[0]
            found[name] = variant(barrier_look(barrier), met[barrier])
            met[barrier] += 1
        return {**found, **self.looks}


BARRIER = Barriers()
"""By barrier: what most curves and rows are told apart by."""
PAIR = Barriers(params=True)
"""And by what a user may have swept of the pair."""


@frozen
class Measure:
    """A number that was measured: a function of a cell, with its title and unit.

    The function gives a :class:`gcbarrier.results.Spread`, or a number, or None where the cell has none.
    """

    title: str
    unit: Unit | None
    """None: each reading's own."""
    of: Callable[[Any], Spread | float | None]
    head: str = field(default="", kw_only=True)
    """In a table; "": the title."""
    digits: int = field(default=3, kw_only=True)

    def value(self, cell: Any) -> Spread:
        """Of one cell; empty where it has none."""
        found = None if failed(cell) else self.of(cell)
        return found if isinstance(found, Spread) else spread([] if found is None else [float(found)])

    def unit_of(self, cells: Sequence[Any]) -> Unit:
        """The unit of what these cells have."""
        if self.unit is not None:
            return self.unit
        named = (cell.unit for cell in cells if getattr(cell, "unit", None) is not None and self.value(cell))
        return unit_named(next(named, "ns"))

    def say(self, cell: Any) -> str:
        """Its centre in words."""
        value = self.value(cell)
        return self.unit_of([cell]).words(value.centre, self.digits) if value else DASH

    def _say_ranged(self, cell: Any) -> str:
        value = self.value(cell)
        note(cell, self.title, value)
        return bracketed(value, self.unit_of([cell]).words, self.digits) if value else DASH

    def ratio(self, cell: Any, cells: Sequence[Any], baseline: Callable[[Any], bool]) -> Spread:
        """Its median over that of the first of ``cells`` that is the baseline (:func:`gcbarrier.results.over`).

        Empty where either has none; the baseline over itself is 1.
        """
        value = next((self.value(one) for one in cells if baseline(one)), spread([]))
        return over(self.value(cell), value)

    def against(self, baseline: Callable[[Any], bool], head: str) -> Column:
        """As a column: how many times the baseline's it is, with the interval or range of that in brackets."""

        def words(cell: Any, cells: Sequence[Any]) -> str:
            value = self.ratio(cell, cells, baseline)
            note(cell, head, value)
            return bracketed(value, format_ratio) if value else DASH

        def number(cell: Any, cells: Sequence[Any]) -> float:
            return self.ratio(cell, cells, baseline).centre

        return Column(head=head, among=words, number=number)

    @property
    def ranged(self) -> Column:
        """As a column with the interval in brackets, or the range where invocations are too few for one."""
        return Column(head=self.head or self.title, words=self._say_ranged, number=self._number)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of a table."""
        return (Column(head=self.head or self.title, words=self.say, number=self._number),)

    def _number(self, cell: Any, _cells: Sequence[Any]) -> float:
        return self.value(cell).centre


def reading(title: str, what: str, *, head: str = "") -> Measure:
    """What probes read under this name: the centre of the samples, and their middle half."""
    return Measure(title, None, lambda point: point_spread(point) if point.what == what else None, head=head)


def bracketed(value: Spread, words: Callable[[float, int], str], digits: int = 3) -> str:
    """The centre, with the ends in brackets where they are two: ``2.5 ms (2.4 ms – 2.7 ms)``."""
    said = words(value.centre, digits)
    if value.low == value.high:
        return said
    ends = words(value.low, 2), words(value.high, 2)
    # Too close for two digits.
    low, high = ends if ends[0] != ends[1] else (words(value.low, digits), words(value.high, digits))
    return f"{said} ({low} {DASH} {high})"


def point_spread(point: Point) -> Spread:
    """The invocations' centre, and the range of what they sampled."""
    each, centre = point.value.each, point.value.centre
    return Spread(centre=centre, low=point.low, high=point.high, each=each, kind="samples")


__all__ = [
    "BARRIER",
    "PAIR",
    "Axis",
    "Barriers",
    "Column",
    "Measure",
    "Names",
    "Where",
    "bracketed",
    "failed",
    "find",
    "point_spread",
    "reading",
]
