"""Which real programs suit page barriers?

Recordings of real programs (the heap ``trace``) are replayed at the pace they were recorded at, under page barriers and
software ones, with the same mostly-concurrent collector (``satb`` has its own); under ``none`` the world is stopped.
The remark pause stands beside its bill: the mutators' processor time beside none's, and beside what the program itself
took of a processor when it was recorded; the collector's; and the slowest of ten thousand operations (an operation
writes one page).

Page tables tell that a page was written, and not how often. So each program is replayed twice: with one store to a page
each time that it is written, which is the worst that can be said of page barriers, since they pay for the first store
alone, and with a hundred, for which software barriers pay a hundred times. The truth of a program lies between, or
beyond. The table says at which share of the recording's mean rate pages were written: less where a machine can't
keep up, and less or more where the seconds that were replayed are not like the rest of a program.

As fast as it can, in place of the recorded pace: ``--set trace.pace=0``. Your own program: ``--set
trace.recording=app.pages``.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Machine, Outcome, Scalar, evolve
from gcbarrier.page_traces import corpus
from gcbarrier.plugins import discovery
from gcbarrier.report import COUNT, NS, PERCENT, RATIO, Lines, Measure, Names, Report, Rows
from gcbarrier.report.looks import barrier_look
from gcbarrier.results import (
    Cell,
    Spread,
    all_cpu_ns_per_operation,
    cpu_ns_per_operation,
    faults_per_operation,
    histogram,
    over,
    relative,
    workloads,
)
from gcbarrier.results.run import Run
from gcbarrier.session import program as programs

MIB = 1 << 20
PAGES = ("uffd-wp-log", "uffd-wp-async", "mprotect")
SOFTWARE = ("cards", "log", "satb")
STORES = (1, 100)
"""To a page each time that it is written."""
SELDOM_S, OFTEN_S = 0.25, 0.05
"""From the end of a cycle to the next, where the world is stopped and where it is not, as in ``pause_times``."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every recording that came along (those that it shall be instead are swept), one program after the other."""
    at = choose(machine, quick)
    often = {"every_s": OFTEN_S}
    concurrent = [(each, "snapshot-concurrent" if each == "satb" else "mostly-concurrent") for each in PAGES + SOFTWARE]
    heap = discovery.module("heaps", "trace")
    recordings = corpus.names() or (heap.DEFAULT,)
    params = [
        # As much is allocated whatever the stores, or cycles would take longer for another reason.
        {
            "recording": name,
            "pace": at(full=1.0, emulated=0.1),
            "stores_per_page": stores,
            "garbage_per_store": 1 / stores,
        }
        for name in at(full=recordings, quick=recordings[:2], emulated_quick=recordings[:1])
        for stores in STORES
    ]
    configs = product(
        heap="trace",
        heap_bytes=at(full=512, quick=64, emulated=32) * MIB,
        heap_params=params,
        pairs=[("none", "stop-the-world", {"every_s": SELDOM_S}), *((*pair, often) for pair in concurrent)],
        duration_s=at(full=3.0, quick=1.0),
        timed=True,
    )
    return Plan(configs=configs, invocations=at(full=5, quick=1, emulated=2, emulated_quick=1))


@frozen(kw_only=True)
class Recorded:
    """What the program itself did, over all of its recording."""

    pages_per_s: float
    """Pages written: all of them, whatever share of them is replayed."""
    replayed_per_s: float
    """The same of the share that is replayed."""
    cpu_share: float
    """Of a processor; 0: it was not recorded."""


@frozen(kw_only=True)
class Billed:
    """A cell, the one that its mutators' time is compared with, and what was recorded."""

    cell: Cell
    baseline: Cell | None
    recorded: Recorded | None

    @property
    def config(self) -> Config:
        """Of the cell."""
        return self.cell.config


def billed(run: Run, machine: str) -> Sequence[Billed]:
    """The cells of a machine, each with the baseline of its own program."""
    found = [
        Billed(cell=cell, baseline=work.baseline, recorded=_recorded(work.config.heap_params, work.config.heap_bytes))
        for work in workloads(run.on(machine))
        for cell in work.cells
    ]
    return sorted(found, key=lambda one: (_name(one.config), _stores(one.config)))


@functools.cache
def _recorded(params: Mapping[str, Scalar], heap_bytes: int) -> Recorded | None:
    """None where the recording is not here any more: a run can be looked at elsewhere."""
    heap = discovery.module("heaps", "trace")
    config = Config(heap="trace", barrier="none", collector="never", heap_bytes=heap_bytes, heap_params=dict(params))
    try:
        concrete = programs.resolved(config)
        trace, replay = heap.trace_of(concrete), heap.replay_of(concrete)
    except GcBarrierError:
        return None
    ticks = len(replay.written)
    seconds = replay.begin_ns[-1] / 1e9
    return Recorded(
        pages_per_s=float(trace.counts[:ticks].sum() / seconds),
        replayed_per_s=float(replay.written.sum() / seconds),
        cpu_share=float(trace.cpu_ns[:ticks].sum() / 1e9 / seconds),
    )


def _name(config: Config) -> str:
    return Path(str(config.heap_params.get("recording", ""))).stem or config.heap


def _stores(config: Config) -> int:
    return int(config.heap_params.get("stores_per_page", 1))


def _program(one: Any) -> str:
    """The recording, and how many stores there are to a page."""
    stores = _stores(one.config)
    return f"{_name(one.config)}, {stores} {'store' if stores == 1 else 'stores'} a page"


def _remark(one: Billed) -> Spread:
    return one.cell.medians("remark") or one.cell.medians()


def _of_the_program(one: Billed) -> Spread | None:
    """What mutators took more than over no barrier, for each page, as a share of what the program took for one."""
    told, baseline = one.recorded, one.baseline
    if told is None or not told.cpu_share or baseline is None:
        return None
    plain = {outcome.invocation.index: cpu_ns_per_operation(outcome) for outcome in baseline.good}
    own_ns = told.cpu_share / told.pages_per_s * 1e9

    def share(outcome: Outcome) -> float:
        more_ns = cpu_ns_per_operation(outcome) - plain.get(outcome.invocation.index, float("nan"))
        return 100 * more_ns / own_ns

    return one.cell.each(share)


def _pace(one: Billed) -> Spread | None:
    told, pace = one.recorded, float(one.config.heap_params.get("pace", 1.0))
    if told is None or not pace:
        return None
    due = told.replayed_per_s
    return one.cell.each(lambda outcome: 100 * outcome.operations / (outcome.wall_ns / 1e9 * due * pace))


def _collector(outcome: Outcome) -> float:
    return 100 * outcome.collector_cpu_ns / outcome.wall_ns if outcome.wall_ns else float("nan")


def _tail(outcome: Outcome) -> float:
    return histogram([outcome]).percentile(99.99)


PROGRAM = Names("program", _program)
WHO = Names(
    "barrier",
    lambda one: one.config.barrier,
    order=("none", *PAGES, *SOFTWARE),
    looks={each: barrier_look(each) for each in ("none", *PAGES, *SOFTWARE)},
)
REMARK = Measure("remark pause", NS, _remark, head="remark")
STOPPED = Measure("stopped in a cycle", NS, lambda one: one.cell.stopped(), head="stops of a cycle")
MUTATORS = Measure(
    "mutators' processor time\nbeside none's",
    RATIO.log,
    lambda one: relative(one.cell, one.baseline, cpu_ns_per_operation),
    head="mutators",
)
TOGETHER = Measure(
    "and the collector's",
    RATIO.log,
    lambda one: relative(one.cell, one.baseline, all_cpu_ns_per_operation),
    head="with the collector",
)
TAX = Measure(
    "what they take more, of the\nprogram's own processor time",
    evolve(PERCENT.log, floor=0.1),
    _of_the_program,
    head="of the program's own",
)
COLLECTOR = Measure("collector, of a processor", PERCENT, lambda one: one.cell.each(_collector), head="collector")
TAIL = Measure("slowest of 10,000\noperations", NS, lambda one: one.cell.each(_tail), head="99.99th")
FAULTS = Measure("faults a page", COUNT, lambda one: one.cell.each(faults_per_operation))
PACE = Measure("of the mean rate", PERCENT, _pace)


def verdict(run: Run) -> str:
    """Of each program whether the page barrier that is cheapest for mutators is cheaper than the cheapest other one."""
    said = []
    for machine in run.machines:
        for program, found in PROGRAM.groups(billed(run, machine)):
            sides = [_cheapest([one for one in found if one.config.barrier in side]) for side in (PAGES, SOFTWARE)]
            if None not in sides:
                where = f"{machine}, {program}" if len(run.machines) > 1 else program
                said.append(f"{where}: {_compared(*sides)}.")
    return "\n".join(said)


def _cheapest(found: Sequence[Billed]) -> Billed | None:
    """By the mutators' time."""
    return min((one for one in found if _cpu(one)), key=lambda one: _cpu(one).centre, default=None)


def _cpu(one: Billed) -> Spread:
    return one.cell.each(cpu_ns_per_operation)


def _compared(page: Billed, other: Billed) -> str:
    """Of two cells of one program."""
    cost, pause = over(_cpu(page), _cpu(other)), over(_remark(page), _remark(other))
    return (
        f"{page.config.barrier} costs mutators {_than(cost, 'less', 'more')} {other.config.barrier} "
        f"({MUTATORS.say(page)} times none's against {MUTATORS.say(other)}), and its remark is "
        f"{_than(pause, 'shorter', 'longer')} that one's ({REMARK.say(page)} against {REMARK.say(other)})"
    )


def _than(ratio: Spread, below: str, above: str) -> str:
    """What the interval says that this run itself has of a ratio, or its range; one invocation has neither."""
    if len(ratio.each) < 2 or ratio.low <= 1 <= ratio.high:
        return f"neither {below} nor {above} for certain than"
    return f"{below} than" if ratio.high < 1 else f"{above} than"


REPORT = Report(
    title="Which real programs suit page barriers? Recordings of page writes, replayed in {heap_bytes}.",
    figure=[[Rows(rows=PROGRAM, x=(REMARK, MUTATORS, TAX, COLLECTOR, TAIL), row=1.0, width=1.7)]],
    table=Lines(
        *(REMARK.ranged, STOPPED, MUTATORS.ranged, TOGETHER, TAX.ranged, COLLECTOR, TAIL.ranged, FAULTS, PACE),
        per=PROGRAM,
        title="{heap_bytes}",
    ),
    remarks=(
        "An operation writes a page; how often a program writes one is not recorded.",
        "Of the program's own: what a page that is written costs mutators more than over none, of the processor time "
        "that the program took for a page that it wrote while it was recorded.",
    ),
    by=WHO,
    cells=billed,
)
figures, table = REPORT.figures, REPORT.table
