"""Stop the mutators, mark everything, let them go: the upper bound of pauses, and no barrier's cost.

Sweeping is lazy or concurrent, as for every collector here, so the pause is marking alone.
"""

from attrs import frozen

from gcbarrier.collectors import Triggered
from gcbarrier.heap import Heap

NEEDS_TRACKING = False


@frozen(kw_only=True)
class Params(Triggered):
    """``trigger`` alone."""


def collect(heap: Heap, params: Params) -> None:  # noqa: ARG001
    """One cycle."""
    heap.full()
    heap.sweep()
