"""Leave old objects marked: most cycles visit the young alone, from the roots and from where old ones were written.

Demers, Weiser, Hayes, Boehm, Bobrow and Shenker, "Combining generational and conservative garbage collection" (POPL
1990): sticky mark bits. Nothing moves; old is who has lived through one cycle, or two, and the barrier's dirty granules
are the remembered set. Minor cycles mark while mutators run, or with the world stopped. A full one follows where what
is thought to live has grown by a factor since the last of these, or to half of what that one left free, and where a
mutator still waits for memory when a cycle is over: old objects stay marked when they die.
"""

from attrs import field, frozen, validators

from gcbarrier.collectors import mostly_concurrent
from gcbarrier.core.heap import Heap

WAITS = 2
"""Where so many cycles began while a mutator waited for memory, with hardly anything allocated between them, only a
full one can help: it stops the world, so that nothing that is dead is left."""

NOTES = {
    "young bytes": "young",
    "survived bytes": "survived",
    "promoted bytes": "promoted",
    "remembered granules": "granules",
    "old objects scanned": "objects",
    "old-to-young references": "references",
}
"""Of a minor cycle, and what :meth:`gcbarrier.core.heap.Heap.generation` calls it."""


@frozen(kw_only=True)
class Params(mostly_concurrent.Params):
    """How large the nursery is, who is old, and how to mark."""

    nursery_bytes: int = field(default=0, validator=validators.ge(0))
    """A cycle begins when so much has been allocated, or the ``trigger`` says so before; 0: the trigger alone."""
    survivals: int = field(default=1, validator=[validators.ge(1), validators.le(2)])
    """Cycles that an object has to live through to be old."""
    growth: float = field(default=1.5, validator=validators.ge(1))
    """A cycle is full where the one before it left more than so many times what the last full one did."""
    concurrent: bool = True
    """Mark while mutators run; False: minor cycles and full ones are a pause each."""

    def due_bytes(self, latest: int) -> int:
        """The nursery."""
        return min(self.nursery_bytes, latest) if self.nursery_bytes else latest


def collect(heap: Heap, params: Params) -> None:
    """One cycle."""
    heap.set_markers(params.markers)
    sticks, last = heap.stick(params.survivals), heap.generation()
    stuck = heap.waits >= WAITS
    minor = sticks and not stuck and last["live"] <= _most_bytes(heap.size_bytes, last["live_full"], params.growth)
    if not minor:
        heap.forget_marks()
    if params.concurrent and not stuck:
        _mark_concurrently(heap, params)
    elif minor:
        heap.minor()
    else:
        heap.full()
    heap.sweep()
    _note(heap, minor=minor)


def _most_bytes(size_bytes: int, live_full: int, growth: float) -> float:
    """So much may live, as far as minor cycles know, after a full one left that."""
    return min(growth * live_full, live_full + (size_bytes - live_full) / 2)


def _mark_concurrently(heap: Heap, params: Params) -> None:
    """As ``mostly-concurrent`` does, from the old objects that were written as well as from the roots."""
    heap.remember()
    if params.black == "always":
        heap.allocate_black()
    elif params.rounds:
        # What is reported once something is black the next cycle looks at again: so pages that are armed for the first
        # time come before.
        heap.mark()
        heap.collect(rearm=True)
        heap.rescan()
    mostly_concurrent.mark(heap, params)


def _note(heap: Heap, *, minor: bool) -> None:
    seen = heap.generation()
    heap.note("full cycle", int(not minor))
    if minor:
        for name, field_name in NOTES.items():
            heap.note(name, seen[field_name])
