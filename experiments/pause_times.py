"""How long do pauses get when the page tables are the write barrier, and what do mutators pay for it?

Asynchronous userfaultfd write-protect, with the kernel's log of the faults, in its atomic form and in its first
protocol, beside soft-dirty, under the same mostly-concurrent collector. Stopping the world for the whole collection
bounds the pauses from above; as no barrier is needed for that, it is the baseline of the bill as well: of throughput,
of what mutators take of a processor, and of what they and the collector take together.

Of recorded programs: ``--set heap=trace --set trace.recording=cpython,node``.
"""

from collections.abc import Sequence

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Machine
from gcbarrier.report import Comparison, Pauses, Report
from gcbarrier.report.units import format_ns
from gcbarrier.results import Cell

BARRIERS = ("uffd-wp-log", "uffd-wp-async", "uffd-wp-pagemap", "soft-dirty")
MIB = 1 << 20

# A memory operation costs some 15 times as much under emulation: a heap that is marked in 50 ms natively would not see
# the end of its first cycle there.
NATIVE_BYTES = {"snapshot": 64 * MIB, "gcbench": 128 * MIB, "graph_edits": 256 * MIB}
EMULATED_BYTES = {"snapshot": 64 * MIB, "gcbench": 32 * MIB, "graph_edits": 32 * MIB}
SELDOM_S, OFTEN_S = 0.25, 0.05
"""From the end of a cycle to the next: stopping the world as often as it is marked concurrently would leave no time to
run, and it is the baseline of what mutators pay."""
EDITED = ("snapshot", "graph_edits")
"""Edited at a rate, these fill slowly and their cycles begin by the clock; gcbench fills its heap all the time."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier on every heap; smaller and slower where the machine is emulated, so that all fits in minutes."""
    at = choose(machine, quick)
    configs = []
    clocked = [
        ("none", "stop-the-world", {"every_s": SELDOM_S}),
        *((each, "mostly-concurrent", {"every_s": OFTEN_S}) for each in BARRIERS),
    ]
    for heap, heap_bytes in at(full=NATIVE_BYTES, emulated=EMULATED_BYTES).items():
        edited = heap in EDITED
        # Early enough for a concurrent collector to be done before the heap is full.
        early = {"trigger": 0.3}
        filled = [("none", "stop-the-world", early), *((each, "mostly-concurrent", early) for each in BARRIERS)]
        configs += product(
            heap=heap,
            heap_bytes=heap_bytes,
            heap_params={"rate_per_s": at(full=50_000.0, emulated=5_000.0)} if edited else {},
            duration_s=at(full=2.0, quick=0.6, emulated=2.0, emulated_quick=0.5),
            pairs=clocked if edited else filled,
        )
    recorded = product(
        heap="trace",
        heap_bytes=at(full=256, quick=64, emulated=32) * MIB,
        heap_params={"pace": at(full=1.0, emulated=0.1)},
        duration_s=at(full=2.0, quick=0.6, emulated=2.0, emulated_quick=0.5),
        pairs=clocked,
    )
    return Plan(configs=tuple(configs), invocations=at(full=3, quick=1), spare=recorded)


def _clocks(found: Sequence[Cell]) -> str:
    """Whose cycles begin by which clock: what collectors pay depends on it."""
    periods = {float(cell.config.collector_params.get("every_s", 0)) for cell in found}
    if not {SELDOM_S, OFTEN_S} <= periods:
        return ""
    return (
        f"Where heaps are edited at a rate, the world is stopped every {format_ns(SELDOM_S * 1e9)} under none, and the "
        f"others begin a cycle every {format_ns(OFTEN_S * 1e9)}: of the whole bill, these pay for more cycles."
    )


REPORT = Report(
    title="Pause times with the page tables as the write barrier.",
    figure=Comparison(),
    table=Pauses(),
    remarks=_clocks,
)
figures, table = REPORT.figures, REPORT.table
