"""Fork, let the child mark the heap as it was, and stop the mutators a second time only to take its marks over.

Rodriguez-Rivera and Russo, "Non-intrusive cloning garbage collection with stock operating system support" (Software:
Practice and Experience 1997). There is no remark. The long pause is the fork itself, which copies page tables.
"""

from attrs import frozen

from gcbarrier.collectors import Triggered
from gcbarrier.core.heap import Heap

NEEDS_SNAPSHOT = True
NEEDS_FORK = True


@frozen(kw_only=True)
class Params(Triggered):
    """When a cycle begins, nothing of its own: the child marks alone."""


def collect(heap: Heap, params: Params) -> None:  # noqa: ARG001
    """One cycle."""
    heap.fork()
    heap.await_child()
    heap.flip()
    heap.sweep()
