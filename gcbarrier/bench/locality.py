"""How a real program's objects lie on pages, and which of those pages it writes: what ``locality`` shows of a graph."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gcbarrier.bench.probes import Bench
from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile, shipped
from gcbarrier.graphs.locality import PAGE_BYTES, Locality, breadth_first, locality
from gcbarrier.model import Reading
from gcbarrier.page_traces import corpus, pagesfile
from gcbarrier.page_traces.records import PageTrace
from gcbarrier.results.spread import quartiles


def of_graph(_bench: Bench, *, graph: str, recording: str = "", until_s: float = 0.0) -> Iterator[Reading]:
    """What lies where in the program that ``graph`` (a shipped one's name, or a path) is of.

    ``recording``: one of the same process, a name in the corpus or a path, whose ticks up to ``until_s`` seconds after
    its beginning count (0: all of them); "": the one that came along with a shipped graph, if any. Where the graph has
    no addresses, objects lie breadth first from the roots, and the reading ``placed`` is 0. Raises GcBarrierError where
    a file is not what it should be, or the recording of another process, and where there is no memory for what is
    looked at.
    """
    try:
        yield from _of_graph(graph, recording, until_s)
    except MemoryError as error:
        raise GcBarrierError(f"the graph {graph} does not fit in memory; use a larger machine") from error


def _of_graph(graph: str, recording: str, until_s: float) -> Iterator[Reading]:
    read = graphfile.read(shipped.find(graph))
    recording = recording or str(shipped.recording_of(graph) or "")
    yield Reading(what="placed", value=float(read.addresses is not None), unit="count", note=read.source.program)
    if recording and read.addresses is None:
        raise GcBarrierError(f"the graph {graph} has no addresses to look for in a recording: capture both in one run")
    found = locality(read if read.addresses is not None else breadth_first(read))
    yield from _numbers(found)
    if recording:
        yield from _stored(found, _trace(recording, found), until_s)


def _numbers(found: Locality) -> Iterator[Reading]:
    for what, value in (
        ("objects", found.objects),
        ("references", found.references),
        ("bytes", found.size_bytes),
        ("pages", found.page_count),
        ("marked-pages", len(found.begun)),
        ("bitmap-pages", found.bitmap_pages),
    ):
        yield Reading(what=what, value=float(value), unit="count")
    yield _each("objects-a-page", found.objects_by_page, len(found.begun))
    yield _each("references-a-page", found.references_by_page, found.page_count)
    yield _share("spanning", found.spanning, found.objects)
    yield _share("on-page", found.on_page, found.references)
    yield _share("on-huge", found.on_huge, found.references)


def _each(what: str, counts: npt.NDArray[np.int64], pages: int) -> Reading:
    """The mean, and the middle half of all ``pages``, of which those that have no count have none of it."""
    ordered, zeros = np.sort(counts), pages - len(counts)

    def at(share: float) -> float:
        """As ``quartiles`` has it of all pages."""
        place = share * (pages - 1)
        below, above = (
            float(ordered[each - zeros]) if each >= zeros else 0.0 for each in (math.floor(place), math.ceil(place))
        )
        return below + (place - math.floor(place)) * (above - below)

    mean = float(counts.sum()) / pages
    return Reading(what=what, value=mean, low=at(0.25), high=at(0.75), samples=pages, unit="count")


def _share(what: str, some: int, of: int) -> Reading:
    return Reading(what=what, value=some / of if of else float("nan"), samples=of, unit="share")


def _stored(found: Locality, trace: PageTrace, until_s: float) -> Iterator[Reading]:
    """How far the pages that a collector's marks and the program's stores go to are the same ones."""
    ticks = trace.ticks
    if until_s:
        ticks = int(np.searchsorted(trace.end_ns - trace.begin_ns[0], int(until_s * 1e9), side="right"))
    marked = np.isin(trace.pages, found.begun * np.uint64(PAGE_BYTES))
    stored = np.zeros(len(trace.pages), dtype=np.bool_)
    shares = []
    for tick in range(ticks):
        written = trace.written(tick)
        stored[written] = True
        if len(written):
            shares.append(float(marked[written].mean()))
    both = int((stored & marked).sum())
    yield Reading(what="stored-pages", value=float(stored.sum()), unit="count")
    yield _share("stored-of-marked", both, len(found.begun))
    yield _share("marked-of-stored", both, int(stored.sum()))
    if shares:
        low, _, high = quartiles(sorted(shares))
        mean = float(np.mean(shares))
        yield Reading(what="marked-of-a-tick", value=mean, low=low, high=high, samples=len(shares), unit="share")


def _trace(recording: str, found: Locality) -> PageTrace:
    """The process of a recording that the graph is of: the one that has most of its pages."""
    marked = found.begun * np.uint64(PAGE_BYTES)
    traces = pagesfile.read(corpus.find(recording)).traces
    shared = [int(np.isin(marked, trace.pages).sum()) for trace in traces]
    best = max(range(len(traces)), key=shared.__getitem__)
    if 2 * shared[best] < len(marked):
        raise GcBarrierError(
            f"the recording {recording} has {shared[best]} of the graph's {len(marked)} pages: it is of another "
            "process; capture both in one run, `gcbarrier record -- gcbarrier import --python -- COMMAND`"
        )
    return traces[best]


__all__ = ["of_graph"]
