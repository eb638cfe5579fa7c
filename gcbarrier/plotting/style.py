"""What all figures share: a colour for each barrier and phase, time axes that read like text, small print."""

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

RC: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",  # it comes with matplotlib: the same picture everywhere
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "text.parse_math": False,  # an error may hold dollar signs
    "svg.fonttype": "path",
    "svg.hashsalt": "gcbarrier",  # equal data, equal file
}

TIMES, DASH = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"
INK = "#222222"
FAINT = "#6b6b6b"
SMALL = 6.8
"""Points: the size of the words beside marks, and of the small print."""

# Okabe and Ito's colours, which stay apart for colour-blind readers. The barriers people will compare most often have
# theirs for good, so that a reader need not learn the key anew for each figure; others take what is left.
_KNOWN = {
    "none": "#555555",
    "uffd-wp-log": "#D55E00",
    "uffd-wp-async": "#0072B2",
    "uffd-wp-pagemap": "#E69F00",
    "soft-dirty": "#009E73",
}
_SPARE = ("#CC79A7", "#56B4E9", "#882255", "#999933", "#332288")

PHASE_COLOURS = {
    # Paul Tol's light scheme; these are only ever seen next to each other, never beside a barrier's colour.
    "ttsp": "#EE8866",
    "roots": "#FFAABB",
    "collect": "#77AADD",
    "rescan": "#44BB99",
    "mark": "#EEDD88",
    "resume": "#BBCC33",
    "other": "#DDDDDD",
}
PHASE_NAMES = {"ttsp": "time to safepoint", "other": "in no phase"}

MARKERS = {"remark": "o", "full": "s", "rearm": "^"}
LINES: Mapping[str, Any] = {"rearm": (0, (4, 2))}


def sort_key(barrier: str) -> tuple[int, str]:
    """Barriers in the order of their colours: the baseline first, newcomers by name at the end."""
    known = list(_KNOWN)
    return (known.index(barrier) if barrier in known else len(known), barrier)


def barrier_colours(barriers: Iterable[str]) -> dict[str, str]:
    """A colour for each name. Those not known beforehand get theirs by alphabetical order."""
    names = sorted(set(barriers), key=sort_key)
    spare = [name for name in names if name not in _KNOWN]
    return {name: _KNOWN.get(name) or _SPARE[spare.index(name) % len(_SPARE)] for name in names}


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
        return f"{value:.{digits}g}"
    if 1000 <= abs(value) < 1e12:
        return f"{float(f'{value:.{digits}g}'):,.0f}"
    return f"{value:.{digits}g}"


def format_ratio(value: float) -> str:
    """``0.96``, ``1.00``, ``0.031``, ``9,730``: ratios near 1 to two places, so that they compare at a glance."""
    return f"{value:.2f}" if 0.1 <= value < 10 else format_number(value)


def _short(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e" in text else text


def time_axis(axes: Axes) -> None:
    """Make the x axis a logarithmic one in ns that is labelled 1 µs, 10 µs, 100 µs, 1 ms ..."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: format_ns(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def styled() -> Any:
    """The context in which figures are made and saved."""
    settings: Any = dict(RC)
    return mpl.rc_context(settings)


__all__ = [
    "DASH",
    "FAINT",
    "INK",
    "LINES",
    "MARKERS",
    "PHASE_COLOURS",
    "PHASE_NAMES",
    "RC",
    "SMALL",
    "TIMES",
    "barrier_colours",
    "format_ns",
    "format_number",
    "format_ratio",
    "sort_key",
    "styled",
    "time_axis",
]
