"""What a heap's program is to the formula, seen without the barrier that is to be predicted.

Its own pace, its marking and the collector's work besides the barrier's are seen where the world is stopped and no
barrier is there; how many pages it writes within how long, under one **reference** barrier that nobody predicts.
"""

from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from gcbarrier.costs.awake import Awake
from gcbarrier.costs.constants import Constants
from gcbarrier.costs.curves import Curve, curve
from gcbarrier.costs.fitting import Sample, scalar
from gcbarrier.costs.formula import Prediction, predict
from gcbarrier.costs.measured import STOPPED
from gcbarrier.costs.workload import Workload
from gcbarrier.model import PAGE_BYTES, Outcome
from gcbarrier.results import Cell, percentile, running_ns_per_operation

_LEAST_PAGES = 1e-3
"""In place of none at all: a curve is drawn on logarithmic paper."""
_LEAST_OWN = 0.01
"""Of a window, what is left to the program at least."""


@frozen(kw_only=True, eq=False)
class Described:
    """A program, and the cycles that it is collected in."""

    workload: Workload
    period_ns: float
    marking_ns: float
    cpu_ns_per_operation: float
    """Of mutators, without a barrier, and without what they spin in stops."""
    awake: Awake
    """Which knows what they spin."""
    collector_ns: float
    """Of a cycle, without a barrier: marking and sweeping."""
    rounds: int

    def predicted(self, barrier: str, machine: Constants) -> Prediction:
        """What the formula says of it."""
        return predict(
            self.workload,
            machine.of(barrier),
            machine,
            period_ns=self.period_ns,
            marking_ns=self.marking_ns,
            rounds=self.rounds,
        )


def described(
    plain: Cell,
    period_ns: float,
    written: Curve,
    *,
    stores_per_operation: float,
    paced: bool,
    rounds: int,
    awake: Awake,
) -> Described | None:
    """A program under ``plain``, without a barrier, that writes ``written``; None where nothing came of it."""
    per_operation = plain.each(running_ns_per_operation)
    marking = plain.medians(STOPPED, "mark_ns")
    if not per_operation or not marking:
        return None
    cpu = _middle(plain, awake.cpu_ns_per_operation)
    return Described(
        workload=Workload(
            written=written,
            stores_per_ns=stores_per_operation / per_operation.centre,
            pages=plain.config.heap_bytes / PAGE_BYTES,
            mutators=plain.config.mutators,
            processors=cpu / per_operation.centre,
            paced=paced,
        ),
        period_ns=period_ns,
        marking_ns=marking.centre,
        cpu_ns_per_operation=cpu,
        awake=awake,
        collector_ns=_middle(plain, lambda one: one.collector_cpu_ns / len(one.cycles) if one.cycles else np.nan),
        rounds=rounds,
    )


def _middle(cell: Cell, number: Callable[[Outcome], float]) -> float:
    return cell.each(number).centre


def period_of(reference: Cell) -> float:
    """From the beginning of a cycle to that of the next, under the reference barrier; nan where there were none."""
    return _middle(reference, lambda one: one.wall_ns / len(one.cycles) if one.cycles else np.nan)


def written_under(references: Sequence[Cell], plain: Cell, *, first_ns: float, paced: bool) -> Curve | None:
    """Pages by the length of a window, from cycles of several lengths under the reference barrier.

    Each cycle has two windows: its marking, after which the first report tells what was written, and what is left of it
    after the last round, in which mutators took the rest of their faults. Windows are by the program's own clock: of
    one that is not ``paced``, without the ``first_ns`` that the reference takes for each page. None where there was no
    cycle.
    """
    seen: dict[tuple[float, int], list[tuple[float, float]]] = {}
    for cell in references:
        every = float(cell.config.collector_params.get("every_s", 0.0))
        for outcome in cell.good:
            for at, window in enumerate(_windows(outcome, plain, 0.0 if paced else first_ns)):
                seen.setdefault((every, at), []).append(window)
    points = sorted(_point(windows) for windows in seen.values())
    # Two windows of one length would have no line between them.
    kept = [point for at, point in enumerate(points) if not at or point[0] > points[at - 1][0] * 1.01]
    if not kept:
        return None
    windows, pages, errors = np.array(kept).T
    # A longer window holds no fewer pages.
    return curve(windows, np.maximum.accumulate(pages), errors)


def _windows(outcome: Outcome, plain: Cell, first_ns: float) -> list[tuple[float, float]]:
    """Length and pages of the typical marking, and of the typical rest of a cycle."""
    cycles = [cycle for cycle in outcome.cycles if cycle.round_dirty]
    if not cycles or not outcome.operations:
        return []
    each = len(outcome.cycles)
    mutators = plain.config.mutators
    marking = percentile([cycle.mark_ns for cycle in cycles], 50)
    found = percentile([cycle.round_dirty[0] for cycle in cycles], 50)
    rounds = percentile([sum(cycle.round_dirty) for cycle in cycles], 50)
    # Faults that come without a barrier, too, are none of its.
    usual = plain.each(lambda one: one.minor_faults / one.operations).centre * outcome.operations
    # What the remark reports was written in the same window as the rest: it is not armed again.
    faults = (outcome.minor_faults - usual) / each - rounds
    own_marking = max(marking - first_ns * found / mutators, marking * _LEAST_OWN)
    if first_ns:
        rest = plain.each(running_ns_per_operation).centre * outcome.operations / each - own_marking
    else:
        rest = outcome.wall_ns / each - percentile([cycle.duration_ns for cycle in cycles], 50)
    windows = [(own_marking, found), (rest, faults)]
    return [(length, max(pages, _LEAST_PAGES)) for length, pages in windows if length > 0]


def _point(windows: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Medians over invocations, and the standard error of the pages."""
    pages = scalar([Sample(value, value, value) for _, value in windows])
    return float(np.median([length for length, _ in windows])), pages.value, float(np.std(pages.draws))


__all__ = ["Described", "described", "period_of", "written_under"]
