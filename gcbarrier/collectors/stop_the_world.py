"""Stop the mutators, mark everything, let them go: the upper bound of pauses, and no barrier's cost.

Sweeping is lazy or concurrent, as for every collector here, so the pause is marking alone.
"""

from attrs import frozen

from gcbarrier.collectors import Marking
from gcbarrier.core.heap import Heap

NEEDS_TRACKING = False


@frozen(kw_only=True)
class Params(Marking):
    """What every marking collector has, nothing of its own."""


def collect(heap: Heap, params: Params) -> None:
    """One cycle."""
    heap.set_markers(params.markers)
    heap.full()
    heap.sweep()
