"""A CPython program's heap, as ``gcbarrier import --python`` has it written down (``captures/inside/walk.py``).

Objects are in the order of their addresses. An object's address is where its memory begins: the collector's header of
16 bytes lies before what Python calls its ``id``, and is in its size. The array of a list or a bytearray and the table
of a dict or a set are objects of their own, to which the owner refers; what other types keep elsewhere (a deque's
blocks, an instance's values before 3.13, what C extensions allocate) is counted with the owner, as ``sys.getsizeof``
does, and so objects may seem to overlap.

Roots are what CPython's own collector takes for reachable: objects that are referred to more often than the objects
written down account for. Something else holds those: a frame that runs, the interpreter (its modules, types and small
numbers), a C extension. What is not reached from them is garbage that no collection has found yet.

The stream says how many objects and references it has only at its end, which is all that tells a whole one from one
that was cut. Reading it takes 60 bytes of memory for an object and 4 for a reference, whatever its length.
"""

import io
import os
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from attrs import frozen

from gcbarrier.graphs.graphfile import Graph, Source
from gcbarrier.graphs.importers import Progress, quiet
from gcbarrier.graphs.unfit import Format, Unfit
from gcbarrier.machines.cache import regular

NAME = "cpython"
SUFFIXES = (".pyheap",)

_FORMAT = Format(
    a_file="a Python heap",
    noun="heap",
    remedy="capture it again with `gcbarrier import --python`",
    if_too_large="capture a smaller program",
)
_MAGIC = b"gcbarrier python heap 1\n"
_COLUMNS = 5
_MOST_TEXT = 1 << 16
_MOST_OBJECTS = 1 << 32

_Numbers = npt.NDArray[np.uint64]


@frozen(kw_only=True)
class _Piece:
    """Some objects, and where in the file the keys lie that they refer to."""

    columns: _Numbers
    """keys, addresses, sizes, counts, degrees"""
    references: int
    at: int


def read(path: Path, progress: Progress = quiet) -> Graph:
    """The graph in such a stream, with the objects' addresses.

    Raises ``GcBarrierError`` where the file is missing, unreadable, cut short or contradicts itself.
    """
    with _FORMAT.told(path), regular(path).open("rb") as file:
        return _read(file, progress)


def _read(file: IO[bytes], progress: Progress) -> Graph:
    made, pieces = _pieces(file, progress)
    keys, addresses, sizes, counts, degrees = (
        np.concatenate([piece.columns[column] for piece in pieces]) for column in range(_COLUMNS)
    )
    by_key = np.argsort(keys)
    ascending = keys[by_key]
    if (ascending[1:] == ascending[:-1]).any():
        raise Unfit("an object is in it twice")
    order = np.argsort(addresses, kind="stable")
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    number_by_key = number[by_key]
    kept, starts = _known(file, pieces, ascending, degrees)
    offsets = np.zeros(len(order) + 1, dtype=np.uint64)
    np.cumsum(kept[order], dtype=np.uint64, out=offsets[1:])
    targets = np.empty(int(offsets[-1]), dtype=np.uint32)
    held = np.zeros(len(order), dtype=np.uint64)
    for piece, start in zip(pieces, starts, strict=True):
        found, there = _look_up(_references(file, piece), ascending)
        referred = number_by_key[found[there]]
        mine = slice(start, start + piece.columns.shape[1])
        each = kept[mine]
        # One object's references after the other's, but each object's where it belongs.
        begins = offsets[number[mine]].astype(np.int64) - (np.cumsum(each) - each)
        targets[np.repeat(begins, each) + np.arange(len(referred))] = referred
        np.add.at(held, referred, 1)
        progress(0.5 + 0.5 * (start + len(each)) / len(order))
    roots = np.flatnonzero(counts[order] > held)
    return Graph(
        sizes_bytes=sizes[order],
        offsets=offsets,
        targets=targets,
        roots=roots.astype(np.uint32),
        source=Source(tool=made),
        addresses=addresses[order],
    )


def _pieces(file: IO[bytes], progress: Progress) -> tuple[str, list[_Piece]]:
    """What made it, in words, and all but the references, which are skipped."""
    size = os.fstat(file.fileno()).st_size
    if file.read(len(_MAGIC)) != _MAGIC:
        raise Unfit(f"it does not begin with {_MAGIC.decode().strip()!r}")
    (length,) = _numbers(file, 1)
    if length > _MOST_TEXT or length % 8:
        raise Unfit(f"its text has {length} bytes")
    words = file.read(int(length)).decode("utf-8", "replace").split()
    said = dict(zip(words[::2], words[1::2], strict=False))
    made = f"CPython {said.get('version', '?')[:20]}, after {said.get('age', '?')[:20]} s"
    if not made.isprintable():
        raise Unfit("its text is none")
    pieces: list[_Piece] = []
    objects = references = 0
    while True:
        (count,) = _numbers(file, 1)
        if not count:
            break
        (more,) = _numbers(file, 1)
        if 8 * (_COLUMNS * int(count) + int(more)) > size - file.tell():
            raise Unfit(f"it promises {count} objects and {more} references more, and ends before them")
        columns = _numbers(file, _COLUMNS * int(count)).reshape(_COLUMNS, int(count))
        # Checked one by one: a sum of hostile ones may come round to the right number.
        if (columns[4] > more).any() or columns[4].sum() != more:
            raise Unfit(f"the references of {count} objects are not the {more} that follow")
        pieces.append(_Piece(columns=columns, references=int(more), at=file.tell()))
        file.seek(8 * int(more), io.SEEK_CUR)
        objects, references = objects + int(count), references + int(more)
        progress(0.5 * file.tell() / size)
    if tuple(map(int, _numbers(file, 2))) != (objects, references):
        raise Unfit("its end speaks of other numbers of objects and references than there are")
    if file.read(1):
        raise Unfit("something follows its end")
    if not 0 < objects < _MOST_OBJECTS:
        raise Unfit(f"it has {objects} objects")
    return made, pieces


def _known(
    file: IO[bytes], pieces: list[_Piece], ascending: _Numbers, degrees: _Numbers
) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Of each object how many of its references lead to objects that are there, and where each piece begins."""
    kept = np.zeros(len(degrees), dtype=np.int64)
    starts: list[int] = []
    start = 0
    for piece in pieces:
        starts.append(start)
        each = piece.columns[4].astype(np.int64)
        _, there = _look_up(_references(file, piece), ascending)
        before = np.r_[0, np.cumsum(there)]
        ends = np.cumsum(each)
        kept[start : start + len(each)] = before[ends] - before[ends - each]
        start += len(each)
    return kept, starts


def _look_up(keys: _Numbers, ascending: _Numbers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where in ``ascending`` each of ``keys`` is, and whether it is."""
    found = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return found, ascending[found] == keys


def _references(file: IO[bytes], piece: _Piece) -> _Numbers:
    file.seek(piece.at)
    return _numbers(file, piece.references)


def _numbers(file: IO[bytes], count: int) -> _Numbers:
    data = file.read(8 * count)
    if len(data) < 8 * count:
        raise Unfit("it is cut short")
    return np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)
