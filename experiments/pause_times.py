"""How long do pauses get when the page tables are the write barrier, and what do mutators pay for it?

Asynchronous userfaultfd write-protect, with the kernel's log of the faults, in its atomic form and in its first
protocol, beside soft-dirty, under the same mostly-concurrent collector. Stopping the world for the whole collection
bounds the pauses from above; as no barrier is needed for that, its mutators are the baseline of throughput as well.
"""

from typing import Any

from matplotlib.figure import Figure
from rich.console import RenderableType

from gcbarrier.experiment import Plan
from gcbarrier.model import Config, Machine
from gcbarrier.plotting import comparisons, pause_table
from gcbarrier.results.store import Run

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
    emulated = machine.accelerator == "tcg"
    duration_s = (0.5 if quick else 2.0) if emulated else (0.6 if quick else 2.0)
    configs = []
    for heap, heap_bytes in (EMULATED_BYTES if emulated else NATIVE_BYTES).items():
        shared: dict[str, Any] = {"heap": heap, "heap_bytes": heap_bytes, "duration_s": duration_s}
        # Early enough for a concurrent collector to be done before the heap is full.
        seldom, often = {"trigger": 0.3}, {"trigger": 0.3}
        if heap in EDITED:
            shared["heap_params"] = {"rate_per_s": 5_000.0 if emulated else 50_000.0}
            # Stopping the world as often would leave no time to run, and it is the baseline of what mutators pay.
            seldom, often = {"every_s": 0.25}, {"every_s": 0.05}
        configs.append(Config(barrier="none", collector="stop-the-world", collector_params=seldom, **shared))
        for barrier in BARRIERS:
            configs.append(Config(barrier=barrier, collector="mostly-concurrent", collector_params=often, **shared))
    return Plan(configs=tuple(configs), invocations=1 if quick else 3)


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return comparisons(run, "Pause times with the page tables as the write barrier.")


def table(run: Run) -> RenderableType:
    """The figures' numbers."""
    return pause_table(run)
