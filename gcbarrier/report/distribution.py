"""A panel with whole pause distributions."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gcbarrier.report.axes import label
from gcbarrier.report.style import FAINT, LINES, MARKERS
from gcbarrier.report.units import NS, SHARE
from gcbarrier.results import Cell, tail


def time_limits(cells: Iterable[Cell]) -> tuple[float, float]:
    """An x axis in ns that shows every pause of ``cells``; (1, 10) where there are none."""
    values = [value for cell in cells if len(table := cell.pauses()) for value in _ends(table)]
    if not values:
        return 1.0, 10.0
    low, high = min(values), max(values)
    # At least a decade, so that a single pause has two ticks to be read against.
    middle = (low * high) ** 0.5
    return min(low / 1.4, middle / 4), max(high * 1.4, middle * 4)


def _ends(table: NDArray[Any]) -> tuple[float, float]:
    # A pause below the clock's resolution still needs a place on a logarithmic axis.
    return max(float(table["pause_ns"].min()), 1.0), max(float(table["pause_ns"].max()), 1.0)


def draw_distribution(
    axes: Axes, cells: Sequence[Cell], colour_of: Callable[[Cell], str], limits: tuple[float, float]
) -> None:
    """The share of pauses that are at least so long, for each cell and kind of pause, on two logarithmic axes.

    Every pause is a marker: hollow where a participating thread was descheduled. The thin lines are single
    invocations. Each kind has a curve of its own, since a barrier that needs many short stops besides the remark
    would otherwise look the better for them. ``limits`` of the x axis are :func:`time_limits`. Curves are labelled
    ``<heap>/<barrier>/<collector> <kind>``, and their hollow markers the same with `` preempted`` after it.
    """
    axes.set_xscale("log")
    axes.set_yscale("log")
    least = 1.0
    for cell in cells:
        for kind in cell.kinds:
            table = cell.pauses(kind)
            table = table[np.argsort(table["pause_ns"], kind="stable")]
            x, share = tail(np.maximum(table["pause_ns"], 1))
            least = min(least, share[-1])
            colour = colour_of(cell)
            _draw_invocations(axes, cell, kind, colour)
            line = LINES.get(kind, "-")
            name = f"{cell.label} {kind}"
            axes.plot(
                x, share, drawstyle="steps-pre", color=colour, linestyle=line, linewidth=1.3, zorder=3, label=name
            )
            size = 3.6 if len(x) <= 60 else 2.6 if len(x) <= 400 else 1.8
            for hollow in (False, True):
                chosen = table["preempted"] == hollow
                axes.plot(
                    x[chosen],
                    share[chosen],
                    linestyle="none",
                    marker=MARKERS.get(kind, "D"),
                    markersize=max(size, 2.6) if hollow else size,  # smaller, it would look filled
                    markerfacecolor="white" if hollow else colour,
                    markeredgecolor=colour,
                    markeredgewidth=0.8,
                    zorder=5 if hollow else 4,
                    rasterized=len(x) > 2000,
                    label=f"{name} preempted" if hollow else f"{name} undisturbed",
                )
    if not axes.lines:
        say_empty(axes, "no pauses recorded")
        return
    axes.set_xlim(*limits)
    axes.set_ylim(least / 1.5, 1.5)
    label(axes.xaxis, NS, "log", 8)
    label(axes.yaxis, SHARE, "log", 12, 6)
    axes.grid(which="major")
    axes.set_ylabel("pauses at least this long")


def _draw_invocations(axes: Axes, cell: Cell, kind: str, colour: str) -> None:
    if len(cell.good) < 2:
        return
    table = cell.pauses(kind)
    for index in np.unique(table["invocation"]):
        x, share = tail(np.maximum(table["pause_ns"][table["invocation"] == index], 1))
        axes.plot(x, share, drawstyle="steps-pre", color=colour, linewidth=0.5, alpha=0.4, zorder=2)


def say_empty(axes: Axes, text: str) -> None:
    """A sentence in the place of data, on axes that do not pretend to have a scale."""
    axes.set_xscale("linear")
    axes.set_yscale("linear")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=FAINT)


__all__ = ["draw_distribution", "say_empty", "time_limits"]
