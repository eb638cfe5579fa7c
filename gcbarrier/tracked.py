"""A barrier by itself: memory, what was written to it, and nothing of a heap.

::

    with Tracked(64 << 20, "uffd-wp-async") as memory:
        memory.arm()
        memory.view[5 * 4096] = 1
        memory.collect(rearm=True)      # array([5])
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.core.library import Space
from gcbarrier.model import Scalar


class Tracked(Space):
    """``size_bytes`` (a multiple of 32 KiB) of zeroed memory under a barrier; a context manager.

    The barrier must notice any write to memory: a software barrier, which notices ``gcb_store()`` alone, never reports
    here. Raises Unavailable for memory that the barrier can't watch, GcBarrierError where it can't be had.
    """

    def __init__(
        self,
        size_bytes: int,
        barrier: str = "uffd-wp-async",
        *,
        memory: str = "shmem",
        params: Mapping[str, Scalar] | None = None,
        plugin: build.Plugin | None = None,
    ) -> None:
        """``plugin`` is the compiled barrier where there is no compiler."""
        chosen = barriers.choose(barrier, params)
        chosen.require_memory(memory)
        plugin = plugin or chosen.compile()
        super().__init__(
            size_bytes,
            core=plugin.core,
            library=plugin.library,
            promises=chosen.promises,
            memory=memory,
            prototype=chosen.prototype,
        )
        self.promises = chosen.promises
        self.view: Any = memoryview(self._ffi.buffer(self._lib.gcb_space_address(self._space), size_bytes)).cast("B")
        """The tracked memory, writable: every write to it is one to be noticed."""

    def close(self) -> None:
        """Give the memory back; ``view`` must not be used any more. Again does nothing."""
        if self._space is not None:
            self.view.release()
        super().close()

    def attach(self) -> None:
        """Tell the barrier that the calling thread writes.

        Only for a barrier that watches threads (``uffd-wp-log``), and only for speed: while it knows of none it looks
        everywhere. From the first attached thread on it takes the attached ones for all that there are. A thread may
        come while the memory is armed: the next collect looks everywhere, for what that thread wrote before.
        """
        self._check(self._lib.gcb_watch_attach(self._space))

    def arm(self) -> None:
        """Track everything from now on."""
        self._check(self._lib.gcb_watch_arm(self._space))

    def collect(self, *, rearm: bool) -> NDArray[np.int64]:
        """The granules written since they were last armed, ascending; ``rearm`` arms just these again."""
        self._check(self._lib.gcb_watch_collect(self._space, rearm))
        granules = self.granules
        buffer = self._ffi.buffer(self._lib.gcb_watch_words(self._space), (granules + 63) // 64 * 8)
        return np.flatnonzero(np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")[:granules])
