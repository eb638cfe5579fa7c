"""Whose bill is the lower: page barriers' or software ones', beside stopping the world without any?

Two programs that allocate and write as fast as they can: gcbench, which fills fresh memory and writes old objects
little, and graph_edits without a rate limit, which writes old objects all over the heap. Under each pair of barrier and
collector: the processor time of mutators for an operation, that of mutators and collector together, both relative to
stop-the-world without a barrier in the same run; how many page faults an operation takes; and, since a bill without its
pauses says as little as a pause without its bill, what nine in ten of all stops and waits for memory are shorter than.
"""

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Config, Machine
from gcbarrier.report import NS, RATIO, Across, Look, Measure, Names, Report, Rows, Unit
from gcbarrier.report.looks import barrier_look
from gcbarrier.report.units import format_number
from gcbarrier.results import (
    Cell,
    Spread,
    all_cpu_ns_per_operation,
    cpu_ns_per_operation,
    faults_per_operation,
    percentile,
    relative,
    workloads,
)
from gcbarrier.results.run import Run

MIB = 1 << 20
STOPPED, BOEHM = "stop-the-world", "bdwgc"
PAIRS: tuple[tuple[Any, ...], ...] = (
    ("none", STOPPED),
    ("satb", "snapshot-concurrent"),
    ("cards", "mostly-concurrent"),
    ("uffd-wp-log", "mostly-concurrent"),
    ("uffd-wp-async", "mostly-concurrent"),
    ("mprotect", "mostly-concurrent"),
)
YOUNG = ("cards", "uffd-wp-log", "uffd-wp-async")
"""What a generational collector runs over."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Both programs under every pair; small ones where the machine is emulated."""
    at = choose(machine, quick)
    pairs = [*PAIRS, *((barrier, "generational") for barrier in YOUNG), ("none", BOEHM)]
    sizes = {"gcbench": at(full=128, emulated=32) * MIB, "graph_edits": at(full=256, quick=128, emulated=32) * MIB}
    configs: list[Config] = []
    for heap, heap_bytes in sizes.items():
        params = {"rate_per_s": 0.0} if heap == "graph_edits" else {}
        configs += product(
            heap=heap,
            heap_bytes=heap_bytes,
            heap_params=params,
            pairs=pairs,
            duration_s=at(full=2.0, quick=1.0, emulated=4.0, emulated_quick=2.0),
        )
    return Plan(configs=configs, invocations=at(full=10, quick=1, emulated=3, emulated_quick=1))


@frozen(kw_only=True)
class Billed:
    """A cell, and what it cost over stop-the-world without a barrier, of the same program in the same run."""

    cell: Cell
    mutators: Spread
    together: Spread

    @property
    def config(self) -> Config:
        """Of the cell."""
        return self.cell.config


def billed(run: Run, machine: str) -> Sequence[Billed]:
    """The cells of a machine with the bill of each, against the baseline of its own workload."""
    return [
        Billed(
            cell=cell,
            mutators=relative(cell, work.baseline, cpu_ns_per_operation),
            together=relative(cell, work.baseline, all_cpu_ns_per_operation),
        )
        for work in workloads(run.on(machine))
        for cell in work.cells
    ]


def _program(one: Any) -> str:
    return str(one.config.heap)


def who(one: Any) -> str:
    """What is compared: the barrier, and the collector where that says more."""
    config = one.config
    if config.barrier == "none":
        return "Boehm, generational" if config.collector == BOEHM else str(config.collector)
    plain = {name: pair for name, pair, *_ in PAIRS}
    return config.barrier if plain.get(config.barrier) == config.collector else f"{config.barrier}, {config.collector}"


def _held_up(one: Billed) -> Spread:
    """Nine in ten of the stops and waits for memory are shorter, in each invocation."""
    return one.cell.each(
        lambda outcome: percentile(
            [pause.pause_ns for pause in outcome.pauses] + [stall.stall_ns for stall in outcome.stalls], 90
        )
    )


COUNT = Unit("", lambda value, digits=2: format_number(value, digits), scale="linear")
PROGRAM = Names("program", _program, order=["gcbench", "graph_edits"])
WHO = Names(
    "",
    who,
    order=[STOPPED, *(barrier for barrier, *_ in PAIRS[1:])],
    looks={STOPPED: barrier_look("none"), "Boehm, generational": Look(colour="#332288", marker="*", dashed=True)}
    | {barrier: barrier_look(barrier) for barrier, *_ in PAIRS[1:]},
)
MUTATORS = Measure("mutators", RATIO.log, lambda one: one.mutators)
TOGETHER = Measure("mutators and collector", RATIO.log, lambda one: one.together)
FAULTS = Measure("faults an operation", COUNT, lambda one: one.cell.each(faults_per_operation))
HELD_UP = Measure("90th percentile\nof stops and waits", NS, _held_up)
MEASURES = (MUTATORS, TOGETHER, HELD_UP)


PAGES = ("uffd-wp-log", "uffd-wp-async", "mprotect")


def verdict(run: Run) -> str:
    """The lowest bill among page barriers and among the others, of each program, and how long they hold it up."""
    said = []
    for machine in run.machines:
        for program, found in PROGRAM.groups([one for one in billed(run, machine) if one.config.barrier != "none"]):
            pages = [one for one in found if one.config.barrier in PAGES]
            sides = (("page barriers", pages), ("software ones", [one for one in found if one not in pages]))
            best = [_lowest(name, [one for one in side if one.together]) for name, side in sides]
            if any(best):
                where = f"{machine}, {program}" if len(run.machines) > 1 else program
                said.append(f"{where}: {'; '.join(each for each in best if each)}.")
    return "\n".join(said)


def _lowest(kind: str, found: Sequence[Billed]) -> str:
    if not found:
        return ""
    one = min(found, key=lambda each: each.together.centre)
    return (
        f"of {kind} {who(one)} has the lowest bill, {TOGETHER.ranged.say(one, found)} times stop-the-world's with the "
        f"collector's part, {MUTATORS.say(one)} for mutators alone, and nine in ten of its stops and waits are shorter "
        f"than {HELD_UP.ranged.say(one, found)}"
    )


def _table(measure: Measure) -> Across:
    return Across(
        rows=WHO, columns=PROGRAM, value=measure.ranged, title=measure.title.replace("\n", " "),
        keep=lambda one: bool(measure.value(one)),
    )  # fmt: skip


REPORT = Report(
    title="The bill: processor time for an operation, relative to stop-the-world without a barrier.",
    figure=[[Rows(rows=WHO, x=MEASURES, per=PROGRAM, words=True)]],
    table=[_table(each) for each in (MUTATORS, TOGETHER, FAULTS, HELD_UP)],
    by=WHO,
    cells=billed,
)
figures, table = REPORT.figures, REPORT.table
