"""How the same claim came out on each machine: a figure and a table that come by themselves where several have it.

All other figures are of one machine. This one holds ratios alone, each within a machine, so that what is side by side
may be: its bars are spreads over machines, which no number of invocations on one of them can give.
"""

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table
from rich.text import Text

from gcbarrier.report.axes import scale
from gcbarrier.report.differing import pair_words, workload_words
from gcbarrier.report.footer import about
from gcbarrier.report.grammar import BARRIER
from gcbarrier.report.layout import place, text_width
from gcbarrier.report.looks import Look, palette
from gcbarrier.report.page import MARGIN, plain_page
from gcbarrier.report.style import INK, RC, SMALL, TITLE, styled
from gcbarrier.report.text import fold
from gcbarrier.report.units import DASH, RATIO, TIMES
from gcbarrier.results.across import Against, Shared, bill, hosts, shared, stops, throughput
from gcbarrier.results.lost import departed
from gcbarrier.results.run import Run
from gcbarrier.results.spread import Spread

_WIDTH, _GAP, _ROW, _HEAD, _AXIS = 2.0, 0.3, 0.34, 0.42, 0.34  # inches
_BAR = "#d8d8d8"
_CLAIMS: Mapping[str, Against] = {
    f"all stops of a cycle, {TIMES} none's": stops,
    f"throughput, {TIMES} none's": throughput,
    f"the whole CPU bill, {TIMES} none's": bill,
}


def machines_figure(run: Run) -> Figure | None:
    """A row for each barrier, a dot for each machine: what it is against that machine's own baseline.

    None where no two machines (emulated ones aside) have run the same configuration and a baseline for it.
    """
    found = shared(run)
    if not found:
        return None
    with styled():
        return _draw(run, found)


def machines_table(run: Run) -> Table | None:
    """The figure's numbers: over the machines the geometric mean, and the least and the greatest; None likewise."""
    found = shared(run)
    if not found:
        return None
    table = Table(title=Text(_heading(run, _machines(found))), box=None, title_justify="left")
    claims = _there(found)
    for head in ("workload", "barrier", "machines"):
        table.add_column(head, no_wrap=True)
    for head in claims:
        table.add_column(head, justify="right", no_wrap=True)
    for title, group in _groups(found):
        names = _names(group)
        for one, name in zip(group, names, strict=True):
            said = [_words(one.over(claim)) for claim in claims.values()]
            table.add_row(Text(title), Text(name), str(len(one.cells)), *said)
    return table


def _draw(run: Run, found: Sequence[Shared]) -> Figure:
    machines, claims, groups = _machines(found), _there(found), list(_groups(found))
    looks = palette(machines)
    labels = text_width((name for _, group in groups for name in _names(group)), RC["ytick.labelsize"]) + 0.15
    words = text_width((_words(one.over(claim)) for one in found for claim in claims.values()), SMALL) + 0.15
    heights = [_ROW * len(group) for _, group in groups]
    figure, top = plain_page(
        _heading(run, machines),
        lambda letters: "\n".join(_small_print(run, found, machines, letters)),
        width=MARGIN + labels + len(claims) * (_WIDTH + words + _GAP),
        height=sum(heights) + (_HEAD + _AXIS) * len(heights),
        handles=[_keys(looks)],
        remarks=[_caption(run, machines)],
    )
    for (title, group), height in zip(groups, heights, strict=True):
        for column, (name, claim) in enumerate(claims.items()):
            left = MARGIN + labels + column * (_WIDTH + words + _GAP)
            axes = place(figure, left, top + _HEAD, _WIDTH, height)
            axes.set_label(f"{name} {title}")
            axes.set_title(f"{title}\n{name}" if not column else name, loc="left", color=INK, fontsize=TITLE)
            rows = _names(group)
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_yticks(range(len(rows)), rows if not column else [""] * len(rows))
            axes.tick_params(axis="y", length=0)
            _draw_claim(axes, group, claim, looks)
        top += _HEAD + height + _AXIS
    return figure


def _draw_claim(axes: Axes, group: Sequence[Shared], claim: Against, looks: Mapping[str, Look]) -> None:
    each = [one.each(claim) for one in group]
    edges = [edge for values in each for value in values.values() for edge in (value.low, value.high)]
    # Stops are bought down by orders of magnitude; the others lie around what they are compared with.
    scale(axes, "x", RATIO.log if claim is stops else RATIO, edges, most=4)
    axes.axvline(1, color=INK, linewidth=0.6, linestyle=(0, (1, 2)), label="_none")
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.grid(axis="x")
    for row, (one, values) in enumerate(zip(group, each, strict=True)):
        over = one.over(claim)
        if not over:
            continue
        if len(over.each) > 1:
            axes.plot([over.low, over.high], [row, row], color=_BAR, linewidth=7, solid_capstyle="butt", label="_over")
        axes.plot([over.centre] * 2, [row - 0.3, row + 0.3], color=INK, linewidth=1.2, label="_centre")
        for at, name in enumerate(looks):
            if name in values:
                value, look = values[name], looks[name]
                where = row + 0.5 * ((at + 0.5) / len(looks) - 0.5)
                axes.plot([value.low, value.high], [where] * 2, color=look.colour, linewidth=0.7, label="_invocations")
                axes.plot(value.centre, where, color=look.colour, marker=look.marker, markersize=4, label=name)
        axes.annotate(
            _words(over),
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )


def _machines(found: Sequence[Shared]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in found for name in one.cells))


def _there(found: Sequence[Shared]) -> dict[str, Against]:
    """The claims that at least one configuration makes."""
    return {name: claim for name, claim in _CLAIMS.items() if any(one.each(claim) for one in found)}


def _groups(found: Sequence[Shared]) -> Iterator[tuple[str, list[Shared]]]:
    """By workload, with its title."""
    keys = list(dict.fromkeys(one.workload for one in found))
    groups = [[one for one in found if one.workload == key] for key in keys]
    firsts = [group[0].config for group in groups]
    for group, config in zip(groups, firsts, strict=True):
        size = f"{config.heap_times:g}{TIMES} the smallest heap" if config.minheap_bytes else config.size
        yield ", ".join([config.heap, size, *workload_words(config, firsts)]), group


def _names(group: Sequence[Shared]) -> list[str]:
    """Of its rows: what was swept tells apart those that have one name."""
    cells = [next(iter(one.cells.values())) for one in group]
    names, told = BARRIER.names(cells), pair_words([cell.config for cell in cells])
    return [", ".join(filter(None, [names[id(cell)], told[cell.config]])) for cell in cells]


def _words(value: Spread) -> str:
    if not value:
        return DASH
    centre, low, high = (RATIO.words(each, 3) for each in (value.centre, value.low, value.high))
    return centre if len(value.each) < 2 else f"{centre} ({low} {DASH} {high})"


def _heading(run: Run, machines: tuple[str, ...]) -> str:
    where = f"{len(machines)} machines" if len(hosts(run, machines)) > 1 else f"{len(machines)} workers of ONE host"
    return f"Against the baseline of the same machine, on {where}: {', '.join(machines)}"


def _keys(looks: Mapping[str, Look]) -> list[Line2D]:
    found = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=4, linewidth=0.7, label=name)
        for name, look in looks.items()
    ]
    return [*found, Line2D([], [], color=_BAR, linewidth=7, label="over the machines")]


def _caption(run: Run, machines: tuple[str, ...]) -> str:
    on = hosts(run, machines)
    said = (
        "Dots: one per machine, its invocations' centre over its own baseline's; thin lines reach from its least to "
        "its greatest invocation. Strokes: the geometric mean of the machines. "
    )
    if len(on) == 1:
        return said + (
            f"Bars: from the least to the greatest of {len(machines)} that share ONE host: how well it repeats there, "
            "and nothing of other machines."
        )
    said += f"Bars: from the least to the greatest machine, a spread over {len(on)} machines and not over invocations."
    together = [" and ".join(group) for group in on if len(group) > 1]
    return said + "".join(f" {names} share a host." for names in together)


def _small_print(run: Run, found: Sequence[Shared], machines: Sequence[str], letters: int) -> Iterator[str]:
    for name in machines:
        counts = [len(one.cells[name].good) for one in found if name in one.cells]
        each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)}{DASH}{max(counts)}"
        yield from fold([f"machine {name}", *about(run.facts(name)), f"{each} invocations per configuration"], letters)
    yield from fold([*departed(run), run.experiment], letters)


__all__ = ["machines_figure", "machines_table"]
