"""What does it cost to mark an object, and to rescan a dirty page, as the heap grows?

The framework's marker and the plain loop that everybody writes first (a mark bitmap, a test at the push, a ring of 32
prefetched objects) mark the same random graph of 64-byte objects with 4 references each, in turns, in one process. The
graph takes six tenths of the heap. Then random pages of it are rescanned. The aim: at most 1.2 times the plain loop
with one thread, and 1.7 times as fast with two, where two processors have nothing else to do.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.campaign.plans import Plan
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.host import fits
from gcbarrier.model import Machine, Probe, format_bytes
from gcbarrier.report.sheet import MARKERS, agreement, cost_axis, format_cost, sheet, spread_remark
from gcbarrier.report.style import INK, format_number, styled
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

MIB = 1 << 20
QUICK = (64, 256)
FULL = (64, 256, 1024, 4096, 8192)
THREADS = "1 2"
PAGES = "1000 8000"
PLAIN = "#999999"
COLOURS = ("#0077BB", "#EE7733", "#009988", "#CC3311")


def plan(*, machine: Machine, quick: bool) -> Plan:
    """From 64 MiB to 8 GiB, as far as the memory reaches; emulated, one small size."""
    sizes = (16,) if machine.emulated else QUICK if quick else FULL
    probes = [
        Probe(
            function="gcbarrier.bench.marker:marking",
            barrier="none",
            heap_bytes=size * MIB,
            arguments={
                "markers": "1" if machine.emulated else THREADS,
                "pages": PAGES,
                "rounds": 3 if machine.emulated or quick else 5,
            },
            estimate_s=0.5 + size / 200,
        )
        for size in sizes
        if size <= max(QUICK) or _fits(size * MIB)
    ]
    return Plan(probes=tuple(probes), invocations=1 if quick else 3)


def _fits(heap_bytes: int) -> bool:
    try:
        fits(heap_bytes)
    except GcBarrierError:
        return False
    return True


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A table for each machine: ns an object of each, and ns a page."""
    return Group(*(each for machine in run.machines for each in _table(run, machine))) if run.machines else Text("")


def _curves(found: Sequence[Point], what: str) -> dict[float, list[Point]]:
    """By threads, or pages, and the heap's size."""
    curves: dict[float, list[Point]] = {}
    for point in sorted(found, key=lambda point: (point.x, point.heap_bytes)):
        if point.what == what:
            curves.setdefault(point.x, []).append(point)
    return curves


def _threads(count: float) -> str:
    return "1 thread" if count == 1 else f"{count:g} threads"


def _figure(run: Run, machine: str) -> Figure:
    found = points(run, machine)
    marker, rescan = _curves(found, "marker"), _curves(found, "rescan")
    lines = [("plain loop", PLAIN, _curves(found, "plain").get(0, []))]
    lines += [(f"marker, {_threads(count)}", COLOURS[i % 4], marker[count]) for i, count in enumerate(marker)]
    pages = [(f"{format_number(count)} pages", COLOURS[(2 + i) % 4], rescan[count]) for i, count in enumerate(rescan)]
    handles = [
        Line2D([], [], color=colour, marker=MARKERS[index], markersize=4, label=label)
        for index, (label, colour, _) in enumerate([*lines, *pages])
    ]
    with styled():
        figure, (objects, dirty) = sheet(
            run,
            machine,
            "What marking costs as the heap grows.",
            left=0.7,
            widths=(3.6, 3.6),
            height=2.9,
            gap=0.95,
            handles=handles,
            remarks=[*agreement(found), spread_remark(found)],
        )
        objects.set_label("objects")
        dirty.set_label("pages")
        _draw(objects, lines, 0, "marking, an object")
        _draw(dirty, pages, len(lines), "rescanning a dirty page, one thread")
    return figure


def _draw(axes: Axes, lines: Sequence[tuple[str, str, Sequence[Point]]], first: int, title: str) -> None:
    sizes = sorted({point.heap_bytes for _, _, mine in lines for point in mine})
    for index, (label, colour, mine) in enumerate(lines):
        x = [point.heap_bytes for point in mine]
        low, high = [point.low for point in mine], [point.high for point in mine]
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        y = [point.value.centre for point in mine]
        axes.plot(x, y, color=colour, marker=MARKERS[first + index], markersize=4, linewidth=1.2, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: format_bytes(int(value))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    unit = next((point.unit for _, _, mine in lines for point in mine), "ns")
    cost_axis(axes.yaxis, unit)
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _position: f"{value:g}" if value < 100 else ""))
    axes.grid(which="both", axis="y")
    axes.set_xlabel("heap")
    axes.set_title(title, loc="left", color=INK)


def _table(run: Run, machine: str) -> list[RenderableType]:
    found = points(run, machine)
    cells = {(point.what, point.x, point.heap_bytes): point for point in found}
    threads, pages = sorted(_curves(found, "marker")), sorted(_curves(found, "rescan"))
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column("heap", no_wrap=True)
    heads = [("plain", 0.0, "plain loop"), *(("marker", count, _threads(count)) for count in threads)]
    heads += [("quotient", count, f"{_threads(count)} / plain") for count in threads]
    heads += [("rescan", count, f"rescan, {format_number(count)} pages") for count in pages]
    for _, _, head in heads:
        lines.add_column(head, justify="right")
    for size in sorted({point.heap_bytes for point in found}):
        row = [cells.get((what, x, size)) for what, x, _ in heads]
        lines.add_row(format_bytes(size), *map(_say, row))
    failed = [Text(f"failed: {one.probe.label} #{one.index}: {one.error}") for one in run.found(machine) if one.error]
    return [Text(machine), lines, *failed, Text()]


def _say(point: Point | None) -> str:
    if point is None:
        return "\N{EN DASH}"
    if point.what == "quotient":
        return f"{point.value.centre:.2f} ({point.low:.2f}\N{EN DASH}{point.high:.2f})"
    if point.unit != "ns" or point.what == "rescan":
        return format_cost(point.value.centre, point.unit)
    return f"{point.value.centre:.1f} ns ({point.low:.1f}\N{EN DASH}{point.high:.1f})"
