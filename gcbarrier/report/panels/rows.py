"""A row for each name, and a mark in it for each series."""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from matplotlib.axes import Axes

from gcbarrier.report.axes import placed, scale
from gcbarrier.report.grammar import Measure, Names
from gcbarrier.report.layout import text_width
from gcbarrier.report.panels import (
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
from gcbarrier.report.style import INK, LIMIT, RC, SMALL, TITLE

_GAP = 0.3


@frozen(kw_only=True)
class Rows:
    """A panel for each measure: a mark for each cell in the row of its name, with a bar over its interval or range.

    ::

        Rows(rows=BARRIER, x=(STORE, FIRST_STORE), words=True)
    """

    rows: Names
    x: Measure | Sequence[Measure]
    per: Split | None = None
    """Panels of their own for each value of it."""
    words: bool | Callable[[Measure, Any, Sequence[Any]], str] = False
    """Beside each mark: its value, or what this says of a measure of the cell, among all cells of the panel."""
    limit: float | None = None
    """Where a line is drawn that is not to be passed."""
    each: bool = False
    """A dot for each invocation instead of one mark in the middle, which becomes a stroke."""
    hollow: Flag | None = None
    labels: bool = True
    """False: the rows are those of the panel before it, and named there."""
    width: float = 1.9
    row: float = 0.3
    """The height of one."""
    most_ticks: int = 4

    def rooms(self, view: View) -> Sequence[Room]:
        names = [line for name in self.rows.ordered(view.cells) for line in name.split("\n")]
        first = text_width(names, RC["ytick.labelsize"]) + 0.15 if self.labels else 0.1
        count = len(list(split(self.x, self.per, view.cells)))
        return [Room(width=self.width, left=_GAP + first * (at == 0)) for at in range(count)]

    def height(self, view: View) -> float:
        return max(self.row * len(self.rows.ordered(view.cells)), 1.5)

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        names = self.rows.ordered(view.cells)
        for at, (axes, part) in enumerate(zip(panels, split(self.x, self.per, view.cells), strict=True)):
            axes.set_label(part.label)
            axes.set_title(part.title, loc="left", color=INK, fontsize=TITLE)
            axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
            axes.set_yticks(range(len(names)), names if at == 0 and self.labels else [""] * len(names))
            axes.tick_params(axis="y", length=0)
            if self.rows == view.by:
                for tick, name in zip(axes.get_yticklabels(), names, strict=True):
                    tick.set_color(view.looks[name].colour)
            self._draw_part(axes, part, names, view)
            axes.tick_params(axis="x", labelsize=SMALL)
            axes.grid(axis="x")

    def handles(self, view: View) -> Sequence[Any]:
        found = [] if self.rows == view.by and self.labels else series_keys(view, joined=False)
        if self.hollow is not None and flagged(self.hollow, view.cells):
            found.append(hollow_key(self.hollow))
        return found

    def captions(self, view: View) -> Sequence[str]:
        return [what_marks_are(view.cells, self.x), *nothing(view.cells, self.x)]

    def _draw_part(self, axes: Axes, part: Part, names: Sequence[str], view: View) -> None:
        unit = part.measure.unit_of(part.cells)
        row_of = self.rows.names(part.cells)
        mine = [cell for cell in part.cells if row_of[id(cell)] in names and view.name(cell)]
        said = [self._words(cell, part) for cell in mine]
        values = [part.measure.value(cell) for cell in mine]
        seen = [placed(unit, value) for value in reach(values)]
        seen += [placed(unit, value) for one in values for value in one.each if self.each]
        room = min((text_width(said, SMALL) + 0.12) / self.width, 0.6) if self.words else 0.05
        scale(
            axes,
            "x",
            unit,
            seen + ([] if self.limit is None or not seen else [self.limit]),
            most=self.most_ticks,
            room=room,
        )
        if self.limit is not None:
            axes.axvline(self.limit, color=LIMIT, linewidth=0.9, linestyle=(0, (4, 2)))
        shifts = self._shifts(mine, row_of, view)
        for cell, value, text in zip(mine, values, said, strict=True):
            look = style_of(view.look(cell), joined=False)
            note(cell, part.measure.title, value)
            at = names.index(row_of[id(cell)]) + shifts[view.name(cell)]
            low, centre, high = (placed(unit, each) for each in (value.low, value.centre, value.high))
            axes.plot([low, high], [at, at], color=look["color"], linewidth=1, label="_range")
            if self.each:
                dots = {**look, "markersize": 3.5, "alpha": 0.55, "markeredgewidth": 0, "label": "_each"}
                axes.plot([placed(unit, one) for one in value.each], [at] * len(value.each), **dots)
                look |= {"marker": "|", "markersize": 11, "markeredgewidth": 1.8}
            if self.hollow is not None and self.hollow.holds(cell):
                look |= {"markerfacecolor": "white", "markersize": 5.5}
            axes.plot(centre, at, label=view.name(cell), **look)
            if text:
                axes.annotate(
                    text,
                    (high, at),
                    xytext=(5, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=SMALL,
                    color=INK,
                    annotation_clip=False,
                    # The limit does not strike them out.
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "visible": self.limit is not None},
                )

    def _words(self, cell: Any, part: Part) -> str:
        if not self.words:
            return ""
        return self.words(part.measure, cell, part.cells) if callable(self.words) else part.measure.say(cell)

    def _shifts(self, cells: Sequence[Any], row_of: Any, view: View) -> dict[str, float]:
        """How far each series is drawn from the middle of its rows, where rows have several."""
        there = {(row_of[id(cell)], view.name(cell)) for cell in cells}
        if len(there) == len({row for row, _ in there}):
            return dict.fromkeys(view.names, 0.0)
        names = [name for name in view.names if any(name == series for _, series in there)]
        return {name: 0.64 * ((at + 0.5) / len(names) - 0.5) for at, name in enumerate(names)}


__all__ = ["Rows"]
