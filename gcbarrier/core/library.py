"""The compiled core, opened: what it says, a barrier loaded into it, a space made in it."""

import faulthandler
import functools
import importlib.machinery
import importlib.util
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gcbarrier.core.build import MODULE, source_name
from gcbarrier.core.prototype import Binding, Memory, Prototype
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import MEMORY_TYPES, PAGE_BYTES, Barrier


class Core:
    """The core's functions, ``lib`` and ``ffi`` as cffi gives them. One per process: :func:`open_core`."""

    def __init__(self, folder: Path) -> None:
        module = _import(folder)
        self.module = module
        self.lib: Any = module.lib
        self.ffi: Any = module.ffi

    def failure(self) -> GcBarrierError:
        """What the core last said in this thread."""
        return GcBarrierError(str(self.ffi.string(self.lib.gcb_error()).decode(errors="replace")))

    def report_crashes(self) -> None:
        """From now on this process says where its threads are when it ends by a fault or by its deadline, SIGALRM."""
        self.lib.gcb_report_crashes()
        # Before the core's own: where the collector, which is Python, is.
        faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)

    def check(self, answer: int) -> int:
        """``answer``, unless it is negative. Raises GcBarrierError with the core's reason where it is."""
        if answer < 0:
            raise self.failure()
        return int(answer)

    def barrier(self, library: Path | None, promises: Barrier | None = None) -> Any:
        """The functions of a compiled barrier (None: of none). Raises GcBarrierError where it can't be loaded.

        Also where its C file says of itself what its Python file, which ``promises``, does not.
        """
        operations = self.ffi.new("const gcb_barrier_ops **")
        if library is not None:
            self.check(self.lib.gcb_load_barrier(str(library).encode(), operations))
            if promises is not None:
                self._compare(operations[0], promises, source_name(library))
        return operations[0]

    def _compare(self, operations: Any, promises: Barrier, name: str) -> None:
        said = self.lib.gcb_barrier_promises(operations)
        flags = {"tracks": self.lib.GCB_TRACKS, "snapshot": self.lib.GCB_SNAPSHOT, "fork": self.lib.GCB_FORK}
        for what, flag in flags.items():
            in_c, in_python = bool(said & flag), bool(getattr(promises, what))
            if in_c != in_python:
                raise GcBarrierError(
                    f"the barrier {name} contradicts itself: {name}.c has .{what} = {str(in_c).lower()} and the "
                    f"BARRIER of {name}.py {what}={in_python}: say in both what it does"
                )


@functools.cache
def open_core(folder: Path) -> Core:
    """The compiled core in ``folder``, loaded once per process. Raises GcBarrierError where it can't be."""
    return Core(folder)


class Space:
    """Memory under a barrier, as the core knows it; a context manager.

    ``core`` is the compiled core's folder, ``library`` the compiled barrier (None: no barrier), ``promises`` what its
    Python file says of it (None: unknown), ``prototype`` the class of one in Python. Raises GcBarrierError where the
    memory or the barrier can't be had.
    """

    def __init__(
        self,
        size_bytes: int,
        *,
        core: Path,
        library: Path | None = None,
        promises: Barrier | None = None,
        memory: str = "shmem",
        prototype: Callable[[Memory], Prototype] | None = None,
        verify: bool = False,
    ) -> None:
        self.size_bytes = size_bytes
        self._core = open_core(core)
        self._ffi, self._lib = self._core.ffi, self._core.lib
        # The C of a prototype is everybody's.
        operations = self._core.barrier(library, None if prototype else promises)
        self._binding = Binding(self._core.module, prototype) if prototype else None
        self._space = self._lib.gcb_space_new(size_bytes, MEMORY_TYPES.index(memory), operations, verify)
        if self._space == self._ffi.NULL:
            raise self._failure()
        if self._binding:
            self._binding.open(Memory(address=self.address, size_bytes=size_bytes, pages=size_bytes // PAGE_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back. Again does nothing."""
        if self._space is None:
            return
        if self._binding:
            self._binding.close()
        self._lib.gcb_space_free(self._space)
        self._space = None

    @property
    def handle(self) -> Any:
        """The core's ``gcb_space``, for calls that have no method here."""
        return self._space

    @property
    def address(self) -> int:
        """Where the tracked view begins."""
        return int(self._ffi.cast("uintptr_t", self._lib.gcb_space_address(self._space)))

    @property
    def granule_bytes(self) -> int:
        """What one granule of the dirty set covers."""
        return int(self._lib.gcb_granule_bytes(self._space))

    @property
    def granules(self) -> int:
        """How many granules the barrier tells apart."""
        return self.size_bytes // self.granule_bytes

    def tallies(self) -> dict[str, int]:
        """What the barrier has counted beside its reports, by name: how often it fell back to a slower way, say."""
        found: dict[str, int] = {}
        while (name := self._lib.gcb_tally_name(self._space, len(found))) != self._ffi.NULL:
            found[self._ffi.string(name).decode()] = int(self._lib.gcb_tally_count(self._space, len(found)))
        return found

    def _check(self, answer: int) -> int:
        if answer < 0:
            raise self._failure()
        return int(answer)

    def _record(self, name: str, get: Any) -> dict[str, int]:
        record = self._ffi.new(f"{name} *")
        get(self._space, record)
        return {field: int(getattr(record, field)) for field, _ in self._ffi.typeof(name).fields}

    def _failure(self) -> GcBarrierError:
        # A prototype's own exception says more than that its call failed.
        if self._binding and (problem := self._binding.failure()):
            return problem
        return self._core.failure()


def measured_costs(core: Path, library: Path, memory: str) -> dict[str, int]:
    """A first store to an armed page of a scratch heap, in ns, and what one store makes dirty, in bytes."""
    opened = open_core(core)
    operations, kind = opened.barrier(library), MEMORY_TYPES.index(memory)
    return {
        "fault_cost_ns": opened.check(opened.lib.gcb_fault_cost_ns(kind, operations)),
        "granule_bytes": opened.check(opened.lib.gcb_measured_granule_bytes(kind, operations)),
    }


def _import(folder: Path) -> Any:
    path = str(folder / f"{MODULE}.abi3.so")
    loader = importlib.machinery.ExtensionFileLoader(MODULE, path)
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    if spec is None:
        raise GcBarrierError(f"the compiled core {path} can't be loaded; delete it and try again")
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as problem:
        raise GcBarrierError(
            f"the compiled core can't be loaded: {problem}; delete {folder} and try again"
        ) from problem
    return module


__all__ = ["Core", "Space", "measured_costs", "open_core"]
