"""Boehm's GCBench: short-lived trees of many depths beside a long-lived tree and a long-lived array.

The classic of Hans Boehm, after John Ellis and Pete Kovac of Post Communications: first a tree that stretches the heap
and dies, then a tree and an array of doubles that live as long as the run, then for every second depth as many trees as
make up twice the stretch tree, built top down, and as many built bottom up. It allocates much and writes old objects
little: almost every store goes to an object that is new.

Three things differ from the original. The depths follow from the heap's size unless they are given; the run goes
through the depths again and again until its time is over; and a few of the short-lived trees take the place of a
subtree of the long-lived one, so that old objects are written (``replace_share=0`` is the original).

One operation is ``nodes_per_operation`` nodes, not one tree: so operations are of one size. Each mutator has a tree and
an array of its own.
"""

from attrs import evolve, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import format_bytes

NODE_BYTES = 32
"""A header, two references and a word."""

THREAD_BYTES = 1 << 16
"""A mutator's blocks to allocate in: one for small objects, one for larger ones."""

_DEPTH = [validators.ge(0), validators.le(30)]


@frozen(kw_only=True)
class Params:
    """The sizes of the benchmark's trees; those that are 0 follow from the heap's size."""

    live_share: float = field(default=0.35, validator=[validators.gt(0), validators.le(0.8)])
    """Share of the heap that the long-lived trees and arrays take, where their sizes are automatic."""
    live_bytes: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 40)])
    """Bytes that they take, whatever the heap's size; 0: ``live_share`` of it. All automatic sizes are then those of a
    heap of which so many bytes are ``live_share``."""
    stretch_depth: int = field(default=0, validator=_DEPTH)
    """Depth of the tree that is built first and dropped; 0: the deepest that takes no more than half the heap."""
    long_lived_depth: int = field(default=0, validator=_DEPTH)
    """Depth of each mutator's long-lived tree; 0: the deepest within three quarters of its live share."""
    array_doubles: int = field(default=0, validator=validators.ge(0))
    """Elements of each mutator's long-lived array; 0: what the tree leaves of its live share."""
    min_depth: int = field(default=4, validator=[validators.ge(1), validators.le(30)])
    """Depth of the smallest short-lived trees."""
    max_depth: int = field(default=0, validator=_DEPTH)
    """Depth of the largest short-lived trees; 0: the deepest that takes no more than 1/16 of a mutator's heap."""
    replace_share: float = field(default=0.01, validator=[validators.ge(0), validators.le(1)])
    """Share of the short-lived trees that take the place of a random subtree of the long-lived tree."""
    nodes_per_operation: int = field(default=1000, validator=[validators.ge(1), validators.le(1 << 31)])
    """Nodes allocated in one operation; 1000 take 5 to 100 microseconds."""
    rate_per_s: float = field(default=0.0, validator=validators.ge(0))
    """Operations per second and mutator; 0: as fast as it can."""


def resolve(params: Params, *, heap_bytes: int, mutators: int) -> Params:
    """The parameters with every 0 that means "automatic" replaced by what it comes to."""
    made_for = params.live_bytes / params.live_share if params.live_bytes else heap_bytes
    share = made_for / mutators
    live = params.live_share * share
    long_lived = params.long_lived_depth or _deepest(0.75 * live, 1)
    least = max(2, int(live - _tree_bytes(long_lived)) // 8)
    return evolve(
        params,
        stretch_depth=params.stretch_depth or _deepest(made_for / 2, params.min_depth),
        long_lived_depth=long_lived,
        array_doubles=params.array_doubles or least,
        max_depth=params.max_depth or _deepest(share / 16, params.min_depth),
    )


def check(params: Params, *, heap_bytes: int, mutators: int) -> None:
    """Raises GcBarrierError where resolved parameters contradict each other or don't fit into the heap."""
    if params.max_depth < params.min_depth:
        raise GcBarrierError(
            f"gcbench's max_depth={params.max_depth} is less than its min_depth={params.min_depth}: "
            "no tree would be built; raise max_depth or lower min_depth"
        )
    long_lived = _tree_bytes(params.long_lived_depth) + 8 * params.array_doubles
    needed = max(
        mutators * (long_lived + _tree_bytes(params.max_depth) + THREAD_BYTES),
        _tree_bytes(params.stretch_depth),
    )
    if needed > 0.9 * heap_bytes:
        raise GcBarrierError(
            f"gcbench needs {format_bytes(needed)} at once, more than nine tenths of the heap's "
            f"{format_bytes(heap_bytes)}: use a heap of at least {int(needed / 0.9 / (1 << 20)) + 1} MiB, "
            "smaller depths or fewer mutators"
        )


def _tree_bytes(depth: int) -> int:
    return int((2 << depth) - 1) * NODE_BYTES


def _deepest(limit_bytes: float, least: int) -> int:
    """The depth of the deepest tree within the limit, but not less than ``least``."""
    depth = least
    while depth < 30 and _tree_bytes(depth + 1) <= limit_bytes:
        depth += 1
    return depth
