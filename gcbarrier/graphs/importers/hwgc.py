"""The heap dumps of ``hwgc-soft``: OpenJDK heaps of the DaCapo benchmarks, with the addresses that the objects had.

They are messages of protobuf: a ``HeapDump`` is objects (1), roots (2) and spaces (3); an object has its start (1), a
number for its class (2), a size in bytes (3), what is of arrays and classes only (4 to 6), and edges (7); an edge is
the address of a slot (1) and that of the object in it (2), a root the address of an object (1). Files come compressed
with Zstandard, ``.binpb.zst``; unpack them with ``zstd -d``, since Python has nothing for it.

Every edge is a reference, unless it is null. Reading takes 8 bytes of memory for each edge and 20 for each object,
before the graph's own arrays; messages are read in pieces.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs.graphfile import Graph, Source
from gcbarrier.graphs.importers import Progress, quiet
from gcbarrier.graphs.linked import NOTHING, Column, Links
from gcbarrier.graphs.protobuf import PADDING, leading, messages, number
from gcbarrier.graphs.stream import PIECE_BYTES, Stream
from gcbarrier.graphs.unfit import Format, Unfit

NAME = "hwgc"
SUFFIXES = (".binpb", ".binpb.gz", ".binpb.zst")

_FORMAT = Format(
    a_file="a heap dump of hwgc-soft",
    noun="heap dump",
    remedy="make or download it again",
    if_too_large="use a larger machine",
)

_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_OBJECT, _ROOT, _EDGE = 1 << 3 | 2, 2 << 3 | 2, 7 << 3 | 2
_START, _SIZE, _LAST_NUMBER = 1, 3, 6
_LONGEST_ROOT = 1 << 10
_HEAD_BYTES = 80  # more than an object's numbers can have
_PIECE = 1 << 18  # objects


def read(path: Path, progress: Progress = quiet) -> Graph:
    """The graph of a dumped heap, its objects in order of their addresses.

    Raises ``GcBarrierError`` where the file is missing, unreadable, cut short or not a consistent heap dump.
    """
    with _FORMAT.told(path):
        return _read(path, progress)


def _read(path: Path, progress: Progress) -> Graph:
    heap = _Heap()
    with Stream(path) as stream:
        if stream.have(4) and stream.data.startswith(_ZSTANDARD):
            raise GcBarrierError(f"{path} is compressed with Zstandard; unpack it first with `zstd -d {path}`")
        while stream.have(1):
            before = stream.position
            _walk(stream, heap)
            if stream.position == before:
                _one_by_itself(stream, heap)
            progress(0.8 * stream.share)
    return heap.graph(progress)


class _Heap:
    """What was read: of each object where, how large and how many edges; all edges; the roots."""

    def __init__(self) -> None:
        self.starts = Column(np.uint64)
        self.sizes = Column(np.uint64)
        self.counts = Column(np.uint32)
        self.edges = Column(np.uint64)
        self.roots = Column(np.uint64)

    def graph(self, progress: Progress) -> Graph:
        """The graph of it."""
        starts, sizes, counts, edges = (each.taken() for each in (self.starts, self.sizes, self.counts, self.edges))
        if not 0 < len(starts) < NOTHING:
            raise Unfit(f"it has {len(starts)} objects, and at least one and fewer than 2^32 - 1 are needed")
        order = np.argsort(starts)
        links = Links(starts[order], counts[order].astype(np.uint64))
        if links.addresses[0] == 0:
            raise Unfit("it has an object at address 0")
        if (links.addresses[1:] == links.addresses[:-1]).any():
            raise Unfit("two of its objects start at the same address")
        sizes = sizes[order]
        del order
        at = 0
        for first in range(0, len(starts), _PIECE):
            some = slice(first, first + _PIECE)
            held = edges[at : at + int(counts[some].sum(dtype=np.int64))]
            at += len(held)
            links.fill(links.nodes(starts[some]), counts[some].astype(np.int64), held)
            progress(0.8 + 0.2 * first / len(starts))
        del edges, starts, counts
        strays = f" ({links.strays} references to what is not in it)" if links.strays else ""
        roots = links.nodes(self.roots.taken())
        offsets, targets = links.taken()
        return Graph(
            sizes_bytes=sizes,
            offsets=offsets,
            targets=targets,
            roots=np.unique(roots[roots != NOTHING]),
            source=Source(tool=f"OpenJDK, dumped for hwgc-soft{strays}"),
            addresses=links.addresses,
        )


def _walk(stream: Stream, heap: _Heap) -> None:
    """All messages that lie in ``stream.data`` as a whole."""
    data, at = stream.data, stream.at
    objects: list[tuple[int, int]] = []
    roots: list[tuple[int, int]] = []
    while at < len(data):
        key = data[at]
        if key & 7 != 2 or key >= 0x80:
            raise Unfit(f"no field of a heap is known with the key {key}, at byte {stream.position + at - stream.at}")
        try:
            length, begin = number(data, at + 1)
        except IndexError:
            break
        if begin + length > len(data):
            break
        at = begin + length
        if key == _OBJECT:
            objects.append((begin, at))
        elif key == _ROOT:
            roots.append((begin, at))
    stream.skip(at - stream.at)
    padded = data + PADDING
    _note(padded, _bounds(objects), heap)
    heap.roots.add(leading(np.frombuffer(padded, dtype=np.uint8), *_bounds(roots), 1)[0][1])


def _bounds(ranges: list[tuple[int, int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    table = np.array(ranges, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _note(data: bytes, bounds: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], heap: _Heap) -> None:
    begin, end = bounds
    fields, edges = leading(np.frombuffer(data, dtype=np.uint8), begin, end, _LAST_NUMBER)
    held, counts = _edges(data, edges, end)
    heap.starts.add(fields[_START])
    heap.sizes.add(fields[_SIZE])
    heap.counts.add(counts)
    heap.edges.add(held)


def _edges(
    data: bytes, begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """What the edges between these places lead to, and how many there are between each."""
    table = np.frombuffer(data, dtype=np.uint8)
    places, counts = messages(data, begin, end, _EDGE)
    ends = places + table[places - 1]
    fields, after = leading(table, places, ends, 2)
    if (after != ends).any():
        raise Unfit("it has an edge that is more than a slot and an object")
    return fields[2], counts


def _one_by_itself(stream: Stream, heap: _Heap) -> None:
    """The message at ``at`` is not in memory as a whole: get it there, or go through it where it is an array's."""
    stream.have(11)
    try:
        length, begin = number(stream.data, stream.at + 1)
    except IndexError:
        raise Unfit(f"it is cut short after {stream.seen} bytes") from None
    key, head = stream.data[stream.at], begin - stream.at
    if key == _ROOT and length > _LONGEST_ROOT:
        raise Unfit(f"it has a root of {length} bytes")
    if key != _OBJECT or length <= PIECE_BYTES:
        if not (stream.have(head + length) if key in (_OBJECT, _ROOT) else stream.skip(head + length)):
            raise Unfit(f"it is cut short after {stream.seen} bytes")
        return
    stream.skip(head)
    until = stream.position + length
    stream.have(_HEAD_BYTES)
    table, at = np.frombuffer(stream.data + PADDING, dtype=np.uint8), np.array([stream.at])
    fields, after = leading(table, at, at + _HEAD_BYTES, _LAST_NUMBER)
    stream.skip(int(after[0]) - stream.at)
    heap.starts.add(fields[_START])
    heap.sizes.add(fields[_SIZE])
    count = 0
    while stream.position < until:
        if not stream.have(min(256, until - stream.position)):
            raise Unfit(f"it is cut short after {stream.seen} bytes")
        # As many edges as are here as a whole: each has at most 127 bytes and two before.
        here = stream.data[stream.at : stream.at + until - stream.position]
        whole = len(here) if len(here) == until - stream.position else _whole(here)
        if not whole:
            raise Unfit("it has an edge that is more than a slot and an object")
        held, counts = _edges(here[:whole] + PADDING, np.array([0]), np.array([whole]))
        heap.edges.add(held)
        count += int(counts[0])
        stream.skip(whole)
    heap.counts.add(np.array([count], dtype=np.int64))


def _whole(data: bytes) -> int:
    """Where the last message in ``data`` ends that is there as a whole."""
    at = 0
    while at + 1 < len(data) and (after := at + 2 + data[at + 1]) <= len(data):
        at = after
    return at
