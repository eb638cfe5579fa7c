"""What of a program decides what a barrier costs it."""

from typing import Any

import numpy as np
from attrs import field, frozen

from gcbarrier.costs.constants import BarrierConstants, Floats
from gcbarrier.costs.curves import Curve
from gcbarrier.model import PAGE_BYTES


def _array(given: Any) -> Floats:
    return np.asarray(given, np.float64)


@frozen(kw_only=True, eq=False)
class Workload:
    """A program, by its own clock: the time it would have taken had nobody watched it."""

    written: Curve
    """Pages that it writes within a window."""
    stores_per_ns: Floats = field(converter=_array)
    """References that all mutators store; a number, or one for each draw."""
    pages: float
    """Of its heap: those that are watched."""
    mutators: int = 1
    processors: float = 0.0
    """Processor time that all mutators use in a unit of time; 0: one each."""
    paced: bool = False
    """It waits for its next request or tick, and so writes as much in a second whatever a store costs; otherwise it has
    always more to do, and what a barrier takes it does later."""
    least_stores: bool = False
    """``stores_per_ns`` is only known to be no less: of pages one can see that they were written, and not how often."""

    @property
    def busy(self) -> float:
        """Processors that the mutators keep busy."""
        return self.processors or float(self.mutators)

    def granules(self, barrier: BarrierConstants, window_ns: Floats) -> Floats:
        """What the barrier would report after a window: pages, or the smaller granules of a software barrier.

        Of ``m`` granules of a page that got ``n`` stores at random, ``m·(1 − (1 − 1/m)^n)`` are met.
        """
        pages = self.written.at(window_ns)
        each = max(PAGE_BYTES / barrier.granule_bytes, 1.0)
        if each == 1.0:
            return pages
        stores = np.maximum(self.stores_per_ns * window_ns / np.maximum(pages, 1e-9), 1.0)
        return np.asarray(pages * each * (1 - (1 - 1 / each) ** stores))


__all__ = ["Workload"]
