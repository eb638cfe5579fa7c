"""Barriers written in Python alone: slow, and enough to try an idea under every collector.

A prototype is ``barriers/x.py`` without a C file. It has ``BARRIER``, as every barrier, and a class ``Prototype``::

    class Prototype:
        def __init__(self, memory: Memory) -> None: ...
        def arm(self) -> None: ...                             # track everything from now on
        def collect(self, rearm: bool) -> Iterable[int]: ...   # pages written since they were armed; arm them again
        def close(self) -> None: ...

Its ``collect`` runs inside the pause, with the mutators stopped by the core: results say that Python ran in it.
:mod:`gcbarrier.primitives` has the system calls.
"""

import traceback
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from attrs import frozen

from gcbarrier.errors import GcBarrierError


@frozen(kw_only=True)
class Memory:
    """What a prototype watches."""

    address: int
    size_bytes: int
    pages: int


class Prototype(Protocol):
    """What a prototype's class offers."""

    def arm(self) -> None:
        """Track every page from now on."""

    def collect(self, rearm: bool) -> Iterable[int]:
        """Numbers of the pages written since they were last armed; with ``rearm`` these are armed again."""

    def close(self) -> None:
        """Give up what it holds."""


class Binding:
    """Ties a prototype to the core's callbacks. Bind, make the space, then :meth:`open`."""

    def __init__(self, module: Any, make: Callable[[Memory], Prototype]) -> None:
        self._module = module
        self._make = make
        self._prototype: Prototype | None = None
        self.problem: BaseException | None = None
        """What the prototype raised last."""
        _define_callbacks(module)
        # The core keeps this pointer; the binding must live as long as the space.
        self._handle = module.ffi.new_handle(self)
        module.lib.gcb_prototype_bind(module.lib.gcb_python_arm, module.lib.gcb_python_collect, self._handle)

    def open(self, memory: Memory) -> None:
        """Make the prototype for the memory that the core has mapped."""
        self._prototype = self._make(memory)

    def close(self) -> None:
        """Close the prototype, if there is one."""
        if self._prototype is not None:
            self._prototype.close()
            self._prototype = None

    def failure(self) -> GcBarrierError | None:
        """The prototype's own exception as an error, once."""
        problem, self.problem = self.problem, None
        if problem is None:
            return None
        last = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{last.filename.rpartition('/')[2]}, line {last.lineno}"
        return GcBarrierError(f"the prototype barrier raised {type(problem).__name__}: {problem} ({where})")

    def arm(self) -> int:
        """Called by the core; 0, or -1 where the prototype raised."""
        return self._guarded(lambda prototype: prototype.arm())

    def collect(self, rearm: bool, words: Any, pages: int) -> int:
        """Called by the core: adds the pages to its dirty set."""

        def add(prototype: Prototype) -> None:
            found = np.fromiter(prototype.collect(rearm), np.int64)
            if len(found) and not 0 <= found.min() <= found.max() < pages:
                raise ValueError(f"collect() returned a page that is not one of the {pages}")
            buffer = np.frombuffer(self._module.ffi.buffer(words, (pages + 63) // 64 * 8), np.uint8)
            bits = np.zeros(len(buffer) * 8, np.bool_)
            bits[found] = True
            buffer |= np.packbits(bits, bitorder="little")

        return self._guarded(add)

    def _guarded(self, call: Callable[[Prototype], None]) -> int:
        assert self._prototype is not None
        try:
            call(self._prototype)
        # Whatever it is, it must not get lost in C.
        except BaseException as problem:
            self.problem = problem
            return -1
        return 0


def _define_callbacks(module: Any) -> None:
    ffi = module.ffi

    @ffi.def_extern(name="gcb_python_arm", error=-1)  # type: ignore[untyped-decorator]
    def arm(handle: Any) -> int:
        binding: Binding = ffi.from_handle(handle)
        return binding.arm()

    @ffi.def_extern(name="gcb_python_collect", error=-1)  # type: ignore[untyped-decorator]
    def collect(handle: Any, rearm: bool, words: Any, pages: int) -> int:
        binding: Binding = ffi.from_handle(handle)
        return binding.collect(rearm, words, pages)
