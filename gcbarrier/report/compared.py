"""Two runs beside each other as a figure: a panel for each measure, a row for each configuration, ratios around 1."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcbarrier.report.axes import scale
from gcbarrier.report.compared_table import how, sentences, times
from gcbarrier.report.layout import place, text_width
from gcbarrier.report.page import MARGIN, plain_page
from gcbarrier.report.style import FAINT, INK, RC, SMALL, TITLE, styled
from gcbarrier.report.text import fold
from gcbarrier.report.units import DASH, RATIO
from gcbarrier.results.compared import Compared, Ratio

_COLOURS = {"worse": "#D55E00", "better": "#0072B2", "chance": "#8a8a8a", "unknown": "#8a8a8a"}
_SAID = {
    "worse": "worse",
    "better": "better",
    "chance": "hollow: could be chance",
    "unknown": "dashed: a range of too few invocations",
}
_PANEL, _GAP, _WORDS, _ROW, _HEADING, _X_LABEL, _RIGHT = 1.5, 0.16, 0.5, 0.27, 0.4, 0.36, 0.2
_ACROSS = 6
"""Panels beside each other; more begin another line."""
_WIDE = 3
"""Times between the ends of what is drawn, from which on half and twice are to look alike."""


def figures(found: Compared) -> dict[str, Figure]:
    """One for each machine, by ``compare-<experiment>-<machine>``."""
    machines = dict.fromkeys(one.machine for one in found.ratios)
    return {f"compare-{found.experiment}-{machine}": _figure(found, machine) for machine in machines}


@frozen(kw_only=True)
class _Lines:
    """Panels in lines, all with the same rows."""

    rows: Sequence[str]
    panels: Sequence[tuple[str, Mapping[str, Ratio]]]
    """The title of each, and by row what is in it."""

    @property
    def names(self) -> float:
        return text_width(self.rows, RC["ytick.labelsize"]) + 0.15

    @property
    def across(self) -> int:
        return min(_ACROSS, len(self.panels))

    @property
    def width(self) -> float:
        return MARGIN + self.names + self.across * (_PANEL + _WORDS + _GAP) + _RIGHT

    @property
    def height(self) -> float:
        return max(_ROW * len(self.rows), 0.6)

    @property
    def line(self) -> float:
        return _HEADING + self.height + _X_LABEL

    @property
    def lines(self) -> int:
        return -(-len(self.panels) // _ACROSS)


def _figure(found: Compared, machine: str) -> Figure:
    ratios = [one for one in found.ratios if one.machine == machine]
    titles = dict.fromkeys(one.title for one in ratios)
    rows = tuple(dict.fromkeys(one.what for one in ratios))
    panels = [(title, {one.what: one for one in ratios if one.title == title}) for title in titles]
    lines = _Lines(rows=rows, panels=panels)
    with styled():
        figure, top = plain_page(
            _heading(found, machine),
            lambda letters: _small_print(found, letters),
            width=lines.width,
            height=lines.lines * lines.line,
            handles=[_keys(ratios)],
            remarks=[how(found)] if found.told else [],
        )
        for at, (title, mine) in enumerate(panels):
            down, right = divmod(at, _ACROSS)
            left = MARGIN + lines.names + right * (_PANEL + _WORDS + _GAP)
            axes = place(figure, left, top + down * lines.line + _HEADING, _PANEL, lines.height)
            axes.set_label(title)
            _draw(axes, title, rows, mine, named=right == 0)
    return figure


def _heading(found: Compared, machine: str) -> str:
    if found.a == found.b:
        return f"{found.experiment} by {found.by}: what the arrow leads to over what it comes from. Machine: {machine}"
    return f"{found.experiment}: B over A; right of 1 B is worse. Machine: {machine}"


def _draw(axes: Axes, title: str, rows: Sequence[str], ratios: Mapping[str, Ratio], *, named: bool) -> None:
    axes.set_title("\n".join(wrap(title, 30)), loc="left", color=INK, fontsize=TITLE)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), rows if named else [""] * len(rows))
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=SMALL)
    drawn = [one for one in ratios.values() if one.ratio.centre == one.ratio.centre]
    edges = [edge for one in drawn for edge in (one.ratio.low, one.ratio.centre, one.ratio.high) if edge > 0]
    seen = [1.0, *edges]
    scale(axes, "x", RATIO.log if max(seen) > _WIDE * min(seen) else RATIO, seen, most=4)
    axes.axvline(1.0, color=FAINT, linewidth=0.8, zorder=1)
    axes.grid(axis="x")
    for what, one in ratios.items():
        at, colour = rows.index(what), _COLOURS[one.verdict]
        if one.ratio.centre == one.ratio.centre:
            dashes = "-" if one.ratio.kind == "interval" else (0, (2, 2))
            axes.plot([one.ratio.low, one.ratio.high], [at, at], color=colour, linewidth=1.2, linestyle=dashes)
            fill = colour if one.verdict in ("worse", "better") else "white"
            axes.plot(one.ratio.centre, at, "o", color=colour, markerfacecolor=fill, markersize=4.5, label=what)
        axes.annotate(
            times(one),
            (1.0, at),
            xytext=(4, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=colour if one.verdict in ("worse", "better") else INK,
            annotation_clip=False,
        )


def _keys(ratios: Sequence[Ratio]) -> list[Line2D]:
    found = []
    for verdict, said in _SAID.items():
        if any(one.verdict == verdict for one in ratios):
            fill = _COLOURS[verdict] if verdict in ("worse", "better") else "white"
            sample = Line2D([], [], color=_COLOURS[verdict], marker="o", markersize=4.5, linewidth=1.2)
            sample.set_linestyle((0, (2, 2)) if verdict == "unknown" else "-")
            sample.set_markerfacecolor(fill)
            sample.set_label(said)
            found.append(sample)
    return found


def _small_print(found: Compared, letters: int) -> str:
    said = [line.rstrip(".") for line in sentences(found) if line != how(found)]
    if found.a != found.b:
        said.insert(0, f"A = {found.a}, B = {found.b}")
        said += [
            f"{one.what}: {one.a or DASH} in A, {one.b or DASH} in B" for one in (*found.differences, *found.temper)
        ]
    return "\n".join(fold(said, letters))


__all__ = ["figures"]
