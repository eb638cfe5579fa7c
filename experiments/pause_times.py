"""How long do pauses get when the page tables are the write barrier, and what do mutators pay for it?

Asynchronous userfaultfd write-protect, in its atomic form and in its first protocol, beside soft-dirty, under the same
mostly-concurrent collector. Stopping the world for the whole collection bounds the pauses from above; as no barrier
is needed for that, its mutators are the baseline of throughput as well.
"""

from typing import Any

from matplotlib.figure import Figure
from rich.console import RenderableType

from gcbarrier.experiment import Plan
from gcbarrier.model import Config, Machine
from gcbarrier.plotting import comparisons, pause_table
from gcbarrier.store import Run

BARRIERS = ("uffd-wp-async", "uffd-wp-pagemap", "soft-dirty")
MIB = 1 << 20

# A memory operation costs some 15 times as much under emulation: a heap that is marked in 50 ms natively would not see
# the end of its first cycle there.
NATIVE_BYTES = {"snapshot": 64 * MIB, "gcbench": 128 * MIB, "graph_edits": 256 * MIB}
EMULATED_BYTES = {"snapshot": 64 * MIB, "gcbench": 32 * MIB, "graph_edits": 32 * MIB}
# Edits a second. gcbench has no rate: it allocates as fast as it can.
NATIVE_RATES = {"snapshot": 50_000.0, "graph_edits": 50_000.0}
EMULATED_RATES = {"snapshot": 5_000.0, "graph_edits": 5_000.0}


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier on every heap; smaller and slower where the machine is emulated, so that all fits in minutes."""
    emulated = machine.accelerator == "tcg"
    sizes = dict(EMULATED_BYTES if emulated else NATIVE_BYTES)
    rates = EMULATED_RATES if emulated else NATIVE_RATES
    if quick and emulated:
        # Starting a process takes seconds there, and the whole is to end within one minute.
        del sizes["gcbench"]
    duration_s = (0.7 if quick else 2.0) if emulated else (0.6 if quick else 2.0)
    # Cycles one after the other: it is their pauses that are asked for, and a heap that fills slowly has few.
    often = {"every_s": 0.05 if emulated else 0.02}
    configs = []
    for heap, heap_bytes in sizes.items():
        shared: dict[str, Any] = {"heap": heap, "heap_bytes": heap_bytes, "duration_s": duration_s}
        shared["collector_params"] = often
        if heap in rates:
            shared["heap_params"] = {"rate_per_s": rates[heap]}
        configs.append(Config(barrier="none", collector="stop-the-world", **shared))
        configs += [Config(barrier=barrier, collector="mostly-concurrent", **shared) for barrier in BARRIERS]
    return Plan(configs=tuple(configs), invocations=1 if quick else 2 if emulated else 3)


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return comparisons(run, "Pause times with the page tables as the write barrier.")


def table(run: Run) -> RenderableType:
    """The figures' numbers."""
    return pause_table(run)
