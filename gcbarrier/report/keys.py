"""What colours, markers and lines mean, on as many lines as it takes."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gcbarrier.report.layout import spot, text_width
from gcbarrier.report.style import INK, LINES, MARKERS, PHASE_COLOURS, PHASE_NAMES, RC
from gcbarrier.results import Cell

LINE = 0.19
"""Height of a line of keys, in inches."""

_HANDLE = 0.55  # inches for the sample before a name and the gap after it


def barrier_keys(colours: Mapping[str, str]) -> list[Any]:
    """A sample for each barrier's colour."""
    return [Line2D([], [], color=colour, linewidth=2.6, label=name) for name, colour in colours.items()]


def pause_keys(cells: Sequence[Cell]) -> list[Any]:
    """A sample for each kind of pause, and for what else a curve looks like; none of what there is none of."""
    found: list[Any] = []
    for kind in sorted({kind for cell in cells for kind in cell.kinds}):
        line, marker = LINES.get(kind, "-"), MARKERS.get(kind, "D")
        found.append(Line2D([], [], color=INK, linestyle=line, marker=marker, markersize=4, linewidth=1.2, label=kind))
    if any(cell.pauses()["preempted"].any() for cell in cells):
        hollow = Line2D([], [], color=INK, marker="o", markersize=4, linestyle="none", markerfacecolor="white")
        hollow.set_label("hollow: a thread was descheduled around it")
        found.append(hollow)
    if any(cell.kinds and len(cell.good) > 1 for cell in cells):
        found.append(Line2D([], [], color=INK, linewidth=0.5, alpha=0.6, label="thin: one invocation"))
    return found


def phase_keys(cells: Sequence[Cell]) -> list[Any]:
    """A patch for each phase; none where there are no pauses."""
    if not any(cell.kinds for cell in cells):
        return []
    return [Patch(color=colour, label=PHASE_NAMES.get(name, name)) for name, colour in PHASE_COLOURS.items()]


def columns(handles: Sequence[Any], width: float) -> int:
    """How many of ``handles`` fit beside each other into ``width`` inches; at least one."""
    widest = text_width((str(handle.get_label()) for handle in handles), RC["legend.fontsize"])
    return max(1, min(len(handles), int(width / (widest + _HANDLE))))


def lines(handles: Sequence[Any], width: float) -> int:
    """How many lines :func:`draw_keys` makes of ``handles``."""
    return ceil(len(handles) / columns(handles, width)) if handles else 0


def draw_keys(figure: Figure, handles: Sequence[Any], left: float, top: float, width: float) -> None:
    """Draw ``handles`` with their names, the upper left corner at ``left`` and ``top`` inches."""
    if not handles:
        return
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=spot(figure, left, top),
        ncols=columns(handles, width),
        handlelength=2.6 if isinstance(handles[0], Line2D) else 1.0,
        columnspacing=1.4,
        borderaxespad=0,
        borderpad=0,
    )


__all__ = ["LINE", "barrier_keys", "columns", "draw_keys", "lines", "pause_keys", "phase_keys"]
