"""How a program's objects and references lie on its pages: what a barrier that sees pages has to do with them.

An object's memory is ``size`` bytes from its address on; where the next object begins before its end (sizes may count
memory that lies elsewhere), it ends there. A reference's place in its object is not known beyond its order: they are
taken to be spread evenly over it, as the entries of an array or a table are. Small objects lie on one page in any case.
"""

import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from gcbarrier.graphs.graphfile import Graph

PAGE_BYTES = 4096
HUGE_BYTES = 1 << 21
GRANULE_BYTES = 16
"""Of memory for each bit of a mark bitmap, as in this project's own marker."""

_Addresses = npt.NDArray[np.uint64]
_Counts = npt.NDArray[np.int64]


@frozen(kw_only=True, eq=False)
class Locality:
    """What a graph with addresses says of pages."""

    objects: int
    references: int
    size_bytes: int
    """Of all objects."""
    pages: _Addresses
    """Of the pages that hold some of an object, uint64[ranges, 2], ascending: the numbers of a range's first and last.

    Ranges, since one object may say that it has terabytes."""
    begun: _Addresses
    """Those in which an object begins: a collector that marks in headers writes these."""
    objects_by_page: _Counts
    """How many objects begin in each of ``begun``."""
    references_by_page: _Counts
    """How many references lie in each page that has any, ascending."""
    spanning: int
    """Objects on two pages or more."""
    on_page: int
    """References to an object that begins on the page where the reference lies."""
    on_huge: int
    """The same of 2 MiB."""
    bitmap_pages: int
    """Pages of a mark bitmap beside the heap that have a mark in them, at a bit for each 16 bytes of addresses."""

    @property
    def page_count(self) -> int:
        """How many pages hold some of an object."""
        return int((self.pages[:, 1] - self.pages[:, 0] + np.uint64(1)).sum())


def breadth_first(graph: Graph) -> Graph:
    """The graph as if its objects had been allocated breadth first from the roots, one behind the other.

    Each takes its size in multiples of 16 bytes, 16 at least. What the roots don't reach comes last.
    """
    order = _order(graph)
    room = np.maximum(-(-graph.sizes_bytes[order] // GRANULE_BYTES), 1) * np.uint64(GRANULE_BYTES)
    addresses = np.empty(graph.node_count, dtype=np.uint64)
    addresses[order] = np.uint64(HUGE_BYTES) + np.cumsum(room) - room
    return evolve(graph, addresses=addresses)


def locality(graph: Graph) -> Locality:
    """Of a graph with addresses; ValueError for one without."""
    if graph.addresses is None:
        raise ValueError("this graph has no addresses: place it first")
    order = np.argsort(graph.addresses)
    starts = graph.addresses[order]
    ends = np.maximum(starts + graph.sizes_bytes[order], starts + np.uint64(1))
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
    first, last = starts // PAGE_BYTES, (ends - np.uint64(1)) // PAGE_BYTES
    begun, objects_by_page = np.unique(first, return_counts=True)
    places = _places(graph, starts, ends, order)
    targets = graph.addresses[graph.targets]
    return Locality(
        objects=graph.node_count,
        references=graph.edge_count,
        size_bytes=graph.total_bytes,
        pages=_covered(first, last),
        begun=begun,
        objects_by_page=objects_by_page,
        references_by_page=np.unique(places // PAGE_BYTES, return_counts=True)[1],
        spanning=int((last > first).sum()),
        on_page=int((places // PAGE_BYTES == targets // PAGE_BYTES).sum()),
        on_huge=int((places // HUGE_BYTES == targets // HUGE_BYTES).sum()),
        bitmap_pages=len(np.unique(starts // (GRANULE_BYTES * 8 * PAGE_BYTES))),
    )


def _order(graph: Graph) -> _Counts:
    """All nodes, level by level from the roots; within one in the order of the graph."""
    offsets, degrees = graph.offsets.astype(np.int64), graph.out_degrees()
    seen = np.zeros(graph.node_count, dtype=np.bool_)
    frontier = np.unique(graph.roots).astype(np.int64)
    levels = []
    while len(frontier):
        seen[frontier] = True
        levels.append(frontier)
        counts = degrees[frontier]
        begins = offsets[frontier] - (np.cumsum(counts) - counts)
        reached = graph.targets[np.repeat(begins, counts) + np.arange(counts.sum())]
        frontier = np.unique(reached[~seen[reached]]).astype(np.int64)
    return np.concatenate([*levels, np.flatnonzero(~seen)])


def _covered(first: _Addresses, last: _Addresses) -> _Addresses:
    """These ranges of pages, which are ascending and overlap by a page at most, without what is in two of them."""
    # An object of no bytes where another one begins ends before its beginning; it lies on that one's page.
    last = np.maximum(first, last)
    apart = np.flatnonzero(first[1:] > last[:-1] + np.uint64(1))
    return np.stack([first[np.append(0, apart + 1)], last[np.append(apart, len(last) - 1)]], axis=1)


def _places(graph: Graph, starts: _Addresses, ends: _Addresses, order: _Counts) -> _Addresses:
    """Where each reference lies."""
    address, room = np.empty_like(starts), np.empty_like(starts)
    address[order], room[order] = starts, ends - starts
    degrees = graph.out_degrees()
    owners = np.repeat(np.arange(graph.node_count), degrees)
    slots = np.arange(graph.edge_count) - np.repeat(graph.offsets[:-1].astype(np.int64), degrees)
    # As floats: the product of a large object's bytes and a slot's number may have no room in 64 bits.
    share = slots / np.maximum(degrees, 1)[owners]
    return address[owners] + (share * room[owners]).astype(np.uint64)
