"""What does each collector over each barrier cost, mutators and all, in a tight heap and in a roomy one?

A pause that is short may be dear. So each program does the same number of operations under each pair, in heaps from
``TIMES`` times the smallest that it runs in, and what the run cost (the processor time of mutators and collector
together, and wall time) is shown as a multiple of the distilled lower bound of Cai, Blackburn, Bond and Maas,
"Distilling the Real Cost of Production Garbage Collectors" (ISPASS 2022): the least that the program cost under any of
them, in any heap, with what can be put down to collection taken out, that is the collector's processor time, and of
wall time the stops of the world. An ideal collector would cost no more than that, so what a curve lies above 1 is the
least that its collector really costs; what a barrier's faults and stores cost mutators is in it, and so is what
allocation has to do where memory is freed. A collector that does not get by with a heap has no point there.

Programs have the same live data in all heaps; the smallest heap is found first, under stop-the-world without a barrier.
Of ``requests`` there is also how long a request takes, waits and stops included. Recorded programs are measured where
one asks for them: ``--set heap=trace --set trace.recording=cpython,node``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import RenderableType

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Config, Machine, format_bytes
from gcbarrier.report import NS, RATIO, Across, Axis, Curves, Look, Measure, Names, Report, Unit
from gcbarrier.report.looks import barrier_look, variant
from gcbarrier.report.style import FAINT
from gcbarrier.report.units import DASH, TIMES, format_number
from gcbarrier.results import (
    Cell,
    Cost,
    Spread,
    all_cpu_ns_per_operation,
    cells,
    cpu_ns_per_operation,
    histogram,
    lower_bound,
    over_bound,
    running_ns_per_operation,
    wall_ns_per_operation,
)
from gcbarrier.results.run import Run

MIB = 1 << 20
FACTORS = (1.25, 1.5, 2.0, 3.0, 4.0, 6.0)
STOPPED, BOEHM, GENERATIONAL = "stop-the-world", "bdwgc", "generational"
LATE = {"trigger": 0.9}
"""A cycle that stops the world may begin when memory is nearly out: each that is spared is a cost that is spared."""
PAIRS: tuple[tuple[Any, ...], ...] = (
    ("none", STOPPED, LATE),
    ("satb", "snapshot-concurrent"),
    ("cards", "mostly-concurrent"),
    ("uffd-wp-log", "mostly-concurrent"),
    ("uffd-wp-async", "mostly-concurrent"),
)
YOUNG = ("uffd-wp-log", "cards")
"""What a generational collector runs over."""
MARK_STACK = 1 << 13
"""Entries of the Boehm collector's, for each MiB that lives: it would take collections to grow it."""


@frozen
class Program:
    """A program of one size: what it is made for, what it is, and how much it does."""

    heap: str
    live_bytes: int
    operations: int
    params: dict[str, Any]

    def made(self, live_bytes: int, share: float) -> dict[str, Any]:
        """Heap, size and parameters as a plan has them; ``share`` of the operations."""
        live = min(self.live_bytes, live_bytes)
        return {
            "heap": self.heap,
            # Room for anything that it does; the smallest heap is looked for below that.
            "heap_bytes": 4 * live,
            "heap_params": {"live_bytes": live, **self.params},
            "operations": max(int(self.operations * share), 1),
        }


RECORDED = Program("trace", 32 * MIB, 4_000_000, {"pace": 0.0})
"""Recordings of real programs, or samples of that size, as fast as they can be replayed; where they are asked for."""
PROGRAMS = (
    Program("gcbench", 32 * MIB, 30_000, {}),
    Program("graph_edits", 32 * MIB, 4_000_000, {"rate_per_s": 0.0}),
    Program("snapshot", 24 * MIB, 2_500_000, {"rate_per_s": 0.0}),
    Program("requests", 32 * MIB, 100_000, {}),
)


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every program under every pair, in heaps of every size; less of it where the machine is emulated."""
    at = choose(machine, quick)
    factors = at(full=FACTORS, quick=(1.25, 2.0, 6.0), emulated=(1.5, 3.0, 6.0), emulated_quick=(2.0,))
    share = at(full=1.0, quick=0.25, emulated=0.1, emulated_quick=0.04)
    most = at(full=32, emulated=24) * MIB
    configs, spare = (
        [config for program in programs for config in _configs(program, most, share, factors)]
        for programs in (PROGRAMS, [RECORDED])
    )
    return Plan(configs=configs, invocations=at(full=5, quick=1, emulated=2, emulated_quick=1), spare=spare)


def _configs(program: Program, most_bytes: int, share: float, factors: Sequence[float]) -> Iterator[Config]:
    made = program.made(most_bytes, share)
    live = int(made["heap_params"]["live_bytes"]) // MIB
    boehm = ("none", BOEHM, {"mark_stack": live * MARK_STACK})
    for pair in (*PAIRS, *((barrier, GENERATIONAL) for barrier in YOUNG), boehm):
        # A collector that brings its own memory tells no phases, so its operations can't be timed.
        timed = program.heap == "requests" and pair[1] != BOEHM
        yield from product(**made, pairs=[pair], heap_times=factors, timed=timed, duration_s=2.0 * share + 0.5)


@frozen(kw_only=True)
class Billed:
    """A cell, and what it cost as a multiple of its program's lower bounds."""

    cell: Cell
    processor: Spread
    mutators: Spread
    """Of the processor time, the mutators'."""
    wall: Spread
    processor_bound_ns: float
    wall_bound_ns: float

    @property
    def config(self) -> Config:
        """Of the cell."""
        return self.cell.config


def billed(run: Run, machine: str) -> Sequence[Billed]:
    """The cells of a machine with the bill of each; what failed has none."""
    found = cells(run.on(machine))
    by: dict[str, list[Cell]] = {}
    for cell in found:
        by.setdefault(_program(cell), []).append(cell)
    return [_bill(cell, by[_program(cell)]) for cell in found]


def _program(one: Any) -> str:
    """Its heap, or what was recorded: where a user has set more than one of a kind, with what tells them apart."""
    config = one.config
    recording = Path(str(config.heap_params.get("recording", ""))).stem
    name = f"{config.heap} of {recording}" if recording else str(config.heap)
    return f"{name}, {config.mutators} mutators" if config.mutators > 1 else name


def _bill(cell: Cell, program: Sequence[Cell]) -> Billed:
    processor, wall = lower_bound(program, cpu_ns_per_operation), lower_bound(program, running_ns_per_operation)
    return Billed(
        cell=cell,
        processor=over_bound(cell, processor, all_cpu_ns_per_operation),
        mutators=over_bound(cell, processor, cpu_ns_per_operation),
        wall=over_bound(cell, wall, wall_ns_per_operation),
        processor_bound_ns=processor.centre,
        wall_bound_ns=wall.centre,
    )


def who(one: Any) -> str:
    """What is compared: the barrier, and the collector where that says more."""
    config = one.config
    if config.barrier == "none":
        return "Boehm, generational" if config.collector == BOEHM else str(config.collector)
    plain = {name: pair for name, pair, *_ in PAIRS}
    return config.barrier if plain.get(config.barrier) == config.collector else f"{config.barrier}, {config.collector}"


def _latency(q: float) -> Measure:
    """Of a request, all phases together."""

    def of(one: Billed) -> Spread | None:
        if not one.config.timed:
            return None
        return one.cell.each(lambda outcome: histogram([outcome]).percentile(q))

    return Measure("median request" if q == 50 else f"{q:g}th percentile", NS, of)


def _bounds(found: Sequence[Billed]) -> Iterator[str]:
    """What 1 is, of each program."""
    for name, mine in PROGRAM.groups(found):
        least = min((one.config.minheap_bytes for one in mine), default=0)
        first = mine[0]
        yield (
            f"{name}: the smallest heap is {format_bytes(least) if least else DASH}; 1 is "
            f"{NS.words(first.processor_bound_ns)} of processor time and {NS.words(first.wall_bound_ns)} of wall time "
            f"an operation ({_least(mine, cpu_ns_per_operation)}, {_least(mine, running_ns_per_operation)})."
        )


def _least(found: Sequence[Billed], distilled: Cost) -> str:
    """Whose cost the bound was distilled from."""
    there = [(value.centre, one) for one in found if (value := one.cell.each(distilled))]
    if not there:
        return DASH
    _, one = min(there, key=lambda pair: pair[0])
    return f"{who(one)} at {FACTOR.say(FACTOR.value(one))}"


def _table(measure: Measure) -> Across:
    return Across(
        rows=WHO,
        columns=FACTOR,
        value=measure.ranged,
        per=PROGRAM,
        title=measure.title.replace("\n", " "),
        keep=lambda one: bool(measure.value(one)),
    )


def _at_one(axes: Axes, _found: Sequence[Billed]) -> None:
    """The bound, which every curve lies above."""
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.9), high)
    axes.axhline(1.0, color=FAINT, linewidth=0.7, zorder=1)


_OVER = f"{TIMES} the lower bound"
FACTOR = Axis(
    f"heap, {TIMES} the smallest",
    "heap_times",
    Unit("times", lambda value, _=1: f"{format_number(value)}{TIMES}", scale="log"),
)
PROGRAM = Names("program", _program, order=[program.heap for program in PROGRAMS])
WHO = Names(
    "",
    who,
    order=[STOPPED, *(barrier for barrier, *_ in PAIRS[1:])],
    looks={STOPPED: barrier_look("none"), "Boehm, generational": Look(colour="#332288", marker="*", dashed=True)}
    | {barrier: barrier_look(barrier) for barrier, *_ in PAIRS[1:]}
    | {f"{barrier}, {GENERATIONAL}": variant(barrier_look(barrier), 1) for barrier in YOUNG},
)
PROCESSOR = Measure(f"processor time, {_OVER}", RATIO.log, lambda one: one.processor)
MUTATORS = Measure(f"of it the mutators', {_OVER}", RATIO.log, lambda one: one.mutators)
WALL = Measure(f"wall time, {_OVER}", RATIO.log, lambda one: one.wall)
LATENCIES = [_latency(q) for q in (50, 99, 99.9, 99.99)]


def _report(*, latencies: bool) -> Report:
    """With what is timed, the requests, or without."""
    bills: list[Curves] = [
        Curves(x=FACTOR, y=PROCESSOR, per=PROGRAM, over=_at_one, width=2.7, tall=2.6),
        Curves(x=FACTOR, y=WALL, per=PROGRAM, over=_at_one, width=2.7, tall=2.6),
    ]
    timed, last = LATENCIES * latencies, " In the last row: how long a request takes." * latencies
    return Report(
        title="The bill: what collectors and barriers cost over the distilled lower bound.",
        figure=[[each] for each in (*bills, *[Curves(x=FACTOR, y=timed, width=2.7, tall=2.2)] * latencies)],
        table=[_table(each) for each in (PROCESSOR, MUTATORS, WALL, *timed)],
        remarks=[f"Processor time is that of mutators and collector together.{last}", _bounds],
        by=WHO,
        cells=billed,
    )


REPORT, UNTIMED = _report(latencies=True), _report(latencies=False)


def _of(run: Run) -> Report:
    return REPORT if any(outcome.invocation.config.timed for outcome in run.outcomes) else UNTIMED


def figures(run: Run) -> dict[str, Figure]:
    """The bills, and the latency of requests where these are in the run."""
    return _of(run).figures(run)


def table(run: Run) -> RenderableType:
    """The same numbers."""
    return _of(run).table(run)
