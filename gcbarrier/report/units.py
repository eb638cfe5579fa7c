"""What numbers are in: a unit decides how one is written, and what an axis of them looks like.

One place for both, and no drawing here: tables take the words, :mod:`gcbarrier.report.axes` the scale and ticks.
"""

from collections.abc import Callable, Sequence
from math import ceil, floor, isfinite, log, log10

from attrs import evolve, field, frozen, validators

from gcbarrier.model import format_bytes

TIMES, DASH = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"


def format_ns(value: float, digits: int = 3) -> str:
    """``345 µs``, ``1.2 ms``: a duration in ns with the unit that keeps it short; a dash for nan."""
    if value != value:
        return DASH
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        # Half a unit in the last place below: 999.9 µs is to read 1 ms, not 1000 µs.
        if value >= size * (1 - 0.5 * 10**-digits):
            return f"{_short(value / size, digits)} {unit}"
    return f"{_short(value, digits)} ns"


def format_number(value: float, digits: int = 3) -> str:
    """``0.96``, ``20.1``, ``9,730``: so many significant digits, and no exponents before a million millions."""
    if value == 0 or value != value:
        return "0" if value == 0 else DASH
    if 0.001 <= abs(value) < 1000:
        return _short(value, digits)
    if 1000 <= abs(value) < 1e12:
        return f"{float(f'{value:.{digits}g}'):,.0f}"
    return f"{value:.{digits}g}"


def format_ratio(value: float, digits: int = 3) -> str:
    """``0.96``, ``1.00``, ``0.031``, ``9,730``: ratios near 1 to two places, so that they compare at a glance."""
    return f"{value:.2f}" if 0.1 <= value < 10 else format_number(value, digits)


def format_thousands(value: float, digits: int = 3) -> str:
    """``300``, ``10 k``, ``1.5 M``: large numbers where there is little room."""
    for unit, size in ((" M", 1e6), (" k", 1e3)):
        if value >= size:
            return f"{format_number(value / size, digits)}{unit}"
    return format_number(value, digits)


def _short(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e" in text else text


def _instructions(value: float, digits: int = 3) -> str:
    return DASH if value != value else f"{format_number(value, digits)} instr."


def _percent(value: float, digits: int = 3) -> str:
    return DASH if value != value else f"{format_number(value, digits)} %"


def _bytes(value: float, digits: int = 3) -> str:  # noqa: ARG001 - sizes are round already
    return DASH if value != value else format_bytes(int(value))


def _share(value: float, digits: int = 3) -> str:
    return DASH if value != value else f"{float(f'{100 * value:.{digits}g}'):.10f}".rstrip("0").rstrip(".") + " %"


@frozen
class Unit:
    """How numbers of a kind are written, and the axis that suits them."""

    name: str
    words: Callable[..., str]
    """A value, and how many digits, in words; nan is a dash."""
    scale: str = field(default="log", kw_only=True, validator=validators.in_(("log", "binary", "linear", "ratio")))
    """``log``; ``binary``: logarithmic, with powers of two; ``linear``, from 0; ``ratio``: linear around 1, logarithmic
    where the values lie far apart."""
    tick: Callable[..., str] | None = field(default=None, kw_only=True)
    """As it is written on an axis, where there is less room; None: as everywhere."""
    floor: float | None = field(default=None, kw_only=True)
    """Where nothing at all is drawn on a logarithmic axis."""

    @property
    def linear(self) -> "Unit":
        """The same on an axis that starts at 0: for what does not lie orders of magnitude apart."""
        return evolve(self, scale="linear")

    @property
    def log(self) -> "Unit":
        """The same on a logarithmic axis."""
        return evolve(self, scale="log")

    def ticked(self, value: float) -> str:
        """What an axis says at ``value``."""
        if not value and self.scale == "linear":
            return "0"
        return (self.tick or self.words)(value)


NS = Unit("ns", format_ns, floor=0.5)
PER_S = Unit("per second", format_thousands)
COUNT = Unit("count", format_number, scale="linear", tick=format_thousands, floor=0.5)
BYTES = Unit("bytes", _bytes, scale="binary")
RATIO = Unit("ratio", format_ratio, scale="ratio", tick=format_number)
PERCENT = Unit("%", _percent, scale="linear")
SHARE = Unit("share", _share)
INSTRUCTIONS = Unit("instructions", _instructions, tick=format_number)

_LEAST = 1e-3
_NAMED = {unit.name: unit for unit in (NS, PER_S, COUNT, BYTES, RATIO, PERCENT, SHARE, INSTRUCTIONS)}


def unit_named(name: str) -> Unit:
    """The unit that a reading is in, by the word it has for it; a plain count where nobody knows it."""
    found = _NAMED.get(name) or (RATIO if name in ("", "x") else Unit(name, format_number))
    # Readings are averages: half a nanosecond is not nothing.
    return evolve(found, floor=_LEAST) if found.scale == "log" else found


def ticks(low: float, high: float, scale: str, most: int = 6, least: int = 3) -> list[float]:
    """Where an axis from ``low`` to ``high`` is labelled: at most ``most`` places, and ``least`` where it has them.

    A logarithmic axis has powers of ten (of two, where it is ``binary``), all of them or every second, third ...;
    within a decade or two what lies between these too, so that no axis has a single label.
    """
    low, high = min(low, high), max(low, high)
    if scale == "binary" and low > 0:
        return _powers(low, high, 2, most) if high / low >= 4 else _steps(low, high, most)
    if scale == "log" and low > 0:
        for subs in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
            places = _within(low, high, subs)
            if len(places) > most:
                return _powers(low, high, 10, most) if subs == (1,) else places[:: -(-len(places) // most)]
            if len(places) >= min(least, most):
                return places
    return _steps(low, high, most)


def _within(low: float, high: float, subs: Sequence[float]) -> list[float]:
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 1)
    places = [float(f"{sub}e{power}") for power in powers for sub in subs]
    return [place for place in places if low * (1 - 1e-9) <= place <= high * (1 + 1e-9)]


def _powers(low: float, high: float, base: int, most: int) -> list[float]:
    first, last = ceil(log(low, base) - 1e-9), floor(log(high, base) + 1e-9)
    step = max(1, -(-(last - first + 1) // most))
    return [float(base) ** power for power in range(first, last + 1, step)]


def _steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers at equal distances."""
    if not (isfinite(low) and isfinite(high)) or high <= low:
        return [low] if isfinite(low) else []
    rough = (high - low) / most
    size = 10.0 ** floor(log10(rough))
    for times in (1, 2, 5, 10, 20):
        step = times * size
        first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [float(f"{count * step:.12g}") for count in range(first, last + 1)]
    raise AssertionError


__all__ = [
    "BYTES",
    "COUNT",
    "DASH",
    "INSTRUCTIONS",
    "NS",
    "PERCENT",
    "PER_S",
    "RATIO",
    "SHARE",
    "TIMES",
    "Unit",
    "format_ns",
    "format_number",
    "format_ratio",
    "format_thousands",
    "ticks",
    "unit_named",
]
