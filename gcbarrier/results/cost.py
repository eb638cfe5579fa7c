"""What a run paid for a barrier and a collector, one number per invocation."""

from collections.abc import Callable, Iterable

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


def all_cpu_ns_per_operation(outcome: Outcome) -> float:
    """Processor time of the mutators and of the collector together, per operation: the whole bill."""
    spent_ns = outcome.mutator_cpu_ns + outcome.collector_cpu_ns
    return spent_ns / outcome.operations if outcome.operations else _NAN


def wall_ns_per_operation(outcome: Outcome) -> float:
    """Time from the first operation to the end of the last mutator, per operation, stops and waits included."""
    return outcome.wall_ns / outcome.operations if outcome.operations else _NAN


def running_ns_per_operation(outcome: Outcome) -> float:
    """The same without the stops of the world: what of wall time can't be put down to a collector."""
    stopped_ns = sum(pause.pause_ns for pause in outcome.pauses)
    return (outcome.wall_ns - stopped_ns) / outcome.operations if outcome.operations else _NAN


def faults_per_operation(outcome: Outcome) -> float:
    """Minor faults of the mutators per operation."""
    return outcome.minor_faults / outcome.operations if outcome.operations else _NAN


def relative(cell: Cell, baseline: Cell | None, cost: Cost) -> Spread:
    """``cost`` of each good invocation of ``cell`` over the geometric mean of ``cost`` in ``baseline``.

    Empty without a baseline. The baseline over itself shows how far its own invocations lie apart.
    """
    reference = geometric_mean([cost(outcome) for outcome in baseline.good]) if baseline else _NAN
    return spread([cost(outcome) / reference if reference else _NAN for outcome in cell.good], ratio=True)


def lower_bound(cells: Iterable[Cell], distilled: Cost) -> float:
    """The least that a program was seen to cost with what can be attributed to collection taken out.

    ``cells`` are all of one program, whatever their collectors and heaps; ``distilled`` is their cost without that. An
    ideal collector would cost no more, so what one costs over it is the least that it really costs: Cai, Blackburn,
    Bond and Maas, "Distilling the Real Cost of Production Garbage Collectors" (ISPASS 2022). nan where nothing was
    measured.
    """
    centres = [value.centre for cell in cells if (value := cell.each(distilled))]
    return min(centres, default=_NAN)


def over_bound(cell: Cell, bound: float, cost: Cost) -> Spread:
    """``cost`` of each good invocation of ``cell`` as a multiple of the lower bound."""
    return spread([cost(outcome) / bound if bound else _NAN for outcome in cell.good])


__all__ = [
    "Cost",
    "all_cpu_ns_per_operation",
    "cpu_ns_per_operation",
    "faults_per_operation",
    "lower_bound",
    "operations_per_second",
    "over_bound",
    "relative",
    "running_ns_per_operation",
    "wall_ns_per_operation",
]
