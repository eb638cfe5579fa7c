"""Numbers that were measured on a machine, and how far each may be off."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES

DRAWS = 200
"""So many times a constant is measured anew in thought: :mod:`gcbarrier.costs.fitting` says how."""

OBJECTS_PER_PAGE = PAGE_BYTES // 64
"""Of the graph that the marker's probe marks."""

Floats = NDArray[np.float64]


def _finite(_: object, __: object, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"a constant is a number, not {value}")


def _drawn(_: object, __: object, draws: tuple[float, ...]) -> None:
    if len(draws) not in (0, DRAWS) or not all(map(math.isfinite, draws)):
        raise ValueError(f"a constant has {DRAWS} draws, all of them numbers, or none, not {len(draws)}")


@frozen(kw_only=True)
class Constant:
    """A measured number, and what it would have been in other luck.

    ``draws`` has :data:`DRAWS` numbers, or none where it is known exactly. What is computed with several constants is
    computed for each draw: what comes out has then a spread as well. Those that one fit has found together are drawn
    together: where one is too large another is too small.
    """

    value: float = field(validator=_finite)
    draws: tuple[float, ...] = field(default=(), repr=False, validator=_drawn)

    @property
    def low(self) -> float:
        """The lower end of the interval that holds it in 95 of 100."""
        return float(np.percentile(self.draws, 2.5)) if self.draws else self.value

    @property
    def high(self) -> float:
        """The upper end."""
        return float(np.percentile(self.draws, 97.5)) if self.draws else self.value

    @property
    def array(self) -> Floats:
        """The value and then its draws, shape ``(1 + DRAWS,)``."""
        return np.array([self.value, *(self.draws or (self.value,) * DRAWS)])


def exactly(value: float) -> Constant:
    """A number without any doubt."""
    return Constant(value=value)


@frozen(kw_only=True)
class Linear:
    """``fixed + page·P + dirty·D`` ns, for ``P`` pages that are watched and ``D`` granules that are reported."""

    fixed: Constant
    page: Constant
    dirty: Constant
    misfit: Constant
    """What the truth is of what the line says, a factor around 1: no cost is a line exactly."""

    def ns(self, pages: Floats | float, dirty: Floats | float) -> Floats:
        """For each draw."""
        line = self.fixed.array + self.page.array * pages + self.dirty.array * dirty
        return np.asarray(line * self.misfit.array)


@frozen(kw_only=True)
class BarrierConstants:
    """One barrier's, in ns."""

    name: str
    software: bool
    """Code in the mutator's stores, rather than the page tables."""
    granule_bytes: int
    store: Constant
    """What a store takes longer than one without a barrier, where its granule was written before; 0 for page barriers,
    which run the same code."""
    first_store: Constant
    """What the first one to a granule since it was armed takes longer."""
    arm: Linear
    """Arming at the beginning of a cycle, with so many granules that were written since the cycle before."""
    collect: Linear
    """Collecting and arming again, with mutators running or not."""
    last: Linear
    """Collecting for the last time in a cycle, in the pause, without arming again."""


@frozen(kw_only=True)
class Constants:
    """All that was measured on one machine."""

    facts: Mapping[str, str] = field(factory=dict)
    """Where and when: kernel, processor, version."""
    store: Constant
    """A plain store to memory that is at hand, in ns."""
    rescan_page: Constant | None
    """Looking again at all objects of a written page, in ns; None where that was not measured, as with the next ones.
    Of 64-byte objects with four references each, nearly all of which lead to what is marked."""
    mark_page: Constant | None
    """Marking a page full of such objects, in ns."""
    handshake: Constant | None
    """Stopping a mutator and letting it go again, its roots included, in ns."""
    barriers: tuple[BarrierConstants, ...]
    left_out: Mapping[str, str] = field(factory=dict)
    """Barriers without constants, and why."""

    def of(self, name: str) -> BarrierConstants:
        """The barrier called ``name``. Raises GcBarrierError where it was not measured."""
        found = next((each for each in self.barriers if each.name == name), None)
        if found is None:
            there = ", ".join(each.name for each in self.barriers)
            raise GcBarrierError(f"there are no constants of the barrier {name!r}: those measured are {there}")
        return found

    @property
    def lacking(self) -> tuple[str, ...]:
        """What was not measured, in words."""
        named = {"rescanning a page": self.rescan_page, "marking a page": self.mark_page, "a stop": self.handshake}
        return tuple(name for name, constant in named.items() if constant is None)


def interval(values: Sequence[float] | Floats) -> tuple[float, float, float]:
    """Low end, centre and high end of what was computed for each draw; the centre is the first."""
    array = np.asarray(values, np.float64)
    if not len(array) or np.isnan(array[0]):
        return float("nan"), float("nan"), float("nan")
    # Of draws themselves: some may be infinite.
    low, high = np.nanpercentile(array, [2.5, 97.5], method="nearest")
    centre = float(array[0])
    return min(float(low), centre), centre, max(float(high), centre)


__all__ = [
    "DRAWS",
    "OBJECTS_PER_PAGE",
    "BarrierConstants",
    "Constant",
    "Constants",
    "Floats",
    "Linear",
    "exactly",
    "interval",
]
