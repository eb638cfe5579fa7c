"""One invocation, in this process: it should be a fresh one, with no other Python thread in it.

The collector's thread is this one. It serves the mutators until they end: a cycle when enough has been allocated,
when it is time for one, or when a mutator waits for memory.
"""

import gc
import io
import resource
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from gcbarrier import barriers, collectors
from gcbarrier.core import build, events, times
from gcbarrier.core.heap import Heap, Wanted
from gcbarrier.core.library import measured_costs, open_core
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.host import fits, machine_name
from gcbarrier.model import Invocation, Measured, Outcome, Pause, Scalar, evolve
from gcbarrier.plugins import discovery
from gcbarrier.session import blame, foreign, oracle
from gcbarrier.session.deadline import Deadline
from gcbarrier.session.program import Program
from gcbarrier.session.surroundings import Surroundings

_LONG_S = 3600.0
# Cycles whose allocation says what the next one will need.
_REMEMBERED = 4
# Of what the trigger says: where cycle follows upon cycle nothing is won by beginning sooner.
_SOONEST = 0.25
_NEVER = 1 << 63


@frozen(kw_only=True)
class SessionJob:
    """An invocation with all that is compiled or computed for it: it runs where there is no compiler."""

    invocation: Invocation
    barrier: build.Plugin
    program: Program
    runtime: build.Plugin | None = None
    """Of a collector that brings its own memory: :mod:`gcbarrier.session.foreign` runs it."""
    reference: Program | None = None
    """The same program for a heap of ours, where such a one is to be verified."""

    @property
    def label(self) -> str:
        """For progress and errors."""
        return self.invocation.config.label

    @property
    def plugins(self) -> tuple[build.Plugin, ...]:
        """All that is compiled for it."""
        programs = [each.plugin for each in (self.program, self.reference) if each is not None]
        return (self.barrier, *programs, *([self.runtime] if self.runtime else []))

    def run(self) -> Measured:
        """Run it in this process. What goes wrong with it is in the outcome's ``error``."""
        return run(self)

    def failed(self, machine: str, error: str) -> Measured:
        """What is left of one whose process did not bring anything back."""
        return Measured(record=Outcome(invocation=self.invocation, machine=machine, error=error))


def run(job: SessionJob) -> Measured:
    """Run one invocation. What goes wrong with it is in the outcome's ``error``."""
    # Python's own collector must not stand in a collector's way.
    gc.disable()
    open_core(job.barrier.core).report_crashes()
    if job.runtime is not None:
        return _packed(*foreign.run(job.invocation, runtime=job.runtime, program=job.program, reference=job.reference))
    session = _Session(job)
    try:
        session.run()
        error = ""
    except GcBarrierError as problem:
        error = str(problem)
    return session.measured(error)


def trigger_bytes(trigger: float, free_bytes: int, allocated_meanwhile: Iterable[int]) -> int:
    """After how much allocation the next cycle begins, so that the rest lasts while it marks.

    ``trigger`` is the share of ``free_bytes`` after which it does at the latest, and ``allocated_meanwhile`` what
    mutators have allocated, in bytes, during each of the last cycles.
    """
    latest = int(trigger * free_bytes)
    lasting = free_bytes - max(allocated_meanwhile, default=0)
    return max(min(latest, lasting), int(latest * _SOONEST), 1)


class _Session:
    def __init__(self, job: SessionJob) -> None:
        self._deadline = Deadline()
        self._job = job
        self._config = job.invocation.config
        self._collector = collectors.of(self._config)
        collect = self._collector.collect
        assert collect is not None
        self._collect = collect
        self._params = collectors.params_of(self._config)
        self._events: list[Any] = []
        self._causes: dict[int, str] = {}
        self._facts: dict[str, Scalar] = {}
        self._results: dict[str, Any] = {}
        self._built_ns = 0
        self._allocated_meanwhile: deque[int] = deque(maxlen=_REMEMBERED)
        self._built_cpu_ns = 0
        self._collector_cpu_ns = 0
        self._slow = np.empty(0, times.SLOW)
        self._stamps: tuple[NDArray[Any], ...] = ()

    def run(self) -> None:
        job, config = self._job, self._config
        chosen = barriers.of(config)
        fits(config.heap_bytes, config.memory, copied=chosen.promises.fork)
        # Measured in this very process, before anything else happens in it.
        self._facts = {}
        if chosen.prototype is None:
            self._facts |= measured_costs(job.barrier.core, job.barrier.library, config.memory)
        around = Surroundings(config, job.barrier.core)
        with Heap(
            config.heap_bytes,
            core=job.barrier.core,
            library=job.barrier.library,
            promises=chosen.promises,
            memory=config.memory,
            prototype=chosen.prototype,
            verify=config.verify,
        ) as heap:
            self._facts["alias_huge"] = heap.alias_huge
            self._facts["memory_mapped"] = heap.mapped
            try:
                self._measure(heap, around)
            finally:
                self._events.append(heap.take_events())
                self._results["notes"] = heap.notes
            # Tracking splits huge pages.
            self._facts["memory_mapped_after"] = heap.mapped
            self._results["tallies"] = heap.tallies()
            operations, allocated = heap.operations(), heap.allocated_bytes
            counted = heap.verification()
        if config.verify:
            oracle.refuse_lost(counted)
            reference = oracle.reference_checksum(
                job.program,
                core=job.barrier.core,
                # Only where the program has the barrier's store inlined.
                library=job.barrier.library if chosen.store_header else None,
                promises=chosen.promises,
                # Whatever the heap lies in: this one holds all that was ever allocated, and huge pages are few.
                memory="shmem",
                mutators=config.mutators,
                seed=job.invocation.seed,
                operations=operations,
                allocated_bytes=allocated,
            )
            checked = oracle.verification(counted, checksum=self._results["checksum"], reference=reference)
            self._results["verification"] = checked

    def _measure(self, heap: Heap, around: Surroundings) -> None:
        job, config = self._job, self._config
        limit = job.invocation.operations
        if config.timed:
            self._facts["timing_cost_ns"] = heap.timing_cost_ns
            heap.time_operations()
        around.place(heap)
        if config.stress:
            heap.stress(config.stress)
        heap.start(
            job.program.plugin.library,
            mutators=config.mutators,
            seed=job.invocation.seed,
            params=job.program.params,
            blob=job.program.blob,
            operations=[limit] * config.mutators if limit else (),
        )
        before_ns = _collector_cpu_ns() + heap.markers_cpu_ns
        try:
            self._serve(heap, around)
        finally:
            self._deadline.over()
        # The clock starts when the heap is built, for the collector as for the mutators.
        self._collector_cpu_ns = _collector_cpu_ns() + heap.markers_cpu_ns - (self._built_cpu_ns or before_ns)
        self._results["checksum"] = heap.join()
        self._results["temper"] = around.temper(heap)
        if config.timed:
            self._results["operation_times"] = times.histograms(heap.operation_times())
            self._slow = heap.slow_operations()
            self._stamps = heap.stamps()
        totals = heap.totals()
        if lost := totals.pop("events_lost"):
            raise GcBarrierError(f"{lost} events did not fit into the ring between two cycles: pauses are missing")
        # When the clock of all that is counted began; events have stamps by the same.
        self._facts["started_ns"] = totals["built_ns"]
        for ours, theirs in _TOTALS.items():
            self._results[ours] = totals[theirs]

    def _serve(self, heap: Heap, around: Surroundings) -> None:
        """Be the collector's thread until all mutators have ended."""
        most = oracle.allocation_limit_bytes() if self._config.verify else 0
        finish_ns: int | None = None
        due_ns: int | None = None
        cycles = 0
        finished = False
        while True:
            next_ns = min((at for at in (finish_ns, due_ns) if at is not None), default=None)
            wanted = heap.wait(_LONG_S if next_ns is None else (next_ns - time.monotonic_ns()) / 1e9)
            now_ns = time.monotonic_ns()
            if wanted is Wanted.ENDED:
                around.ended()
                return
            if wanted is Wanted.BUILT:
                around.begun()
                self._built_ns, self._built_cpu_ns = now_ns, _collector_cpu_ns() + heap.markers_cpu_ns
                if not self._job.invocation.operations:
                    finish_ns = now_ns + int(self._config.duration_s * 1e9)
                    self._deadline.built(self._config.duration_s)
                self._await_next(heap, live_bytes=heap.allocated_bytes)
                due_ns = self._due_ns(now_ns)
                continue
            # A measurement without a cycle would say nothing: one is due at the end at least.
            over = finish_ns is not None and now_ns >= finish_ns
            if (over and (cycles or self._collector.never_due)) or (most and heap.allocated_bytes > most):
                heap.finish()
                heap.set_trigger(_NEVER)
                finish_ns = due_ns = None
                finished = True
            waited_for = wanted in (Wanted.MEMORY, Wanted.STRESSED)
            if not waited_for and (finished or self._collector.never_due):
                continue
            if cause := _cause(wanted, over=over, due=due_ns is not None and now_ns >= due_ns):
                self._cycle(heap, cause)
                cycles += self._built_ns > 0
                due_ns = self._due_ns(time.monotonic_ns()) if self._built_ns and not finished else None

    def _due_ns(self, now_ns: int) -> int | None:
        every_s = self._params.every_s
        return now_ns + int(every_s * 1e9) if every_s else None

    def _cycle(self, heap: Heap, cause: str) -> None:
        self._causes[len(self._causes) + 1] = cause if self._built_ns else "build"
        heap.begin_cycle()
        if self._built_ns:
            before = heap.allocated_bytes
            with blame.collecting(self._config.collector, discovery.find("collectors", self._config.collector)):
                self._collect(heap, self._params)
            self._allocated_meanwhile.append(heap.allocated_bytes - before)
        else:
            # Nobody measures the building, and a full collection is the surest.
            heap.full()
            heap.sweep()
        heap.end_cycle()
        taken = heap.take_events()
        self._events.append(taken)
        ends = taken[taken["kind"] == events.Kind.CYCLE]
        self._await_next(heap, live_bytes=int(ends["value"][-1]) if len(ends) else 0)

    def _await_next(self, heap: Heap, *, live_bytes: int) -> None:
        free_bytes = max(heap.size_bytes - live_bytes, 0)
        due = trigger_bytes(self._params.trigger, free_bytes, self._allocated_meanwhile)
        heap.set_trigger(self._params.due_bytes(due))

    def _pauses(self, seen: NDArray[Any]) -> tuple[Pause, ...]:
        python_in_it = barriers.of(self._config).prototype is not None
        return tuple(evolve(pause, prototype=pause.prototype or python_in_it) for pause in events.pauses(seen))

    def measured(self, error: str) -> Measured:
        """What was seen, up to the ``error`` if there was one."""
        everything = np.concatenate([np.empty(0, events.EVENT), *self._events])
        # Cycles and pauses of the building are nobody's pauses.
        seen = everything[everything["start_ns"] >= self._built_ns] if self._built_ns else everything[:0]
        built = {cycle for cycle, cause in self._causes.items() if cause == "build"}
        seen = seen[~np.isin(seen["cycle"], list(built))]
        outcome = Outcome(
            invocation=self._job.invocation,
            machine=machine_name(),
            error=error,
            pauses=self._pauses(seen),
            stalls=events.stalls(seen),
            slow_operations=times.slow_operations(self._slow, seen),
            cycles=events.cycles(seen, self._causes),
            collector_cpu_ns=self._collector_cpu_ns,
            facts=self._facts,
            **self._results,
        )
        return _packed(outcome, everything, *self._stamps)


def _packed(outcome: Outcome, *arrays: NDArray[Any]) -> Measured:
    """The events first; what else there is follows in the same file, as :mod:`numpy` allows."""
    buffer = io.BytesIO()
    for array in arrays:
        np.save(buffer, array)
    return Measured(record=outcome, events=buffer.getvalue())


def _collector_cpu_ns() -> int:
    """Of this thread and of the children that have marked for it."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time_ns() + int((children.ru_utime + children.ru_stime) * 1e9)


def _cause(wanted: Wanted, *, over: bool, due: bool) -> str:
    """Why a cycle begins; "" where none need."""
    if wanted is Wanted.MEMORY:
        return "memory"
    if wanted is Wanted.TRIGGER:
        return "trigger"
    if wanted is Wanted.STRESSED:
        return "stress"
    return "end" if over else "time" if due else ""


_TOTALS = {
    "wall_ns": "wall_ns",
    "operations": "operations",
    "mutator_cpu_ns": "cpu_ns",
    "minor_faults": "minor_faults",
    "allocated_bytes": "allocated_bytes",
    "metadata_bytes": "metadata_bytes",
}
