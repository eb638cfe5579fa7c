"""Latency by percentile, on the axis of HdrHistogram: each further nine takes as much room as the one before."""

from collections.abc import Sequence
from math import inf, isinf
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from gcbarrier.report.axes import placed, scale
from gcbarrier.report.distribution import say_empty
from gcbarrier.report.panels import Room, View, series_keys
from gcbarrier.report.panels.utilisation import WORKLOAD
from gcbarrier.report.sheets import Sheet
from gcbarrier.report.style import INK, TITLE
from gcbarrier.report.units import NS, format_ns, format_number
from gcbarrier.results.latency import Served

_PER_DECADE = 24


@frozen(kw_only=True)
class Latency:
    """A whole figure, a row for each workload, and in it a panel for each window that arrivals are smoothed over.

    A window of 0 is the simple latency, an infinite one the whole run. Cells are
    :class:`gcbarrier.results.latency.Served`. Curves are medians over the invocations, bands reach from the least to
    the greatest; they end where one invocation has a single operation beyond.
    """

    windows_ns: Sequence[float] = (0.0, 1e7, inf)

    def figure(self, view: View, title: str, remarks: Sequence[str]) -> Figure:
        groups = WORKLOAD.groups(view.cells)
        rows = [
            [_Row(cells=cells, heading=name if len(groups) > 1 else "", windows_ns=self.windows_ns)]
            for name, cells in groups
        ]
        return Sheet(rows).figure(view, title, remarks)


@frozen(kw_only=True)
class _Row:
    cells: Sequence[Served]
    heading: str
    windows_ns: Sequence[float]

    def rooms(self, view: View) -> Sequence[Room]:  # noqa: ARG002
        return [Room(width=3.3, left=0.3 if at else 0.75, right=0.1) for at in range(len(self.windows_ns))]

    def height(self, view: View) -> float:  # noqa: ARG002
        return 3.0

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        seen: list[float] = []
        for at, (axes, window) in enumerate(zip(panels, self.windows_ns, strict=True)):
            axes.set_label(f"{title(window)} {self.heading}".strip())
            heading = f"{self.heading}\n{title(window)}" if self.heading and not at else title(window)
            axes.set_title(heading, loc="left", color=INK, fontsize=TITLE)
            seen += self._draw(axes, self.cells, view, window)
        most = max((_operations(cell) for cell in self.cells), default=0)
        for at, axes in enumerate(panels):
            if not axes.lines:
                say_empty(axes, "not recorded")
                continue
            percentile_axis(axes, most)
            # One scale, which is named once.
            scale(axes, "y", NS, seen, most=10)
            axes.grid()
            if at:
                axes.tick_params(labelleft=False)

    def handles(self, view: View) -> Sequence[Any]:
        return series_keys(view)

    def captions(self, view: View) -> Sequence[str]:
        said = [
            "Simple: how long an operation took. Metered: from when it would have come at a rate that is even over the "
            "window around it, or over the whole run, where it began later than that; so what queues behind a pause "
            "counts. Curves: medians over the invocations; bands: from the least to the greatest."
        ]
        lacking = [view.name(cell) for cell in self.cells if any(own is None for own in cell.operations)]
        if lacking:
            names = ", ".join(dict.fromkeys(lacking))
            where = f" of {self.heading}" if self.heading else ""
            said.append(f"No metered latency where not each operation was kept, as of too many: {names}{where}.")
        return said

    def _draw(self, axes: Axes, cells: Sequence[Served], view: View, window_ns: float) -> list[float]:
        seen: list[float] = []
        for cell in cells:
            least = _operations(cell)
            if not least or not view.name(cell):
                continue
            decades = max(np.log10(least), 0.1)
            left = np.geomspace(1, 1 / least, int(decades * _PER_DECADE) + 2)
            each = np.array([cell.percentiles(at, 100 * (1 - left), window_ns) for at in range(len(cell.good))])
            each = each[~np.isnan(each).any(axis=1)]
            if not len(each):
                continue
            each = np.array([[placed(NS, float(value)) for value in row] for row in each])
            look, middle = view.look(cell), np.median(each, axis=0)
            style: dict[str, Any] = {"linestyle": (0, (4, 2)) if look.dashed else "-", "marker": look.marker}
            every = (len(axes.lines) * 3 % _PER_DECADE, _PER_DECADE)
            axes.plot(
                *(1 / left, middle),
                color=look.colour,
                linewidth=1.3,
                markersize=3.5,
                markevery=every,
                label=view.name(cell),
                **style,
            )
            if len(each) > 1:
                low, high = each.min(axis=0), each.max(axis=0)
                axes.fill_between(1 / left, low, high, color=look.colour, alpha=0.13, linewidth=0)
            seen += [float(each.min()), float(each.max())]
        return seen


def title(window_ns: float) -> str:
    """What latency over so long a window is called."""
    if not window_ns:
        return "simple latency"
    return f"metered latency, {'whole run' if isinf(window_ns) else format_ns(window_ns)}"


def percentile_axis(axes: Axes, operations: float) -> None:
    """The x axis, of ``1 / (1 - percentile)``, named by percentiles, as far as so many operations tell of them."""
    axes.set_xscale("log")
    axes.set_xlim(1, max(operations, 10) * 1.3)
    axes.set_xlabel("percentile")
    nines = range(int(np.log10(max(operations, 10)) + 1e-9) + 1)
    places = [10.0**nine for nine in nines]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([format_number(100 - 100 / place, 12) for place in places]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _operations(cell: Served) -> int:
    """The fewest of any of its invocations."""
    return min((sum(sum(times.counts) for times in one.operation_times) for one in cell.good), default=0)


__all__ = ["Latency", "percentile_axis", "title"]
