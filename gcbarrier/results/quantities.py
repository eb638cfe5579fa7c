"""What one invocation is judged by: the numbers that runs are compared in, and that summaries keep.

Each is a function of an outcome, larger is worse, and nan stands for what the invocation does not tell.
"""

from collections.abc import Callable, Mapping

from attrs import field, frozen

from gcbarrier.model import Outcome
from gcbarrier.results.cost import (
    all_cpu_ns_per_operation,
    cpu_ns_per_operation,
    faults_per_operation,
    wall_ns_per_operation,
)
from gcbarrier.results.operations import histogram
from gcbarrier.results.spread import percentile

_NAN = float("nan")
_ENDING = ("remark", "full", "minor", "flip")


@frozen
class Quantity:
    """One number of an invocation."""

    name: str
    """As ``--measure`` has it."""
    title: str
    unit: str
    """``ns`` or ``count``."""
    of: Callable[[Outcome], float]
    shown: bool = field(default=True, kw_only=True)
    """Whether it is compared without being asked for."""


def _ended(outcome: Outcome) -> list[int]:
    """The pauses that end a cycle's marking: its remark, or its only pause."""
    return [pause.pause_ns for pause in outcome.pauses if pause.kind in _ENDING]


def _by_cycle(outcome: Outcome) -> list[list[int]]:
    cycles: dict[int, list[int]] = {}
    for pause in outcome.pauses:
        cycles.setdefault(pause.cycle, []).append(pause.pause_ns)
    return list(cycles.values())


def _longest(outcome: Outcome) -> list[int]:
    return [max(pauses) for pauses in _by_cycle(outcome)]


def _stopped(outcome: Outcome) -> list[int]:
    return [sum(pauses) for pauses in _by_cycle(outcome)]


def _waited(outcome: Outcome) -> float:
    waited_ns = sum(stall.stall_ns for stall in outcome.stalls)
    return 1e9 * waited_ns / outcome.wall_ns if outcome.wall_ns else _NAN


def _tail(outcome: Outcome) -> float:
    return histogram([outcome]).percentile(99.99) if outcome.operation_times else _NAN


def _in_remark(column: str) -> Callable[[Outcome], float]:
    return lambda one: percentile([getattr(pause, column) for pause in one.pauses if pause.kind in _ENDING], 50)


QUANTITIES: Mapping[str, Quantity] = {
    each.name: each
    for each in (
        Quantity("remark", "remark, median", "ns", lambda one: percentile(_ended(one), 50)),
        Quantity("remark-p99", "remark, 99th percentile", "ns", lambda one: percentile(_ended(one), 99)),
        Quantity("longest", "a cycle's longest pause, median", "ns", lambda one: percentile(_longest(one), 50)),
        Quantity("longest-p99", "the same, 99th percentile", "ns", lambda one: percentile(_longest(one), 99)),
        Quantity("stopped", "all stops of a cycle, median", "ns", lambda one: percentile(_stopped(one), 50)),
        Quantity("cpu", "mutators' CPU per operation", "ns", cpu_ns_per_operation),
        Quantity("all-cpu", "CPU per operation, with the collector's", "ns", all_cpu_ns_per_operation),
        Quantity("wall", "wall time per operation", "ns", wall_ns_per_operation),
        Quantity("stalls", "waits for memory per second", "ns", _waited),
        Quantity("faults", "minor faults per operation", "count", faults_per_operation),
        Quantity("operation-tail", "operation time, 99.99th percentile", "ns", _tail),
        Quantity("collect", "collecting in the remark, median", "ns", _in_remark("collect_ns"), shown=False),
        Quantity("mark", "marking in the remark, median", "ns", _in_remark("mark_ns"), shown=False),
    )
}
"""By name. ``remark`` is the pause that ends a cycle's marking, and the only one of a stop-the-world cycle.

Percentiles are of one invocation's pauses; what is compared is the invocations.
"""

__all__ = ["QUANTITIES", "Quantity"]
