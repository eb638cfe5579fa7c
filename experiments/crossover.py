"""From how many stores to a page on does a page-table barrier cost its mutator less than a software one?

A page-table barrier takes a fault at the first store to a page in a cycle and nothing after it; a software barrier
takes a few instructions at every store. So the barrier is armed, some pages get 1 to 100,000 stores each, and the time
per store is drawn against that. Where two curves cross the barriers cost their mutators the same. What the collector
pays for arming and collecting is not in it: ``barrier_costs`` has that. In the lab instructions are counted. Left out
are prototypes, whose time is Python's, and ``fork-cow``, which reports nothing.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, log
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.bench.costs import is_software, measurable
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Machine, Probe
from gcbarrier.report.looks import sort_key
from gcbarrier.report.sheet import MARKERS, agreement, cost_axis, format_cost, sheet, spread_remark
from gcbarrier.report.style import DASH, FAINT, INK, SMALL, barrier_colours, format_number, styled
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

MIB = 1 << 20
QUICK = "1 10 100 1000 10000 100000"
FULL = "1 3 10 30 100 300 1000 3000 10000 30000 100000"


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier that is here and can be measured by itself."""
    budget_s = 0.005 if machine.emulated else 0.02 if quick else 0.15
    # A few million instructions a section: emulated, that is long enough to wait for.
    most = 1 << 17 if machine.emulated else 1 << 20
    arguments: dict[str, Any] = {"rates": QUICK if quick else FULL, "budget_s": budget_s, "most_stores": most}
    probes = [
        Probe(function="gcbarrier.bench.costs:store_rates", barrier=name, heap_bytes=4 * MIB, arguments=arguments)
        for name in measurable()
    ]
    return Plan(probes=tuple(probes), invocations=2 if machine.emulated else 1 if quick else 3, counted=True)


def crossing(page: Mapping[float, float], software: Mapping[float, float]) -> float:
    """The stores per page from which on the page barrier costs less; interpolated between what was measured.

    Both map stores per page to the cost of one. 0 where the page barrier never cost more, infinity where it still does
    at the last rate.
    """
    over = [(rate, log(page[rate] / software[rate])) for rate in sorted(page) if rate in software]
    last = max((index for index, (_, excess) in enumerate(over) if excess > 0), default=None)
    if last is None:
        return 0.0
    if last == len(over) - 1:
        return float("inf")
    (left, above), (right, below) = over[last], over[last + 1]
    share = above / (above - below)
    return exp(log(left) + share * (log(right) - log(left)))


def crossings(found: Sequence[Point]) -> dict[tuple[str, str], float]:
    """:func:`crossing` of every page barrier with every software one."""
    curves = _curves(found)
    tracking = [name for name in curves if name != "none"]
    return {
        (page, software): crossing(curves[page], curves[software])
        for page in tracking
        for software in tracking
        if not is_software(page) and is_software(software)
    }


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """For each machine the cost of a store at every rate, and the crossings in stores per page."""
    return Group(*(each for machine in run.machines for each in _tables(run, machine))) if run.machines else Text("")


def _curves(found: Sequence[Point]) -> dict[str, dict[float, float]]:
    curves: dict[str, dict[float, float]] = {}
    for point in found:
        curves.setdefault(point.barrier, {})[point.x] = point.value.centre
    return {name: curves[name] for name in sorted(curves, key=sort_key)}


def _figure(run: Run, machine: str) -> Figure:
    found = points(run, machine)
    curves = _curves(found)
    colours = barrier_colours(curves)
    unit = found[0].unit if found else "ns"
    handles = [
        Line2D(
            [], [], color=colours[name], marker=MARKERS[index % len(MARKERS)], markersize=4, label=name, **_line(name)
        )
        for index, name in enumerate(curves)
    ]
    with styled():
        figure, (axes, chart) = sheet(
            run,
            machine,
            "From how many stores to a page on is a fault the cheaper barrier?",
            left=0.7,
            widths=(5.4, 2.6),
            height=3.9,
            gap=1.75,
            handles=handles,
            remarks=[*agreement(found), f"{spread_remark(found)} Dashed: software barriers. Crosses: crossings."],
        )
        axes.set_label("curves")
        chart.set_label("crossings")
        for index, (name, curve) in enumerate(curves.items()):
            mine = sorted((point for point in found if point.barrier == name), key=lambda point: point.x)
            low, high = [point.low for point in mine], [point.high for point in mine]
            axes.fill_between([p.x for p in mine], low, high, color=colours[name], alpha=0.12, linewidth=0)
            axes.plot(
                list(curve),
                list(curve.values()),
                color=colours[name],
                marker=MARKERS[index % len(MARKERS)],
                markersize=4,
                linewidth=1.2,
                label=name,
                **_line(name),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: format_number(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        cost_axis(axes.yaxis, unit)
        axes.grid()
        axes.set_xlabel("stores to each page since it was armed")
        axes.set_title("cost of a store, the fault included", loc="left", color=INK)
        crossed = crossings(found)
        for (_, software), rate in crossed.items():
            if 0 < rate < float("inf"):
                axes.plot(rate, _at(curves[software], rate), "x", color=INK, markersize=5, mew=1.1, zorder=5)
        _draw_crossings(chart, crossed, colours)
    return figure


def _line(name: str) -> dict[str, Any]:
    return {"linestyle": (0, (4, 2)) if is_software(name) else "-"}


def _at(curve: Mapping[float, float], rate: float) -> float:
    """The curve between its points, as straight as it is drawn."""
    for (left, low), (right, high) in pairwise(sorted(curve.items())):
        if left <= rate <= right:
            return exp(log(low) + (log(high) - log(low)) * log(rate / left) / log(right / left))
    return float("nan")


def _draw_crossings(axes: Any, crossed: Mapping[tuple[str, str], float], colours: Mapping[str, str]) -> None:
    """A row for each page barrier, a mark in each software barrier's colour where it is overtaken."""
    pages = list(dict.fromkeys(page for page, _ in crossed))
    software = list(dict.fromkeys(name for _, name in crossed))
    rows = [(page, name) for page in pages for name in software]
    axes.set_ylim(max(len(rows), 4) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [f"{page} / {name}" for page, name in rows], fontsize=SMALL)
    axes.tick_params(axis="y", length=0)
    axes.set_xscale("log")
    axes.set_xlim(0.7, 3e6)
    for row, pair in enumerate(rows):
        rate = crossed[pair]
        if 0 < rate < float("inf"):
            axes.plot(rate, row, "x", color=colours[pair[1]], markersize=5, mew=1.4, label=" / ".join(pair))
        axes.annotate(
            say(rate),
            (rate if 0 < rate < float("inf") else 1.0, row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK if 0 < rate < float("inf") else FAINT,
        )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: format_number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([1, 100, 10_000, 1_000_000])
    axes.grid(axis="x")
    axes.set_xlabel("stores to each page")
    axes.set_title("page barrier cheaper from here on", loc="left", color=INK)


def say(rate: float) -> str:
    """A crossing in words."""
    if rate == 0:
        return "always cheaper"
    # Two digits: between measured rates it is a straight line on logarithmic paper.
    return "not up to 100,000" if rate == float("inf") else f"{float(f'{rate:.2g}'):,.0f}"


def _tables(run: Run, machine: str) -> list[RenderableType]:
    found = points(run, machine)
    curves, unit = _curves(found), found[0].unit if found else "ns"
    rates = sorted({rate for curve in curves.values() for rate in curve})
    costs = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    costs.add_column("stores to each page", no_wrap=True)
    for rate in rates:
        costs.add_column(format_number(rate), justify="right")
    for name, curve in curves.items():
        costs.add_row(name, *(format_cost(curve[rate], unit) if rate in curve else DASH for rate in rates))
    crossed = crossings(found)
    software = list(dict.fromkeys(name for _, name in crossed))
    where = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    where.add_column("cheaper from … stores to each page on, than", no_wrap=True)
    for name in software:
        where.add_column(name, justify="right")
    for page in dict.fromkeys(page for page, _ in crossed):
        where.add_row(page, *(say(crossed[page, name]) for name in software))
    failed = [Text(f"failed: {one.probe.label} #{one.index}: {one.error}") for one in run.found(machine) if one.error]
    return [Text(machine), costs, Text(), where, *map(Text, agreement(found)), *failed, Text()]
