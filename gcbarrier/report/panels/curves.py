"""Curves against something that was set, one for each series."""

from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gcbarrier.report.axes import placed, scale, set_ticks
from gcbarrier.report.grammar import Axis, Measure, Names
from gcbarrier.report.panels import (
    Drawing,
    Part,
    Room,
    Split,
    View,
    flagged,
    hollow_key,
    nothing,
    reach,
    series_keys,
    split,
    style_of,
    what_marks_are,
)
from gcbarrier.report.sentences import Flag
from gcbarrier.report.shown import note
from gcbarrier.report.style import INK, TITLE
from gcbarrier.report.units import Unit
from gcbarrier.results import Spread

_INSIDE = 0.3


@frozen(kw_only=True)
class Curves:
    """A panel for each measure: its centres joined, with bars (or a ``band``) over their intervals or ranges.

    ::

        Curves(x=RATE, y=(REMARK, ROUNDS), hollow=BEHIND)
    """

    x: Axis
    y: Measure | Sequence[Measure]
    per: Split | None = None
    """Panels of their own for each value of it."""
    hollow: Flag | None = None
    band: bool = False
    """Draw bands in place of bars, where there are many points."""
    dashed: Names | None = None
    """The first of these names has solid lines, the others have dashed ones."""
    over: Drawing | None = None
    """What is drawn on top, by hand, on the axes of each panel."""
    one_scale: bool = False
    """All panels show the same kind of thing: one y axis, which is named once."""
    width: float = 2.8
    tall: float = 3.2

    def rooms(self, view: View) -> Sequence[Room]:
        count = len(list(split(self.y, self.per, view.cells)))
        return [Room(width=self.width, left=_INSIDE if at and self.one_scale else 0.6) for at in range(count)]

    def height(self, view: View) -> float:  # noqa: ARG002
        return self.tall

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        parts = list(split(self.y, self.per, view.cells))
        values = [self._reach(part) for part in parts]
        shared = [value for each in values for value in each]
        for axes, part, seen in zip(panels, parts, values, strict=True):
            axes.set_label(part.label)
            axes.set_title(part.title, loc="left", color=INK, fontsize=TITLE)
            self._scale_x(axes, part.cells)
            scale(axes, "y", part.measure.unit_of(part.cells), shared if self.one_scale else seen, most=7)
            self._draw_part(axes, part, view)
            if self.over is not None:
                self.over(axes, part.cells)
            axes.grid()
        for axes in panels[1:] if self.one_scale else []:
            axes.tick_params(labelleft=False)

    def handles(self, view: View) -> Sequence[Any]:
        found = series_keys(view)
        if self.dashed is not None:
            for at, name in enumerate(self.dashed.ordered(view.cells)):
                found.append(Line2D([], [], color=INK, linestyle=(0, (4, 2)) if at else "-", linewidth=1.2, label=name))
        if self.hollow is not None and flagged(self.hollow, view.cells):
            found.append(hollow_key(self.hollow))
        return found

    def captions(self, view: View) -> Sequence[str]:
        said = [what_marks_are(view.cells, self.y, whiskers="bands" if self.band else "bars")]
        if self.hollow is not None and self.hollow.why and flagged(self.hollow, view.cells):
            said.append(f"Hollow: {self.hollow.why}")
        return [*said, *nothing(view.cells, self.y)]

    def _reach(self, part: Part) -> list[float]:
        unit = part.measure.unit_of(part.cells)
        return [placed(unit, value) for value in reach([part.measure.value(cell) for cell in part.cells])]

    def _place(self, cell: Any, cells: Sequence[Any]) -> float:
        """Without end lies to the right of all others."""
        value = self.x.value(cell)
        if value < float("inf"):
            return placed(self.x.unit, value)
        last = max((one for one in self.x.values(cells) if one < float("inf")), default=1.0)
        return 10 * last if self.x.unit.scale in ("log", "binary") else 1.25 * last

    def _scale_x(self, axes: Axes, cells: Sequence[Any]) -> None:
        axes.set_xlabel(self.x.label)
        scale(axes, "x", self.x.unit, [self._place(cell, cells) for cell in cells])
        if cells:
            words = {self._place(cell, cells): self._word(self.x.value(cell)) for cell in cells}
            set_ticks(axes, "x", self.width, list(words), list(words.values()))

    def _word(self, value: float) -> str:
        return self.x.unlimited if value == float("inf") else self.x.unit.ticked(value)

    def _draw_part(self, axes: Axes, part: Part, view: View) -> None:
        unit = part.measure.unit_of(part.cells)
        lines = self.dashed.groups(part.cells) if self.dashed is not None else [("", part.cells)]
        for at, (_, cells) in enumerate(lines):
            for name in view.names:
                mine = [cell for cell in cells if view.name(cell) == name]
                mine.sort(key=lambda cell: self._place(cell, part.cells))
                if mine:
                    self._draw_line(axes, mine, part, view, unit, dashed=at > 0)

    def _draw_line(self, axes: Axes, mine: Sequence[Any], part: Part, view: View, unit: Unit, *, dashed: bool) -> None:
        look = style_of(view.look(mine[0]))
        if dashed:
            look["linestyle"] = (0, (4, 2))
        x = [self._place(cell, part.cells) for cell in mine]
        for cell in mine:
            note(cell, part.measure.title, part.measure.value(cell))
        values = [_placed(unit, part.measure.value(cell)) for cell in mine]
        axes.plot(x, [value.centre for value in values], label=view.name(mine[0]), **look)
        low, high = [value.low for value in values], [value.high for value in values]
        if self.band:
            axes.fill_between(x, low, high, color=look["color"], alpha=0.13, linewidth=0)
        else:
            axes.vlines(x, low, high, color=look["color"], linewidth=0.9, label="_range")
        for at, cell in enumerate(mine):
            if self.hollow is not None and self.hollow.holds(cell):
                inside = {**look, "markerfacecolor": "white", "markersize": 5.5, "linestyle": "none"}
                axes.plot(x[at], values[at].centre, label="_hollow", zorder=5, **inside)


def _placed(unit: Unit, value: Spread) -> Spread:
    low, centre, high = (placed(unit, each) for each in (value.low, value.centre, value.high))
    return evolve(value, centre=centre, low=low, high=high)


__all__ = ["Curves"]
