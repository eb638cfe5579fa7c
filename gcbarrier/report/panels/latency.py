"""Latency by percentile, on the axis of HdrHistogram: each further nine takes as much room as the one before."""

from collections.abc import Sequence
from math import inf, isinf
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from gcbarrier.report.axes import placed, scale
from gcbarrier.report.distribution import say_empty
from gcbarrier.report.panels import Room, Split, View, series_keys
from gcbarrier.report.style import INK, TITLE
from gcbarrier.report.units import NS, format_ns, format_number
from gcbarrier.results.latency import Served

_PER_DECADE = 24


@frozen(kw_only=True)
class Latency:
    """A panel for each window that arrivals are smoothed over, 0 for the simple latency, infinity for the whole run.

    Cells are :class:`gcbarrier.results.latency.Served`. Curves are medians over the invocations, bands reach from the
    least to the greatest; they end where one invocation has a single operation beyond.
    """

    windows_ns: Sequence[float] = (0.0, 1e7, inf)
    per: Split | None = None
    """Panels of their own for each value of it."""
    width: float = 3.3
    tall: float = 3.2

    def rooms(self, view: View) -> Sequence[Room]:
        count = len(self.windows_ns) * len(self._groups(view))
        return [Room(width=self.width, left=0.3 if at else 0.75, right=0.1) for at in range(count)]

    def height(self, view: View) -> float:  # noqa: ARG002
        return self.tall

    def draw(self, panels: Sequence[Axes], view: View) -> None:
        parts = [(group, cells, window) for group, cells in self._groups(view) for window in self.windows_ns]
        seen: list[float] = []
        for axes, (group, cells, window) in zip(panels, parts, strict=True):
            axes.set_label(f"{title(window)} {group}".strip())
            axes.set_title(f"{group}\n{title(window)}".strip(), loc="left", color=INK, fontsize=TITLE)
            seen += self._draw(axes, cells, view, window)
        most = max((_operations(cell) for _, cells, _ in parts for cell in cells), default=0)
        for at, axes in enumerate(panels):
            if not axes.lines:
                say_empty(axes, "nothing recorded")
                continue
            percentile_axis(axes, most)
            # One scale, which is named once.
            scale(axes, "y", NS, seen, most=10)
            axes.grid()
            if at:
                axes.tick_params(labelleft=False)

    def handles(self, view: View) -> Sequence[Any]:
        return series_keys(view, joined=True)

    def captions(self, view: View) -> Sequence[str]:
        said = [
            "Simple: how long an operation took. Metered: from when it would have come at a rate that is even over the "
            "window around it, or over the whole run, where it began later than that; so what queues behind a pause "
            "counts. Curves: medians over the invocations; bands: from the least to the greatest."
        ]
        lacking = [view.name(cell) for cell in view.cells if any(own is None for own in cell.operations)]
        if lacking:
            names = ", ".join(dict.fromkeys(lacking))
            said.append(f"Too many operations to keep each, and so no metered latency: {names}.")
        return said

    def _groups(self, view: View) -> list[tuple[str, list[Any]]]:
        groups = self.per.groups(view.cells) if self.per is not None else []
        return groups or [("", list(view.cells))]

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
