"""Curves against something that was varied, one for each barrier: told apart by colour and marker."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gcbarrier.metrics import Spread
from gcbarrier.report.sheet import MARKERS
from gcbarrier.report.style import barrier_colours, sort_key


@frozen(kw_only=True)
class Place:
    """A point of a curve: the centre over the invocations, and their range."""

    x: float
    y: Spread
    hollow: bool = False
    """To be told apart from the others; the caller says what it means."""


Looks = Mapping[str, Mapping[str, Any]]
"""By barrier: the colour and marker of its curves, as matplotlib's keywords."""


def looks(barriers: Iterable[str]) -> Looks:
    """A colour and a marker for each barrier, in the order in which a key names them."""
    colours = barrier_colours(barriers)
    names = sorted(colours, key=sort_key)
    return {
        name: {"color": colours[name], "marker": MARKERS[at % len(MARKERS)], "markersize": 4.5}
        for at, name in enumerate(names)
    }


def curve_keys(chosen: Looks) -> list[Any]:
    """A sample for each barrier's curve."""
    return [Line2D([], [], linewidth=1.2, label=name, **look) for name, look in chosen.items()]


def draw_curve(axes: Axes, name: str, places: Sequence[Place], look: Mapping[str, Any]) -> None:
    """Draw the centres, joined, and a bar from the least to the greatest of the invocations."""
    there = sorted((place for place in places if place.y), key=lambda place: place.x)
    if not there:
        return
    x = [place.x for place in there]
    axes.plot(x, [place.y.centre for place in there], linewidth=1.2, label=name, **look)
    for place in there:
        axes.plot([place.x] * 2, [place.y.low, place.y.high], color=look["color"], linewidth=0.9, label="_range")
        if place.hollow:
            inside = {**look, "markerfacecolor": "white", "markersize": 5.5, "linestyle": "none"}
            axes.plot(place.x, place.y.centre, label="_hollow", zorder=5, **inside)


__all__ = ["Looks", "Place", "curve_keys", "draw_curve", "looks"]
