"""The small panels: each draws one program's numbers, with the others' thin behind it, on axes that suit all."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gcbarrier.page_traces.overview import Overview
from gcbarrier.report.axes import named_ticks, placed, scale
from gcbarrier.report.distribution import say_empty
from gcbarrier.report.style import FAINT, INK, SMALL
from gcbarrier.report.units import COUNT, NS, RATIO, SHARE, Unit, format_ns

COLOUR, BEHIND, CPU_COLOUR = "#0072B2", "#c9c9c9", "#D55E00"
PAGES = COUNT.log

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Where a curve goes: x and y."""


@frozen(kw_only=True)
class Curve:
    """A panel with a curve for each program."""

    title: str
    x_label: str
    x_unit: Unit
    y_unit: Unit
    of: Callable[[Overview], Line]
    band: bool = False
    steps: bool = False

    def draw(self, axes: Axes, own: Overview, every: Sequence[Overview]) -> None:
        """``own``'s, and what is behind it of ``every``."""
        lines = {id(each): self._placed(each) for each in every}
        if not len(lines[id(own)][0]):
            say_empty(axes, "nothing written")
            return
        how: Any = {"drawstyle": "steps-post"} if self.steps else {}
        for each in every:
            if each is not own:
                axes.plot(*lines[id(each)], color=BEHIND, linewidth=0.7, label="_behind", zorder=1.5, **how)
        axes.plot(*lines[id(own)], color=COLOUR, linewidth=1.4, label=own.name, zorder=3, **how)
        if self.band:
            low, high = own.spread.T
            axes.fill_between(lines[id(own)][0], self._at(low), self._at(high), color=COLOUR, alpha=0.15, linewidth=0)
        scale(axes, "x", self.x_unit, _all(line[0] for line in lines.values()), most=3)
        if self.y_unit.scale == "linear":
            axes.set_ylim(-0.02, 1.04)
            named_ticks(axes, "y", [0, 0.5, 1], ["0", "50 %", "100 %"])
        else:
            # Not for the bands: one that begins at no page at all would have the curves crowded at the top.
            scale(axes, "y", self.y_unit, _all(line[1] for line in lines.values()), most=4)
        axes.grid()

    def _placed(self, overview: Overview) -> Line:
        x, y = self.of(overview)
        return np.array([placed(self.x_unit, float(value)) for value in x]), self._at(y)

    def _at(self, values: Iterable[float]) -> NDArray[np.float64]:
        return np.array([placed(self.y_unit, float(value)) for value in values])


def _all(arrays: Iterable[NDArray[np.float64]]) -> list[float]:
    return [float(end) for array in arrays if len(array) for end in (np.min(array), np.max(array))]


def _per_tick(overview: Overview) -> Line:
    counts = np.sort(overview.trace.counts)
    return counts.astype(np.float64), _shares(len(counts))


def _again(overview: Overview) -> Line:
    # To the last interval that there is: behind it, the curve is level.
    found = overview.rewrites
    ticks = np.arange(1, int(np.max(np.flatnonzero(found.intervals), initial=1)) + 1)
    share = np.cumsum(found.intervals)[np.minimum(ticks, len(found.intervals) - 1)] / max(found.writes, 1)
    times = (ticks * overview.tick_ns).astype(np.float64)
    return times[: found.writes], share[: found.writes]


def _concentration(overview: Overview) -> Line:
    curve = overview.rewrites.concentration()[1:]
    return _shares(len(curve)), curve


def _shares(count: int) -> NDArray[np.float64]:
    return np.arange(1.0, count + 1) / max(count, 1)


def _working_set(overview: Overview) -> Line:
    windows = np.array(overview.windows if overview.rewrites.writes else (), dtype=np.float64)
    return windows * overview.tick_ns, overview.working_set[: len(windows)]


@frozen
class SlowDown:
    """What being watched costs: dots for repetitions, a stroke for their median."""

    title: str = "Slow-down when watched"
    x_label: str = "armed every"

    def draw(self, axes: Axes, own: Overview, every: Sequence[Overview]) -> None:
        """``own``'s; the axes suit ``every``."""
        if not own.slowdowns:
            say_empty(axes, "not measured")
            return
        intervals = sorted({each.every_ns for one in every for each in one.slowdowns}, key=lambda ns: -ns or -np.inf)
        for each in own.slowdowns:
            at = intervals.index(each.every_ns)
            for values, aside, colour, marker in (
                (each.wall, -0.15, COLOUR, "o"),
                (each.cpu, 0.15, CPU_COLOUR, "D"),
            ):
                where = [at + aside] * len(values)
                axes.plot(where, values, marker, color=colour, markersize=3, alpha=0.8, mew=0, label=f"_{own.name}")
                middle = [float(np.median(values))] * 2 if values else [np.nan] * 2
                axes.plot([at + aside - 0.14, at + aside + 0.14], middle, color=colour, linewidth=1.1, label="_median")
        seen = [value for one in every for each in one.slowdowns for value in (*each.wall, *each.cpu)]
        scale(axes, "y", RATIO, [1.0, *seen], most=5)
        axes.axhline(1, color=FAINT, linewidth=0.6, linestyle=(0, (1, 2)), label="_none")
        axes.set_xlim(-0.5, len(intervals) - 0.5)
        named_ticks(axes, "x", range(len(intervals)), [format_ns(ns) if ns else "never" for ns in intervals])
        axes.tick_params(axis="x", labelsize=SMALL, labelcolor=INK)
        axes.grid(axis="y")


PANELS: Sequence[Curve | SlowDown] = (
    Curve(
        title="Share of ticks with at most\nso many pages",
        x_label="pages written in a tick",
        x_unit=PAGES,
        y_unit=SHARE.linear,
        of=_per_tick,
        steps=True,
    ),
    Curve(
        title="Share of writes that come so\nsoon after the page's last",
        x_label="since the write before",
        x_unit=NS,
        y_unit=SHARE.linear,
        of=_again,
    ),
    Curve(
        title="Share of writes that these\npages take",
        x_label="most written pages",
        x_unit=SHARE,
        y_unit=SHARE.linear,
        of=_concentration,
    ),
    Curve(
        title="Distinct pages written\nwithin an interval",
        x_label="interval",
        x_unit=NS,
        y_unit=PAGES,
        of=_working_set,
        band=True,
    ),
    SlowDown(title="Slow-down of the program\nby being watched"),
)

__all__ = ["BEHIND", "COLOUR", "CPU_COLOUR", "PANELS", "Curve", "SlowDown"]
