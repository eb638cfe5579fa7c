"""V8's ``.heapsnapshot``, as Node.js, Chrome, Deno and Electron write it.

The snapshot shipped with gcbarrier is the TypeScript compiler's heap at the end of type-checking one small file::

    npm install typescript@5.9.3
    echo 'export const hello = (name: string): string => `hello ${name}`;' > hello.ts
    node --import 'data:text/javascript,import{writeHeapSnapshot}from"node:v8";process.on("exit",()=>writeHeapSnapshot("tsc.heapsnapshot"))' \\
        node_modules/typescript/bin/tsc --noEmit --lib es5 hello.ts

(Node.js 20.20.2.) The same ``--import`` captures any other program as it exits; ``node --heapsnapshot-signal=SIGUSR2``
captures one that keeps running.

The file is JSON of known make: a small header, then ``nodes`` and ``edges`` as flat arrays of integers, then
strings. Only the header goes through a JSON parser. The arrays are parsed by numpy in pieces, straight from the mapped
file, and the strings, which nothing here needs, are skipped: 8 bytes of memory per number instead of the 40 of
``json.load``. At its peak, reading takes about four times the file's size, and a second for each 70 MB.

What counts as a reference: every edge except ``weak`` ones, which keep nothing alive, and ``shortcut`` ones, which are
the profiler's and have no slot in the heap. V8's lists of roots (``synthetic`` nodes) stay in the graph as
objects of size 0 that refer to what they hold, and node 0, which refers to all the lists, is the only root. So V8's table
of internalized strings, which the snapshot lists among the roots, is one object of very many references, and an
ephemeron's value counts as held by its table.
"""  # noqa: E501 - a command to copy stays on one line

import json
import mmap
import re
import warnings
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs.graphfile import Graph, Source
from gcbarrier.graphs.importers import Progress, quiet
from gcbarrier.graphs.unfit import Format, Unfit

NAME = "v8"
SUFFIXES = (".heapsnapshot",)

_FORMAT = Format(
    a_file="a V8 heap snapshot",
    noun="snapshot",
    remedy="capture it again, e.g. with v8.writeHeapSnapshot() in Node.js",
    if_too_large="capture a smaller heap or use a larger machine",
)
_HEADER_BYTES = 1 << 20  # V8's is about 2 KiB
_PIECE_BYTES = 1 << 24
_NOT_REFERENCES = ("weak", "shortcut")
_INTEGERS = b"0123456789, \t\r\n"

_Integers = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True)
class _Header:
    """What the flat arrays mean: rows of named fields, and how many rows."""

    node_fields: list[str]
    edge_fields: list[str]
    edge_types: list[str]
    node_count: int
    edge_count: int
    end: int  # bytes from the start of the file


def read(path: Path, progress: Progress = quiet) -> Graph:
    """The graph of strong references in a V8 heap snapshot, with V8's root as its root.

    Raises ``GcBarrierError`` where the file is missing, unreadable, cut short or not a consistent heap snapshot.
    """
    try:
        with (
            _FORMAT.told(path),
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            return _read(text, progress)
    except ValueError as error:  # mmap's word for a file of no bytes
        raise GcBarrierError(f"the snapshot {path} is empty; {_FORMAT.remedy}") from error


def _read(text: mmap.mmap, progress: Progress) -> Graph:
    if not text[:_HEADER_BYTES].lstrip().startswith(b"{"):
        raise Unfit("it does not begin like JSON of that kind")
    header = _header(text)
    nodes = _rows(text, "nodes", len(header.node_fields), header.node_count, header.end, progress)
    edges = _rows(text, "edges", len(header.edge_fields), header.edge_count, header.end, progress)
    if not text[-_HEADER_BYTES:].rstrip().endswith(b"}"):
        raise Unfit("it is cut short after its edges")
    return _graph(header, nodes, edges)


def _header(text: mmap.mmap) -> _Header:
    # Latin-1, so that characters count bytes.
    start = text[:_HEADER_BYTES].decode("latin-1")
    found = re.search(r'"snapshot"\s*:\s*', start)
    if not found:
        raise Unfit('it has no "snapshot" header')
    try:
        fields, end = json.JSONDecoder().raw_decode(start, found.end())
    except (ValueError, RecursionError) as error:
        raise Unfit("its header is cut short or not JSON") from error
    meta = _member(fields, "meta", dict)
    edge_fields = _names(_member(meta, "edge_fields", list), "edge_fields", ("type", "to_node"))
    types = _member(meta, "edge_types", list)
    column = edge_fields.index("type")
    if column >= len(types) or not isinstance(types[column], list):
        raise Unfit("its header does not name the types of edges")
    return _Header(
        node_fields=_names(_member(meta, "node_fields", list), "node_fields", ("self_size", "edge_count")),
        edge_fields=edge_fields,
        edge_types=_names(types[column], "edge_types", ()),
        node_count=_member(fields, "node_count", int),
        edge_count=_member(fields, "edge_count", int),
        end=end,
    )


def _member(record: object, name: str, kind: type) -> Any:
    if not isinstance(record, dict) or type(record.get(name)) is not kind:
        raise Unfit(f'its header has no usable "{name}"')
    return record[name]


def _names(names: list[object], name: str, needed: tuple[str, ...]) -> list[str]:
    if not all(isinstance(each, str) for each in names):
        raise Unfit(f'"{name}" in its header is not a list of names')
    for each in needed:
        if each not in names:
            raise Unfit(f'"{name}" in its header lacks "{each}"')
    return [str(each) for each in names]


def _rows(text: mmap.mmap, name: str, width: int, rows: int, after: int, progress: Progress) -> _Integers:
    """The flat array called ``name`` as int64[rows, width]."""
    found = re.compile(rb'"%s"\s*:\s*\[' % name.encode()).search(text, after)
    end = text.find(b"]", found.end()) if found else -1
    if not found or end < 0:
        raise Unfit(f'it is cut short: its "{name}" are missing or without an end')
    expected = rows * width
    # An integer and its comma take two bytes, so a header that promises too much is caught before memory is asked for.
    if not 0 <= expected <= (end - found.end() + 1) // 2:
        raise Unfit(f'its header promises {rows} "{name}", and there are fewer')
    numbers = np.empty(expected, dtype=np.int64)
    filled, at = 0, found.end()
    while at < end:
        comma = text.find(b",", min(at + _PIECE_BYTES, end), end)
        piece = _integers(text[at : comma if comma >= 0 else end], name)
        if filled + len(piece) > expected:
            raise Unfit(f'its header promises {rows} "{name}", and there are more')
        numbers[filled : filled + len(piece)] = piece
        filled, at = filled + len(piece), (comma if comma >= 0 else end) + 1
        progress(at / len(text))
    if filled != expected:
        raise Unfit(f'its header promises {rows} "{name}", and there are fewer')
    return numbers.reshape(rows, width)


def _integers(piece: bytes, name: str) -> _Integers:
    if piece.translate(None, _INTEGERS):
        raise Unfit(f'its "{name}" are not all whole numbers')
    with warnings.catch_warnings():
        # Older numpy only warns where it stops early.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            numbers = np.fromstring(piece, dtype=np.int64, sep=",")  # too large a number becomes the largest
        except (ValueError, DeprecationWarning) as error:
            raise Unfit(f'its "{name}" are not separated by single commas') from error
    if piece.strip() and len(numbers) != piece.count(b",") + 1:
        raise Unfit(f'its "{name}" are not separated by single commas')
    return numbers


def _graph(header: _Header, nodes: _Integers, edges: _Integers) -> Graph:
    width = len(header.node_fields)
    if not len(nodes):
        raise Unfit("it has no nodes")
    counts = nodes[:, header.node_fields.index("edge_count")]
    # The largest first: a sum could wrap round.
    if counts.max() > len(edges) or counts.sum() != len(edges):
        raise Unfit("its nodes' edge counts don't add up to its number of edges")
    to_node = edges[:, header.edge_fields.index("to_node")]
    if len(edges) and (to_node.max() >= nodes.size or (to_node % width).any()):
        raise Unfit("it has edges that don't lead to a node")
    passed_over = [kind for kind, name in enumerate(header.edge_types) if name in _NOT_REFERENCES]
    kept = ~np.isin(edges[:, header.edge_fields.index("type")], passed_over)
    before = np.concatenate(([0], np.cumsum(kept)))  # kept edges before each edge
    ends = np.concatenate(([0], np.cumsum(counts)))
    return Graph(
        sizes_bytes=nodes[:, header.node_fields.index("self_size")].astype(np.uint64),
        offsets=before[ends].astype(np.uint64),
        targets=(to_node[kept] // width).astype(np.uint32),
        roots=np.zeros(1, dtype=np.uint32),
        source=Source(tool="V8"),
    )
