"""What is around the panels of a figure: its title, the key, the sentences below and the small print."""

from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from matplotlib.figure import Figure

from gcbarrier.report import keys
from gcbarrier.report.displayed import DisplayedFigure
from gcbarrier.report.footer import footer
from gcbarrier.report.layout import spot, text_width
from gcbarrier.report.style import FAINT, INK, SMALL
from gcbarrier.results.busy import busy
from gcbarrier.results.run import Run

MARGIN = 0.12
"""Inches, as everything here: where the first column of a page begins."""
_TITLE, _FOOT_LINE, _TITLE_SIZE = 0.3, 0.135, 11


def page(
    run: Run,
    machine: str,
    title: str,
    *,
    width: float,
    height: float,
    handles: Sequence[Sequence[Any]] = (),
    remarks: Sequence[str] = (),
) -> tuple[Figure, float]:
    """A figure of one machine with room of ``width`` and ``height`` for what is drawn on it, and how far down that is.

    Each of ``handles`` begins a line of keys of its own. It gets as wide as its title needs. Call it, and draw,
    within :func:`gcbarrier.report.style.styled`.
    """
    heading = f"{title} Machine: {machine}{_emulated(run.facts(machine))}{_busy(run, machine)}"
    return plain_page(
        heading,
        lambda letters: footer(run, machine, letters),
        width=width,
        height=height,
        handles=handles,
        remarks=remarks,
    )


def plain_page(
    heading: str,
    small_print: Callable[[int], str],
    *,
    width: float,
    height: float,
    handles: Sequence[Sequence[Any]] = (),
    remarks: Sequence[str] = (),
) -> tuple[Figure, float]:
    """The same of what is no single run: ``small_print`` gets how many letters a line has."""
    width = max(width, text_width([heading], _TITLE_SIZE) + 2 * MARGIN)
    letters = int((width - 2 * MARGIN) / (0.54 * SMALL / 72))
    text = "\n".join([*(line for remark in remarks for line in wrap(remark, letters)), small_print(letters)])
    top = MARGIN + _TITLE + keys.LINE * sum(keys.lines(some, width - 1.0) for some in handles)
    figure = DisplayedFigure(figsize=(width, top + height + _FOOT_LINE * (1 + text.count("\n")) + MARGIN))
    figure.text(*spot(figure, MARGIN, MARGIN), heading, ha="left", va="top", fontsize=_TITLE_SIZE, color=INK)
    down = MARGIN + _TITLE
    for some in handles:
        keys.draw_keys(figure, some, MARGIN, down, width - 1.0)
        down += keys.LINE * keys.lines(some, width - 1.0)
    where = spot(figure, MARGIN, top + height)
    figure.text(*where, text, ha="left", va="top", fontsize=SMALL, color=FAINT, linespacing=1.25)
    return figure, top


def _emulated(facts: Mapping[str, Any]) -> str:
    # The one thing that must not be missed about an emulated machine.
    accelerator = str(facts.get("accelerator", ""))
    if accelerator.endswith("-icount"):
        return " (emulated: instructions are counted, not time)"
    return " (emulated: read the shape, not the time)" if accelerator == "tcg" else ""


def _busy(run: Run, machine: str) -> str:
    # Nor this: it may be all that a difference is.
    found = busy(run.on(machine))
    return f", {found.words}" if found else ""


__all__ = ["MARGIN", "page", "plain_page"]
