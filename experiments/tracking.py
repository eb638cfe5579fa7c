"""What does tracking which pages are written cost the program that writes them?

Out of Hypervisor (Bitchebe and Tchana, SC 2022) asked it of soft-dirty, synchronous userfaultfd and two designs in
hardware, on kernels before asynchronous write-protection and PAGEMAP_SCAN: how much slower a tracked program gets, what
collecting costs its tracker, both against the size of what is tracked. Asked again of every page barrier that there is
now: an array that is written from end to end or in a random order, whole pages at a time, while another thread collects
and arms again every few milliseconds (that long after its last collect, so that the program gets on where collecting
takes longer: what is said of such a barrier is said of fewer collects), tracked and untracked in turns in one process;
and GCBench and recordings of real programs (the heap ``trace``), whose mutators' processor time is set against that of
the same program without a barrier in the same run. The array has as many stores to a page as a page has words: a
program that writes less of each page pays more for each store.

Beside it, what barriers by page protection take that others do not: mappings. mprotect splits the heap's mapping
wherever protections change, and a process may have ``vm.max_map_count`` of them. Left out are prototypes, software
barriers and ``fork-cow``, which track no pages.
"""

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from gcbarrier.bench.circumstances import page_barriers
from gcbarrier.campaign.plans import Plan, choose, fitting, product
from gcbarrier.model import PAGE_BYTES, Config, Machine, Probe
from gcbarrier.page_traces import corpus
from gcbarrier.plugins import discovery
from gcbarrier.report import (
    BARRIER,
    BYTES,
    COUNT,
    RATIO,
    Across,
    Axis,
    Curves,
    Measure,
    Names,
    Report,
    Rows,
    point_spread,
)
from gcbarrier.results import Spread, cpu_ns_per_operation, relative, workloads
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

MIB, GIB = 1 << 20, 1 << 30
ORDERS = ("sequential", "random")
WORDS = PAGE_BYTES // 8
_HALF_COLLECTING = 2.0
"""Of the interval that was asked for: the pause between two collects is one, and the collect the other."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Arrays of several sizes as far as there is memory for them, in both orders, and the programs."""
    at = choose(machine, quick)
    sizes, left_out = fitting(
        at(
            full=[64 * MIB, 256 * MIB, GIB, 4 * GIB, 16 * GIB],
            quick=[16 * MIB, 64 * MIB],
            emulated=[16 * MIB, 64 * MIB],
            emulated_quick=[4 * MIB, 16 * MIB],
        ),
        machine,
    )
    arguments: dict[str, Any] = {
        "words": WORDS,
        "every_ms": at(full=50.0, quick=10.0, emulated=100.0),
        "duration_s": at(full=1.0, quick=0.1, emulated=0.5),
        "turns": at(full=3, quick=2),
        "shares": at(full="0.1 1 10", quick="1 10"),
    }
    probes = [
        Probe(
            function="gcbarrier.bench.tracking:array",
            barrier=name,
            heap_bytes=size,
            arguments={**arguments, "random": order == "random"},
            estimate_s=2 * arguments["turns"] * arguments["duration_s"] + 8 * size / GIB,
        )
        for size in sizes
        for name in page_barriers()
        for order in ORDERS
    ]
    configs = programs(
        heap_bytes=at(full=128 * MIB, quick=64 * MIB, emulated=32 * MIB),
        duration_s=at(full=3.0, quick=0.5, emulated=4.0, emulated_quick=2.0),
    )
    invocations = at(full=5, quick=1, emulated=3, emulated_quick=1)
    return Plan(probes=probes, configs=configs, invocations=invocations, left_out=left_out)


def programs(*, heap_bytes: int, duration_s: float) -> tuple[Config, ...]:
    """GCBench, and the corpus where there is one, without a barrier and over each."""
    heaps = [("gcbench", {}), *(("trace", {"recording": name}) for name in recordings())]
    pairs = [("none", "stop-the-world"), *((name, "mostly-concurrent") for name in page_barriers())]
    return tuple(
        config
        for heap, params in heaps
        for config in product(heap=heap, heap_params=params, heap_bytes=heap_bytes, duration_s=duration_s, pairs=pairs)
    )


def recordings() -> tuple[str, ...]:
    """The names of the corpus; none where there is no heap that replays them."""
    return corpus.names() if "trace" in discovery.names("heaps") else ()


def everything(run: Run, machine: str) -> list[Point]:
    """What was read of the arrays, and what the programs' mutators took over those without a barrier."""
    return [*(evolve(one, x=_pages(one)) for one in points(run, machine)), *_programs(run, machine)]


def _pages(one: Point) -> float:
    """Of what a share of the pages is of: pages, so that sizes lie on one curve."""
    return round(one.x * one.heap_bytes / PAGE_BYTES / 100)


def _programs(run: Run, machine: str) -> Iterator[Point]:
    for work in workloads(run.on(machine)):
        for cell in work.cells:
            times = relative(cell, work.baseline, cpu_ns_per_operation)
            if times:
                name = str(cell.config.heap_params.get("recording") or cell.config.heap)
                yield Point(
                    barrier=cell.config.barrier,
                    memory=cell.config.memory,
                    heap_bytes=cell.config.heap_bytes,
                    what=f"{name}/program",
                    x=0.0,
                    unit="ratio",
                    value=times,
                    low=times.low,
                    high=times.high,
                    notes=(),
                )


def _what(one: Point) -> str:
    return one.what.partition("/")[2]


def _of(one: Point, what: str) -> Spread | None:
    return point_spread(one) if _what(one) == what else None


def _refused(found: list[Point]) -> list[str]:
    """Who gave up, where, and why."""
    said: dict[str, list[str]] = {}
    for one in found:
        if _what(one) == "refused":
            for note in one.notes:
                said.setdefault(note, []).append(f"{one.barrier}, {BYTES.words(one.heap_bytes)} {_workload(one)}")
    return [f"“{why}”: {'; '.join(dict.fromkeys(whose))}." for why, whose in said.items()]


def _late(found: list[Point]) -> list[str]:
    """Where collecting took longer than the time that was asked for between two collects."""
    late = [
        f"{one.barrier}, {BYTES.words(one.heap_bytes)} {_workload(one)}, {RATIO.words(one.value.centre)}"
        for one in found
        if _what(one) == "interval" and one.value.centre > _HALF_COLLECTING
    ]
    said = (
        "Collects took longer than what was asked for between them, so these had fewer (interval over that asked for): "
    )
    return [f"{said}{'; '.join(late)}."] if late else []


def _workload(one: Point) -> str:
    return one.what.partition("/")[0]


SIZE = Axis("tracked", "heap_bytes", BYTES)
ORDER = Names("array", lambda one: _workload(one) if _workload(one) in ORDERS else "", order=ORDERS)
PROGRAM = Names("program", lambda one: _workload(one) if _what(one) == "program" else "", order=("gcbench",))
SLOWER = Measure("a page, tracked over untracked", RATIO.log, lambda one: _of(one, "wall"))
CPU = Measure("processor time of it", RATIO.log, lambda one: _of(one, "cpu"))
COLLECT = Measure("collecting, each page of the array", None, lambda one: _of(one, "collect"))
REPORTED = Measure("collecting, each page reported", None, lambda one: _of(one, "reported"))
INTERVAL = Measure("from collect to collect, over the time asked for", RATIO.log, lambda one: _of(one, "interval"))
ARM = Measure("arming, each page", None, lambda one: _of(one, "arm"))
PAGE = Measure("a page untracked", None, lambda one: _of(one, "page"))
MUTATORS = Measure("mutators' processor time\nover no barrier's", RATIO.log, lambda one: _of(one, "program"))
MAPPINGS = Measure(
    "mappings over the array", COUNT.log, lambda one: _of(one, "mappings") if _workload(one) == "random" else None
)
WRITTEN = Axis("pages written in a random order since it was armed", "x", COUNT.log)


def _table(measure: Measure) -> Across:
    return Across(
        rows=BARRIER,
        columns=SIZE,
        value=measure.ranged,
        per=ORDER,
        title=measure.title,
        keep=lambda one: bool(measure.value(one)),
    )


REPORT = Report(
    title="What tracking costs a program that writes an array of so many bytes, whole pages at a time.",
    figure=(
        (Curves(x=SIZE, y=SLOWER, per=ORDER), Curves(x=SIZE, y=COLLECT, per=ORDER)),
        (Rows(rows=PROGRAM, x=MUTATORS, words=False, width=3.2), Curves(x=WRITTEN, y=MAPPINGS, width=3.2)),
    ),
    table=(
        *(_table(measure) for measure in (SLOWER, CPU, COLLECT, REPORTED, INTERVAL, ARM, PAGE)),
        Across(
            rows=BARRIER,
            columns=WRITTEN,
            value=MAPPINGS,
            title="mappings over the array, by the pages written in a random order since it was armed",
            keep=lambda one: bool(MAPPINGS.value(one)),
        ),
        Across(
            rows=BARRIER,
            columns=PROGRAM,
            value=MUTATORS.ranged,
            title="mutators' processor time for an operation, over no barrier's",
            keep=lambda one: _what(one) == "program",
        ),
    ),
    remarks=lambda found: [*_refused(found), *_late(found)],
    cells=everything,
)
figures, table = REPORT.figures, REPORT.table
