"""What does the framework add to the system calls it makes?

``uffd-wp-async`` through the framework, and the same system calls by a bare C loop, taking turns in one process on the
same memory: arming, the first store to a page, collecting and re-arming with 0, 1, 10 and 100 % of the pages written.
Each turn gives a ratio; what is drawn is their median. The aim is 5 % at most. Only this barrier has its system calls
written out, so there is no other in it.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Machine, Probe, format_bytes
from gcbarrier.report.sheet import cost_axis, format_cost, sheet
from gcbarrier.report.style import INK, RC, SMALL, barrier_colours, format_number, styled
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

MIB = 1 << 20
BARRIER = "uffd-wp-async"
DENSITIES = "0 1 10 100"
AIM = 5.0
"""Per cent."""
BARE = "#999999"


def plan(*, machine: Machine, quick: bool) -> Plan:
    """64 MiB and, where there is time for it, 1 GiB."""
    sizes = [64 * MIB] if quick or machine.emulated else [64 * MIB, 1024 * MIB]
    probes = [
        Probe(
            function="gcbarrier.bench.costs:framework",
            barrier=BARRIER,
            heap_bytes=size,
            arguments={"densities": DENSITIES, "budget_s": 0.3 if quick else 4.0, "least": 7 if quick else 15},
        )
        for size in sizes
    ]
    return Plan(probes=tuple(probes), invocations=1 if quick else 3)


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A table for each machine and size: both times, and what is added in per cent."""
    return Group(*(each for machine in run.machines for each in _tables(run, machine))) if run.machines else Text("")


def rows(found: Sequence[Point]) -> list[tuple[int, str, float]]:
    """Size, operation and share written, of everything that was measured both ways."""
    keys = {
        (point.heap_bytes, point.what, point.x) for point in found if "-" not in point.what.replace("first-store", "")
    }
    order = ["arm", "first-store", "collect"]
    return sorted(keys, key=lambda key: (key[0], order.index(key[1]), key[2]))


def _name(row: tuple[int, str, float]) -> str:
    _, what, share = row
    words = {"arm": "arm", "first-store": "first store, each"}
    return words.get(what) or f"collect, {share:g} % written"


def _figure(run: Run, machine: str) -> Figure:
    found = points(run, machine)
    all_rows = rows(found)
    by = {(point.heap_bytes, point.what, point.x): point for point in found}
    colour = barrier_colours([BARRIER])[BARRIER]
    with styled():
        figure, (times, added) = sheet(
            run,
            machine,
            "What the framework adds to the system calls of uffd-wp-async.",
            left=1.85,
            widths=(3.4, 3.4),
            height=max(0.32 * len(all_rows), 1.8),
            gap=0.35,
            right=0.75,
            remarks=[
                "Left: medians; whiskers: the middle half of the samples. Right: each turn's two measurements as a "
                "ratio; the median of these, and the middle half of them."
            ],
        )
        times.set_label("times")
        added.set_label("added")
        for axes in (times, added):
            axes.set_ylim(max(len(all_rows), 1) - 0.5, -0.5)
            axes.set_yticks(range(len(all_rows)), [""] * len(all_rows))
            axes.tick_params(axis="y", length=0)
        sizes = len({row[0] for row in all_rows}) > 1
        names = [f"{format_bytes(row[0])}: {_name(row)}" if sizes else _name(row) for row in all_rows]
        times.set_yticks(range(len(all_rows)), names)
        times.set_xscale("log")
        for index, (size, what, share) in enumerate(all_rows):
            for prefix, shade, shift in (("", colour, -0.14), ("bare-", BARE, 0.14)):
                point = by[size, prefix + what, share]
                times.plot([point.low, point.high], [index + shift] * 2, color=shade, linewidth=1)
                name = "through the framework" if not prefix else "bare system calls"
                label = name if index == 0 else f"_{name}"
                times.plot(point.value.centre, index + shift, "o", color=shade, markersize=4, label=label)
            _draw_added(added, by[size, f"added-{what}", share], index, colour)
        if all_rows:
            cost_axis(times.xaxis, by[all_rows[0]].unit)
            times.legend(loc="upper right", bbox_to_anchor=(1.0, 1.14), ncols=2, borderaxespad=0, handlelength=1)
        else:
            middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": times.transAxes}
            times.text(0.5, 0.5, "nothing to compare: no invocation\nmeasured it both ways", color=INK, **middle)
        times.grid(axis="x")
        _aim(added)
    return figure


def _draw_added(axes: Axes, point: Point, row: int, colour: str) -> None:
    axes.plot([point.low, point.high], [row, row], color=colour, linewidth=1)
    axes.plot(point.value.each, [row] * len(point.value.each), "o", color=colour, markersize=3, alpha=0.5, mew=0)
    axes.plot(
        point.value.centre, row, "|", color=colour, markersize=11, mew=1.8, label=f"added {point.what} {point.x:g}"
    )
    box: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.annotate(
        f"{point.value.centre:+.1f} %",
        (1.0, row),
        xycoords=axes.get_yaxis_transform(),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=INK,
        bbox=box,
    )


def _aim(axes: Axes) -> None:
    axes.set_xscale("symlog", linthresh=10, linscale=2)
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.axvline(AIM, color="#CC3311", linewidth=0.9, linestyle=(0, (4, 2)))
    axes.set_xlim(-100, 200)
    axes.set_xticks([-100, -10, -5, 0, 5, 10, 100])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:+g} %" if value else "0"))
    axes.grid(axis="x")
    axes.set_title(
        f"added by the framework; the aim: at most {AIM:g} %", loc="left", color=INK, fontsize=RC["axes.labelsize"]
    )


def _tables(run: Run, machine: str) -> list[RenderableType]:
    found = points(run, machine)
    by = {(point.heap_bytes, point.what, point.x): point for point in found}
    parts: list[RenderableType] = []
    for size in sorted({row[0] for row in rows(found)}):
        lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        lines.add_column("uffd-wp-async", no_wrap=True)
        for head in ("framework", "bare", "added", "middle half", "turns"):
            lines.add_column(head, justify="right", no_wrap=True)
        for row in rows(found):
            if row[0] != size:
                continue
            ours, bare, added = (by[size, prefix + row[1], row[2]] for prefix in ("", "bare-", "added-"))
            half = f"{added.low:+.1f} … {added.high:+.1f} %"
            times = [format_cost(one.value.centre, one.unit) for one in (ours, bare)]
            lines.add_row(_name(row), *times, f"{added.value.centre:+.1f} %", half, _turns(run, machine, row))
        parts += [Text(f"{machine} · {format_bytes(size)}"), lines, Text()]
    parts += [Text(f"failed: {one.probe.label} #{one.index}: {one.error}") for one in run.found(machine) if one.error]
    return parts


def _turns(run: Run, machine: str, row: tuple[int, str, float]) -> str:
    size, what, share = row
    return format_number(
        sum(
            reading.samples
            for finding in run.found(machine)
            for reading in finding.readings
            if (finding.probe.heap_bytes, reading.what, reading.x) == (size, what, share)
        )
    )
