"""How long do pauses get when the page tables are the write barrier, and what do mutators pay for it?

Asynchronous userfaultfd write-protect, with the kernel's log of the faults, in its atomic form and in its first
protocol, beside soft-dirty, under the same mostly-concurrent collector. Stopping the world for the whole collection
bounds the pauses from above; as no barrier is needed for that, its mutators are the baseline of throughput as well.
"""

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Machine
from gcbarrier.report import Comparison, Pauses, Report

BARRIERS = ("uffd-wp-log", "uffd-wp-async", "uffd-wp-pagemap", "soft-dirty")
MIB = 1 << 20

# A memory operation costs some 15 times as much under emulation: a heap that is marked in 50 ms natively would not see
# the end of its first cycle there.
NATIVE_BYTES = {"snapshot": 64 * MIB, "gcbench": 128 * MIB, "graph_edits": 256 * MIB}
EMULATED_BYTES = {"snapshot": 64 * MIB, "gcbench": 32 * MIB, "graph_edits": 32 * MIB}
EDITED = ("snapshot", "graph_edits")
"""Edited at a rate, these fill slowly and their cycles begin by the clock; gcbench fills its heap all the time."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier on every heap; smaller and slower where the machine is emulated, so that all fits in minutes."""
    at = choose(machine, quick)
    configs = []
    for heap, heap_bytes in at(full=NATIVE_BYTES, emulated=EMULATED_BYTES).items():
        edited = heap in EDITED
        # Early enough for a concurrent collector to be done before the heap is full. Stopping the world as often would
        # leave no time to run, and it is the baseline of what mutators pay.
        seldom, often = ({"every_s": 0.25}, {"every_s": 0.05}) if edited else ({"trigger": 0.3}, {"trigger": 0.3})
        configs += product(
            heap=heap,
            heap_bytes=heap_bytes,
            heap_params={"rate_per_s": at(full=50_000.0, emulated=5_000.0)} if edited else {},
            duration_s=at(full=2.0, quick=0.6, emulated=2.0, emulated_quick=0.5),
            pairs=[("none", "stop-the-world", seldom), *((each, "mostly-concurrent", often) for each in BARRIERS)],
        )
    return Plan(configs=tuple(configs), invocations=at(full=3, quick=1))


REPORT = Report(
    title="Pause times with the page tables as the write barrier.",
    figure=Comparison(),
    table=Pauses(),
)
figures, table = REPORT.figures, REPORT.table
