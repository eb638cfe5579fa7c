"""Objects of one size, allocated as fast as can be and dropped at once, beside some that live: what allocation costs.

The live ones are laid out first, with ``gap`` objects between two of them that are dropped while the heap is built:
with a gap the allocator finds room between live objects and not whole pages of it. An operation is ``batch``
allocations.
"""

from attrs import evolve, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import format_bytes

TABLE = 1000
"""Live objects are held by tables of so many references."""


@frozen(kw_only=True)
class Params:
    """What is allocated, and beside what."""

    object_bytes: int = field(default=64, validator=[validators.ge(16), validators.le(1 << 14)])
    """Size of an object with its header, a multiple of 16 bytes."""
    references: int = field(default=-1, validator=[validators.ge(-1), validators.le(1 << 11)])
    """References of an object; -1: all of it but the header. The rest is raw."""
    live_share: float = field(default=0.25, validator=[validators.gt(0), validators.le(0.8)])
    """Share of the heap that the live objects take, all mutators' together."""
    live_bytes: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 40)])
    """Bytes that they take, whatever the heap's size; 0: ``live_share`` of it."""
    gap: int = field(default=1, validator=[validators.ge(0), validators.le(64)])
    """Objects that are dropped between two that live."""
    batch: int = field(default=1000, validator=[validators.ge(1), validators.le(1 << 20)])
    """Allocations of an operation."""
    tables: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 31)])
    """Of live objects, for each mutator; 0: as many as take ``live_bytes``."""


def resolve(params: Params, *, heap_bytes: int, mutators: int) -> Params:
    """The parameters with the automatic numbers made concrete."""
    references = params.object_bytes // 8 - 1 if params.references < 0 else params.references
    live_bytes = params.live_bytes or int(params.live_share * heap_bytes)
    tables = params.tables or max(live_bytes // (_table_bytes(params) * mutators), 1)
    return evolve(params, references=references, tables=tables)


def check(params: Params, *, heap_bytes: int, mutators: int) -> None:
    """Raises GcBarrierError where resolved parameters contradict each other or don't fit into the heap."""
    if params.object_bytes % 16:
        raise GcBarrierError(
            f"allocate can't have objects of {params.object_bytes} bytes: the heap hands out multiples of 16; "
            f"use object_bytes={(params.object_bytes + 15) // 16 * 16}"
        )
    if params.references > params.object_bytes // 8 - 1:
        raise GcBarrierError(
            f"{params.references} references and a header don't fit into object_bytes={params.object_bytes}: use "
            f"references={params.object_bytes // 8 - 1} or larger objects"
        )
    needed = params.tables * mutators * (_table_bytes(params) + params.gap * TABLE * params.object_bytes // 4)
    if needed > 0.9 * heap_bytes:
        raise GcBarrierError(
            f"allocate needs {format_bytes(needed)} for its live objects and the gaps between them, more than nine "
            f"tenths of the heap's {format_bytes(heap_bytes)}: use a larger heap, or less live_share or gap"
        )


def _table_bytes(params: Params) -> int:
    return TABLE * (params.object_bytes + 8)
