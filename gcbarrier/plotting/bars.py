"""The panels with a row for each barrier: what a pause is made of, and what the mutators paid."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes

from gcbarrier.metrics import PHASES, Cell, Spread, phase_split
from gcbarrier.plotting.distribution import say_empty
from gcbarrier.plotting.style import DASH, FAINT, INK, PHASE_COLOURS, format_ns

_BAR = 0.74


def draw_rows(axes: Axes, cells: Sequence[Cell], colours: Mapping[str, str], *, labels: bool) -> None:
    """Give the y axis a row for each cell, the first on top, named in its barrier's colour if ``labels``."""
    axes.set_ylim(len(cells) - 0.45, -0.55)
    axes.set_yticks(range(len(cells)))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not labels:
        axes.set_yticklabels([])
        return
    axes.set_yticklabels([f"{cell.config.barrier}\n{cell.config.collector}" for cell in cells])
    for tick, cell in zip(axes.get_yticklabels(), cells, strict=True):
        tick.set_color(colours[cell.config.barrier])


def draw_phases(axes: Axes, cells: Sequence[Cell], colours: Mapping[str, str]) -> None:
    """What the typical pause of each cell and kind is made of, in per cent, with its length in words beside it.

    Shares and not lengths: next to a stop-the-world pause the bar of a short one would be too short to be divided.
    The words are the median of the invocations' medians, their range in brackets, and the number of pauses.
    """
    draw_rows(axes, cells, colours, labels=True)
    axes.set_xlim(0, 205)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.spines["bottom"].set_bounds(0, 100)
    axes.set_xlabel("share of the median pause", x=0.24)
    for row, cell in enumerate(cells):
        for slot, kind in enumerate(cell.kinds):
            height = _BAR / len(cell.kinds)
            y = row - _BAR / 2 + (slot + 0.5) * height
            split = phase_split(cell.pauses(kind))
            left = 0.0
            for phase, part in zip((*PHASES, "other"), split, strict=True):
                width = 100 * part / split.sum() if split.sum() else 0.0
                colour = PHASE_COLOURS[phase]
                axes.barh(y, width, height * 0.9, left=left, color=colour, edgecolor="white", linewidth=0.4)
                left += width
            medians = cell.medians(kind)
            text = f"{kind} {format_ns(medians.centre)}"
            if len(medians.each) > 1:
                text += f"  [{format_ns(medians.low)} {DASH} {format_ns(medians.high)}]"
            text += f"  n = {len(cell.pauses(kind))}"
            axes.text(103, y, text, va="center", ha="left", fontsize=6.8, color=INK)
        if not cell.kinds:
            why = "no pauses recorded" if cell.good else "failed: see below"
            axes.text(1, row, why, va="center", ha="left", fontsize=6.8, color=FAINT)


def draw_cost(
    axes: Axes,
    cells: Sequence[Cell],
    colours: Mapping[str, str],
    *,
    cost: Callable[[Cell], Spread],
    label: str,
    form: Callable[[float], str],
    reference: float | None,
) -> None:
    """One number per invocation as dots, with their centre in words above and a line over their range.

    ``reference`` draws a vertical line (the baseline at 1); None starts the axis at 0 instead.
    """
    draw_rows(axes, cells, colours, labels=False)
    spreads = [cost(cell) for cell in cells]
    seen = [value for one in spreads for value in one.each]
    if not seen:
        say_empty(axes, "no baseline\n(none)" if reference is not None else "no operations")
        axes.spines["bottom"].set_visible(False)
        return
    for row, (cell, one) in enumerate(zip(cells, spreads, strict=True)):
        colour = colours[cell.config.barrier]
        if not one:
            continue
        axes.plot([one.low, one.high], [row, row], color=colour, linewidth=1, zorder=2)
        axes.plot(one.each, [row] * len(one.each), "o", markersize=3.5, color=colour, alpha=0.55, mew=0, zorder=3)
        axes.plot(one.centre, row, "|", markersize=10, color=colour, mew=1.8, zorder=4)
        axes.annotate(
            form(one.centre),
            (one.centre, row),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6.8,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    low, high = min(seen), max(seen)
    if reference is None:
        axes.set_xlim(-0.12 * (high or 1), 1.25 * (high or 1))
    else:
        low, high = min(low, reference), max(high, reference)
        # Noise of a few per mille is not to fill the panel.
        margin = max(0.25 * (high - low), 0.03)
        axes.set_xlim(low - margin, high + margin)
        axes.axvline(reference, color=FAINT, linewidth=0.7, zorder=1)
    axes.locator_params(axis="x", nbins=3)
    axes.grid(axis="x")
    axes.set_xlabel(label)


__all__ = ["draw_cost", "draw_phases", "draw_rows"]
