"""The kernel's two ways of telling which pages were written, as bare system calls: the function of ``soft_dirty``.

Soft-dirty (``clear_refs``, then bit 55 of the page map) and asynchronous userfaultfd write-protection take the same
steps on the same kind of mapping, each timed in C (``native/bench/ways.c``). The probe's barrier names the way:
``soft-dirty``, ``uffd-wp-async``, or ``none`` for what a page costs anyway.
"""

from collections.abc import Callable, Iterator
from typing import Any

from gcbarrier.bench.probes import Bench, sampled, timed
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES, Reading

_WAYS = {"none": 0, "soft-dirty": 1, "uffd-wp-async": 2}
_FRESH = 512
_HUGE_PAGES = 512


class _Steps:
    """One mapping under one way. Times are of the whole step; every call raises GcBarrierError where it fails."""

    def __init__(self, bench: Bench) -> None:
        self._core = bench.core
        self._lib = bench.core.lib
        memory = bench.probe.memory
        self._handle = self._lib.gcb_ways_new(
            _WAYS[bench.probe.barrier], bench.probe.heap_bytes, memory.startswith("shmem"), memory.endswith("-thp")
        )
        if self._handle == bench.core.ffi.NULL:
            raise bench.core.failure()

    def __getattr__(self, name: str) -> Callable[..., int]:
        function = getattr(self._lib, f"gcb_ways_{name}")

        def call(*arguments: Any) -> int:
            return self._core.check(function(self._handle, *arguments))

        return call

    @property
    def found(self) -> int:
        """Pages, by the last collect."""
        return int(self._lib.gcb_ways_found(self._handle))

    def close(self) -> None:
        self._lib.gcb_ways_free(self._handle)


def ways(bench: Bench, *, densities: str, beside: str, budget_s: float, least: int = 5) -> Iterator[Reading]:
    """Every step by itself, in ns (instructions, where those are counted).

    ``densities``: per cent of the pages that are written before a collect; ``beside``: MiB of other memory in the
    process; both separated by spaces. Readings: ``store`` and ``absent-store``, of the first store to a page that is
    there, and to one that is not, each; ``arm``, of a page of the mapping, after ``x`` per cent were written;
    ``arm-beside``, the same at half of them with ``x`` MiB beside; ``scan`` and ``read`` (PAGEMAP_SCAN, and the page
    map's entries) and with ``-again`` those that arm what was written again, of a page of the mapping, at ``x`` per
    cent; ``fork`` once, with all of it armed; ``reported``, the pages that one store makes read as written. Of memory
    with huge pages also ``huge-store``, the first store to one that is armed as such: later ones find what that left.
    A way that reports a page too few is an error.
    """
    if bench.probe.barrier not in _WAYS:
        raise GcBarrierError(f"only {', '.join(_WAYS)} have their system calls written out: choose one of them")
    pages = bench.probe.heap_bytes // PAGE_BYTES
    steps = _Steps(bench)
    try:
        if bench.probe.memory.endswith("-thp"):
            yield _huge_store(bench, pages, least)
        yield from _stores(steps, pages, budget_s, least)
        yield _fork(steps, budget_s, least)
        if bench.tracks:
            yield _reported(steps)
            for density in map(float, densities.split()):
                yield from _rounds(steps, pages, max(1, round(pages * density / 100)), budget_s, least)
            yield from _beside(steps, pages, [int(each) for each in beside.split()], budget_s, least)
    finally:
        steps.close()


def _stores(steps: _Steps, pages: int, budget_s: float, least: int) -> Iterator[Reading]:
    fresh = min(pages, _FRESH)
    stride = pages // fresh

    def first() -> int:
        steps.arm()
        return steps.store(0, stride, fresh)

    def absent() -> int:
        steps.fill(False)
        steps.arm()
        return steps.store(0, stride, fresh)

    yield timed("absent-store", sampled(absent, budget_s=budget_s, least=least), each=fresh)
    steps.fill(True)
    yield timed("store", sampled(first, budget_s=budget_s, least=least), each=fresh)


def _huge_store(bench: Bench, pages: int, least: int) -> Reading:
    """Each time on a mapping of its own, whose page tables nobody has filled yet."""
    huge = pages // _HUGE_PAGES
    taken = []
    for _ in range(least):
        steps = _Steps(bench)
        try:
            steps.fill(True)
            steps.arm()
            taken.append(steps.store(0, _HUGE_PAGES, huge))
        finally:
            steps.close()
    return timed("huge-store", taken, each=huge)


def _fork(steps: _Steps, budget_s: float, least: int) -> Reading:
    def one() -> int:
        steps.fill(True)
        steps.arm()
        return steps.fork()

    taken = sampled(one, budget_s=budget_s, least=least)
    # What a fork leaves is copied at the next store, and not shared any more afterwards.
    steps.fill(True)
    return timed("fork", taken)


def _reported(steps: _Steps) -> Reading:
    steps.arm()
    steps.store(_HUGE_PAGES // 2 + 1, 1, 1)
    steps.collect(True, False)
    return Reading(what="reported", value=steps.found, unit="pages")


def _rounds(steps: _Steps, pages: int, dirty: int, budget_s: float, least: int) -> Iterator[Reading]:
    share = 100 * dirty / pages
    stride = pages // dirty

    def written(step: Callable[[], int]) -> int:
        steps.arm()
        steps.store(0, stride, dirty)
        return step()

    def collected(by_scan: bool, again: bool) -> int:
        taken = written(lambda: steps.collect(by_scan, again))
        if steps.found < dirty:
            raise GcBarrierError(f"{dirty} pages were written and {steps.found} reported")
        return taken

    def reading(what: str, one: Callable[[], int]) -> Reading:
        return timed(what, sampled(one, budget_s=budget_s, least=least), x=share, each=pages, note=f"{dirty} written")

    yield reading("arm", lambda: written(steps.arm))
    for name, by_scan in (("scan", True), ("read", False)):
        for again in (False, True):
            yield reading(name + "-again" * again, lambda s=by_scan, a=again: collected(s, a))  # type: ignore[misc]


def _beside(steps: _Steps, pages: int, sizes_mib: list[int], budget_s: float, least: int) -> Iterator[Reading]:
    def one() -> int:
        steps.arm()
        steps.store(0, 2, pages // 2)
        return steps.arm()

    for mib in sizes_mib:
        steps.beside(mib << 20)
        yield timed("arm-beside", sampled(one, budget_s=budget_s, least=least), x=mib, each=pages)
    steps.beside(0)


__all__ = ["ways"]
