"""A probe in its own process: what its function is called with, and what it hands back.

::

    def arming(bench: Bench, *, budget_s: float) -> Iterator[Reading]:
        with bench.open() as barrier:
            yield timed("arm", sampled(barrier.arm, budget_s=budget_s))

The function is named in a plan (:class:`gcbarrier.model.Probe`), which also says the barrier, the memory and the other
arguments. It must be importable in the process that runs it, which in the lab means from gcbarrier itself.
"""

import contextlib
import gc
import importlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.core.library import Core, Space, open_core
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.host import fits, machine_name
from gcbarrier.model import Finding, Probe, Reading

_LOOP = Path(__file__).resolve().parents[1] / "loops" / "store_loop.c"
_LEAST, _MOST = 5, 1000


@frozen(kw_only=True)
class Job:
    """One invocation of a probe with all that is compiled for it: it runs where there is no compiler."""

    probe: Probe
    index: int
    barrier: build.Plugin
    loop: build.Plugin
    """The loop that stores references, with the barrier's inline store in it."""


class Opened:
    """The barrier over memory of its own. Times are nanoseconds; every call raises GcBarrierError where it fails."""

    def __init__(self, core: Core, handle: Any, granule_bytes: int) -> None:
        self._core = core
        self._handle = handle
        self.granule_bytes = granule_bytes

    def lay(self, stride: int) -> None:
        """Objects of ``stride`` bytes all over the memory; before it is armed."""
        self._core.lib.gcb_bench_lay(self._handle, stride)

    def store(self, *, stride: int, places: int, each: int = 1, slots: int = 1) -> int:
        """The time of ``each`` stores into each of ``places`` objects, ``stride`` bytes apart."""
        return self._core.check(self._core.lib.gcb_bench_store(self._handle, stride, places, each, slots))

    def arm(self) -> int:
        """The time of arming."""
        return self._core.check(self._core.lib.gcb_bench_arm(self._handle))

    def collect(self, *, rearm: bool = True) -> int:
        """The time of collecting; :attr:`granules` tells what it reported."""
        return self._core.check(self._core.lib.gcb_bench_collect(self._handle, rearm))

    @property
    def granules(self) -> int:
        """What the last collect reported."""
        return int(self._core.lib.gcb_bench_granules(self._handle))

    def bare(self, bare: bool) -> None:
        """From now on the bare system calls of uffd-wp-async in the barrier's place, or the barrier again."""
        self._core.check(self._core.lib.gcb_bench_bare(self._handle, bare))


@frozen(kw_only=True)
class Bench:
    """What a probe's function gets: the barrier, compiled, and the memory it may track."""

    job: Job
    core: Core = field(repr=False)

    @property
    def probe(self) -> Probe:
        """The plan's record."""
        return self.job.probe

    @property
    def tracks(self) -> bool:
        """Whether the barrier can be armed and collected."""
        return barriers.choose(self.probe.barrier, self.probe.barrier_params).promises.tracks

    def space(self) -> Space:
        """Memory of the probe's kind and size under the barrier. Raises GcBarrierError where it can't be had."""
        plugin = self.job.barrier
        return Space(self.probe.heap_bytes, core=plugin.core, library=plugin.library, memory=self.probe.memory)

    @contextlib.contextmanager
    def open(self) -> Iterator[Opened]:
        """The barrier over memory of the probe's kind and size. Raises GcBarrierError where it can't be had."""
        lib, ffi = self.core.lib, self.core.ffi
        with self.space() as space:
            handle = lib.gcb_bench_new(space.handle, str(self.job.loop.library).encode())
            if handle == ffi.NULL:
                raise self.core.failure()
            try:
                yield Opened(self.core, handle, space.granule_bytes)
            finally:
                lib.gcb_bench_free(handle)


def sampled(one: Callable[[], int], *, budget_s: float, least: int = _LEAST) -> list[int]:
    """What ``one`` returned, called until ``budget_s`` is over, but ``least`` times at least."""
    end = time.monotonic() + budget_s
    samples: list[int] = []
    while len(samples) < least or (time.monotonic() < end and len(samples) < _MOST):
        samples.append(one())
    return samples


def counted() -> bool:
    """Whether this machine's clock counts instructions."""
    return os.environ.get("GCBARRIER_ACCELERATOR", "").endswith("-icount")


def timed(what: str, samples_ns: Sequence[float], *, x: float = 0.0, each: float = 1.0, note: str = "") -> Reading:
    """A reading of ``samples_ns``: their median and quartiles, divided by ``each``.

    On a machine that counts instructions the value is the minimum: what a section holds beyond that is the tick of
    the guest's timer.
    """
    ordered = sorted(sample / each for sample in samples_ns)
    quartiles = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else ordered * 3
    return Reading(
        what=what,
        x=x,
        value=ordered[0] if counted() else statistics.median(ordered),
        low=ordered[0] if counted() else quartiles[0],
        high=quartiles[2],
        samples=len(ordered),
        unit="instructions" if counted() else "ns",
        note=note,
    )


def job(probe: Probe, *, index: int) -> Job:
    """Compile what ``probe`` needs. Raises GcBarrierError where that or its barrier is wrong."""
    chosen = barriers.choose(probe.barrier, probe.barrier_params)
    loop = build.mutator(_LOOP, "", verify=False, store_header=chosen.store_header, defines=chosen.defines)
    return Job(probe=probe, index=index, barrier=chosen.compile(), loop=loop)


def run(job: Job) -> Finding:
    """Run one invocation. What goes wrong is in the finding's ``error``, beside what had been read by then."""
    # Python's own collector must not stand in a measurement's way.
    gc.disable()
    readings: list[Reading] = []
    error = ""
    try:
        fits(job.probe.heap_bytes)
        readings.extend(_readings(job))
    except GcBarrierError as problem:
        error = str(problem)
    return Finding(probe=job.probe, index=job.index, machine=machine_name(), readings=tuple(readings), error=error)


def _readings(job: Job) -> Iterator[Reading]:
    module, _, name = job.probe.function.partition(":")
    function = getattr(importlib.import_module(module), name, None)
    if function is None:
        raise GcBarrierError(f"there is no function {name} in {module}")
    yield from function(Bench(job=job, core=open_core(job.barrier.core)), **job.probe.arguments)


__all__ = ["Bench", "Job", "Opened", "counted", "job", "run", "sampled", "timed"]
