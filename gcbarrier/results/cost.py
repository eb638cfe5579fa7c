"""What the mutators paid for a barrier, one number per invocation."""

from collections.abc import Callable

from gcbarrier.model import Outcome
from gcbarrier.results.cells import Cell
from gcbarrier.results.spread import Spread, geometric_mean, spread

Cost = Callable[[Outcome], float]
"""A number per invocation; nan where it can't be had."""

_NAN = float("nan")


def operations_per_second(outcome: Outcome) -> float:
    """Operations of all mutators per second of wall time, pauses included."""
    return outcome.operations / outcome.wall_ns * 1e9 if outcome.wall_ns else _NAN


def cpu_ns_per_operation(outcome: Outcome) -> float:
    """Processor time of the mutators per operation: what a store costs them, waiting left out."""
    return outcome.mutator_cpu_ns / outcome.operations if outcome.operations else _NAN


def faults_per_operation(outcome: Outcome) -> float:
    """Minor faults of the mutators per operation."""
    return outcome.minor_faults / outcome.operations if outcome.operations else _NAN


def relative(cell: Cell, baseline: Cell | None, cost: Cost) -> Spread:
    """``cost`` of each good invocation of ``cell`` over the geometric mean of ``cost`` in ``baseline``.

    Empty without a baseline. The baseline over itself shows how far its own invocations lie apart.
    """
    reference = geometric_mean([cost(outcome) for outcome in baseline.good]) if baseline else _NAN
    return spread([cost(outcome) / reference if reference else _NAN for outcome in cell.good], ratio=True)


__all__ = ["Cost", "cpu_ns_per_operation", "faults_per_operation", "operations_per_second", "relative"]
