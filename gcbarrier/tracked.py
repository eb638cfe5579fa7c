"""A barrier by itself: memory, what was written to it, and nothing of a heap.

::

    with Tracked(64 << 20, "uffd-wp-async") as memory:
        memory.arm()
        memory.view[5 * 4096] = 1
        memory.collect(rearm=True)      # array([5])
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.core.prototype import Binding, Memory
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.model import MEMORY_TYPES, PAGE_BYTES, Scalar


class Tracked:
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
        if memory not in chosen.promises.memories:
            can = ", ".join(chosen.promises.memories)
            raise Unavailable(f"the barrier {barrier} on {memory} memory", f"it can watch {can} only")
        plugin = plugin or chosen.compile()
        self._module = build.load(plugin.core)
        ffi, lib = self._module.ffi, self._module.lib
        operations = ffi.new("const gcb_barrier_ops **")
        if lib.gcb_load_barrier(str(plugin.library).encode(), operations):
            raise self._failure()
        self._binding = Binding(self._module, chosen.prototype) if chosen.prototype else None
        self._space = lib.gcb_space_new(size_bytes, MEMORY_TYPES.index(memory), operations[0], False)
        if self._space == ffi.NULL:
            raise self._failure()
        self.promises = chosen.promises
        self.size_bytes = size_bytes
        self.address = int(ffi.cast("uintptr_t", lib.gcb_space_address(self._space)))
        self.view: Any = memoryview(ffi.buffer(lib.gcb_space_address(self._space), size_bytes)).cast("B")
        """The tracked memory, writable: every write to it is one to be noticed."""
        if self._binding:
            self._binding.open(Memory(address=self.address, size_bytes=size_bytes, pages=size_bytes // PAGE_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back; ``view`` must not be used any more. Again does nothing."""
        if self._space is not None:
            self.view.release()
            if self._binding:
                self._binding.close()
            self._module.lib.gcb_space_free(self._space)
            self._space = None

    @property
    def granule_bytes(self) -> int:
        """What one number that :meth:`collect` returns stands for."""
        return int(self._module.lib.gcb_granule_bytes(self._space))

    def attach(self) -> None:
        """Tell the barrier, before it is armed, that the calling thread writes.

        Only for a barrier that watches threads (``uffd-wp-log``), and only for speed: while it knows of none it looks
        everywhere. From the first attached thread on it takes the attached ones for all that there are.
        """
        if self._module.lib.gcb_watch_attach(self._space) < 0:
            raise self._failure()

    def tallies(self) -> dict[str, int]:
        """What the barrier has counted beside its reports, by name: how often it fell back to a slower way, say."""
        return build.tallies(self._module, self._space)

    def arm(self) -> None:
        """Track everything from now on."""
        if self._module.lib.gcb_watch_arm(self._space) < 0:
            raise self._failure()

    def collect(self, *, rearm: bool) -> NDArray[np.int64]:
        """The granules written since they were last armed, ascending; ``rearm`` arms just these again."""
        lib, ffi = self._module.lib, self._module.ffi
        if lib.gcb_watch_collect(self._space, rearm) < 0:
            raise self._failure()
        granules = self.size_bytes // self.granule_bytes
        words = np.frombuffer(ffi.buffer(lib.gcb_watch_words(self._space), (granules + 63) // 64 * 8), np.uint8)
        return np.flatnonzero(np.unpackbits(words, bitorder="little")[:granules])

    def _failure(self) -> GcBarrierError:
        if self._binding and (problem := self._binding.failure()):
            return problem
        return GcBarrierError(build.last_error(self._module))
