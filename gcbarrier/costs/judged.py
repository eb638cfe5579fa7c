"""How far off the formula is: what it says of programs beside what was measured of them."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np
from attrs import frozen

from gcbarrier.costs.constants import interval
from gcbarrier.costs.described import Described
from gcbarrier.costs.formula import Prediction
from gcbarrier.results import Cell, Spread, relative, spread

MUTATORS, COLLECTOR, REMARK = "mutators", "collector", "remark"


ALL = "all of them"
"""In place of a barrier."""


@frozen(kw_only=True)
class Compared:
    """One number of one program under one barrier: predicted and measured."""

    what: str
    program: str
    barrier: str
    predicted: Spread
    measured: Spread
    baseline: float
    """Of both, what is there without a barrier: 1 of a ratio, 0 of a pause."""
    noise: float = 0.0
    """How far the program's own invocations lie apart without a barrier, as a share."""

    @property
    def off(self) -> float:
        """Of the whole, in per cent of what was measured; positive where too much was predicted."""
        return 100 * (self.predicted.centre / self.measured.centre - 1)

    @property
    def held(self) -> bool:
        """Whether what was measured lies within the interval that was predicted."""
        return self.predicted.low <= self.measured.centre <= self.predicted.high

    @property
    def added_off(self) -> float:
        """Of what the barrier adds, in per cent of that; nan where it adds less than the program's own noise."""
        added = self.measured.centre - self.baseline
        if added <= self.noise * self.measured.centre:
            return float("nan")
        return 100 * ((self.predicted.centre - self.baseline) / added - 1)


def judged(
    cell: Cell, plain: Cell, about: Described, said: Prediction, *, program: str, busy: bool = True
) -> Iterator[Compared]:
    """The three numbers of a program under a barrier. One that is not ``busy`` has no mutators to speak of."""
    own: Any = {"program": program, "barrier": cell.config.barrier}
    cost = about.awake.cpu_ns_per_operation
    if busy:
        noise = plain.each(cost).half_width
        yield Compared(
            what=MUTATORS,
            predicted=_spread(1 + said.mutator_share),
            measured=relative(cell, plain, cost),
            baseline=1.0,
            noise=noise if noise == noise else 0.0,
            **own,
        )
    yield Compared(
        what=COLLECTOR,
        predicted=_spread(about.collector_ns + said.collector_ns),
        measured=cell.each(lambda one: one.collector_cpu_ns / len(one.cycles) if one.cycles else np.nan),
        baseline=about.collector_ns,
        **own,
    )
    yield Compared(
        what=REMARK,
        predicted=_spread(said.remark_ns),
        measured=cell.medians("remark", where=_undisturbed),
        baseline=0.0,
        **own,
    )


def _undisturbed(pauses: Any) -> Any:
    """No thread was descheduled around them: the formula knows of no other threads."""
    return ~pauses["preempted"]


def _spread(values: Any) -> Spread:
    low, centre, high = interval(values)
    return Spread(centre=centre, low=low, high=high, each=(centre,), kind="interval")


@frozen(kw_only=True)
class Off:
    """How far off the formula is for one barrier: over all programs."""

    what: str
    barrier: str
    whole: Spread
    """Absolute errors in per cent, one of each program."""
    added: Spread
    bias: Spread
    """With their signs."""
    held: float
    """Of what was measured, the share within the interval that was predicted: 0.95 of honest intervals."""


def errors(found: Sequence[Compared]) -> list[Off]:
    """Of each number and barrier, and of all barriers together (:data:`ALL`).

    The unit is the program, of which all barriers together have their median: they run over the same program, and where
    that is not understood they are wrong together.
    """
    groups: dict[tuple[str, str], list[Compared]] = {}
    for one in found:
        if one.measured and one.predicted.centre == one.predicted.centre:
            for barrier in (one.barrier, ALL):
                groups.setdefault((one.what, barrier), []).append(one)
    return [
        Off(
            what=what,
            barrier=barrier,
            whole=_by_program(mine, lambda one: abs(one.off)),
            added=_by_program(mine, lambda one: abs(one.added_off)),
            bias=_by_program(mine, lambda one: one.off),
            held=float(np.mean([one.held for one in mine])),
        )
        for (what, barrier), mine in groups.items()
    ]


def _by_program(mine: Sequence[Compared], number: Callable[[Compared], float]) -> Spread:
    programs: dict[str, list[float]] = {}
    for one in mine:
        if number(one) == number(one):
            programs.setdefault(one.program, []).append(number(one))
    return spread([median(each) for each in programs.values()])


__all__ = ["ALL", "COLLECTOR", "MUTATORS", "REMARK", "Compared", "Off", "errors", "judged"]
