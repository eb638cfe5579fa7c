"""Utilisation against the length of a window: what mutators had to themselves, counted in both ways, side by side."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gcbarrier.report.axes import label, scale
from gcbarrier.report.distribution import say_empty
from gcbarrier.report.grammar import Names
from gcbarrier.report.panels import Room, View, series_keys
from gcbarrier.report.sheets import Sheet
from gcbarrier.report.style import INK, TITLE
from gcbarrier.report.units import NS, SHARE
from gcbarrier.results import Cell, Spread, operations_per_second, relative, spread, workloads
from gcbarrier.results.mutators import Lost, Watched
from gcbarrier.results.utilisation import window_lengths, worst

_EVERY = 6
"""Points between two markers of a curve."""
_DOTS, _DASHES = (0, (1, 1.5)), (0, (5, 2))


@frozen(kw_only=True)
class Utilisation:
    """A whole figure, a row for each workload: MMU and BMU by pauses only, by all that was lost, percentiles of that.

    Cells are :class:`gcbarrier.results.mutators.Watched`. Curves are medians over the invocations, each of which is its
    worst mutator's; bands reach from the least to the greatest. On the right of the middle panel stands each barrier's
    measured speed as a multiple of that over no barrier, which neither way of counting explains as a whole.
    """

    low: float = 5.0
    """The percentile in the last panel, beside the median."""
    shortest_ns: float = 1e3
    """The shortest window."""

    def figure(self, view: View, title: str, remarks: Sequence[str]) -> Figure:
        rows = [[_Row(cells=cells, heading=name, options=self)] for name, cells in WORKLOAD.groups(view.cells)]
        return Sheet(rows).figure(view, title, remarks)


WORKLOAD = Names(
    "workload",
    lambda cell: ", ".join(
        [cell.config.heap, cell.config.size, *(f"{name}={value}" for name, value in cell.config.heap_params.items())]
    ),
)
"""What cells that may be compared have in common."""


@frozen(kw_only=True)
class _Row:
    cells: Sequence[Watched]
    heading: str
    options: Utilisation

    def rooms(self, view: View) -> Sequence[Room]:  # noqa: ARG002
        return [Room(width=3.1, left=0.3 if at else 0.6, right=0.15) for at in range(3)]

    def height(self, view: View) -> float:  # noqa: ARG002
        return 2.6

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        pauses, lost, percentiles = panels
        low = self.options.low
        self._frame(pauses, "classic", f"{self.heading}\nMMU, pauses only")
        self._frame(lost, "lost", "MMU, all that was lost")
        self._frame(percentiles, "percentiles", f"{low:g}th and 50th percentile, all that was lost")
        pauses.set_ylabel("utilisation")
        for other in (lost, percentiles):
            other.tick_params(labelleft=False)
        for cell in self.cells:
            self._curve(pauses, cell, view, lambda one, w: one.classic.mmu(w), band=True)
            self._curve(pauses, cell, view, lambda one, w: one.classic.bmu(w), line=_DOTS)
            self._curve(lost, cell, view, lambda one, w: worst(one.whole, w), band=True)
            self._curve(lost, cell, view, lambda one, w: worst(one.whole, w, bounded=True), line=_DOTS)
            self._curve(percentiles, cell, view, lambda one, w: worst(one.whole, w, low), band=True)
            self._curve(percentiles, cell, view, lambda one, w: worst(one.whole, w, 50), line=_DASHES)
        self._speeds(lost, view)

    def handles(self, view: View) -> Sequence[Any]:
        def line(style: Any, name: str) -> Line2D:
            return Line2D([], [], color=INK, linewidth=1.2, linestyle=style, label=name)

        found = [
            *series_keys(view),
            line("-", f"MMU; {self.options.low:g}th percentile"),
            line(_DOTS, "BMU"),
            line(_DASHES, "median"),
        ]
        if any(relative_speed(cell, view.cells) for cell in self.cells):
            found.append(Line2D([], [], color=INK, marker="<", linestyle="none", markersize=4.5, label="speed / none"))
        return found

    def captions(self, view: View) -> Sequence[str]:
        said = [
            "Utilisation: the share of a window that the worst mutator had, in the worst window of the length (MMU), "
            "of it or longer (BMU), or in all but so many per cent of the windows. All that was lost: stops from a "
            "mutator's arrival to its running again, helping, waits for memory, and page faults, each at what a first "
            "store was measured to take, evenly between two looks at their number. Bands: from the least to the "
            "greatest invocation."
        ]
        if any(relative_speed(cell, view.cells) for cell in self.cells):
            said.append(
                "Arrowheads: operations per second as a multiple of none's, which also has what a store costs, caches "
                "and TLBs, and processors that the collector took."
            )
        if any(cell.bare for cell in self.cells):
            said.append("Some invocations have no raw events: of these only what their records tell is counted.")
        return said

    def _frame(self, axes: Axes, kind: str, title: str) -> None:
        axes.set_label(f"{kind} {self.heading}")
        axes.set_title(title, loc="left", color=INK, fontsize=TITLE)
        longest = max((one.length_ns for cell in self.cells for one in cell.lost), default=0.0)
        if not longest:
            say_empty(axes, "nothing recorded")
            return
        axes.set_xlabel("window")
        scale(axes, "x", NS, [self.options.shortest_ns, longest], most=8)
        axes.set_ylim(-0.02, 1.02)
        label(axes.yaxis, SHARE.linear, "linear", 6)
        axes.grid()

    def _curve(
        self,
        axes: Axes,
        cell: Watched,
        view: View,
        of: Callable[[Lost, NDArray[np.float64]], NDArray[np.float64]],
        *,
        line: Any = "-",
        band: bool = False,
    ) -> None:
        if not cell.lost or not view.name(cell):
            return
        # To the shortest of its runs: a longer window would be another number of it.
        windows = window_lengths(min(one.length_ns for one in cell.lost), shortest_ns=self.options.shortest_ns)
        each = np.array([of(one, windows) for one in cell.lost])
        look, main = view.look(cell), line == "-"
        style: dict[str, Any] = {"color": look.colour, "linestyle": line, "linewidth": 1.3 if main else 0.9}
        if main:
            style |= {"marker": look.marker, "markersize": 3.5, "markevery": (len(axes.lines) % _EVERY, _EVERY)}
        name = view.name(cell)
        axes.plot(windows, np.median(each, axis=0), label=name if main else f"_{name}", **style)
        if band and len(each) > 1:
            axes.fill_between(windows, each.min(axis=0), each.max(axis=0), color=look.colour, alpha=0.13, linewidth=0)

    def _speeds(self, axes: Axes, view: View) -> None:
        place = axes.get_yaxis_transform()
        for cell in self.cells:
            speed = relative_speed(cell, view.cells)
            if not speed or not view.name(cell):
                continue
            at, colour = min(speed.centre, 1.02), view.look(cell).colour
            axes.plot(1.015, at, "<", color=colour, markersize=4.5, transform=place, clip_on=False, label="_speed")
            axes.axhline(at, color=colour, linewidth=0.6, alpha=0.5, label="_speed")


def relative_speed(cell: Cell, cells: Sequence[Cell]) -> Spread:
    """Its operations per second as a multiple of none's in the same workload; empty where that is not to be had."""
    for work in workloads(outcome for one in cells for outcome in one.outcomes):
        if work.baseline is not None and any(one.config == cell.config for one in work.cells):
            itself = work.baseline.config == cell.config
            return spread([]) if itself else relative(cell, work.baseline, operations_per_second)
    return spread([])


__all__ = ["WORKLOAD", "Utilisation", "relative_speed"]
