"""What a panel is: it says how much room it wants, draws, and tells what its marks mean.

Each kind that a report may ask for by name is a module here; one by hand is :class:`Drawn`, below. The panels of the
comparison, which is a whole figure, are beside it (:mod:`gcbarrier.report.distribution`, :mod:`gcbarrier.report.bars`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import field, frozen
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gcbarrier.report.grammar import Axis, Measure, Names
from gcbarrier.report.looks import Look
from gcbarrier.report.sentences import Flag
from gcbarrier.report.shown import spans
from gcbarrier.report.style import INK
from gcbarrier.results import Spread
from gcbarrier.results.points import Point
from gcbarrier.results.run import Run

Split = Axis | Names
"""What cells may be split by."""


@frozen(kw_only=True, eq=False)
class View:
    """What there is to draw on one machine, and how each series of it looks in all panels."""

    run: Run
    machine: str
    cells: Sequence[Any]
    by: Names
    """What is told apart by colour and marker."""
    _names: Mapping[int, str] = field(init=False)
    looks: Mapping[str, Look] = field(init=False)

    @_names.default
    def _named(self) -> Mapping[int, str]:
        return self.by.names(self.cells)

    @looks.default
    def _looking(self) -> Mapping[str, Look]:
        return self.by.look(self.cells)

    @property
    def names(self) -> list[str]:
        """Of the series, in the key's order."""
        return self.by.ordered(self.cells)

    def name(self, cell: Any) -> str:
        """Of the series that a cell belongs to; "" where it is none's."""
        return self._names[id(cell)]

    def look(self, cell: Any) -> Look:
        """Of its series."""
        return self.looks[self.name(cell)]


@frozen(kw_only=True)
class Room:
    """What one pair of axes wants, in inches."""

    width: float
    left: float = 0.55
    """For words beside it, and the distance to the one before."""
    right: float = 0.0


@runtime_checkable
class Panel(Protocol):
    """One pair of axes, or several side by side that belong together."""

    def rooms(self, view: View) -> Sequence[Room]:
        """What each pair wants."""

    def height(self, view: View) -> float:
        """Of all of them."""

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        """Draw them, and give each a label (``get_label()``) that says what it shows."""

    def handles(self, view: View) -> Sequence[Any]:
        """Samples of its marks for the key; the same name of several panels stands there once."""

    def captions(self, view: View) -> Sequence[str]:
        """Sentences on what marks mean."""


Drawing = Callable[[Axes, Sequence[Any]], None]
"""A panel by hand: it gets its axes and the cells."""


@frozen
class Drawn:
    """A panel by hand, with the room it wants."""

    function: Drawing
    width: float = field(default=3.2, kw_only=True)
    left: float = field(default=0.55, kw_only=True)
    right: float = field(default=0.0, kw_only=True)
    least_height: float = field(default=1.5, kw_only=True)
    caption: str = field(default="", kw_only=True)

    def rooms(self, view: View) -> Sequence[Room]:  # noqa: ARG002
        return [Room(width=self.width, left=self.left, right=self.right)]

    def height(self, view: View) -> float:  # noqa: ARG002
        return self.least_height

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        panels[0].set_label(getattr(self.function, "__name__", "drawn").strip("_"))
        self.function(panels[0], view.cells)

    def handles(self, view: View) -> Sequence[Any]:  # noqa: ARG002
        return []

    def captions(self, view: View) -> Sequence[str]:  # noqa: ARG002
        return [self.caption] if self.caption else []


def split(measures: Measure | Sequence[Measure], per: Split | None, cells: Sequence[Any]) -> "Iterator[Part]":
    """The panels of each group of cells, a measure each."""
    many = [measures] if isinstance(measures, Measure) else measures
    groups = [("", list(cells))] if per is None else per.groups(cells) or [("", list(cells))]
    for group, mine in groups:
        for at, measure in enumerate(many):
            # What lacks the number has no place on its axes.
            there = [cell for cell in mine if measure.value(cell)]
            yield Part(group=group, first=at == 0, measure=measure, cells=there)


@frozen(kw_only=True)
class Part:
    """One pair of axes' share: a measure of some of the cells."""

    group: str
    first: bool
    """Of its group."""
    measure: Measure
    cells: Sequence[Any]

    @property
    def label(self) -> str:
        """Of the axes."""
        return f"{self.measure.title} {self.group}".strip()

    @property
    def title(self) -> str:
        """Above it, with the group's over its first."""
        counted = self.measure.unit_of(self.cells).name == "instructions"
        title = f"{self.measure.title}{', instructions' * counted}"
        if not self.group:
            return title
        return f"{self.group}\n{title}" if self.first else title


def style_of(look: Look, *, joined: bool = True, size: float = 4.5) -> dict[str, Any]:
    """A look as matplotlib's keywords."""
    line: Any = "none" if not joined else (0, (4, 2)) if look.dashed else "-"
    return {"color": look.colour, "marker": look.marker, "markersize": size, "linestyle": line, "linewidth": 1.2}


def series_keys(view: View, *, joined: bool = True) -> list[Any]:
    """A sample of each series."""
    return [Line2D([], [], label=name, **style_of(view.looks[name], joined=joined)) for name in view.names]


def hollow_key(flag: Flag) -> Any:
    """The sample of a point of which ``flag`` is true."""
    sample = Line2D([], [], color=INK, marker="o", markerfacecolor="white", markersize=5.5, linestyle="none")
    sample.set_label(f"hollow: {flag.title}")
    return sample


def flagged(flag: Flag | None, cells: Sequence[Any]) -> bool:
    """Whether it is true of any cell."""
    return flag is not None and any(flag.holds(cell) for cell in cells)


def reach(values: Sequence[Spread]) -> list[float]:
    """Everything that is drawn of ``values``."""
    return [edge for value in values if value for edge in (value.low, value.centre, value.high)]


def what_marks_are(cells: Sequence[Any], measures: Measure | Sequence[Measure], *, whiskers: str = "bars") -> str:
    """What points are medians of, and what their whiskers reach to."""
    if any(isinstance(cell, Point) for cell in cells):
        if any(cell.unit == "instructions" for cell in cells if isinstance(cell, Point)):
            return "Points: the least of the samples; bars and bands reach to their upper quartile."
        return "Points: medians over the invocations' medians; bars and bands: the middle half of the samples."
    many = [measures] if isinstance(measures, Measure) else measures
    values = [value for measure in many for cell in cells if (value := measure.value(cell))]
    said = spans(values)
    if not said:
        return "Points: medians of the only invocation of each."
    means = ", of ratios geometric means" if any(value.geometric for value in values) else ""
    return f"Points: medians over the invocations' medians{means}; {whiskers}: {said}."


def nothing(cells: Sequence[Any], measures: Measure | Sequence[Measure]) -> list[str]:
    """Where nothing at all is drawn, if anything is nothing."""
    said = []
    for measure in [measures] if isinstance(measures, Measure) else measures:
        unit = measure.unit_of(cells)
        if unit.scale == "log" and unit.floor and any(measure.value(cell).low <= 0 for cell in cells):
            said.append(f"No {measure.title} at all is drawn at {unit.words(unit.floor)}.")
    return said


__all__ = [
    "Drawing",
    "Drawn",
    "Panel",
    "Part",
    "Room",
    "Split",
    "View",
    "flagged",
    "hollow_key",
    "nothing",
    "reach",
    "series_keys",
    "split",
    "style_of",
    "what_marks_are",
]
