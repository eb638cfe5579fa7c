"""A random object graph whose references are redirected, moved and replaced at a chosen rate.

The heap is filled with objects of one size, in a random order and with a tree among them that keeps every object
reachable. The other references lead to random objects. An operation is one edit of an object on a page that the
locality parameters choose:

- a reference that the tree does not need is redirected to a random object (one store);
- ``move_share``: two leaves of the tree change places (two stores). The marker may have passed by the place that a leaf
  is moved to and not yet have seen the one that it left: a barrier that misses the store loses the object;
- ``replace_share``: a leaf is replaced by a new object with the same contents.

Beside it ``garbage_per_edit`` objects are allocated. Each refers to random old objects, some to the one made before,
and is held by an old object, the ring, until the ring has come round.

Pages are counted in the order of allocation: the nodes that fit on a page are one. With ``references=2`` the only
references to redirect are the leaves', which leave their page when they are replaced.
"""

from attrs import evolve, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import format_bytes

LEAST_NODES = 16
"""Of each mutator: with fewer there are not all kinds of edits."""

THREAD_BYTES = 1 << 16
"""A mutator's blocks to allocate in: one for small objects, one for larger ones."""


@frozen(kw_only=True)
class Params:
    """The graph's shape and what is done to it."""

    live_share: float = field(default=0.4, validator=[validators.gt(0), validators.le(0.8)])
    """Share of the heap that the graph takes, where ``nodes`` is automatic."""
    live_bytes: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 40)])
    """Bytes that it takes then, whatever the heap's size; 0: ``live_share`` of it."""
    nodes: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 31)])
    """Objects of the graph, all mutators' together; 0: as many as take ``live_bytes``."""
    object_bytes: int = field(default=64, validator=[validators.ge(32), validators.le(1 << 20)])
    """Size of an object with its header, a multiple of 16 bytes."""
    references: int = field(default=4, validator=[validators.ge(2), validators.le(1 << 16)])
    """References of an object; two of them belong to the tree where the object has children."""
    rate_per_s: float = field(default=100_000.0, validator=validators.ge(0))
    """Operations per second and mutator; 0: as fast as it can."""
    move_share: float = field(default=0.1, validator=[validators.ge(0), validators.le(1)])
    """Share of the operations that exchange two leaves."""
    replace_share: float = field(default=0.05, validator=[validators.ge(0), validators.le(1)])
    """Share of the operations that replace a leaf by a new object."""
    garbage_per_edit: float = field(default=1.0, validator=[validators.ge(0), validators.le(1000)])
    """Objects allocated beside an operation, on average."""
    ring: int = field(default=1024, validator=[validators.ge(1), validators.le(1 << 20)])
    """Of each mutator's fresh objects the last so many stay reachable."""
    hot_share: float = field(default=1.0, validator=[validators.gt(0), validators.le(1)])
    """Share of the graph's pages that are written, evenly spread over it."""
    zipf: float = field(default=0.0, validator=[validators.ge(0), validators.le(10)])
    """How uneven those are: the k-th hottest is written in proportion to 1/k to this power; 0: all alike."""


def resolve(params: Params, *, heap_bytes: int, mutators: int) -> Params:
    """The parameters with the automatic number of nodes made concrete: the same number for each mutator."""
    live_bytes = params.live_bytes or int(params.live_share * heap_bytes)
    nodes = params.nodes or live_bytes // _in_heap(1, params.object_bytes)
    return evolve(params, nodes=nodes // mutators * mutators)


def check(params: Params, *, heap_bytes: int, mutators: int) -> None:
    """Raises GcBarrierError where resolved parameters contradict each other or don't fit into the heap."""
    least_bytes = (8 + 8 * params.references + 8 + 15) // 16 * 16
    if params.object_bytes % 16:
        raise GcBarrierError(
            f"graph_edits can't have objects of {params.object_bytes} bytes: the heap hands out multiples of 16; "
            f"use object_bytes={(params.object_bytes + 15) // 16 * 16}"
        )
    if params.object_bytes < least_bytes:
        raise GcBarrierError(
            f"{params.references} references, a header and a word don't fit into object_bytes={params.object_bytes}: "
            f"use at least {least_bytes} bytes or fewer references"
        )
    if params.move_share + params.replace_share > 1:
        raise GcBarrierError(
            f"graph_edits can't have move_share={params.move_share} and replace_share={params.replace_share}: "
            "they are shares of the same operations; make their sum at most 1"
        )
    if params.nodes < LEAST_NODES * mutators:
        raise GcBarrierError(
            f"graph_edits has room for {params.nodes} nodes, and each of {mutators} mutators needs {LEAST_NODES}: "
            "use a larger heap or live_share, smaller objects or fewer mutators"
        )
    # 8 fresh objects may hang behind the oldest one in the ring.
    fresh = mutators * (THREAD_BYTES + 8 * params.ring + _in_heap(params.ring + 8, params.object_bytes))
    needed = _in_heap(params.nodes, params.object_bytes) + fresh
    if needed > 0.9 * heap_bytes:
        raise GcBarrierError(
            f"graph_edits needs {format_bytes(needed)} for its nodes and rings, more than nine tenths of the heap's "
            f"{format_bytes(heap_bytes)}: use a heap of at least {int(needed / 0.9 / (1 << 20)) + 1} MiB, "
            "or less live_share, nodes or ring"
        )


def _in_heap(count: int, object_bytes: int) -> int:
    """Bytes of heap that so many objects take: those above 16 KiB have blocks of 32 KiB of their own."""
    return count * (object_bytes if object_bytes <= 1 << 14 else -(-object_bytes >> 15) << 15)
