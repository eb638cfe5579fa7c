"""Around one invocation: where its threads are put, and what else the machine did meanwhile (its temper).

::

    around = Surroundings(config, core)   # the clock's gaps, what is slow to read; this thread takes its place
    with Heap(...) as heap:
        around.place(heap)                # before the mutators start
        ...
        around.begun()                    # the heap is built, and what follows is measured
        around.ended()                    # all mutators have ended
        heap.join()
        outcome.temper = around.temper(heap)

While mutators run nothing is read.
"""

import contextlib
import os
from pathlib import Path

from gcbarrier import collectors
from gcbarrier.bench.gaps import clock_gaps
from gcbarrier.core.heap import Heap
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import temper as machine
from gcbarrier.machines.placement import placed
from gcbarrier.model import Config, Gaps, Temper


class Surroundings:
    """Of one invocation, in its process and in the collector's thread. Raises GcBarrierError for an impossible pin."""

    def __init__(self, config: Config, core: Path) -> None:
        self._mutators = config.mutators
        self._placement = placed(config.pin, config.mutators)
        allowed = sorted(os.sched_getaffinity(0))
        self._processors = self._placement.processors or tuple(allowed)
        markers = getattr(collectors.params_of(config), "markers", 1)
        threads = min(config.mutators + max(markers, 1), len(self._processors))
        self._slice_ns = machine.slice_of()
        # Before the loop: its threads are nobody else's.
        self._before = machine.slow(self._processors)
        # Where they fill all processors they would sit on one another's.
        fixed = bool(self._placement.collector) or threads == len(self._processors)
        self._gaps: Gaps | None = None
        # Where there is no room for its threads, something that matters more will say so.
        with contextlib.suppress(GcBarrierError):
            self._gaps = clock_gaps(
                core, threads=threads, processors=self._processors if fixed else (), slice_ns=self._slice_ns
            )
        if self._placement.collector:
            # Whatever thread this one makes is where it is: markers, a barrier's, and mutators until they move.
            os.sched_setaffinity(0, self._placement.collector)
        self._threads = machine.threads()
        self._begun: machine.Moment | None = None
        self._ended: machine.Moment | None = None

    def place(self, heap: Heap) -> None:
        """Say where the mutators run; before they start."""
        heap.place_mutators(self._placement.mutators)

    def begun(self) -> None:
        """What is measured begins."""
        # Others have hardly run: markers and a barrier's thread have little to do while a heap is built.
        self._threads |= machine.first_thread()
        self._begun = machine.moment(self._processors)

    def ended(self) -> None:
        """It has ended."""
        self._ended = machine.moment(self._processors)

    def temper(self, heap: Heap) -> Temper | None:
        """What became of it, once the mutators are joined; None where nothing was ever measured."""
        if self._begun is None or self._ended is None:
            return None
        others = machine.since(self._threads, machine.threads())
        ran = [*heap.mutators_ran(self._mutators), *sorted(others, key=lambda one: (one.name != "collector", one.name))]
        return machine.temper(
            self._before,
            self._begun,
            self._ended,
            machine.slow(self._processors),
            processors=len(self._processors),
            pinned=str(self._placement),
            gaps=self._gaps,
            ran=ran,
            slice_ns=self._slice_ns,
        )


__all__ = ["Surroundings"]
