"""Are the pauses as short as they are meant to be, whatever the heap's size and however fast it is written?

Each goal is a number, measured in one run beside what it is compared with, in at least five invocations: the remark of
``uffd-wp-log`` at three rates of stores and at the ends of the range of heap sizes, beside ``uffd-wp-async``; what the
log adds to a first store; how long a store takes while a cycle is under way, beside no collector at all; and, where the
libraries and kernels are there, the Boehm collector's generational mode, its marker, and soft-dirty. Ratios are of
medians; their range is that of the extremes. ``boehm`` has more beside the Boehm collector.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.campaign.plans import Plan
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.host import fits
from gcbarrier.model import Config, Machine, Probe
from gcbarrier.report.sheet import sheet
from gcbarrier.report.style import DASH, INK, SMALL, barrier_colours, format_ns, format_number, styled
from gcbarrier.results import Cell, Spread, cells, cpu_ns_per_operation, percentile, spread
from gcbarrier.results.operations import IN_CYCLE, histogram
from gcbarrier.results.points import points
from gcbarrier.results.run import Run

MIB, GIB = 1 << 20, 1 << 30
LOG, ASYNC, BOEHM = "uffd-wp-log", "uffd-wp-async", "bdwgc"
REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}
ALLOCATING = {**REDIRECTS, "garbage_per_edit": 1.0}
RATES = {1e4: 20e3, 1e5: 200e3, 1e6: 1e6}
"""Stores per second over the whole heap, and the longest that a remark may take, in ns."""
PAGES = 100
"""Dirtied in a cycle where the heap's size is what varies."""
LIVE = 256 * MIB
HOT = (0.01, 0.1)


@frozen(kw_only=True)
class Goal:
    """``value`` is to be at most (or ``at_least``) the limit; in ns, or a ratio."""

    what: str
    limit: float
    value: Spread
    unit: str = ""
    at_least: bool = False

    def share(self, value: float) -> float:
        """Of the limit that is used up: up to 1 it is met."""
        return self.limit / value if self.at_least else value / self.limit

    @property
    def met(self) -> bool:
        """By the median."""
        return self.share(self.value.centre) <= 1

    def words(self, value: float) -> str:
        """The value with its unit."""
        return format_ns(value) if self.unit == "ns" else f"{format_number(value)} times"


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Natively everything but soft-dirty, and that in the lab."""
    if machine.emulated:
        return Plan(
            configs=tuple(_edited(512 * MIB, 1e4, name, live_share=0.1) for name in (LOG, "soft-dirty")), invocations=5
        )
    size = GIB // 4 if quick else GIB
    configs = [_edited(size, rate, barrier) for rate in RATES for barrier in (LOG, ASYNC)]
    sizes = ((64 * MIB, LOG), (8 * GIB, LOG), (4 * GIB, LOG), (4 * GIB, ASYNC))
    configs += [_bursts(each, barrier) for each, barrier in sizes if not quick and _fit(each)]
    configs += [_timed("none", "never"), _timed(LOG, "mostly-concurrent", every_s=0.02)]
    configs += [_allocating(hot, boehm) for hot in HOT for boehm in (False, True) if not quick]
    configs += [_marking(boehm) for boehm in (False, True) if not quick]
    arguments = {"densities": "1", "budget_s": 0.2}
    probes = [
        Probe(function="gcbarrier.bench.costs:operations", barrier=each, arguments=arguments) for each in (LOG, ASYNC)
    ]
    return Plan(configs=tuple(configs), probes=tuple(probes), invocations=1 if quick else 5)


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A row for each goal that was measured."""
    return Group(*(_table(run, machine) for machine in run.machines)) if run.machines else Text("")


def _edited(size: int, rate: float, barrier: str, **params: Any) -> Config:
    return Config(
        heap="graph_edits",
        barrier=barrier,
        collector="mostly-concurrent",
        heap_bytes=size,
        heap_params={"rate_per_s": rate, **REDIRECTS, **params},
        collector_params={"every_s": 0.05},
        duration_s=2.5,
    )


def _bursts(size: int, barrier: str) -> Config:
    return Config(
        heap="bursts",
        barrier=barrier,
        collector="mostly-concurrent",
        heap_bytes=size,
        heap_params={"pages": PAGES, "live_share": min(0.25, max(64 * MIB / size, 1 / 64))},
        collector_params={"rounds": 0, "every_s": 0.02},
        duration_s=1.0 + 0.3 * size / GIB,
    )


def _timed(barrier: str, collector: str, **params: Any) -> Config:
    return Config(
        heap="graph_edits",
        barrier=barrier,
        collector=collector,
        heap_bytes=LIVE,
        heap_params={"rate_per_s": 1e5, **REDIRECTS},
        collector_params=params,
        duration_s=4.0,
        timed=True,
    )


def _allocating(hot: float, boehm: bool) -> Config:
    # Generational, the Boehm collector collects after a third of what lives: here a sixth of what is free.
    params = {"mark_stack": LIVE // 128} if boehm else {"trigger": 0.17}
    return Config(
        heap="graph_edits",
        barrier="none" if boehm else LOG,
        collector=BOEHM if boehm else "mostly-concurrent",
        heap_bytes=3 * LIVE,
        heap_params={"nodes": LIVE // 64, "hot_share": hot, "rate_per_s": 1e6, **ALLOCATING},
        collector_params=params,
        duration_s=4.0,
    )


def _marking(boehm: bool) -> Config:
    params = {"mark_stack": LIVE // 128, "incremental": False} if boehm else {}
    return Config(
        heap="graph_edits",
        barrier="none",
        collector=BOEHM if boehm else "stop-the-world",
        heap_bytes=2 * LIVE,
        heap_params={"nodes": LIVE // 64, "rate_per_s": 1000.0, **REDIRECTS},
        collector_params={"every_s": 0.05, "markers": 1, **params},
        duration_s=2.5,
    )


def _fit(size: int) -> bool:
    try:
        fits(size)
    except GcBarrierError:
        return False
    return True


def goals(run: Run, machine: str) -> Iterator[Goal]:
    """Those that this machine's outcomes tell of."""
    found = cells(run.on(machine))
    yield from _rates(found)
    yield from _sizes(found)
    yield from _emulated(found)
    yield from _boehm(found)
    stores = {point.barrier: point.value for point in points(run, machine) if point.what == "first-store"}
    if LOG in stores and ASYNC in stores:
        yield Goal(what="a first store, logged against not", limit=1.4, value=_ratio(stores[LOG], stores[ASYNC]))
    timed = {cell.config.barrier: _slowest(cell) for cell in found if cell.config.timed}
    if LOG in timed and "none" in timed:
        what = "99.99th percentile of a store during a cycle, against no collector"
        yield Goal(what=what, limit=3.0, value=_ratio(timed[LOG], timed["none"]))


def _rates(found: Sequence[Cell]) -> Iterator[Goal]:
    for cell in found:
        rate = cell.config.heap_params.get("rate_per_s")
        if _is(cell, LOG, "graph_edits") and rate in RATES and cell.config.heap_bytes in (GIB, GIB // 4):
            what = f"remark at {cell.config.heap_bytes // MIB} MiB, {format_number(float(rate))} stores/s"
            limit = RATES[float(rate)]
            yield Goal(what=what, limit=limit, value=cell.medians("remark"), unit="ns")
            # Where the rounds leave much, the mutators are stopped once more: no goal of its own, and no secret.
            what = what.replace("remark", "all stops of a cycle")
            yield Goal(what=what, limit=limit, value=cell.stopped(), unit="ns")


def _sizes(found: Sequence[Cell]) -> Iterator[Goal]:
    by = {
        (cell.config.heap_bytes, cell.config.barrier): _collects(cell) for cell in found if cell.config.heap == "bursts"
    }
    if (64 * MIB, LOG) in by and (8 * GIB, LOG) in by:
        value = _ratio(by[8 * GIB, LOG], by[64 * MIB, LOG])
        yield Goal(what=f"collect of {PAGES} pages, 8 GiB against 64 MiB", limit=1.5, value=value)
    if (4 * GIB, LOG) in by and (4 * GIB, ASYNC) in by:
        value = _ratio(by[4 * GIB, ASYNC], by[4 * GIB, LOG])
        yield Goal(what=f"collect at 4 GiB, {ASYNC} against {LOG}", limit=100, value=value, at_least=True)


def _emulated(found: Sequence[Cell]) -> Iterator[Goal]:
    by = {cell.config.barrier: cell.medians("remark") for cell in found}
    if "soft-dirty" in by and LOG in by:
        value = _ratio(by["soft-dirty"], by[LOG])
        yield Goal(
            what=f"remark at 512 MiB, 10 k stores/s, soft-dirty against {LOG}", limit=100, value=value, at_least=True
        )


def _boehm(found: Sequence[Cell]) -> Iterator[Goal]:
    for hot in HOT:
        by = {cell.config.collector: cell for cell in found if cell.config.heap_params.get("hot_share") == hot}
        ours, theirs = by.get("mostly-concurrent"), by.get(BOEHM)
        if ours and theirs:
            pages = f"{100 * hot:g} % of the pages hot"
            value = _ratio(theirs.medians("remark"), ours.medians("remark"))
            yield Goal(what=f"remark, {pages}, Boehm's against ours", limit=50, value=value, at_least=True)
            value = _ratio(theirs.stopped(), ours.stopped())
            yield Goal(
                what=f"all stops of a cycle, {pages}, Boehm's against ours", limit=50, value=value, at_least=True
            )
            costs = [spread([cpu_ns_per_operation(each) for each in cell.good]) for cell in (ours, theirs)]
            yield Goal(what=f"CPU time, {pages}, ours against Boehm's", limit=1.0, value=_ratio(*costs))
    marking = [cell for cell in found if "markers" in cell.config.collector_params]
    marked = {cell.config.collector: cell.medians("full", "mark_ns") for cell in marking}
    if BOEHM in marked and "stop-the-world" in marked:
        value = _ratio(marked[BOEHM], marked["stop-the-world"])
        yield Goal(what="marking by one thread, Boehm's against ours", limit=6, value=value, at_least=True)


def _is(cell: Cell, barrier: str, heap: str) -> bool:
    config = cell.config
    return (
        config.barrier == barrier and config.heap == heap and not config.timed and "hot_share" not in config.heap_params
    )


def _collects(cell: Cell) -> Spread:
    remarks = cell.pauses("remark")
    remarks = remarks[remarks["dirty_granules"] == PAGES]
    each = [remarks["collect_ns"][remarks["invocation"] == one.invocation.index] for one in cell.good]
    return spread([percentile(one, 50) for one in each])


def _slowest(cell: Cell) -> Spread:
    phases = IN_CYCLE if cell.config.barrier != "none" else None
    return spread([histogram([each], phases).percentile(99.99) for each in cell.good])


def _ratio(one: Spread, other: Spread) -> Spread:
    if not one or not other:
        return spread([])
    low, high = one.low / other.high, one.high / other.low
    return Spread(centre=one.centre / other.centre, low=low, high=high, each=(low, high))


def _table(run: Run, machine: str) -> RenderableType:
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column(machine, no_wrap=True)
    for head in ("goal", "measured", "range", ""):
        lines.add_column(head, justify="right", no_wrap=True)
    for goal in goals(run, machine):
        value = goal.value
        limit = f"at {'least' if goal.at_least else 'most'} {goal.words(goal.limit)}"
        spoken = (
            [goal.words(value.centre), f"{goal.words(value.low)} … {goal.words(value.high)}"] if value else [DASH] * 2
        )
        lines.add_row(goal.what, limit, *spoken, "met" if goal.met else "missed")
    failed = [Text(f"failed: {each.invocation.config.label}: {each.error}") for each in run.on(machine) if each.error]
    return Group(lines, *failed, Text())


def _figure(run: Run, machine: str) -> Figure:
    rows = [goal for goal in goals(run, machine) if goal.value]
    colour = barrier_colours([LOG])[LOG]
    with styled():
        figure, (axes,) = sheet(
            run,
            machine,
            "How much of what is allowed is used: up to 1 a goal is met.",
            left=4.2,
            widths=(4.0,),
            height=max(0.32 * len(rows), 1.0),
            gap=0.3,
            right=0.9,
            remarks=[
                "Medians over the invocations and their range; ratios are of medians, their range of the extremes."
            ],
        )
        axes.set_label("goals")
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [goal.what for goal in rows])
        axes.tick_params(axis="y", length=0)
        axes.set_xscale("log")
        axes.axvline(1, color="#CC3311", linewidth=0.9, linestyle=(0, (4, 2)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
        axes.set_xlabel("share of what is allowed")
        axes.grid(axis="x")
        for row, goal in enumerate(rows):
            axes.plot([goal.share(goal.value.low), goal.share(goal.value.high)], [row, row], color=colour, linewidth=1)
            axes.plot(goal.share(goal.value.centre), row, "o", color=colour, markersize=4, label=goal.what)
            place = {"xycoords": axes.get_yaxis_transform(), "xytext": (4, 0), "textcoords": "offset points"}
            axes.annotate(goal.words(goal.value.centre), (1.0, row), va="center", fontsize=SMALL, color=INK, **place)
    return figure
