"""Mark while mutators run, look again at what they wrote meanwhile, and stop them only for the last of it.

Boehm, Demers and Shenker, "Mostly parallel garbage collection" (PLDI 1991); the rescan rounds before the remark are
Printezis and Detlefs's concurrent precleaning (ISMM 2000).
"""

from attrs import field, frozen, validators

from gcbarrier.collectors import Marking
from gcbarrier.heap import Heap


@frozen(kw_only=True)
class Params(Marking):
    """How long to go on before stopping the world."""

    rounds: int = field(default=4, validator=validators.ge(0))
    """Concurrent rescan rounds at most."""
    enough: int = field(default=16, validator=validators.ge(0))
    """A round that found no more granules than this is the last one."""
    shrink: float = field(default=0.8, validator=[validators.gt(0), validators.le(1)])
    """So is one that found more than this share of what the round before it found: it no longer pays."""
    stop_above: int = field(default=0, validator=validators.ge(0))
    """Where the last round found more than this, there is one more in which the mutators are stopped while pages are
    re-armed: no processor runs them, so none has its TLB flushed, and nothing is written meanwhile. 0: never."""
    help: int = field(default=0, validator=validators.ge(0))
    """In that round each mutator rescans so many granules at each safepoint, and so writes less meanwhile."""


def collect(heap: Heap, params: Params) -> None:
    """One cycle."""
    heap.set_markers(params.markers)
    heap.arm()
    heap.mark()
    before = dirty = heap.granules
    for _ in range(params.rounds):
        dirty = heap.collect(rearm=True)
        heap.rescan()
        if dirty <= params.enough or dirty > params.shrink * before:
            break
        before = dirty
    if params.stop_above and dirty > params.stop_above:
        heap.collect(rearm=True, stopped=True)
        heap.rescan(help=params.help)
    heap.remark()
    heap.sweep()
