"""Are the pauses as short as they are meant to be, whatever the heap's size and however fast it is written?

Each goal is a number, measured in one run beside what it is compared with, in at least five invocations: the remark of
``uffd-wp-log`` at three rates of stores and at the ends of the range of heap sizes, beside ``uffd-wp-async``; what the
log adds to a first store; how long a store takes while a cycle is under way, beside no collector at all; and, where the
libraries and kernels are there, the Boehm collector's generational mode, its marker, and soft-dirty. Ratios are of
medians, over invocations of the same seeds. ``boehm`` has more beside the Boehm collector.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from gcbarrier.campaign.plans import Plan, choose, fitting, product
from gcbarrier.model import Config, Machine, Probe
from gcbarrier.report import Column, Lines, Look, Measure, Names, Report, Rows, Unit
from gcbarrier.report.grammar import bracketed
from gcbarrier.report.looks import barrier_look
from gcbarrier.report.shown import note
from gcbarrier.report.units import DASH, format_ns, format_number
from gcbarrier.results import Cell, Spread, cells, cpu_ns_per_operation, over
from gcbarrier.results.operations import IN_CYCLE, histogram
from gcbarrier.results.points import points
from gcbarrier.results.run import Run

MIB, GIB = 1 << 20, 1 << 30
LOG, ASYNC, BOEHM = "uffd-wp-log", "uffd-wp-async", "bdwgc"
REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}
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
        return Plan(configs=_edited(512 * MIB, [1e4], (LOG, "soft-dirty"), live_share=0.1), invocations=5)
    at = choose(machine, quick)
    sizes, left_out = fitting(at(full=(64 * MIB, 8 * GIB, 4 * GIB), quick=()), machine)
    configs = (*_edited(at(full=GIB, quick=GIB // 4), RATES, (LOG, ASYNC)), *_bursts(sizes), *_timed())
    probes = [
        Probe(function="gcbarrier.bench.costs:operations", barrier=each, arguments={"densities": "1", "budget_s": 0.2})
        for each in (LOG, ASYNC)
    ]
    beside = () if quick else (*_allocating(), *_marking())
    return Plan(configs=(*configs, *beside), probes=probes, invocations=at(full=5, quick=1), left_out=left_out)


def _edited(size: int, rates: Iterable[float], barriers: Sequence[str], **params: Any) -> tuple[Config, ...]:
    return product(
        heap="graph_edits",
        heap_bytes=size,
        heap_params=[{"rate_per_s": rate, **REDIRECTS, **params} for rate in rates],
        barrier=barriers,
        collector="mostly-concurrent",
        collector_params={"every_s": 0.05},
        duration_s=2.5,
    )


def _bursts(sizes: Sequence[int]) -> tuple[Config, ...]:
    """The log at all sizes, and the scan beside it at one."""
    every = product(
        heap="bursts",
        heap_bytes=sizes,
        heap_params=lambda at: {"pages": PAGES, "live_share": min(0.25, max(64 * MIB / at["heap_bytes"], 1 / 64))},
        barrier=(LOG, ASYNC),
        collector="mostly-concurrent",
        collector_params={"rounds": 0, "every_s": 0.02},
        duration_s=lambda at: 1.0 + 0.3 * at["heap_bytes"] / GIB,
    )
    return tuple(one for one in every if one.barrier == LOG or one.heap_bytes == 4 * GIB)


def _timed() -> tuple[Config, ...]:
    return product(
        heap="graph_edits",
        heap_bytes=LIVE,
        heap_params={"rate_per_s": 1e5, **REDIRECTS},
        pairs=[("none", "never"), (LOG, "mostly-concurrent", {"every_s": 0.02})],
        duration_s=4.0,
        timed=True,
    )


def _allocating() -> tuple[Config, ...]:
    params = {"nodes": LIVE // 64, "rate_per_s": 1e6, **REDIRECTS, "garbage_per_edit": 1.0}
    return product(
        heap="graph_edits",
        heap_bytes=3 * LIVE,
        heap_params=[{**params, "hot_share": hot} for hot in HOT],
        # Generational, the Boehm collector collects after a third of what lives: here a sixth of what is free.
        pairs=[(LOG, "mostly-concurrent", {"trigger": 0.17}), ("none", BOEHM, {"mark_stack": LIVE // 128})],
        duration_s=4.0,
    )


def _marking() -> tuple[Config, ...]:
    often = {"every_s": 0.05, "markers": 1}
    return product(
        heap="graph_edits",
        barrier="none",
        heap_bytes=2 * LIVE,
        heap_params={"nodes": LIVE // 64, "rate_per_s": 1000.0, **REDIRECTS},
        pairs=[
            ("none", "stop-the-world", often),
            ("none", BOEHM, {**often, "mark_stack": LIVE // 128, "incremental": False}),
        ],
        duration_s=2.5,
    )


def goals(run: Run, machine: str) -> Iterator[Goal]:
    """Those that this machine's outcomes tell of."""
    found = cells(run.on(machine))
    yield from _rates(found)
    yield from _sizes(found)
    remarks = {cell.config.barrier: cell.medians("remark") for cell in found}
    what = f"remark at 512 MiB, 10 k stores/s, soft-dirty against {LOG}"
    yield from _against(remarks, "soft-dirty", LOG, what=what, limit=100, at_least=True)
    yield from _boehm(found)
    stores = {point.barrier: point.value for point in points(run, machine) if point.what == "first-store"}
    yield from _against(stores, LOG, ASYNC, what="a first store, logged against not", limit=1.4)
    timed = {cell.config.barrier: _slowest(cell) for cell in found if cell.config.timed}
    what = "99.99th percentile of a store during a cycle, against no collector"
    yield from _against(timed, LOG, "none", what=what, limit=3)


def _against(values: Mapping[Any, Spread], one: Any, other: Any, **goal: Any) -> Iterator[Goal]:
    """The goal of a ratio, where both were measured."""
    if one in values and other in values:
        yield Goal(value=over(values[one], values[other]), **goal)


def _rates(found: Sequence[Cell]) -> Iterator[Goal]:
    for cell in found:
        config, rate = cell.config, float(cell.config.heap_params.get("rate_per_s", 0))
        limit, beside = RATES.get(rate), config.timed or "hot_share" in config.heap_params
        if limit is None or beside or config.barrier != LOG or config.heap_bytes not in (GIB, GIB // 4):
            continue
        where = f"at {config.heap_bytes // MIB} MiB, {format_number(rate)} stores/s"
        yield Goal(what=f"remark {where}", limit=limit, value=cell.medians("remark"), unit="ns")
        # Where the rounds leave much, the mutators are stopped once more: no goal of its own, and no secret.
        yield Goal(what=f"all stops of a cycle {where}", limit=limit, value=cell.stopped(), unit="ns")


def _sizes(found: Sequence[Cell]) -> Iterator[Goal]:
    by = {
        (cell.config.heap_bytes, cell.config.barrier): cell.medians("remark", "collect_ns", where=_as_planned)
        for cell in found
        if cell.config.heap == "bursts"
    }
    what = f"collect of {PAGES} pages, 8 GiB against 64 MiB"
    yield from _against(by, (8 * GIB, LOG), (64 * MIB, LOG), what=what, limit=1.5)
    what = f"collect at 4 GiB, {ASYNC} against {LOG}"
    yield from _against(by, (4 * GIB, ASYNC), (4 * GIB, LOG), what=what, limit=100, at_least=True)


def _as_planned(remarks: Any) -> Any:
    return remarks["dirty_granules"] == PAGES


def _boehm(found: Sequence[Cell]) -> Iterator[Goal]:
    ours, theirs = "mostly-concurrent", BOEHM
    for hot in HOT:
        by = {cell.config.collector: cell for cell in found if cell.config.heap_params.get("hot_share") == hot}
        pages = f"{100 * hot:g} % of the pages hot"
        for what, of in (("remark", lambda cell: cell.medians("remark")), ("all stops of a cycle", Cell.stopped)):
            values = {name: of(cell) for name, cell in by.items()}
            what = f"{what}, {pages}, Boehm's against ours"
            yield from _against(values, theirs, ours, what=what, limit=50, at_least=True)
        costs = {name: cell.each(cpu_ns_per_operation) for name, cell in by.items()}
        yield from _against(costs, ours, theirs, what=f"CPU time, {pages}, ours against Boehm's", limit=1)
    marking = [cell for cell in found if "markers" in cell.config.collector_params]
    marked = {cell.config.collector: cell.medians("full", "mark_ns") for cell in marking}
    what = "marking by one thread, Boehm's against ours"
    yield from _against(marked, theirs, "stop-the-world", what=what, limit=6, at_least=True)


def _slowest(cell: Cell) -> Spread:
    phases = IN_CYCLE if cell.config.barrier != "none" else None
    return cell.each(lambda one: histogram([one], phases).percentile(99.99))


def verdict(run: Run) -> str:
    """How many are met, and which are not; of each machine a line."""
    said = []
    for machine in run.machines:
        every = [goal for goal in goals(run, machine) if goal.value]
        missed = [f"{goal.what}: {_bracketed(goal)}, {_limit(goal)}" for goal in every if not goal.met]
        if every:
            met = f"{len(every) - len(missed)} of {len(every)} goals are met by their medians"
            said.append(f"On {machine}, {met}" + (f"; missed: {', '.join(missed)}." if missed else "."))
    return "\n".join(said)


def _limit(goal: Goal) -> str:
    return f"at {'least' if goal.at_least else 'most'} {goal.words(goal.limit)}"


def _measured(goal: Goal) -> str:
    return goal.words(goal.value.centre) if goal.value else DASH


def _ranged(goal: Goal) -> str:
    note(goal, goal.what, goal.value)
    return _bracketed(goal) if goal.value else DASH


def _bracketed(goal: Goal) -> str:
    return bracketed(goal.value, lambda value, _: goal.words(value))


def _used(goal: Goal) -> Spread:
    if not goal.value:
        return goal.value
    low, high = sorted(goal.share(one) for one in (goal.value.low, goal.value.high))
    each = tuple(goal.share(one) for one in goal.value.each)
    return evolve(goal.value, centre=goal.share(goal.value.centre), low=low, high=high, each=each)


WHAT = Names("", "what")
REPORT = Report(
    title="How much of what is allowed is used: up to 1 a goal is met.",
    figure=Rows(
        rows=WHAT,
        x=Measure("share of what is allowed", Unit("share", format_number), _used),
        words=lambda _, goal, __: _measured(goal),
        limit=1,
        most_ticks=7,
        width=4.0,
        row=0.32,
    ),
    table=Lines(
        WHAT,
        Column(head="goal", words=_limit, number=lambda goal, _: goal.limit),
        Column(head="measured", words=_ranged, number=lambda goal, _: goal.value.centre),
        Column(head="", words=lambda goal: "met" if goal.met else "missed"),
    ),
    remarks="Ratios are of medians.",
    by=Names("", lambda _: "measured", looks={"measured": Look(colour=barrier_look(LOG).colour)}),
    cells=lambda run, machine: list(goals(run, machine)),
)
figures, table = REPORT.figures, REPORT.table
