"""Verdicts: a box for each pair of names, in a colour that says which it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from gcbarrier.report.grammar import Names
from gcbarrier.report.layout import text_width
from gcbarrier.report.panels import Room, Split, View
from gcbarrier.report.style import INK, RC


@frozen(kw_only=True)
class Grid:
    """Rows by columns, with a word in each box and the colour of its verdict.

    ::

        Grid(rows=CIRCUMSTANCE, columns=BARRIER, words=said, verdict=judged, colours={"exact": "#DDEFE5", ...})
    """

    rows: Names
    columns: Names
    words: Callable[[Any], str]
    verdict: Callable[[Any], str]
    colours: Mapping[str, str]
    """Of each verdict, in the key's order."""
    label: Callable[[str, Sequence[Any]], str] | None = None
    """What a row is called beside its name: a function of the name and all cells."""
    per: Split | None = None
    """A panel for each value of it."""
    box: tuple[float, float] = (0.98, 0.42)
    """The width and height of one."""

    def rooms(self, view: View) -> Sequence[Room]:
        groups = self._groups(view)
        first = text_width(self._labels(view), RC["ytick.labelsize"]) + 0.15
        return [
            Room(width=self.box[0] * max(len(self.columns.ordered(cells)), 1), left=0.3 if at else first)
            for at, (_, cells) in enumerate(groups)
        ]

    def height(self, view: View) -> float:
        return self.box[1] * max(len(self.rows.ordered(view.cells)), 1)

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        rows = self.rows.ordered(view.cells)
        for at, (axes, (group, cells)) in enumerate(zip(panels, self._groups(view), strict=True)):
            axes.set_label(group or "grid")
            columns = self.columns.ordered(cells)
            axes.set_xlim(0, max(len(columns), 1))
            axes.set_ylim(max(len(rows), 1), 0)
            axes.tick_params(length=0)
            axes.xaxis.tick_top()
            axes.set_xticks([place + 0.5 for place in range(len(columns))], columns)
            axes.set_yticks([place + 0.5 for place in range(len(rows))], [""] * len(rows) if at else self._labels(view))
            for spine in axes.spines.values():
                spine.set_visible(False)
            axes.text(0, -0.62, group, ha="left", va="bottom", fontweight="bold", color=INK)
            row_of, column_of = self.rows.names(cells), self.columns.names(cells)
            for cell in cells:
                if row_of[id(cell)] in rows and column_of[id(cell)] in columns:
                    x, y = columns.index(column_of[id(cell)]), rows.index(row_of[id(cell)])
                    self._draw_box(axes, cell, x, y, f"{row_of[id(cell)]}/{column_of[id(cell)]}")

    def handles(self, view: View) -> Sequence[Any]:  # noqa: ARG002
        return [
            Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor="white", label=verdict)
            for verdict, colour in self.colours.items()
        ]

    def captions(self, view: View) -> Sequence[str]:  # noqa: ARG002
        return []

    def _groups(self, view: View) -> list[tuple[str, list[Any]]]:
        groups = self.per.groups(view.cells) if self.per is not None else []
        return groups or [("", list(view.cells))]

    def _labels(self, view: View) -> list[str]:
        names = self.rows.ordered(view.cells)
        return [self.label(name, view.cells) for name in names] if self.label is not None else names

    def _draw_box(self, axes: Axes, cell: Any, x: int, y: int, label: str) -> None:
        box = Rectangle((x, y), 1, 1, facecolor=self.colours[self.verdict(cell)], edgecolor="white", linewidth=1.5)
        box.set_label(label)
        axes.add_patch(box)
        axes.text(x + 0.5, y + 0.5, self.words(cell), ha="center", va="center", fontsize=7, color=INK)


__all__ = ["Grid"]
