"""Mark while mutators run, look again at what they wrote meanwhile, and stop them only for the last of it.

Boehm, Demers and Shenker, "Mostly parallel garbage collection" (PLDI 1991); the rescan rounds before the remark are
Printezis and Detlefs's concurrent precleaning (ISMM 2000). Where the rounds alone don't converge, mutators help: each
does a little of the rescanning at its safepoints, and so writes less meanwhile, as mutators assist in Go's collector.
"""

from attrs import field, frozen, validators

from gcbarrier.collectors import Marking
from gcbarrier.core.heap import Heap


@frozen(kw_only=True)
class Params(Marking):
    """How long to go on before stopping the world."""

    black: str = field(default="late", validator=validators.in_(("always", "late", "never")))
    """Since when what is allocated lives through the cycle, whoever refers to it: since its beginning, since the marker
    is done (what died young before is never marked, and its page never armed), or not at all."""
    rounds: int = field(default=12, validator=validators.ge(0))
    """Concurrent rescan rounds at most."""
    enough: int = field(default=4, validator=validators.ge(0))
    """A round that found no more granules than this is the last one but for the looks."""
    shrink: float = field(default=0.5, validator=[validators.gt(0), validators.le(1)])
    """So is one that found more than this share of what the round before it found, unless it is time for help."""
    help: int = field(default=16, validator=validators.ge(0))
    """Where rounds no longer shrink so much, each mutator rescans so many granules at each safepoint. 0: never."""
    wait_ns: int = field(default=16_000, validator=validators.ge(0))
    """A helping mutator that finds no granule waits for some so long: what it would write had to be rescanned."""
    stop_above: int = field(default=500, validator=validators.ge(0))
    """Where the last round found more granules than this, one more follows in which the mutators are stopped while
    pages are re-armed: no processor runs them, so none has its TLB flushed, and nothing is written. 0: never."""
    look: int = field(default=64, validator=validators.ge(0))
    """Where the last round found no more granules than this, some more go right before the stop, each for what was
    written during the one before; and nobody is asked to help. 0: never."""


def collect(heap: Heap, params: Params) -> None:
    """One cycle."""
    heap.set_markers(params.markers)
    heap.arm(black=params.black == "always")
    heap.mark()
    if params.black == "late":
        heap.allocate_black()
    before = dirty = heap.granules
    helped = not params.help
    for _ in range(params.rounds):
        dirty = heap.collect(rearm=True)
        heap.rescan()
        if params.black != "always":
            heap.mark()
        if dirty <= params.enough:
            break
        if dirty <= params.shrink * before:
            before = dirty
        elif helped or dirty <= params.look:
            break
        else:
            helped = True
            heap.ask_for_help(params.help, wait_ns=params.wait_ns)
            # What the next round finds was written before, so nothing is concluded from it.
            before = heap.granules
    if params.rounds and 0 < params.stop_above < dirty:
        heap.collect(rearm=True, stopped=True)
        heap.rescan()
    heap.remark(look=0 < params.look >= dirty)
    heap.sweep()
