"""What do a store, the first store to a page, arming and collecting cost under each barrier?

Each barrier by itself, without a heap's cycle: page-table barriers and software ones side by side, with ``none`` as the
plain store. Natively in nanoseconds; and in the lab, whose guest counts them, in instructions, which repeat from boot
to boot where emulated times would not. Collecting re-arms what it reports; it is measured from a hundredth of a per
cent of the pages to all of them, each written once. Left out are prototypes, whose time is Python's, and ``fork-cow``,
whose collect is a forked child's whole marking.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.bench.costs import measurable
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Machine, Probe, format_bytes
from gcbarrier.report.layout import text_width
from gcbarrier.report.looks import sort_key
from gcbarrier.report.sheet import MARKERS, agreement, cost_axis, format_cost, sheet, spread_remark
from gcbarrier.report.style import INK, RC, SMALL, barrier_colours, styled
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

MIB = 1 << 20
QUICK = "0.03 1 10 100"
FULL = "0.01 0.03 0.1 0.3 1 3 10 30 100"
ROWS = {
    "store": "a store",
    "first-store": "the first store to a page\nsince it was armed",
    "arm": "arming all of it",
}


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier that is here and can be measured by itself; the emulated memory is smaller."""
    arguments: dict[str, Any] = {"densities": QUICK if quick else FULL, "budget_s": 0.02 if quick else 0.15}
    heap_bytes = (4 if quick else 16) * MIB if machine.emulated else (16 if quick else 64) * MIB
    if machine.emulated:
        # What repeats need not be repeated often.
        arguments |= {"budget_s": 0.005, "least": 3}
    probes = [
        Probe(function="gcbarrier.bench.costs:operations", barrier=name, heap_bytes=heap_bytes, arguments=arguments)
        for name in measurable()
    ]
    # Two boots, or nobody would know whether counts repeat.
    return Plan(probes=tuple(probes), invocations=2 if machine.emulated else 1 if quick else 3, counted=True)


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A table for each machine: medians over the invocations of each one's median (least, where it is counted)."""
    return Group(*(each for machine in run.machines for each in _table(run, machine))) if run.machines else Text("")


def _figure(run: Run, machine: str) -> Figure:
    found = points(run, machine)
    colours = barrier_colours({point.barrier for point in found})
    names = sorted(colours, key=sort_key)
    with styled():
        figure, panels = sheet(
            run,
            machine,
            "What a barrier costs by itself.",
            left=text_width(names, RC["ytick.labelsize"]) + 0.12,
            widths=(1.75, 1.75, 1.75, 4.0),
            height=max(0.3 * len(names), 2.4),
            gap=0.45,
            handles=[
                Line2D(
                    [],
                    [],
                    color=colours[name],
                    marker=MARKERS[names.index(name) % len(MARKERS)],
                    markersize=4,
                    label=name,
                )
                for name in names
            ],
            remarks=[*agreement(found), spread_remark(found)],
        )
        for axes, what in zip(panels, ROWS, strict=False):
            axes.set_label(what)
            _draw_dots(axes, [point for point in found if point.what == what], names, colours)
            axes.set_title(ROWS[what], loc="left", color=INK, fontsize=RC["axes.labelsize"])
        panels[0].set_yticks(range(len(names)), names)
        for tick, name in zip(panels[0].get_yticklabels(), names, strict=True):
            tick.set_color(colours[name])
        panels[-1].set_label("collect")
        # Room for its axis' labels.
        box = panels[-1].get_position()
        panels[-1].set_position((box.x0 + 0.03, box.y0, box.width - 0.03, box.height))
        _draw_curves(panels[-1], [point for point in found if point.what == "collect"], names, colours)
    return figure


def _draw_dots(axes: Axes, found: Sequence[Point], names: Sequence[str], colours: dict[str, str]) -> None:
    axes.set_xscale("log")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [""] * len(names))
    axes.tick_params(axis="y", length=0)
    for point in found:
        row, colour = names.index(point.barrier), colours[point.barrier]
        axes.plot([point.low, point.high], [row, row], color=colour, linewidth=1)
        axes.plot(point.value.centre, row, "o", color=colour, markersize=4.5, label=point.barrier)
        axes.annotate(
            format_cost(point.value.centre, point.unit),
            (max(point.value.centre, point.high), row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    if found:
        low, high = min(point.low for point in found), max(point.high for point in found)
        # Room for the words on the right.
        axes.set_xlim(low / 2, high * (max(high / low, 10) ** 0.6) * 2)
        cost_axis(axes.xaxis, found[0].unit)
        _thin(axes)
    axes.grid(axis="x")


def _thin(axes: Axes) -> None:
    """As many labels as a narrow panel has room for."""
    low, high = axes.get_xlim()
    first, last = int(np.ceil(np.log10(low))), int(np.floor(np.log10(high)))
    step = max(1, -(-(last - first + 1) // 3))
    axes.set_xticks([10.0**power for power in range(first, last + 1, step)])


def _draw_curves(axes: Axes, found: Sequence[Point], names: Sequence[str], colours: dict[str, str]) -> None:
    for name in names:
        mine = sorted((point for point in found if point.barrier == name), key=lambda point: point.x)
        if not mine:
            continue
        x = [point.x for point in mine]
        axes.fill_between(
            x, [p.low for p in mine], [p.high for p in mine], color=colours[name], alpha=0.15, linewidth=0
        )
        marker = MARKERS[names.index(name) % len(MARKERS)]
        y = [point.value.centre for point in mine]
        axes.plot(x, y, color=colours[name], marker=marker, markersize=4, linewidth=1.2, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g} %"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if found:
        cost_axis(axes.yaxis, found[0].unit)
        size = format_bytes(max(point.heap_bytes for point in found))
        axes.set_title(f"collecting from {size} and arming again", loc="left", color=INK, fontsize=RC["axes.labelsize"])
    axes.set_xlabel("share of the pages that were written, once each")
    axes.grid()


def _table(run: Run, machine: str) -> list[RenderableType]:
    found = points(run, machine)
    unit = found[0].unit if found else "ns"
    shares = sorted({point.x for point in found if point.what == "collect"})
    shown = [
        share for share in shares if any(abs(share / each - 1) < 0.6 for each in (0.01, 0.1, 1, 10, 100))
    ] or shares
    columns = [("store", 0.0), ("first-store", 0.0), ("arm", 0.0), *(("collect", share) for share in shown)]
    cells = {(point.barrier, point.what, point.x): point for point in found}
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column("barrier", no_wrap=True)
    for what, share in columns:
        lines.add_column(
            what.replace("-", " ") + (f" {share:.2g} %".replace("1e+02", "100") if share else ""), justify="right"
        )
    for name in sorted({point.barrier for point in found}, key=sort_key):
        row = [cells.get((name, what, share)) for what, share in columns]
        lines.add_row(name, *("\N{EN DASH}" if each is None else format_cost(each.value.centre, unit) for each in row))
    failed = [Text(f"failed: {one.probe.label} #{one.index}: {one.error}") for one in run.found(machine) if one.error]
    size = format_bytes(max((point.heap_bytes for point in found), default=0))
    return [Text(f"{machine} · {size}"), lines, *map(Text, agreement(found)), *failed, Text()]
