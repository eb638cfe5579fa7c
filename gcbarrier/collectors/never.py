"""Don't collect at all, but where memory runs out: what mutators see when nobody disturbs them.

The baseline of their operations' times. Over a program that allocates it stops the world as ``stop-the-world`` does.
"""

from attrs import frozen

from gcbarrier.collectors import Triggered
from gcbarrier.core.heap import Heap

NEEDS_TRACKING = False
NEVER_DUE = True


@frozen(kw_only=True)
class Params(Triggered):
    """Without effect: no cycle is ever due."""


def collect(heap: Heap, params: Params) -> None:  # noqa: ARG001
    """One cycle: a mutator waits for memory."""
    heap.full()
    heap.sweep()
