"""Windows' write watch on Linux: which pages of a memory region were written, asked in the manner of GetWriteWatch().

::

    with WriteWatch(64 << 20) as watch:
        watch.view[5 * 4096] = 1
        watch.get(reset=True)       # (array([watch.address + 5 * 4096]), 4096)
        watch.get()                 # (array([]), 4096)

The documented semantics (``GetWriteWatch`` and ``ResetWriteWatch`` of memoryapi.h, for memory allocated with
``MEM_WRITE_WATCH``) over any barrier that notices writes by page. ``native/write_watch.h`` is the same for C.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcbarrier.tracked import Tracked

_FLAG_RESET = 1


class WriteWatch(Tracked):
    """``size_bytes`` (a multiple of 32 KiB) of zeroed memory under a write watch; nothing is written at first.

    Addresses are those of ``view``, from ``address`` on. Use :meth:`get` and :meth:`reset` alone: what ``collect()``
    takes is not reported here. One thread asks at a time; others may write meanwhile if the barrier is ``atomic``, else
    they must be at rest while anything is reset. Raises as :class:`gcbarrier.tracked.Tracked` does, and GcBarrierError
    for a barrier that does not notice all writes to memory.
    """

    def __init__(self, size_bytes: int, barrier: str = "uffd-wp-async", memory: str = "shmem") -> None:
        super().__init__(size_bytes, barrier, memory=memory)
        if self._lib.gcb_begin_write_watch(self._space):
            problem = self._failure()
            self.close()
            raise problem

    def get(
        self, base: int | None = None, size: int | None = None, *, reset: bool = False, capacity: int | None = None
    ) -> tuple[NDArray[np.uint64], int]:
        """The addresses of the written pages that ``size`` bytes from ``base`` on touch, ascending; and a page's bytes.

        The default is all of the region. At most the first ``capacity`` are returned, and with ``reset`` just these
        count as unwritten from then on, in one step if the barrier is ``atomic``. Raises GcBarrierError for a range
        that isn't inside the region, for no capacity, and where the barrier fails.
        """
        ffi, lib = self._ffi, self._lib
        base, size = self._range(base, size)
        if capacity is None:
            capacity = min(size, self.size_bytes) // self.granule_bytes + 2
        addresses = np.empty(max(capacity, 0), np.uint64)
        count, granularity = ffi.new("size_t *", len(addresses)), ffi.new("uint32_t *")
        room: Any = ffi.cast("void **", ffi.from_buffer(addresses))
        flags = _FLAG_RESET if reset else 0
        if lib.gcb_get_write_watch(self._space, flags, ffi.cast("void *", base), size, room, count, granularity):
            raise self._failure()
        return addresses[: count[0]], int(granularity[0])

    def reset(self, base: int | None = None, size: int | None = None) -> None:
        """All pages that the range touches count as unwritten from now on. Raises as :meth:`get` does.

        A write that comes between a ``get()`` and this is forgotten unseen: ``get(reset=True)`` is the safe way.
        """
        ffi, lib = self._ffi, self._lib
        base, size = self._range(base, size)
        if lib.gcb_reset_write_watch(self._space, ffi.cast("void *", base), size):
            raise self._failure()

    def _range(self, base: int | None, size: int | None) -> tuple[int, int]:
        if base is None:
            base = self.address
        if size is None:
            size = self.address + self.size_bytes - base
        # No negative number is an address or a size in C; 0 is refused there, with a sentence.
        return max(base, 0), max(size, 0)
