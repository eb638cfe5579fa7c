"""A figure of panels side by side, with its title above and the small print below: what probes' experiments draw on."""

from collections.abc import Sequence
from math import isnan
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gcbarrier.plotting import keys
from gcbarrier.plotting.footer import footer
from gcbarrier.plotting.layout import place, spot, text_width
from gcbarrier.plotting.style import FAINT, INK, SMALL, format_ns, format_number
from gcbarrier.results.points import Point
from gcbarrier.results.store import Run

_MARGIN, _TITLE, _HEADINGS, _X_LABEL, _FOOT_LINE = 0.12, 0.3, 0.42, 0.52, 0.135
_TITLE_SIZE = 11
_AGREE = 0.02

MARKERS = "os^DvP*X<>"
"""For curves of barriers, in the order of their colours: told apart without colours too."""


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

    ``remarks`` are sentences above the small print. Call it, and draw, within :func:`gcbarrier.plotting.style.styled`.
    """
    facts = run.facts(machine)
    heading = f"{title} {_machine(machine, facts)}"
    panels_width = left + sum(widths) + gap * (len(widths) - 1) + right
    width = _MARGIN + max(panels_width, text_width([heading], _TITLE_SIZE) + _MARGIN)
    letters = int((width - 2 * _MARGIN) / (0.54 * SMALL / 72))
    text = "\n".join([*(line for remark in remarks for line in wrap(remark, letters)), footer(run, machine, letters)])
    key_lines = keys.lines(handles, width - 1.0)
    top = _MARGIN + _TITLE + keys.LINE * key_lines + _HEADINGS
    figure = Figure(figsize=(width, top + height + _X_LABEL + _FOOT_LINE * (1 + text.count("\n")) + _MARGIN))
    where = spot(figure, _MARGIN, _MARGIN)
    figure.text(*where, heading, ha="left", va="top", fontsize=_TITLE_SIZE, color=INK)
    keys.draw_keys(figure, handles, _MARGIN, _MARGIN + _TITLE, width - 1.0)
    at = _MARGIN + left
    panels = []
    for wide in widths:
        panels.append(place(figure, at, top, wide, height))
        at += wide + gap
    where = spot(figure, _MARGIN, top + height + _X_LABEL)
    figure.text(*where, text, ha="left", va="top", fontsize=SMALL, color=FAINT, linespacing=1.25)
    return figure, panels


def _machine(machine: str, facts: Any) -> str:
    accelerator = facts.get("accelerator", "")
    if accelerator.endswith("-icount"):
        return f"Machine: {machine} (emulated: instructions are counted, not time)"
    return f"Machine: {machine}{' (emulated: read the shape, not the time)' if accelerator == 'tcg' else ''}"


def format_cost(value: float, unit: str) -> str:
    """``1.2 µs``, or ``1,710 instr.``: a cost with its unit."""
    return format_ns(value) if unit == "ns" else f"{format_number(value)} instr."


def cost_axis(axis: Any, unit: str) -> None:
    """Label a logarithmic axis of costs."""
    axis.set_major_locator(LogLocator(base=10, numticks=12))
    form = format_ns if unit == "ns" else format_number
    axis.set_major_formatter(FuncFormatter(lambda value, _position: form(value)))
    axis.set_minor_formatter(NullFormatter())


def agreement(found: Sequence[Point]) -> list[str]:
    """A remark where instructions were counted: whether the boots agree within 2 %."""
    counted = [point for point in found if point.unit == "instructions"]
    apart = [(point.disagreement, point) for point in counted if not isnan(point.disagreement)]
    if not counted:
        return []
    if not apart:
        return ["One boot only: whether counts repeat is not known."]
    beyond = sorted((share, f"{point.barrier} {point.what}") for share, point in apart if share > _AGREE)
    if not beyond:
        return [f"All {len(apart)} counts of the boots agree within {100 * _AGREE:.0f} %."]
    names = list(dict.fromkeys(name for _, name in reversed(beyond)))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return [
        f"{len(beyond)} of {len(apart)} counts differ between the boots by more than {100 * _AGREE:.0f} %, at most by "
        f"{100 * beyond[-1][0]:.0f} %: {', '.join(names[:4])}{more}."
    ]


def spread_remark(found: Sequence[Point]) -> str:
    """What whiskers and bands are."""
    if any(point.unit == "instructions" for point in found):
        return "Points: the least of the samples; whiskers and bands reach to their upper quartile."
    return "Points: medians over the invocations' medians; whiskers and bands: the middle half of the samples."


__all__ = ["MARKERS", "agreement", "cost_axis", "format_cost", "sheet", "spread_remark"]
