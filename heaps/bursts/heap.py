"""A graph all over the heap of which each cycle gets exactly so many pages written, whatever the heap's size.

Objects of 64 bytes, so many on every page as ``live_share`` asks for and at least one; what lies between them is
garbage from the start, so that a heap of many GiB is built in seconds and marked in less. When the barrier has been
armed the mutators store into ``pages`` pages, all different and chosen at random over the whole heap, one store each,
and sleep until it is armed again. Under a collector whose remark follows at once (``mostly-concurrent.rounds=0``) that
is what the remark finds, provided that marking takes longer than the stores do.

An operation is one store. Which page and which value is a function of the seed and of its number alone; cycles decide
when. Given a number of operations the mutators wait for no cycle.
"""

from attrs import evolve, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES

FILLED = 15 / 16
"""Of the heap's pages; the rest is room for what an allocator wants to spare."""


@frozen(kw_only=True)
class Params:
    """How much is live, and how much is written in a cycle."""

    live_share: float = field(default=0.25, validator=[validators.gt(0), validators.le(1)])
    """Share of a page that its live objects take, rounded to whole objects; at least one (0.016)."""
    pages: int = field(default=1000, validator=[validators.ge(1), validators.lt(1 << 31)])
    """Pages that are written in a cycle, by all mutators together."""
    groups: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 31)])
    """Pages that have live objects; 0: as many as fit."""


def resolve(params: Params, *, heap_bytes: int, mutators: int) -> Params:
    """The parameters with the number of pages that have live objects made concrete."""
    return evolve(params, groups=params.groups or int(heap_bytes / PAGE_BYTES * FILLED) - 16 * mutators)


def check(params: Params, *, heap_bytes: int, mutators: int) -> None:
    """Raises GcBarrierError where so many pages can't be had."""
    most = int(heap_bytes / PAGE_BYTES * FILLED)
    if params.groups > most:
        raise GcBarrierError(f"bursts has room for {most} pages with objects, not groups={params.groups}: use fewer")
    if params.pages < mutators:
        raise GcBarrierError(f"bursts can't share pages={params.pages} among {mutators} mutators: use more pages")
    # Each mutator has a part of the heap to itself, and no page is written twice in a burst.
    if params.pages > params.groups // mutators * mutators - mutators:
        raise GcBarrierError(
            f"bursts can't write pages={params.pages} different pages of {params.groups} with objects, "
            f"{mutators} mutators each in its part: use a larger heap or fewer pages"
        )
