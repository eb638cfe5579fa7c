"""What does a mutator see that no collector calls a pause?

Each store of ``graph_edits`` is timed, to the 99.99th percentile and beyond, while a cycle is under way: arming,
scanning and re-arming run beside the mutator, take its faults and the locks that these need. The baseline is the same
program over no barrier and no collector at all (``never``). What the mutator sleeps of its own will is left out.

The aim is a 99.99th percentile of at most ``AIM`` times the baseline's. The table says in which phase of the collector
the operations above a barrier's own were done, and what the slowest had met: a pause, being descheduled, a wait
in the kernel, arming or collecting; what had met nothing was a page fault, an interrupt, or the machine's own absence,
of which the baseline has its share.
"""

from collections import Counter
from collections.abc import Sequence

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Config, Machine, Outcome
from gcbarrier.report import NS, PER_S, Axis, Column, Lines, Measure, Report, Tails
from gcbarrier.report.units import DASH, format_ns, format_number
from gcbarrier.results import IN_CYCLE, Cell, Histogram, causes, histogram

MIB = 1 << 20
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "uffd-wp-pagemap", "mprotect", "cards", "soft-dirty")
ONLY_REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}
AIM = 3.0
LAST = 99.99


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier and the baseline; stores at a rate, and as fast as the mutator can."""
    at = choose(machine, quick)
    configs = product(
        heap="graph_edits",
        heap_bytes=at(full=256 * MIB, quick=64 * MIB, emulated=32 * MIB),
        heap_params=[
            {"rate_per_s": rate, **ONLY_REDIRECTS} for rate in at(full=(1e5, 0.0), quick=(0.0,), emulated=(0.0,))
        ],
        pairs=[("none", "never"), *((name, "mostly-concurrent", {"every_s": 0.02}) for name in BARRIERS)],
        duration_s=at(full=5.0, quick=1.5, emulated=5.0, emulated_quick=2.0),
        timed=True,
    )
    return Plan(configs=configs, invocations=at(full=3, quick=1))


def is_baseline(cell: Cell) -> bool:
    """Whether no cycle is ever due."""
    return cell.config.collector == "never"


def counted(config: Config) -> tuple[str, ...]:
    """The phases whose operations count: those while a cycle is under way; the baseline's are all in none."""
    return ("no cycle",) if config.collector == "never" else IN_CYCLE


def seen(cell: Cell) -> Histogram:
    """The operations that count."""
    return histogram(cell.good, counted(cell.config))


def _percentile(q: float) -> Measure:
    """One per invocation."""

    def each(outcome: Outcome) -> float:
        return histogram([outcome], counted(outcome.invocation.config)).percentile(q)

    return Measure("median" if q == 50 else f"{q}th", NS, lambda cell: cell.each(each))


def _aim(cell: Cell, found: Sequence[Cell]) -> str:
    ratio = SLOWEST.ratio(cell, found, is_baseline).centre
    return "" if is_baseline(cell) or ratio != ratio else "met" if ratio <= AIM else "missed"


def _why(found: Sequence[Cell]) -> list[str]:
    """Of the operations above the 99.99th percentile: the phases, and what those that were kept had met."""
    said = []
    for cell in found:
        least, phases = seen(cell).percentile(LAST), counted(cell.config)
        where: Counter[str] = Counter()
        for times in (times for outcome in cell.good for times in outcome.operation_times if times.phase in phases):
            slow = (count for low, count in zip(times.low_ns, times.counts, strict=True) if low >= least)
            where[times.phase] += sum(slow)
        if where.total():
            met = _counts(causes(cell.good, least, phases))
            said.append(f"{cell.config.barrier}: above {format_ns(least)} {_counts(where)}; the slowest met: {met}")
    return said


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common() if count) or DASH


def _stamped(found: Sequence[Cell]) -> str:
    facts = [outcome.facts for cell in found for outcome in cell.outcomes]
    costs = sorted(float(one["timing_cost_ns"]) for one in facts if "timing_cost_ns" in one)
    return f"Timing an operation adds {format_ns(costs[len(costs) // 2])} to it." if costs else ""


RATE = Axis(
    *("stores per second", "heap_params.rate_per_s", PER_S),
    endless=0.0,
    unlimited="as fast as it can",
    short="stores/s",
)
OPERATIONS = Column(head="operations", words=lambda cell: format_number(seen(cell).total, 4))
SLOWEST = _percentile(LAST)
REPORT = Report(
    title="How long a store takes while a cycle is under way, random ones over {heap_bytes}.",
    figure=Tails(
        of=seen,
        label="time of an operation",
        share="share of the stores that took so long or longer",
        mark=LAST,
        per=RATE,
    ),
    table=Lines(
        OPERATIONS,
        *(_percentile(q) for q in (50, 99, 99.9)),
        SLOWEST.ranged,
        Measure("slowest", NS, lambda cell: seen(cell).percentile(100)),
        SLOWEST.against(is_baseline, f"{LAST}th / baseline"),
        Column(head=f"aim {AIM:g}", among=_aim),
        per=RATE,
        title="{heap}, {heap_bytes}, redirects only",
        after=_why,
    ),
    remarks=("“none”: no barrier and no collector at all.", _stamped),
)
figures, table = REPORT.figures, REPORT.table
