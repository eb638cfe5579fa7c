"""The panels with a row for each barrier: what a pause is made of, and what the mutators paid."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes

from gcbarrier.report.axes import scale
from gcbarrier.report.differing import pair_words
from gcbarrier.report.distribution import say_empty
from gcbarrier.report.grammar import Measure
from gcbarrier.report.shown import note
from gcbarrier.report.style import FAINT, INK, PHASE_COLOURS, SMALL
from gcbarrier.report.units import DASH, RATIO, TIMES, format_ns
from gcbarrier.results import PAUSE_PHASES, Cell, phase_split

_BAR = 0.78
_ROW, _LINE, _LABEL = 0.48, 0.13, 0.3  # inches; a label's per line after the first
_ROWS = 3  # at least, or the bars of a single barrier would fill its panel


Colour = Callable[[Cell], str]


def rows_height(cells: Sequence[Cell]) -> float:
    """Of all rows, in inches: as many lines of words as the longest has stand in each without touching."""
    row = max(_ROW, max((len(words(cell)) for cell in cells), default=1) * _LINE / _BAR)
    row = max(row, max((label.count("\n") for label in row_labels(cells)), default=1) * _LABEL)
    return row * (max(len(cells), _ROWS) + 0.1)


def row_labels(cells: Sequence[Cell]) -> list[str]:
    """The names of rows, on two lines; on a third what parameters tell a pair from itself."""
    told = pair_words([cell.config for cell in cells])
    return ["\n".join(filter(None, [cell.config.barrier, cell.config.collector, told[cell.config]])) for cell in cells]


def words(cell: Cell) -> list[str]:
    """What is said beside the bars of ``cell``: one text for each kind of pause, then what else stopped mutators.

    The median of the invocations' medians with its interval or their range, and the number of pauses. For a cell that
    stops its mutators in several ways there is the time that a whole cycle stops them; waits for memory are no pauses,
    and are named where there were any.
    """
    texts = []
    for kind in cell.kinds:
        medians = cell.medians(kind)
        note(cell, f"{kind} pause", medians)
        text = f"{kind} {format_ns(medians.centre)}"
        if len(medians.each) > 1:
            text += f"  [{format_ns(medians.low)} {DASH} {format_ns(medians.high)}]"
        texts.append(f"{text}  n = {len(cell.pauses(kind))}")
    if len(cell.kinds) > 1:
        texts.append(f"stopped {format_ns(cell.stopped().centre)} per cycle")
    if len(stalls := cell.stalls_ns):
        plural = "s" if len(stalls) > 1 else ""
        texts.append(f"and {len(stalls)} stall{plural} for memory, worst {format_ns(stalls.max())}")
    return texts


def draw_rows(axes: Axes, cells: Sequence[Cell], colour_of: Colour, *, labels: bool) -> None:
    """Give the y axis a row for each cell, the first on top, named in its barrier's colour if ``labels``."""
    axes.set_ylim(max(len(cells), _ROWS) - 0.45, -0.55)
    axes.set_yticks(range(len(cells)))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not labels:
        axes.set_yticklabels([])
        return
    axes.set_yticklabels(row_labels(cells))
    for tick, cell in zip(axes.get_yticklabels(), cells, strict=True):
        tick.set_color(colour_of(cell))


def draw_phases(axes: Axes, cells: Sequence[Cell], colour_of: Colour) -> None:
    """What the typical pause of each cell and kind is made of, in per cent, with :func:`words` beside it.

    Shares and not lengths: next to a stop-the-world pause the bar of a short one would be too short to be divided.
    """
    draw_rows(axes, cells, colour_of, labels=True)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    for row, cell in enumerate(cells):
        texts = words(cell)
        for slot, text in enumerate(texts):
            height = _BAR / len(texts)
            y = row - _BAR / 2 + (slot + 0.5) * height
            if slot < len(cell.kinds):
                _draw_split(axes, cell, cell.kinds[slot], y, height * 0.9)
            axes.text(
                1.03, y, text, transform=axes.get_yaxis_transform(), va="center", ha="left", fontsize=SMALL, color=INK
            )
        if not cell.kinds:
            why = "no pauses recorded" if cell.good else "failed: see below"
            axes.text(1, row, why, va="center", ha="left", fontsize=SMALL, color=FAINT)


def _draw_split(axes: Axes, cell: Cell, kind: str, y: float, height: float) -> None:
    split = phase_split(cell.pauses(kind))
    left = 0.0
    for phase, part in zip((*PAUSE_PHASES, "other"), split, strict=True):
        width = 100 * part / split.sum() if split.sum() else 0.0
        colour = PHASE_COLOURS[phase]
        axes.barh(
            y,
            width,
            height,
            left=left,
            color=colour,
            edgecolor="white",
            linewidth=0.4,
            label=f"{cell.label} {kind} {phase}",
        )
        left += width


def draw_cost(
    axes: Axes, cells: Sequence[Cell], colour_of: Colour, measure: Measure, shared: Sequence[float] = ()
) -> None:
    """One number per invocation as dots, with their centre in words above and a line over its interval or their range.

    The axis shows what is ``shared`` with other rows as well. Of a ratio the baseline at 1 is drawn.
    """
    ratio = measure.unit_of(cells) is RATIO
    draw_rows(axes, cells, colour_of, labels=False)
    spreads = [measure.value(cell) for cell in cells]
    seen = [value for one in spreads if one for value in (*one.each, one.low, one.high)]
    if not seen:
        say_empty(axes, "no baseline\n(none)" if ratio else "no operations")
        axes.spines["bottom"].set_visible(False)
        return
    for row, (cell, one) in enumerate(zip(cells, spreads, strict=True)):
        colour = colour_of(cell)
        note(cell, measure.title, one)
        if not one:
            continue
        axes.plot([one.low, one.high], [row, row], color=colour, linewidth=1, zorder=2)
        dots: dict[str, Any] = {
            "markersize": 3.5,
            "color": colour,
            "alpha": 0.55,
            "mew": 0,
            "zorder": 3,
            "label": cell.label,
        }
        axes.plot(one.each, [row] * len(one.each), "o", **dots)
        axes.plot(one.centre, row, "|", markersize=10, color=colour, mew=1.8, zorder=4)
        axes.annotate(
            measure.unit_of(cells).words(one.centre) + TIMES * ratio,
            (one.centre, row),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    # Room for the words above the outermost dots.
    scale(axes, "x", measure.unit_of(cells), shared or [*seen, -0.1 * max(seen)], most=4, room=0.0 if ratio else 0.1)
    if ratio:
        axes.axvline(1.0, color=FAINT, linewidth=0.7, zorder=1)
    axes.grid(axis="x")


__all__ = [
    "Colour",
    "draw_cost",
    "draw_phases",
    "draw_rows",
    "row_labels",
    "rows_height",
    "words",
]
