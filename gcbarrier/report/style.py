"""What all figures share: sizes, inks, and a colour for each phase."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl

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

INK = "#222222"
FAINT = "#6b6b6b"
LIMIT = "#CC3311"
SMALL, TITLE = 6.8, 8.5
"""Points: the size of the words beside marks and of the small print, and of a panel's title."""

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

MARKERS: Mapping[str, str] = {"remark": "o", "full": "s", "rearm": "^"}
LINES: Mapping[str, Any] = {"rearm": (0, (4, 2))}


def styled() -> Any:
    """The context in which figures are made and saved."""
    settings: Any = dict(RC)
    return mpl.rc_context(settings)


__all__ = [
    "FAINT",
    "INK",
    "LIMIT",
    "LINES",
    "MARKERS",
    "PHASE_COLOURS",
    "PHASE_NAMES",
    "RC",
    "SMALL",
    "TITLE",
    "styled",
]
