"""Mark what was reachable at one moment, while mutators run and log what they overwrite; stop them for the last of it.

Yuasa, "Real-time garbage collection on general-purpose machines" (1990), with two short pauses as in Garbage-First
(Detlefs, Flood, Heller and Printezis, ISMM 2004): one for the snapshot, one for what is left in the buffers.
"""

from attrs import field, frozen, validators

from gcbarrier.collectors import Marking
from gcbarrier.core.heap import Heap

NEEDS_SNAPSHOT = True


@frozen(kw_only=True)
class Params(Marking):
    """How long to go on before stopping the world for the second time."""

    rounds: int = field(default=4, validator=validators.ge(0))
    """Rounds at most in which the buffers are emptied while mutators run."""
    enough: int = field(default=256, validator=validators.ge(0))
    """A round that found no more overwritten references than this is the last one."""
    shrink: float = field(default=0.8, validator=[validators.gt(0), validators.le(1)])
    """So is one that found more than this share of what the round before it found: it no longer pays."""


def collect(heap: Heap, params: Params) -> None:
    """One cycle."""
    heap.set_markers(params.markers)
    heap.snapshot()
    heap.mark(roots=False)
    before: float = float("inf")
    for _ in range(params.rounds):
        found = heap.collect(rearm=True)
        heap.mark(roots=False)
        if found <= params.enough or found > params.shrink * before:
            break
        before = found
    heap.remark()
    heap.sweep()
