"""Is asynchronous write-protection slower than soft-dirty?

Asked on the kernel's lists in 2024, when PAGEMAP_SCAN was new and checkpointing still used soft-dirty. Both ways take
the same steps on the same mapping, as bare system calls and one at a time: the first store to a page (one that is
there, and one that is not), arming again, collecting (PAGEMAP_SCAN, and the page map's entries, for both), at several
shares of written pages, with other memory in the process, a fork; on shared and private memory, with small pages and
huge ones. In the lab, where instructions are counted: there both are to be had, and counts repeat where times would
not. A round (what a checkpoint or a collection pays for each written page: its fault, and its share of one look at
all pages that arms again) adds them up; that is the answer.

Counted on Linux 6.12.95 and 7.3.4 (two boots each, over 16 MiB): no, but for pages that are not there yet and for
huge ones. The fault itself takes 0 to 6 % more (1,620 instructions against 1,540 on private memory of 6.12, 1,570
against 1,570 on 7.3), and the scan that collects and arms in one step takes a third of scan and ``clear_refs`` where
all pages were written, a thirteenth where one in a hundred was. So a round takes 0.86 to 0.91 times soft-dirty's where
all were written, and 0.07 to 0.08 times where one in a thousand was; other memory in the process makes soft-dirty
dearer and does not touch the other. The exceptions: the first store to an absent page takes 14 to 25 % more, since its
protection is a marker that must go first; UFFDIO_WRITEPROTECT went from 145 to 349 instructions a page between the two
kernels, and is dearer than ``clear_refs`` where the mapping is most of its process (PAGEMAP_SCAN's arming stayed as it
was); and a huge page costs soft-dirty one fault and 512 false pages, asynchronous write-protection a split.

Another kernel of the lab: ``GCBARRIER_LAB_KERNEL=trixie-backports gcbarrier run soft_dirty``.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import evolve, frozen

from gcbarrier.campaign.plans import Plan, choose
from gcbarrier.model import Machine, Probe
from gcbarrier.report import (
    BARRIER,
    COUNT,
    PERCENT,
    RATIO,
    Across,
    Axis,
    Curves,
    Measure,
    Names,
    Report,
    Rows,
    agreement,
    point_spread,
)
from gcbarrier.report.units import format_ratio
from gcbarrier.results import Spread, over, spread
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

MIB = 1 << 20
OLD, NEW = "soft-dirty", "uffd-wp-async"
MEMORIES = ("anonymous", "shmem", "anonymous-thp")
STEPS = {
    "store": "first store, page there",
    "absent-store": "first store, page absent",
    "huge-store": "first store, huge page",
    "arm": "arming again",
    "scan": "scan",
    "read": "page map",
    "scan-again": "scan, arming again",
    "read-again": "page map, arming again",
    "fork": "fork, all armed",
}
SHARED = ("arm", "scan", "read", "scan-again", "read-again")
"""What is of a share of written pages."""
SHOWN = (1.0, 100.0)
"""Per cent that have rows of their own; curves have all."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Both ways and none, on three kinds of memory; two boots, or nobody would know whether counts repeat."""
    at = choose(machine, quick)
    arguments: dict[str, Any] = {
        "densities": at(full="0.1 1 10 100", quick="1 100"),
        "beside": at(full="0 64 256", quick="0 64"),
        "budget_s": at(full=0.2, quick=0.02, emulated=0.005),
        "least": at(full=7, quick=3, emulated=3),
    }
    probes = [
        Probe(
            function="gcbarrier.bench.ways:ways",
            barrier=name,
            memory=memory,
            heap_bytes=at(full=64, quick=16, emulated=16) * MIB,
            arguments=arguments,
            estimate_s=at(full=20.0, quick=2.0, emulated=10.0),
        )
        for name in ("none", OLD, NEW)
        for memory in MEMORIES
    ]
    return Plan(probes=probes, invocations=at(full=5, quick=1, emulated=3, emulated_quick=2), counted=True)


@frozen(kw_only=True)
class Answer:
    """One step of both ways, as a ratio: above 1 asynchronous write-protection takes more."""

    memory: str
    heap_bytes: int
    what: str
    x: float
    times: Spread
    barrier: str = NEW


def rounds(found: Sequence[Point]) -> Iterator[Point]:
    """What a round costs for each written page: its first store, and its share of a scan that arms again."""
    stores = {(one.barrier, one.memory): one for one in found if one.what == "store"}
    for one in found:
        first = stores.get((one.barrier, one.memory))
        if one.what != "scan-again" or first is None:
            continue
        per_written = 100 / one.x
        each = [fault + per_written * page for fault, page in zip(first.value.each, one.value.each, strict=False)]
        low, high = (a + per_written * b for a, b in ((first.low, one.low), (first.high, one.high)))
        yield evolve(one, what="round", value=spread(each), low=low, high=high)


def answers(found: Sequence[Point]) -> list[Answer]:
    """Both ways' steps and rounds as ratios, where both were measured."""
    old = {(one.memory, one.what, one.x): one for one in found if one.barrier == OLD}
    return [
        Answer(
            memory=one.memory,
            heap_bytes=one.heap_bytes,
            what=one.what,
            x=one.x,
            times=over(one.value, old[one.memory, one.what, one.x].value),
        )
        for one in found
        if one.barrier == NEW and (one.memory, one.what, one.x) in old
    ]


def everything(run: Run, machine: str) -> list[Point | Answer]:
    """What was read, rounds, and the ratios of all."""
    read = list(points(run, machine))
    found = [*read, *rounds(read)]
    return [*found, *answers(found)]


def _shown(one: Point | Answer) -> bool:
    return any(abs(one.x / share - 1) < 0.1 for share in SHOWN)


def _step(one: Point | Answer) -> str:
    if one.what not in STEPS:
        return ""
    if one.what in SHARED:
        return f"{STEPS[one.what]}, {PERCENT.words(one.x, 2)}" if _shown(one) else ""
    return STEPS[one.what]


def _read(one: Point | Answer, *whats: str) -> Spread | None:
    return point_spread(one) if isinstance(one, Point) and one.what in whats else None


def say(found: Sequence[Point | Answer]) -> list[str]:
    """The answer: a sentence for each kind of memory, of a round at the least and at the greatest share."""
    said = []
    for memory in MEMORIES:
        mine = sorted(
            (one for one in found if isinstance(one, Answer) and one.memory == memory and one.what == "round"),
            key=lambda one: one.x,
        )
        if mine:
            ends = [f"{_interval(one.times)} at {PERCENT.words(one.x, 2)}" for one in (mine[0], mine[-1])]
            said.append(f"{memory}: a round of {NEW} takes {' and '.join(dict.fromkeys(ends))} of {OLD}'s.")
    return said or [f"{OLD} is not to be had on this machine: the question is the lab's."]


def _interval(times: Spread) -> str:
    low, high = format_ratio(times.low, 3), format_ratio(times.high, 3)
    return f"{format_ratio(times.centre, 3)}" + f" ({low} to {high})" * (low != high)


MEMORY = Names("memory", "memory", order=MEMORIES)
STEP = Names(
    "step",
    _step,
    order=[
        *(STEPS["store"], STEPS["absent-store"], STEPS["huge-store"]),
        *(f"{STEPS[what]}, {PERCENT.words(share, 2)}" for what in SHARED for share in SHOWN),
        STEPS["fork"],
    ],
)
WRITTEN = Axis("share of the pages that were written", "x", evolve(PERCENT.log, tick=lambda x: PERCENT.words(x, 2)))
BESIDE = Axis("MiB of other memory in the process", "x", COUNT)
COST = Measure("each page (a fork: all)", None, lambda one: _read(one, *STEPS))
TIMES = Measure(f"{NEW}\nover {OLD}", RATIO, lambda one: one.times if isinstance(one, Answer) else None)
ROUND = Measure("a round,\nfor each written page", None, lambda one: _read(one, "round"))
ARM_BESIDE = Measure("arming again,\neach page of the mapping", None, lambda one: _read(one, "arm-beside"))
REPORTED = Measure("pages reported for one store", COUNT, lambda one: _read(one, "reported"))
REPORT = Report(
    title=f"Is {NEW} slower than {OLD}? Each step by itself, over {{heap_bytes}}.",
    figure=(
        (
            Rows(
                rows=STEP,
                x=COST,
                per=MEMORY,
                width=2.1,
                row=0.27,
            ),
            Rows(rows=STEP, x=TIMES, per=MEMORY, words=True, limit=1.0, labels=False, width=1.5, row=0.27),
        ),
        (Curves(x=WRITTEN, y=ROUND, per=MEMORY, band=True), Curves(x=BESIDE, y=ARM_BESIDE, per=MEMORY, band=True)),
    ),
    table=(
        Across(rows=STEP, columns=BARRIER, value=COST.ranged, per=MEMORY, keep=lambda one: isinstance(one, Point)),
        Across(
            rows=STEP,
            columns=MEMORY,
            value=TIMES.ranged,
            title=f"{NEW} over {OLD}",
            keep=lambda one: isinstance(one, Answer),
        ),
        Across(
            rows=WRITTEN,
            columns=BARRIER,
            value=ROUND.ranged,
            per=MEMORY,
            title="a round, for each written page, by the share that was written",
            keep=lambda one: isinstance(one, Point) and one.what == "round",
        ),
        Across(
            rows=BESIDE,
            columns=BARRIER,
            value=ARM_BESIDE.ranged,
            per=MEMORY,
            title="arming again, each page of the mapping, by the MiB beside it",
            keep=lambda one: isinstance(one, Point) and one.what == "arm-beside",
        ),
        Across(
            rows=MEMORY,
            columns=BARRIER,
            value=REPORTED,
            title="pages reported for one store",
            keep=lambda one: isinstance(one, Point) and one.what == "reported",
        ),
    ),
    remarks=(
        say,
        f"{OLD}'s arming is of the whole process, here with the interpreter in it; {NEW}'s is of the mapping alone.",
        f"A huge page is one page to {OLD}, and one fault: it reports all of it for one store. {NEW} splits it at the "
        "first store and goes on with small ones.",
        lambda found: agreement([one for one in found if isinstance(one, Point)]),
    ),
    cells=everything,
)
figures, table = REPORT.figures, REPORT.table
