"""Of a heap, what concerns the processors that its mutators run on; a part of :class:`gcbarrier.core.heap.Heap`."""

from collections.abc import Sequence

from gcbarrier.core.library import Space
from gcbarrier.model import Ran

_UNTOLD = (1 << 64) - 1


class Placing(Space):
    """Where mutators run, and what the scheduler did to them there."""

    def place_mutators(self, processors: Sequence[int]) -> None:
        """Mutator i is to run on the i-th of these alone, and further ones in turn; empty: anywhere. Before the start.

        Raises GcBarrierError where that can't be; a processor that this process may not use fails the mutator.
        """
        each = self._ffi.new("uint32_t[]", list(processors))
        self._check(self._lib.gcb_place_mutators(self._space, each, len(processors)))

    def mutators_ran(self, mutators: int) -> tuple[Ran, ...]:
        """What became of the threads of so many mutators, which is all; after they are joined."""
        each = self._ffi.new("gcb_ran[]", mutators)
        self._lib.gcb_get_ran(self._space, each)
        return tuple(
            Ran(
                name=f"mutator {index}",
                processor=_told(one.processor),
                waited_ns=_told(one.waited_ns),
                voluntary=int(one.voluntary),
                involuntary=int(one.involuntary),
                migrations=_told(one.migrations),
            )
            for index, one in enumerate(each)
        )


def _told(number: int) -> int | None:
    return None if number == _UNTOLD else int(number)


__all__ = ["Placing"]
