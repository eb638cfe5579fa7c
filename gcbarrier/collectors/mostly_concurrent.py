"""Mark while mutators run, look again at what they wrote meanwhile, and stop them only for the last of it.

Boehm, Demers and Shenker, "Mostly parallel garbage collection" (PLDI 1991); the rescan rounds before the remark are
Printezis and Detlefs's concurrent precleaning (ISMM 2000). Where the rounds alone don't converge, mutators help: each
does a little of the rescanning at its safepoints, and so writes less meanwhile, as mutators assist in Go's collector.
What a round is worth is a matter of the machine and of the hour, so it is measured.
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
    rounds: int = field(default=32, validator=[validators.ge(0), validators.lt(1 << 32)])
    """Concurrent rescan rounds at most."""
    shrink: float = field(default=0.5, validator=[validators.gt(0), validators.le(1)])
    """A round that found more than this share of what the round before it found is followed only by such as are
    expected, from what this run has measured, to leave less than they find."""
    aim_ns: int = field(default=10_000, validator=[validators.ge(0), validators.lt(1 << 63)])
    """What the rescan in the remark may take. Where it is expected to take longer and a round by itself would leave
    more than half of what it finds, mutators are held up at their safepoints, to rescan or to write less; not for
    longer at once than by that rescan."""


def collect(heap: Heap, params: Params) -> None:
    """One cycle."""
    heap.set_markers(params.markers)
    heap.arm(black=params.black == "always")
    mark(heap, params)
    heap.sweep()


def mark(heap: Heap, params: Params) -> None:
    """From the moment on from which writes are noticed, to the end of the pause."""
    heap.mark()
    if params.black == "late":
        heap.allocate_black()
    before, left = heap.granules, params.rounds
    while left > 0:
        dirty = heap.collect(rearm=True)
        heap.rescan()
        if params.black != "always":
            heap.mark()
        left -= 1
        if dirty > params.shrink * before or heap.left_ns <= params.aim_ns:
            break
        before = dirty
    heap.remark(rounds=left, aim_ns=params.aim_ns)
