"""The managed heap, as collectors and sessions drive it: memory, barrier, mutators, the phases of a cycle.

Mechanism is in C (``native/``); every phase is one call that releases the GIL, and none that stops the world returns to
Python before it has let it go again.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcbarrier.core.events import EVENT
from gcbarrier.core.placing import Placing
from gcbarrier.core.prototype import Memory, Prototype
from gcbarrier.core.sticky import Sticky
from gcbarrier.core.times import FIRST, SLOW, SLOW_AT_MOST, STAMP
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Barrier, Note, Number

NO_BARRIER = Barrier(tracks=False, atomic=True)
_EVENTS_AT_ONCE = 1 << 16
_SLICE_NS = 50_000_000
# A space that holds no objects.
_FOREIGN_BYTES = 1 << 20


class Wanted(IntEnum):
    """What :meth:`Heap.wait` says the collector's thread is wanted for."""

    NOTHING = 0
    TRIGGER = 1
    """So much has been allocated as :meth:`Heap.set_trigger` said."""
    MEMORY = 2
    """A mutator waits for a collection."""
    BUILT = 3
    """The program's heap is built and the mutators run."""
    ENDED = 4
    """All mutators have ended."""
    STRESSED = 5
    """A stressed mutator waits for a whole cycle."""


class Heap(Sticky, Placing):
    """A heap of ``size_bytes`` (whole MiB) over a barrier; a context manager.

    ``core`` is the compiled core's folder, ``library`` the compiled barrier (None: no barrier) and ``promises`` what
    that promises. With ``verify`` the oracle checks every cycle; mutators must then be compiled to log their writes.
    ``runtime`` is the compiled runtime of a collector that brings its own memory: mutators allocate from that, and none
    of a cycle's phases is there to be called.
    Raises GcBarrierError where the memory can't be had.

    One thread, the collector's, calls everything here.
    """

    def __init__(
        self,
        size_bytes: int,
        *,
        core: Path,
        library: Path | None = None,
        promises: Barrier = NO_BARRIER,
        memory: str = "shmem",
        prototype: Callable[[Memory], Prototype] | None = None,
        verify: bool = False,
        runtime: Path | None = None,
    ) -> None:
        self._program: Any = None
        self.promises = promises
        super().__init__(
            _FOREIGN_BYTES if runtime else size_bytes,
            core=core,
            library=library,
            promises=promises,
            memory=memory,
            prototype=prototype,
            verify=verify,
        )
        self.size_bytes = size_bytes
        if runtime and self._lib.gcb_adopt(self._space, str(runtime).encode(), size_bytes):
            problem = self._failure()
            self.close()
            raise problem
        self._kept: list[Any] = []
        self._mutators = 0
        self._cycle = 0
        self._notes: list[Note] = []

    def close(self) -> None:
        """End what still runs and give the memory back. Again does nothing."""
        if self._space is not None and self._program is not None:
            self._lib.gcb_abandon(self._space)
            self._lib.gcb_join(self._space, self._program, self._ffi.NULL)
        super().close()

    @property
    def alias_huge(self) -> bool:
        """Whether huge pages map the collector's view."""
        return bool(self._lib.gcb_alias_huge(self._space))

    @property
    def mapped(self) -> str:
        """What maps the mutators' view just now: ``4 KiB pages``, ``2 MiB pages``, both, or ``unknown``."""
        huge_bytes = int(self._lib.gcb_tracked_huge_bytes(self._space))
        if huge_bytes < 0:
            return "unknown"
        sizes = ["2 MiB"] * (huge_bytes > 0) + ["4 KiB"] * (huge_bytes < self.size_bytes)
        return " and ".join(sizes) + " pages"

    # Mutators

    def time_operations(self) -> None:
        """Time every operation of a program that is compiled for it; before :meth:`start`."""
        self._lib.gcb_time_operations(self._space)

    def stress(self, every: int) -> None:
        """Let mutators that are compiled for it wait for a cycle at every so many safepoints; before :meth:`start`.

        Raises GcBarrierError where the barrier watches the only view of the memory, in which what is freed is poisoned.
        """
        self._check(self._lib.gcb_stress_mutators(self._space, every))

    def start(
        self,
        library: Path,
        *,
        mutators: int,
        seed: int,
        params: bytes,
        blob: bytes | NDArray[Any] = b"",
        operations: Sequence[int] = (),
    ) -> None:
        """Start a compiled mutator program; mutator 0 builds the heap, then all run.

        ``params`` is the packed struct that it was compiled for, ``blob`` what its heap.py made for it,
        ``operations`` a limit for each mutator (empty: until :meth:`finish`).
        """
        program = self._ffi.new("gcb_program *")
        self._check(self._lib.gcb_load_program(str(library).encode(), program))
        held = [self._ffi.from_buffer(params), self._ffi.from_buffer(blob)]
        limits = self._ffi.new("uint64_t[]", list(operations)) if operations else self._ffi.NULL
        # The mutators read these for as long as they run.
        self._kept += held
        self._mutators = mutators
        self._check(self._lib.gcb_start(self._space, program, mutators, seed, limits, held[0], held[1], len(held[1])))
        self._program = program

    def wait(self, timeout_s: float) -> Wanted:
        """Wait until the collector's thread is wanted, or for ``timeout_s``."""
        return Wanted(self._lib.gcb_wait(self._space, max(int(timeout_s * 1e9), 0)))

    def set_trigger(self, allocated_bytes: int) -> None:
        """Be wanted (once) when so much has been allocated since the last remark."""
        self._lib.gcb_set_trigger(self._space, allocated_bytes)

    def finish(self) -> None:
        """Ask the mutators to end at their next operation."""
        self._lib.gcb_finish(self._space)

    def join(self) -> int:
        """Wait for the mutators, all of which must be about to end, and return the program's checksum.

        Raises GcBarrierError with the reason where a mutator failed (out of memory, above all), and where the oracle
        has found an object lost: then there is no heap to make a checksum of.
        """
        checksum = self._ffi.new("uint64_t *")
        program, self._program = self._program, None
        self._check(self._lib.gcb_join(self._space, program, checksum))
        return int(checksum[0])

    @property
    def allocated_bytes(self) -> int:
        """By all mutators so far."""
        return int(self._lib.gcb_allocated_bytes(self._space))

    def operations(self) -> tuple[int, ...]:
        """Completed by each mutator; after :meth:`join`."""
        each = self._ffi.new("uint64_t[]", self._mutators)
        self._lib.gcb_get_operations(self._space, each)
        return tuple(int(count) for count in each)

    def totals(self) -> dict[str, int]:
        """``gcb_totals``: operations, cpu_ns, minor_faults, wall_ns, live_bytes ...; after :meth:`join`."""
        return self._record("gcb_totals", self._lib.gcb_get_totals)

    def operation_times(self) -> NDArray[np.uint64]:
        """How many operations fell into each bucket, shape ``(phases, buckets)``; after :meth:`join`."""
        counts = np.zeros((self._lib.gcb_time_phases(), self._lib.gcb_time_buckets()), np.uint64)
        self._lib.gcb_get_operation_times(self._space, self._ffi.from_buffer("uint64_t[]", counts))
        return counts

    def slow_operations(self) -> NDArray[Any]:
        """The slowest operations of each mutator, of dtype :data:`gcbarrier.core.times.SLOW`; after :meth:`join`."""
        slow = np.empty(SLOW_AT_MOST * self._mutators, SLOW)
        buffer = self._ffi.from_buffer("gcb_slow_operation[]", slow)
        return slow[: self._lib.gcb_get_slow_operations(self._space, buffer, len(slow))]

    def stamps(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """When each operation began and how long it took, of dtypes :data:`gcbarrier.core.times.FIRST` and ``STAMP``.

        Empty where a mutator has done more than there is room for; after :meth:`join`.
        """
        first_ns = self._ffi.new("uint64_t *")
        counts = [self._lib.gcb_get_stamps(self._space, m, first_ns, self._ffi.NULL) for m in range(self._mutators)]
        if not all(counts):
            return np.empty(0, FIRST), np.empty(0, STAMP)
        firsts, stamps, at = np.empty(self._mutators, FIRST), np.empty(sum(counts), STAMP), 0
        for mutator, count in enumerate(counts):
            room = self._ffi.from_buffer("gcb_stamp[]", stamps[at : at + count])
            self._lib.gcb_get_stamps(self._space, mutator, first_ns, room)
            firsts[mutator] = (first_ns[0], count)
            at += count
        return firsts, stamps

    @property
    def timing_cost_ns(self) -> float:
        """What timing adds to an operation, measured now."""
        return float(self._lib.gcb_timing_cost_ns())

    def verification(self) -> dict[str, int]:
        """``gcb_verification``: what the oracle has counted."""
        return self._record("gcb_verification", self._lib.gcb_get_verification)

    def take_events(self) -> NDArray[Any]:
        """The events recorded since the last call, of dtype :data:`gcbarrier.core.events.EVENT`."""
        buffer = np.empty(_EVENTS_AT_ONCE, dtype=EVENT)
        count = self._lib.gcb_take_events(self._space, self._ffi.from_buffer(buffer), len(buffer))
        return buffer[:count].copy()

    def set_markers(self, markers: int) -> None:
        """So many threads mark from now on, 1 to 8, the caller's among them. Not while a phase is under way."""
        self._check(self._lib.gcb_set_markers(self._space, markers))

    @property
    def markers_cpu_ns(self) -> int:
        """CPU time of the threads that have marked for the collector's so far."""
        return int(self._lib.gcb_markers_cpu_ns(self._space))

    # A collector that brings its own memory

    def collect_foreign(self) -> None:
        """Make it collect everything, now."""
        self._check(self._lib.gcb_foreign_collect(self._space))

    def check_foreign(self) -> None:
        """Raises GcBarrierError where it did not stay what it was asked to be."""
        self._check(self._lib.gcb_foreign_check(self._space))

    @property
    def foreign_allocated_bytes(self) -> int:
        """From it, by all mutators so far."""
        return int(self._lib.gcb_foreign_allocated_bytes(self._space))

    @property
    def foreign_collecting_ns(self) -> int:
        """The processor time that its collections have taken in mutators' threads."""
        return int(self._lib.gcb_foreign_collecting_ns(self._space))

    @property
    def foreign_facts(self) -> dict[str, str]:
        """What it says of itself."""
        text = self._ffi.string(self._lib.gcb_foreign_facts(self._space)).decode()
        return dict(pair.split("=", 1) for pair in text.split())

    # The phases of a cycle

    def begin_cycle(self) -> None:
        """Clear the marks, unless they :meth:`stick`; sweep what the last cycle left."""
        self._check(self._lib.gcb_begin_cycle(self._space))
        self._cycle += 1
        self._count_waits()

    def snapshot(self) -> None:
        """In a pause: arm, and mark from the roots as they are then. For barriers that promise a ``snapshot``."""
        self._check(self._lib.gcb_snapshot(self._space))

    def fork(self) -> None:
        """In a pause: fork a child that marks from the roots as they are now. For barriers that promise a ``fork``."""
        self._check(self._lib.gcb_fork(self._space))

    def await_child(self) -> None:
        """Wait until the child has marked everything, while mutators run. Raises GcBarrierError where it died."""
        # In slices: signal handlers (Ctrl-C) are Python's, and run between two calls.
        while self._check(self._lib.gcb_await_child(self._space, _SLICE_NS)) == 0:
            pass

    def flip(self) -> None:
        """The pause that takes over the awaited child's marks; nothing is marked in it."""
        self._check(self._lib.gcb_flip(self._space))

    def arm(self, *, black: bool = True) -> None:
        """Let the barrier track what is old from now on, and all else from the first re-arming :meth:`collect` on.

        A barrier that is armed as a whole tracks all of it at once. With ``black`` what is allocated from now on lives
        through this cycle; without, it must be reached from somewhere like anything else.
        """
        self._check(self._lib.gcb_arm(self._space, black))

    def allocate_black(self) -> None:
        """What is allocated from now on lives through this cycle; after :meth:`arm` without ``black``."""
        self._check(self._lib.gcb_allocate_black_from_now(self._space))

    def mark(self, *, roots: bool = True) -> None:
        """Mark from the roots (and from what a rescan found) until nothing is left, while mutators run."""
        self._check(self._lib.gcb_mark(self._space, roots))

    def collect(self, *, rearm: bool, stopped: bool = False) -> int:
        """Take the dirty set from the barrier and return its size in granules; a rescan must follow.

        Where it is ``stopped``, and for a barrier that can't re-arm atomically, in a pause of the kind ``rearm``.
        """
        stopped = stopped or (rearm and not self.promises.atomic)
        return self._check(self._lib.gcb_collect(self._space, rearm, stopped))

    def ask_for_help(self, hold_ns: int) -> None:
        """From now on until the remark each mutator is held up for ``hold_ns`` at each of its safepoints; 0: no more.

        It rescans meanwhile, so that rescans are over sooner, and where nothing waits to be rescanned it sleeps, so
        that it writes less. No pause, and none the less a delay: ``Config(timed=True)`` shows it. Stopped mutators help
        in any case.
        """
        self._lib.gcb_ask_to_help(self._space, hold_ns)

    def rescan(self) -> None:
        """Look again at the marked objects on dirty granules and mark from there, while mutators run."""
        self._check(self._lib.gcb_rescan(self._space))

    @property
    def left_ns(self) -> float:
        """How long the remark's rescan would take now: an estimate from what the rounds of this run have taken.

        What has been written since the last round began, at the rate of the time before it, times what a granule took.
        Infinite where it is not known yet: a rate takes two rounds of a cycle.
        """
        return float(self._lib.gcb_left_ns(self._space))

    def remark(self, *, rounds: int = 0, aim_ns: int = 0) -> None:
        """The pause: stop, roots, collect, rescan, mark, resume. Then the marks are complete.

        Over a barrier that re-arms atomically up to so many ``rounds`` go right before it, each while it is expected to
        leave less than it finds. Where that is more than half of it and the rescan would take longer than ``aim_ns``,
        mutators are asked for help, for as long as leaves half; where they would be held up longer by that than by the
        pause, they are not.
        """
        self._check(self._lib.gcb_remark(self._space, rounds if self.promises.atomic else 0, aim_ns))

    def full(self) -> None:
        """A pause in which everything is marked."""
        self._check(self._lib.gcb_full(self._space))

    def sweep(self) -> None:
        """Find the free blocks, while mutators run (who sweep for themselves what they need before)."""
        self._check(self._lib.gcb_sweep(self._space))

    def end_cycle(self) -> None:
        """The cycle is over. Who waited for memory goes on at its last pause already, and sweeps what it needs."""
        self._lib.gcb_end_cycle(self._space)

    def note(self, name: str, value: Number) -> None:
        """Record a number of this cycle, such as how often something was done in it: it is in the outcome's ``notes``.

        Raises GcBarrierError where it is no number, or none of 64 bits.
        """
        # Of nan no comparison is true.
        if isinstance(value, bool) or not isinstance(value, Real) or not -(1 << 63) <= value < 1 << 63:
            raise GcBarrierError(f"a collector noted {name!r:.40} as {value!r:.40}: note a finite number below 2^63")
        number = int(value) if isinstance(value, Integral) else float(value)
        self._notes.append(Note(cycle=self._cycle, name=name, value=number))

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was noted so far."""
        return tuple(self._notes)

    def stop(self) -> None:
        """Stop the world from Python, for prototypes: results of such a pause say so. Only :meth:`resume` ends it."""
        self._lib.gcb_stop(self._space)

    def resume(self) -> None:
        """Let the mutators go again after :meth:`stop`."""
        self._lib.gcb_resume(self._space)
