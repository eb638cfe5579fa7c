"""Do rescan rounds before the remark pay, and when should they end?

``graph_edits`` with nothing but random redirects over the whole heap, under ``mostly-concurrent`` with so many rounds
and no other end to them, then with each of its ends and options by itself: what the remark takes, and what it costs in
all, the collector's processor time per cycle and the mutator's per operation. An option that shortens the pause is
worth what it adds to these.
"""

from collections.abc import Mapping

from attrs import fields

from gcbarrier import collectors
from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Machine, Outcome, Scalar
from gcbarrier.report import COUNT, NS, PER_S, Axis, Column, Lines, Measure, Names, Report, Rows
from gcbarrier.results import Cell, cpu_ns_per_operation

MIB = 1 << 20
COLLECTOR = "mostly-concurrent"
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "soft-dirty")
_ALONE: Mapping[str, Scalar] = {"enough": 0, "shrink": 1.0, "help": 0, "stop_above": 0, "look": 0}
"""Rounds and nothing else."""
_HELPED: Mapping[str, Scalar] = {**_ALONE, "rounds": 16, "shrink": 0.5, "wait_ns": 0}
OPTIONS: Mapping[str, Mapping[str, Scalar]] = {
    **{f"{count} round{'s' * (count != 1)}": {**_ALONE, "rounds": count} for count in (0, 1, 2, 4, 8, 16)},
    **{f"enough {count}": {**_ALONE, "rounds": 16, "enough": count} for count in (16, 256, 4096)},
    **{f"shrink {share}": {**_ALONE, "rounds": 16, "shrink": share} for share in (0.5, 0.8, 0.9)},
    **{f"help {count}": {**_HELPED, "help": count} for count in (4, 16, 64)},
    **{f"help 16, wait {wait} µs": {**_HELPED, "help": 16, "wait_ns": 1000 * wait} for wait in (4, 16)},
    **{f"stop above {count}": {**_ALONE, "rounds": 4, "stop_above": count} for count in (16, 500)},
    **{f"look {count}": {**_ALONE, "rounds": 4, "look": count} for count in (64, 4096)},
    "the defaults": {},
}
"""What is compared, and the collector's parameters for it."""
SHORT = ("0 rounds", "4 rounds", "16 rounds", "stop above 16", "help 16", "help 16, wait 16 µs", "the defaults")
ONLY_REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every option that the collector has, at each rate under each barrier; emulated, the short list of them."""
    at = choose(machine, quick)
    known = {field.name for field in fields(collectors.find(COLLECTOR).params)}
    names = at(full=tuple(OPTIONS), quick=SHORT, emulated=SHORT)
    configs = product(
        heap="graph_edits",
        heap_bytes=at(full=512 * MIB, quick=128 * MIB, emulated=32 * MIB),
        heap_params=[{"rate_per_s": rate, **ONLY_REDIRECTS} for rate in at(full=(1e5, 1e6), emulated=(1e4,))],
        barrier=BARRIERS,
        collector=COLLECTOR,
        collector_params=[
            {**params, "every_s": 0.05} for name, params in OPTIONS.items() if name in names and set(params) <= known
        ],
        duration_s=at(full=3.0, quick=0.6, emulated=3.0, emulated_quick=1.5),
    )
    return Plan(configs=configs, invocations=at(full=3, quick=1))


def option(cell: Cell) -> str:
    """The name of what a configuration tries; its parameters where they are none of ours."""
    params = {name: value for name, value in cell.config.collector_params.items() if name != "every_s"}
    named = (name for name, its in OPTIONS.items() if dict(its) == params)
    return next(named, ", ".join(f"{name} {value}" for name, value in params.items()))


def _collector(outcome: Outcome) -> float:
    return outcome.collector_cpu_ns / len(outcome.cycles) if outcome.cycles else float("nan")


RATE = Axis("stores per second", "heap_params.rate_per_s", PER_S, endless=0.0, short="stores/s")
OPTION = Names("option", option, order=tuple(OPTIONS))
REMARK = Measure("remark pause", NS, lambda cell: cell.medians("remark"), head="remark")
PER_CYCLE = Measure("collector, CPU per cycle", NS.linear, lambda cell: cell.each(_collector), head="collector/cycle")
PER_STORE = Measure(
    "mutator, CPU per store", NS.linear, lambda cell: cell.each(cpu_ns_per_operation), head="mutator/store"
)
STOPS = Measure("all stops", NS, Cell.stopped)
RESCAN = Measure("rescan", NS, lambda cell: cell.medians("remark", "rescan_ns"))
ROUNDS = Measure("rounds", COUNT, lambda cell: cell.cycles(lambda cycle: cycle.rounds))
CYCLES = Column(head="cycles", words=lambda cell: str(sum(len(outcome.cycles) for outcome in cell.good)))
REPORT = Report(
    title="Rounds before the remark, random stores over {heap_bytes}.",
    figure=Rows(rows=OPTION, x=(REMARK, PER_CYCLE, PER_STORE), per=RATE, row=0.27),
    table=Lines(
        *(OPTION, REMARK.ranged, STOPS, RESCAN, ROUNDS, PER_CYCLE, PER_STORE, CYCLES),
        per=RATE,
        title="{heap}, {heap_bytes}, redirects only",
    ),
    remarks="“n rounds” have no other end; “enough” and “shrink” end 16 rounds at most, “help” comes where such shrink "
    "by less than half, “stop above” and “look” to 4 rounds. Such a stop is a pause besides, not in the remark's.",
)
figures, table = REPORT.figures, REPORT.table
