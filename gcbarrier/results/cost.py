"""What a run paid for a barrier and a collector, one number per invocation."""

from collections.abc import Callable, Iterable

from gcbarrier.model import Outcome
from gcbarrier.results.cells import Cell
from gcbarrier.results.intervals import geometric
from gcbarrier.results.spread import Spread, geometric_mean, over, spread

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
    """The geometric mean of ``cost`` in ``cell`` over that in ``baseline``, invocations paired by their seeds.

    Empty without a baseline. The baseline over itself shows how far its own invocations lie apart.
    """
    if baseline is None:
        return spread([])
    mine = cell.each(cost)
    if cell.config == baseline.config and cell.machine == baseline.machine:
        reference = geometric_mean(mine.each)
        return spread([value / reference if reference else _NAN for value in mine.each], ratio=True, seeds=mine.seeds)
    return over(mine, baseline.each(cost), geometric)


def lower_bound(cells: Iterable[Cell], distilled: Cost) -> Spread:
    """The least that a program was seen to cost with what can be attributed to collection taken out.

    ``cells`` are all of one program, whatever their collectors and heaps; ``distilled`` is their cost without that. An
    ideal collector would cost no more, so what one costs over it is the least that it really costs: Cai, Blackburn,
    Bond and Maas, "Distilling the Real Cost of Production Garbage Collectors" (ISPASS 2022). It is the least median of
    any cell, with that cell's invocations; empty where nothing was measured.
    """
    found = [value for cell in cells if (value := cell.each(distilled))]
    return min(found, key=lambda value: value.centre, default=spread([]))


def over_bound(cell: Cell, bound: Spread, cost: Cost) -> Spread:
    """The median of ``cost`` in ``cell`` as a multiple of the lower bound, invocations paired by their seeds.

    The interval knows how far the invocations lie apart that the bound is of, and not that another cell might have been
    the least.
    """
    return over(cell.each(cost), bound)


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
