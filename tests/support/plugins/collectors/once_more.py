"""Mark concurrently, rescan once, remark: a collector as short as it can be, which notes what it found."""

from attrs import frozen

from gcbarrier.collectors import Triggered
from gcbarrier.core.heap import Heap


@frozen(kw_only=True)
class Params(Triggered):
    """``trigger`` and ``every_s`` alone."""


def collect(heap: Heap, params: Params) -> None:  # noqa: ARG001
    """One cycle."""
    heap.arm()
    heap.mark()
    heap.note("granules of the one round", heap.collect(rearm=True))
    heap.rescan()
    heap.remark()
    heap.sweep()
