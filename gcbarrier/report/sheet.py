"""A figure of panels side by side, with its title above and the small print below: what probes' experiments draw on."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gcbarrier.report.agreement import agreement
from gcbarrier.report.layout import place
from gcbarrier.report.looks import MARKERS
from gcbarrier.report.page import MARGIN, page
from gcbarrier.report.style import format_ns, format_number
from gcbarrier.results.points import Point
from gcbarrier.results.run import Run

_HEADINGS, _X_LABEL = 0.42, 0.52


def sheet(
    run: Run,
    machine: str,
    title: str,
    *,
    left: float,
    widths: Sequence[float],
    height: float,
    gap: float = 0.75,
    right: float = 0.3,
    handles: Sequence[Any] = (),
    remarks: Sequence[str] = (),
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels of ``widths`` and ``height``, all in inches; ``left`` and ``right`` is room for words.

    ``remarks`` are sentences above the small print. Call it, and draw, within :func:`gcbarrier.report.style.styled`.
    """
    width = MARGIN + left + sum(widths) + gap * (len(widths) - 1) + right
    figure, down = page(
        run,
        machine,
        title,
        width=width,
        height=_HEADINGS + height + _X_LABEL,
        handles=[handles] if handles else [],
        remarks=remarks,
    )
    at = MARGIN + left
    panels = []
    for wide in widths:
        panels.append(place(figure, at, down + _HEADINGS, wide, height))
        at += wide + gap
    return figure, panels


def format_cost(value: float, unit: str) -> str:
    """``1.2 µs``, or ``1,710 instr.``: a cost with its unit."""
    return format_ns(value) if unit == "ns" else f"{format_number(value)} instr."


def cost_axis(axis: Any, unit: str) -> None:
    """Label a logarithmic axis of costs."""
    axis.set_major_locator(LogLocator(base=10, numticks=12))
    form = format_ns if unit == "ns" else format_number
    axis.set_major_formatter(FuncFormatter(lambda value, _position: form(value)))
    axis.set_minor_formatter(NullFormatter())


def spread_remark(found: Sequence[Point]) -> str:
    """What whiskers and bands are."""
    if any(point.unit == "instructions" for point in found):
        return "Points: the least of the samples; whiskers and bands reach to their upper quartile."
    return "Points: medians over the invocations' medians; whiskers and bands: the middle half of the samples."


__all__ = ["MARKERS", "agreement", "cost_axis", "format_cost", "sheet", "spread_remark"]
