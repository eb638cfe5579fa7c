"""Axes that read as what is on them: a unit's scale, limits and ticks."""

from collections.abc import Callable, Iterable, Sequence
from math import log
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, Locator, NullFormatter, NullLocator

from gcbarrier.report.layout import text_width
from gcbarrier.report.style import RC
from gcbarrier.report.units import Unit, ticks

_WIDE = 20
"""Times between the least and the greatest ratio, beyond which a linear axis would hide the rest."""


class UnitLocator(Locator):
    """Ticks where :func:`gcbarrier.report.units.ticks` has them, whatever the limits are by then."""

    def __init__(self, scale: str, most: int, least: int) -> None:
        self._scale, self._most, self._least = scale, most, least

    def __call__(self) -> list[float]:
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, low: float, high: float) -> list[float]:
        return ticks(low, high, self._scale, self._most, self._least)


def placed(unit: Unit, value: float) -> float:
    """Where ``value`` is drawn: nothing at all has a place on a logarithmic axis too."""
    return unit.floor if unit.scale == "log" and unit.floor and value <= 0 else value


def scale(axes: Axes, which: str, unit: Unit, values: Iterable[float], *, most: int = 6, room: float = 0.0) -> None:
    """Give the ``x`` or ``y`` axis the scale, limits and ticks that suit ``values``; no values, no ticks.

    ``room`` is the share of the axis that is left free at its upper end.
    """
    seen = [value for value in values if value == value]
    axis, name = getattr(axes, f"{which}axis"), _scale(unit, seen)
    set_limits: Callable[[float, float], Any] = getattr(axes, f"set_{which}lim")
    set_scale: Callable[..., Any] = getattr(axes, f"set_{which}scale")
    if not seen:
        axis.set_ticks([])
        return
    if name == "linear":
        set_scale("linear")
        low, high = _linear(unit, seen)
        set_limits(low, high + (high - low) * room / (1 - room))
    else:
        set_scale("log", base=2 if name == "binary" else 10)
        low, high = min(seen), max(seen)
        margin = max((high / low) ** (0.25 if unit.scale == "ratio" else 0.05), 1.25)
        low, high = low / margin, high * margin
        set_limits(low, high * (max(high / low, 10.0) ** (room / (1 - room))))
    label(axis, unit, name, most)


def label(axis: Any, unit: Unit, name: str, most: int = 6, least: int = 3) -> None:
    """Ticks of a unit on an axis whose scale (``log``, ``binary`` or ``linear``) and limits are set by others."""
    axis.set_major_locator(UnitLocator(name, most, least))
    axis.set_major_formatter(FuncFormatter(lambda value, _position: unit.ticked(value)))
    # Small ticks show that it is logarithmic; their labels would crowd it.
    axis.set_minor_formatter(NullFormatter())
    if name != "log":
        axis.set_minor_locator(NullLocator())


def _scale(unit: Unit, seen: Sequence[float]) -> str:
    if unit.scale != "ratio":
        return unit.scale
    return "log" if seen and min(seen) > 0 and max(seen) / min(seen) > _WIDE else "linear"


def _linear(unit: Unit, seen: Sequence[float]) -> tuple[float, float]:
    if unit.scale == "ratio":
        low, high = min(1.0, *seen), max(1.0, *seen)
        margin = max(0.25 * (high - low), 0.03)
        return low - margin, high + margin
    low, high = min(0.0, *seen), max(0.0, *seen)
    span = (high - low) or 1.0
    return low - 0.1 * span * (low < 0), high + 0.1 * span * (high > 0 or high == low)


def set_ticks(axes: Axes, which: str, width: float, places: Sequence[float], names: Sequence[str]) -> None:
    """Label what was set, and nothing between: as many of ``places`` as have room on ``width`` inches.

    The first always has its label, and the last one rather than the one before it.
    """
    low, high = (log(end) if axes.get_xscale() == "log" else end for end in getattr(axes, f"get_{which}lim")())
    size = RC["xtick.labelsize"]
    kept: list[tuple[float, str, float, float]] = []
    for place, name in sorted(zip(places, names, strict=True)):
        at = width * ((log(place) if axes.get_xscale() == "log" else place) - low) / (high - low)
        half = text_width([name], size) / 2 + 0.05
        while kept and place == max(places) and len(kept) > 1 and kept[-1][2] + kept[-1][3] > at - half:
            kept.pop()
        if not kept or kept[-1][2] + kept[-1][3] <= at - half:
            kept.append((place, name, at, half))
    named_ticks(axes, which, [place for place, *_ in kept], [name for _, name, *_ in kept])


def named_ticks(axes: Axes, which: str, places: Sequence[float], names: Sequence[str]) -> None:
    """Ticks at ``places`` and nowhere else, with these words."""
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FixedFormatter(list(names)))
    axis.set_minor_locator(NullLocator())


__all__ = ["UnitLocator", "label", "named_ticks", "placed", "scale", "set_ticks"]
