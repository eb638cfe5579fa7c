"""One invocation under a collector that brings its own memory (``native/include/runtime.h``), in this process.

It collects by itself, so there is little to serve: the clock, and a full collection where ``every_s`` or a run without
any collection asks for one. Nothing checks its marks, as there is no oracle in its memory: verified is only that the
mutators end with what they reach in a heap of ours that is never collected.

Collections run in the mutators' threads. What they take of the processor there is counted as the collector's, with that
of its own threads: mutators' and collector's time together are all that the process took while the mutators ran.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcbarrier import collectors
from gcbarrier.core import build, events
from gcbarrier.core.heap import Heap, Wanted
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.host import fits, machine_name
from gcbarrier.model import Invocation, Outcome, Scalar
from gcbarrier.plugins.params import parse
from gcbarrier.session import oracle
from gcbarrier.session.program import Program
from gcbarrier.session.surroundings import Surroundings

_LONG_S = 3600.0
_UNCHECKED = {"cycles": 0, "objects": 0, "reported": 0, "written": 0, "false_dirty": 0, "lost": 0}


def run(
    invocation: Invocation, *, runtime: build.Plugin, program: Program, reference: Program | None
) -> tuple[Outcome, NDArray[Any]]:
    """The record and the raw events; what goes wrong is in the outcome's ``error``.

    ``reference`` is the program for a heap of ours, where the configuration is to be verified.
    """
    session = _Foreign(invocation)
    error = ""
    try:
        session.run(runtime, program, reference)
    except GcBarrierError as problem:
        error = str(problem)
    return session.outcome(error), session.events


class _Foreign:
    def __init__(self, invocation: Invocation) -> None:
        self.events: NDArray[Any] = np.empty(0, events.EVENT)
        self._invocation = invocation
        self._results: dict[str, Any] = {}
        self._facts: dict[str, Scalar] = {}
        self._built_ns = 0
        self._process_ns = 0
        self._collecting_ns = 0
        self._forced_ns = 0

    def run(self, runtime: build.Plugin, program: Program, reference: Program | None) -> None:
        config = self._invocation.config
        if config.timed:
            raise GcBarrierError(
                f"operations can't be timed under {config.collector}, which tells no phases: leave timed out"
            )
        fits(config.heap_bytes)
        # What has been compiled elsewhere may have come to a machine without the library.
        collectors.of(config).require()
        around = Surroundings(config, runtime.core)
        with Heap(config.heap_bytes, core=runtime.core, runtime=runtime.library) as heap:
            limit = self._invocation.operations
            around.place(heap)
            heap.start(
                program.plugin.library,
                mutators=config.mutators,
                seed=self._invocation.seed,
                params=program.params,
                blob=program.blob,
                operations=[limit] * config.mutators if limit else (),
            )
            try:
                self._serve(heap, around)
                self._results["checksum"] = heap.join()
                self._results["temper"] = around.temper(heap)
            finally:
                while len(taken := heap.take_events()):
                    self.events = np.concatenate([self.events, taken])
            self._facts |= {"foreign": True} | {name: parse(value) for name, value in heap.foreign_facts.items()}
            self._count(heap)
            heap.check_foreign()
            operations, allocated = heap.operations(), heap.foreign_allocated_bytes
        if config.verify and reference is not None:
            expected = oracle.reference_checksum(
                reference,
                core=runtime.core,
                library=None,
                memory="shmem",
                mutators=config.mutators,
                seed=self._invocation.seed,
                operations=operations,
                allocated_bytes=allocated,
            )
            checked = oracle.verification(_UNCHECKED, checksum=self._results["checksum"], reference=expected)
            self._results["verification"] = checked
            self._facts["verified"] = "the mutators' checksum alone"

    def _serve(self, heap: Heap, around: Surroundings) -> None:
        config, every_s = self._invocation.config, collectors.params_of(self._invocation.config).every_s
        most = oracle.allocation_limit_bytes() if config.verify else 0
        finish_ns: int | None = None
        due_ns: int | None = None
        while True:
            next_ns = min((at for at in (finish_ns, due_ns) if at is not None), default=None)
            wanted = heap.wait(_LONG_S if next_ns is None else (next_ns - time.monotonic_ns()) / 1e9)
            now_ns = time.monotonic_ns()
            if wanted is Wanted.ENDED:
                self._process_ns = time.process_time_ns() - self._process_ns
                around.ended()
                in_collections_ns = heap.foreign_collecting_ns - self._collecting_ns
                # What this thread has begun is in no mutator's time.
                self._collecting_ns = max(in_collections_ns - self._forced_ns, 0)
                return
            if wanted is Wanted.BUILT:
                around.begun()
                self._built_ns, self._process_ns = now_ns, time.process_time_ns()
                self._collecting_ns = heap.foreign_collecting_ns
                if not self._invocation.operations:
                    finish_ns = now_ns + int(config.duration_s * 1e9)
                due_ns = now_ns + int(every_s * 1e9) if every_s else None
                continue
            over = finish_ns is not None and now_ns >= finish_ns
            # A measurement without a collection would say nothing.
            idle = over and heap.foreign_collecting_ns == self._collecting_ns
            if idle or (due_ns is not None and now_ns >= due_ns):
                before_ns = time.thread_time_ns()
                heap.collect_foreign()
                self._forced_ns += time.thread_time_ns() - before_ns
                due_ns = time.monotonic_ns() + int(every_s * 1e9) if every_s else None
            if over or (most and heap.foreign_allocated_bytes > most):
                heap.finish()
                finish_ns = due_ns = None

    def _count(self, heap: Heap) -> None:
        totals = heap.totals()
        if lost := totals["events_lost"]:
            raise GcBarrierError(f"{lost} events did not fit into the ring: pauses are missing; choose a shorter run")
        self._facts["started_ns"] = totals["built_ns"]
        self._results |= {
            "wall_ns": totals["wall_ns"],
            "operations": totals["operations"],
            "minor_faults": totals["minor_faults"],
            "allocated_bytes": heap.foreign_allocated_bytes,
            "mutator_cpu_ns": max(totals["cpu_ns"] - self._collecting_ns, 0),
            "collector_cpu_ns": max(self._process_ns - totals["cpu_ns"], 0) + self._collecting_ns,
        }

    def outcome(self, error: str) -> Outcome:
        """What was seen, up to the ``error`` if there was one."""
        started = self.events[self.events["start_ns"] < self._built_ns]["cycle"] if self._built_ns else ()
        # What began before the heap was built is nobody's pause.
        seen = self.events[~np.isin(self.events["cycle"], started)] if self._built_ns else self.events[:0]
        causes = {int(cycle): "its own" for cycle in np.unique(seen["cycle"])}
        return Outcome(
            invocation=self._invocation,
            machine=machine_name(),
            error=error,
            pauses=events.pauses(seen),
            cycles=events.cycles(seen, causes),
            facts=self._facts,
            **self._results,
        )


__all__ = ["run"]
