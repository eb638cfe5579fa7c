"""What barriers cost by themselves: the functions that the experiments' probes call.

Each opens the barrier over memory of its own, full of objects of a page, and repeats what it times until its budget is
over. Readings are in ns (instructions, on a machine that counts those).
"""

from collections.abc import Iterator
from functools import partial

from gcbarrier import barriers
from gcbarrier.bench.probes import Bench, Opened, sampled, timed
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES, Reading
from gcbarrier.plugins import discovery
from gcbarrier.results.spread import quartiles

_HOT_PAGES = 16
_HOT_STORES = 4096
_HOT = _HOT_PAGES * _HOT_STORES
_FRESH = 512
_SLOTS = PAGE_BYTES // 8 - 1
_ARMED_STRIDE = 8
"""Before a timed arming every eighth page is written: it finds clean ones and dirty ones."""


def operations(
    bench: Bench, *, densities: str, budget_s: float, least: int = 5, last: bool = False
) -> Iterator[Reading]:
    """A store, the first store to a page, arming, and collecting with re-arming, each by itself.

    ``densities``: per cent of the pages that were written once before a collect, separated by spaces. Readings:
    ``store`` and ``first-store`` in ns a store; ``arm`` and, at ``x`` per cent, ``collect`` in ns for all of the
    memory. A collect's note is how many granules it reported. Without a barrier that tracks there are only the stores.
    A collect is repeated ``least`` times, budget or not. With ``last`` there is also ``collect-last``, the same without
    arming again, as in the pause that ends a cycle, and ``arm-again``, arming all of it where so much was written.
    """
    pages = bench.probe.heap_bytes // PAGE_BYTES
    with bench.open() as barrier:
        barrier.lay(PAGE_BYTES)
        fresh = min(pages, _FRESH)
        yield timed("first-store", sampled(lambda: _first_stores(bench, barrier, fresh), budget_s=budget_s), each=fresh)
        yield timed("store", sampled(lambda: _hot_stores(bench, barrier), budget_s=budget_s), each=_HOT)
        if not bench.tracks:
            return
        some = max(pages // _ARMED_STRIDE, 1)
        yield timed("arm", sampled(lambda: _arm(barrier, pages, some), budget_s=budget_s))
        for density in map(float, densities.split()):
            dirty = max(1, round(pages * density / 100))
            for what, rearm in (("collect", True), ("collect-last", False))[: 1 + last]:
                taken = sampled(partial(_collect, barrier, pages, dirty, rearm=rearm), budget_s=budget_s, least=least)
                # What the table says is what was written.
                yield timed(what, taken, x=100 * dirty / pages, note=f"{barrier.granules} of {dirty} pages")
            if last:
                taken = sampled(partial(_arm, barrier, pages, dirty), budget_s=budget_s, least=least)
                yield timed("arm-again", taken, x=100 * dirty / pages)


def store_rates(bench: Bench, *, rates: str, budget_s: float, most_stores: int) -> Iterator[Reading]:
    """Arm, then ``x`` stores to each of some pages: ns a store, for each of ``rates`` (separated by spaces).

    As many pages as ``most_stores`` allow, up to 512.
    """
    with bench.open() as barrier:
        barrier.lay(PAGE_BYTES)
        pages = bench.probe.heap_bytes // PAGE_BYTES
        for rate in map(int, rates.split()):
            places = min(pages, _FRESH, max(1, most_stores // rate))

            def one(rate: int = rate, places: int = places) -> int:
                if bench.tracks:
                    barrier.arm()
                return barrier.store(stride=PAGE_BYTES, places=places, each=rate, slots=_SLOTS)

            yield timed("store", sampled(one, budget_s=budget_s), x=rate, each=rate * places)


def framework(bench: Bench, *, densities: str, budget_s: float, least: int = 7) -> Iterator[Reading]:
    """What ``uffd-wp-async`` costs through the framework, and as bare system calls on the same memory.

    The two take turns. Readings come in threes: ``arm``, ``first-store``, ``collect`` (``x`` per cent of the pages
    dirty), the same with ``bare-`` before it, and with ``added-``: what the framework adds, in per cent, of which the
    value is the median over the turns, each against the bare calls of the same turn. Raises GcBarrierError for another
    barrier.
    """
    if bench.probe.barrier != "uffd-wp-async":
        raise GcBarrierError("only uffd-wp-async has its system calls written out: choose that")
    pages = bench.probe.heap_bytes // PAGE_BYTES
    samples: dict[tuple[str, float], list[int]] = {}
    with bench.open() as barrier:
        for density in map(float, densities.split()):
            dirty = round(pages * density / 100)

            def one(density: float = density, dirty: int = dirty) -> int:
                # Opened anew for each turn: both on the same pages, neither always first.
                turn = len(samples.setdefault(("collect", density), []))
                for bare in (False, True) if turn % 2 else (True, False):
                    barrier.bare(bare)
                    name = "bare-" if bare else ""
                    barrier.arm()
                    samples.setdefault((f"{name}arm", 0.0), []).append(barrier.arm())
                    if dirty:
                        taken = barrier.store(stride=PAGE_BYTES * (pages // dirty), places=dirty)
                        if density == 100:
                            samples.setdefault((f"{name}first-store", 0.0), []).append(taken)
                    samples.setdefault((f"{name}collect", density), []).append(barrier.collect())
                    if barrier.granules != dirty:
                        raise GcBarrierError(f"{dirty} pages were written and {barrier.granules} reported")
                return 0

            sampled(one, budget_s=budget_s, least=least)
        barrier.bare(False)
    for (what, density), taken in samples.items():
        yield timed(what, taken, x=density, each=pages if what.endswith("first-store") else 1)
        if not what.startswith("bare-"):
            bare = samples[f"bare-{what}", density]
            added = [100 * (ours / theirs - 1) for ours, theirs in zip(taken, bare, strict=True)]
            low, centre, high = quartiles(added)
            yield Reading(
                what=f"added-{what}", x=density, value=centre, low=low, high=high, unit="%", samples=len(added)
            )


def _first_stores(bench: Bench, barrier: Opened, fresh: int) -> int:
    if bench.tracks:
        barrier.arm()
    return barrier.store(stride=PAGE_BYTES, places=fresh)


def _hot_stores(bench: Bench, barrier: Opened) -> int:
    """To pages that have been written since they were armed."""
    if bench.tracks:
        # Each time: what stores are logged in must not grow for ever.
        barrier.arm()
        barrier.store(stride=PAGE_BYTES, places=_HOT_PAGES)
    return barrier.store(stride=PAGE_BYTES, places=_HOT_PAGES, each=_HOT_STORES, slots=_SLOTS)


def _arm(barrier: Opened, pages: int, dirty: int) -> int:
    barrier.store(stride=PAGE_BYTES * (pages // dirty), places=dirty)
    return barrier.arm()


def _collect(barrier: Opened, pages: int, dirty: int, *, rearm: bool) -> int:
    barrier.arm()
    barrier.store(stride=PAGE_BYTES * (pages // dirty), places=dirty)
    return barrier.collect(rearm=rearm)


def measurable() -> tuple[str, ...]:
    """The barriers that are here and can be measured by themselves, ``none`` first.

    Left out are prototypes, whose time is Python's, and what leaves its work to a forked child.
    """
    chosen = [barriers.choose(name) for name in discovery.names("barriers")]
    kept = [one for one in chosen if not one.prototype and not one.promises.fork]
    return tuple(one.name for one in sorted(kept, key=lambda one: (one.promises.tracks, one.name)))


def is_software(name: str) -> bool:
    """Whether the barrier is code in the mutator's stores, rather than the page tables."""
    return barriers.choose(name).store_header is not None


__all__ = ["framework", "is_software", "measurable", "operations", "store_rates"]
