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
_NEVER: Mapping[str, Scalar] = {"aim_ns": 1_000_000_000}
"""Nobody is asked for help before the remark would take a second."""
OPTIONS: Mapping[str, Mapping[str, Scalar]] = {
    **{f"{count} round{'s' * (count != 1)}": {**_NEVER, "rounds": count} for count in (0, 1, 2, 4, 8, 16)},
    "no help": _NEVER,
    **{f"no help, shrink {share}": {**_NEVER, "shrink": share} for share in (0.8, 1.0)},
    **{f"aim {aim} µs": {"aim_ns": 1000 * aim} for aim in (1, 100, 1000)},
    "the defaults": {},
}
"""What is compared, and the collector's parameters for it."""
SHORT = ("0 rounds", "1 round", "4 rounds", "no help", "aim 100 µs", "the defaults")
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
    remarks="Up to “n rounds”, and nobody helps, but they end before where one is expected to leave what it finds. "
    "“Aim”: what the rescan may take before mutators are held up, which is no pause, and in the mutator's time.",
)
figures, table = REPORT.figures, REPORT.table
