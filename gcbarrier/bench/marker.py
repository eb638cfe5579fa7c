"""What marking and rescanning cost, on a random graph of 64-byte objects with 4 references each.

The function that the marking experiment's probes call. The graph is laid out in a space without mutators, so what is
timed is the marker and nothing else. Beside it the plain loop marks the same graph in the same memory: a mark bitmap,
a test at the push, a ring of 32 prefetched objects.
"""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from gcbarrier.bench.probes import Bench, timed
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES, Reading

_OBJECT_BYTES = 64
_SEED = 12345


def marking(bench: Bench, *, markers: str, pages: str, rounds: int, full: float = 0.6) -> Iterator[Reading]:
    """The plain loop and the framework's marker, taking turns ``rounds`` times.

    ``markers``: numbers of threads; ``pages``: of random dirty pages that are rescanned afterwards by one thread,
    nearly all of what they refer to being marked; both separated by spaces. The graph takes the share ``full`` of the
    memory. Readings: ``plain`` and, at ``x`` threads, ``marker`` in ns an object; ``quotient`` is the marker's time
    by the plain loop's of the same round; ``rescan`` at ``x`` pages is in ns a page.
    """
    lib, ffi = bench.core.lib, bench.core.ffi
    objects = int(full * bench.probe.heap_bytes) // _OBJECT_BYTES
    most = objects * _OBJECT_BYTES // PAGE_BYTES
    threads = [int(each) for each in markers.split()]
    dirty = sorted({min(int(each), most) for each in pages.split()})
    samples: dict[tuple[str, int], list[float]] = {}

    def add(what: str, x: int, nanoseconds: int, each: int) -> None:
        if nanoseconds < 0:
            raise bench.core.failure()
        samples.setdefault((what, x), []).append(nanoseconds / each)

    with bench.space() as space:
        graph = lib.gcb_graph_new(space.handle, objects, _SEED)
        if graph == ffi.NULL:
            raise bench.core.failure()
        try:
            for turn in range(rounds):
                # Neither is always first.
                reached = set()
                for count in _rotated([0, *threads], turn):
                    taken = lib.gcb_graph_mark(graph, count) if count else lib.gcb_graph_mark_plain(graph)
                    visited = int(lib.gcb_graph_objects(graph))
                    reached.add(visited)
                    add("marker" if count else "plain", count, taken, max(visited, 1))
                if len(reached) > 1:
                    raise GcBarrierError(f"the markers reached {sorted(reached)} objects of one graph: one is wrong")
                for count in dirty:
                    add("rescan", count, lib.gcb_graph_rescan(graph, count, 1), count)
        finally:
            lib.gcb_graph_free(graph)
    for (what, x), taken in samples.items():
        yield timed(what, taken, x=x)
    for count in threads:
        pairs = zip(samples["marker", count], samples["plain", 0], strict=True)
        yield _quotient([marker / plain for marker, plain in pairs], count)


def _rotated(counts: Sequence[int], turn: int) -> list[int]:
    at = turn % len(counts)
    return [*counts[at:], *counts[:at]]


def _quotient(values: Sequence[float], markers: int) -> Reading:
    quartiles: Any = statistics.quantiles(values, n=4) if len(values) > 1 else [*values] * 3
    return Reading(
        what="quotient",
        x=markers,
        value=statistics.median(values),
        low=quartiles[0],
        high=quartiles[2],
        samples=len(values),
        unit="",
    )


__all__ = ["marking"]
