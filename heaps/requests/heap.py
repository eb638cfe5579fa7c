"""Short requests over a long-lived store: what a server does, and how long each request takes.

The store is an index over records, each with four values; each mutator has a part of it to itself. An operation is one
request, and all of it counts when operations are timed (``Config(timed=True)``):

- ``objects`` objects are allocated, of 32 to 144 bytes; each refers to an earlier one of its request;
- ``reads`` records are looked up, popular ones more often (``zipf``), and their values read; an object of the request
  refers to each value that was found;
- with ``update_share`` a value of the last one is replaced: an old object is made to refer to a new one;
- the answer, of ``response_bytes``, is kept as long as the session lasts: until ``sessions`` more requests were served.

So nearly all objects die with their request, some live for a while, and the store lives as long as the run. A value is
told by a word in it: a request that finds another one fails the run, and the checksum is of the store and of all
answers that are still kept.
"""

from attrs import evolve, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import format_bytes

FIELDS = 4
"""Values of a record; mutator.c has the same number, and so it is with the next one."""

MOST_OBJECT_BYTES = 144

THREAD_BYTES = 1 << 16
"""A mutator's blocks to allocate in: one for small objects, one for larger ones."""


@frozen(kw_only=True)
class Params:
    """The store's size, and what a request does."""

    live_share: float = field(default=0.4, validator=[validators.gt(0), validators.le(0.8)])
    """Share of the heap that the store takes, where ``records`` is automatic."""
    live_bytes: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 40)])
    """Bytes that it takes then, whatever the heap's size; 0: ``live_share`` of it."""
    records: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 29)])
    """Records of the store, all mutators' together; 0: as many as take ``live_bytes``."""
    value_bytes: int = field(default=64, validator=[validators.ge(16), validators.le(1 << 14)])
    """Raw bytes of a value, a multiple of 8."""
    objects: int = field(default=64, validator=[validators.ge(1), validators.le(1 << 11)])
    """Objects that a request allocates and drops."""
    reads: int = field(default=8, validator=[validators.ge(1), validators.le(1 << 20)])
    """Records that it looks up."""
    update_share: float = field(default=0.25, validator=[validators.ge(0), validators.le(1)])
    """Share of the requests that replace a value."""
    response_bytes: int = field(default=1024, validator=[validators.ge(8), validators.le(1 << 20)])
    """Raw bytes of an answer, a multiple of 8."""
    sessions: int = field(default=1000, validator=[validators.ge(1), validators.le(1 << 20)])
    """Of each mutator's answers the last so many are kept."""
    zipf: float = field(default=0.8, validator=[validators.ge(0), validators.le(10)])
    """How uneven popularity is: the k-th record is asked for in proportion to 1/k to this power; 0: all alike."""
    rate_per_s: float = field(default=0.0, validator=validators.ge(0))
    """Requests per second and mutator; 0: as fast as it can."""


def resolve(params: Params, *, heap_bytes: int, mutators: int) -> Params:
    """The parameters with the automatic number of records made concrete: the same number for each mutator."""
    live_bytes = params.live_bytes or int(params.live_share * heap_bytes)
    records = params.records or live_bytes // _record_bytes(params)
    return evolve(params, records=records // mutators * mutators)


def check(params: Params, *, heap_bytes: int, mutators: int) -> None:
    """Raises GcBarrierError where resolved parameters contradict each other or don't fit into the heap."""
    for name in ("value_bytes", "response_bytes"):
        if (given := getattr(params, name)) % 8:
            raise GcBarrierError(f"requests fills whole words: use {name}={(given + 7) // 8 * 8}, not {given}")
    if params.records < mutators:
        raise GcBarrierError(
            f"requests has room for {params.records} records, and each of {mutators} mutators needs one: use a larger "
            "heap or live_share, a smaller value_bytes or fewer mutators"
        )
    kept = params.sessions * (8 + _in_heap(24 + 8) + _in_heap(8 + params.response_bytes))
    request = _in_heap(8 + 8 * params.objects) + params.objects * MOST_OBJECT_BYTES
    needed = params.records * _record_bytes(params) + mutators * (kept + request + THREAD_BYTES)
    if needed > 0.9 * heap_bytes:
        raise GcBarrierError(
            f"requests needs {format_bytes(needed)} for its store and the answers that are kept, more than nine tenths "
            f"of the heap's {format_bytes(heap_bytes)}: use a heap of at least {int(needed / 0.9 / (1 << 20)) + 1} "
            "MiB, or less live_share, records, sessions or response_bytes"
        )


def _record_bytes(params: Params) -> int:
    """With its values and its place in the index."""
    return 8 + _in_heap(8 + 8 * FIELDS + 16) + FIELDS * _in_heap(8 + params.value_bytes)


def _in_heap(size: int) -> int:
    """Bytes of heap that an object of so many takes: above 16 KiB it has blocks of 32 KiB of its own."""
    return (size + 15) // 16 * 16 if size <= 1 << 14 else -(-size >> 15) << 15
