"""The figure of one program, a large map over its panels; or of several, a row each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gcbarrier.model import format_bytes
from gcbarrier.page_traces.overview import Overview
from gcbarrier.report.axes import scale
from gcbarrier.report.distribution import say_empty
from gcbarrier.report.layout import place, text_width
from gcbarrier.report.page import MARGIN, plain_page
from gcbarrier.report.page_writes.panels import BEHIND, COLOUR, CPU_COLOUR, PANELS
from gcbarrier.report.page_writes.placing import Region, labelled, raster, regions
from gcbarrier.report.page_writes.table import seconds, small_print
from gcbarrier.report.style import FAINT, INK, SMALL, TITLE, styled
from gcbarrier.report.units import COUNT, NS, format_number

_LEFT, _RIGHT, _DOT = 0.55, 0.3, 160
_TITLE_LINE, _TWO_LINES, _AXIS, _BETWEEN = 0.26, 0.45, 0.48, 0.3
_LINE = SMALL * 1.35 / 72  # inches that a region's name takes
_SHADES = LinearSegmentedColormap.from_list("writes", ["#d3e5f2", "#5ba3d0", "#08306b"])
_UNSEEN = "#f0e6d8"
_ALONE = (10.1, 3.4, 1.55, 1.5)
"""Inches: width and height of the map, and of a panel."""
_ROW = (3.6, 1.5, 1.35, 1.5)


def page_figure(overviews: Sequence[Overview]) -> Figure:
    """What these processes wrote: pages over time, and the numbers of it."""
    with styled():
        return _alone(overviews[0]) if len(overviews) == 1 else _rows(overviews)


def _alone(own: Overview) -> Figure:
    wide, high, panel_width, panel_height = _ALONE
    names, side = _names([own], high)
    # The panels share the width that the map and the names beside it take.
    width = max(_LEFT + wide + side, len(PANELS) * (_LEFT + panel_width) + _RIGHT)
    step = (width - _LEFT - panel_width - _RIGHT) / (len(PANELS) - 1)
    figure, top = _page(
        f"Pages that {own.name} wrote, in ticks of {NS.words(own.tick_ns, 2)}",
        [own],
        width=MARGIN + width,
        height=_TITLE_LINE + high + _AXIS + _TWO_LINES + panel_height + _AXIS,
    )
    top += _TITLE_LINE
    axes = place(figure, MARGIN + _LEFT, top, wide, high)
    _draw_map(axes, own, names[0], wide, high)
    axes.set_xlabel("time")
    top += high + _AXIS + _TWO_LINES
    _draw_panels(figure, own, [own], MARGIN + _LEFT, top, step, (panel_width, panel_height))
    return figure


def _rows(every: Sequence[Overview]) -> Figure:
    wide, high, panel_width, panel_height = _ROW
    names, side = _names(every, high)
    first = MARGIN + _LEFT + wide + side + _LEFT
    figure, top = _page(
        f"Pages that {len(every)} programs wrote",
        every,
        width=first + len(PANELS) * (panel_width + _LEFT) - _LEFT + _RIGHT,
        height=_TWO_LINES + len(every) * high + (len(every) - 1) * (_BETWEEN + _TITLE_LINE) + _AXIS,
    )
    top += _TWO_LINES
    for own, regions_named in zip(every, names, strict=True):
        axes = place(figure, MARGIN + _LEFT, top, wide, high)
        _draw_map(axes, own, regions_named, wide, high)
        _draw_panels(figure, own, every, first, top, panel_width + _LEFT, (panel_width, panel_height))
        top += high + _BETWEEN + _TITLE_LINE
    axes.set_xlabel("time")
    return figure


def _page(title: str, every: Sequence[Overview], *, width: float, height: float) -> tuple[Figure, float]:
    return plain_page(
        title,
        lambda letters: small_print(every, letters),
        width=width,
        height=height,
        handles=[_shades(), _keys(every)],
        remarks=[_caption(every)],
    )


def _draw_map(axes: Any, own: Overview, names: Sequence[Region], wide: float, high: float) -> None:
    axes.set_label(f"map {own.name}")
    pages = len(own.written)
    said = f"{own.name}: {format_number(pages)} pages ({format_bytes_of(own)}) in {seconds(own)}"
    axes.set_title(said, loc="left", color=INK, fontsize=TITLE)
    if not pages:
        say_empty(axes, "nothing written")
        return
    share = raster(own, int(high * _DOT), int(wide * _DOT))
    # A single write among many pages is to be seen too: the square root lifts it.
    shades = _SHADES(np.sqrt(np.nan_to_num(share)))
    shades[share == 0] = (1, 1, 1, 1)
    shades[np.isnan(share)] = to_rgba(_UNSEEN)
    axes.imshow(
        shades,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0, own.trace.duration_ns, 0, pages),
    )
    scale(axes, "x", NS.linear, [own.trace.duration_ns], most=8)
    axes.set_xlim(0, own.trace.duration_ns)
    scale(axes, "y", COUNT, [pages], most=5)
    axes.set_ylim(0, pages)
    axes.set_ylabel("pages, by address")
    for region in names:
        ends = (region.first, region.first + region.pages)
        for end in ends:
            if 0 < end < pages:
                axes.axhline(end, color=FAINT, linewidth=0.4, label="_region")
        axes.annotate(
            region.name,
            (1, region.middle),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )


def _draw_panels(
    figure: Figure,
    own: Overview,
    every: Sequence[Overview],
    left: float,
    top: float,
    step: float,
    size: tuple[float, float],
) -> None:
    for at, panel in enumerate(PANELS):
        axes = place(figure, left + at * step, top, *size)
        axes.set_label(f"{panel.x_label} {own.name}")
        panel.draw(axes, own, every)
        if own is every[0]:
            axes.set_title(panel.title, loc="left", color=INK, fontsize=TITLE)
        if own is every[-1]:
            axes.set_xlabel(panel.x_label)


def _names(every: Sequence[Overview], high: float) -> tuple[list[list[Region]], float]:
    """Of each, the regions that have room for their names, and how wide the names are."""
    found = [labelled(regions(own), max(len(own.written) * _LINE / high, 1)) for own in every]
    return found, text_width((region.name for some in found for region in some), SMALL) + 0.15


def _shades() -> list[Any]:
    return [
        Patch(facecolor=_SHADES(level**0.5), label=words)
        for level, words in ((0.02, "few written"), (0.3, "a third"), (1.0, "all of a spot's pages and ticks"))
    ]


def _keys(every: Sequence[Overview]) -> list[Any]:
    found: list[Any] = []
    if len(every) > 1:
        found.append(Line2D([], [], color=COLOUR, linewidth=1.4, label="this program"))
        found.append(Line2D([], [], color=BEHIND, linewidth=0.7, label="the others"))
    if any(own.slowdowns for own in every):
        for colour, marker, words in ((COLOUR, "o", "time from start to end"), (CPU_COLOUR, "D", "processor time")):
            found.append(Line2D([], [], color=colour, marker=marker, markersize=3.5, linewidth=1.1, label=words))
    return found


def _caption(every: Sequence[Overview]) -> str:
    said = (
        "Maps: only pages that were written while watched, in order of address without what lies between them; names "
        "are those of the mappings. A write is a page's being written within a tick, however often. Distinct pages: "
        "the mean over all intervals of the length, which is how many pages fault in a cycle so long that begins by "
        "arming all; the band has 80 % of consecutive ones."
    )
    if any(own.slowdowns for own in every):
        said += (
            " Slow-down: over the median of the repetitions in which nothing was watched; a dot each, strokes: medians."
        )
    return said


def format_bytes_of(own: Overview) -> str:
    """What its written pages take, to three digits."""
    size = own.written_bytes
    power = max(0, (max(size, 1).bit_length() - 1) // 10 * 10)
    return format_bytes(int(float(f"{size / (1 << power):.3g}") * (1 << power)))


__all__ = ["format_bytes_of", "page_figure"]
