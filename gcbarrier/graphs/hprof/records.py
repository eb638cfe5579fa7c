"""What begins where: a dump's records, and those within its heap segments.

A dump begins with a name, the size of an id and a date. Then follow records of a tag, a time, a length and as many
bytes. Those that matter are texts (0x01), classes that have been loaded (0x02), and pieces of the heap (0x0c, 0x1c);
these consist of records that have a tag but no length: each of them has to be understood to find the next one. That is
the one loop in Python over all objects; it only notes positions, and numpy gets the numbers from there afterwards.
"""

import struct
from collections.abc import Iterator

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.graphs.stream import PIECE_BYTES, Stream
from gcbarrier.graphs.unfit import Unfit

INSTANCE, OBJECT_ARRAY, PRIMITIVE_ARRAY, CLASS = 0x21, 0x22, 0x23, 0x20
BASIC_BYTES = {4: 1, 5: 2, 6: 4, 7: 8, 8: 1, 9: 2, 10: 4, 11: 8}
"""Bytes of a boolean, char, float, double, byte, short, int and long; 2 is a reference."""
REFERENCE = 2

# After the id: another id (of a JNI handle), or serial numbers of threads and frames.
_ROOT_IDS = {0xFF: (1, 0), 0x01: (2, 0), 0x02: (1, 8), 0x03: (1, 8), 0x04: (1, 4), 0x05: (1, 0), 0x06: (1, 4),
             0x07: (1, 0), 0x08: (1, 8)}  # fmt: skip
_ANDROID = {0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x90, 0xC3, 0xFE}
_VERSIONS = (b"JAVA PROFILE 1.0.1", b"JAVA PROFILE 1.0.2")
_TEXT, _LOADED, _HEAP, _SEGMENT, _END = 0x01, 0x02, 0x0C, 0x1C, 0x2C
_LONGEST_TEXT = 0xFFFF  # as in a class file
_LONGEST_RECORD = 1 << 24  # but for arrays; a class with all the fields that it can have is smaller

_Positions = npt.NDArray[np.int64]
Ids = npt.NDArray[np.uint64]


@attrs.frozen(kw_only=True)
class Header:
    """``version`` as 1.0.2; ids have ``id_bytes``, 4 or 8."""

    version: str
    id_bytes: int


@attrs.frozen(kw_only=True)
class Text:
    """A name, as the id that stands for it."""

    id: int
    text: bytes


@attrs.frozen(kw_only=True)
class Loaded:
    """A class and the id of its name."""

    class_id: int
    name_id: int


@attrs.frozen(kw_only=True, eq=False)
class Batch:
    """Records of the heap that lie in ``data``, by the positions of their tags; of arrays of numbers, only the head."""

    data: bytes
    id_bytes: int
    instances: _Positions
    object_arrays: _Positions
    primitive_arrays: _Positions
    roots: _Positions
    classes: _Positions

    def ids(self, at: _Positions) -> Ids:
        """The ids at these positions."""
        return gathered(self.data, at, self.id_bytes)

    def counts(self, at: _Positions) -> npt.NDArray[np.int64]:
        """The 32-bit numbers at these positions."""
        return gathered(self.data, at, 4).astype(np.int64)


@attrs.frozen(kw_only=True, eq=False)
class Elements:
    """Some references of an array that is too long for one piece: ``ids``, from element ``first`` on, of ``length``."""

    array_id: int
    length: int
    first: int
    ids: Ids


Record = Text | Loaded | Batch | Elements


def gathered(data: bytes, at: _Positions, width: int) -> Ids:
    """The big-endian numbers of ``width`` bytes at any positions."""
    if not len(at):
        return np.zeros(0, dtype=np.uint64)
    numbers = np.ndarray((len(data) - width + 1,), dtype=f">u{width}", buffer=data, strides=(1,))
    return numbers[at].astype(np.uint64)


def header(stream: Stream) -> Header:
    """The beginning of a dump. Raises Unfit where there is none that is known."""
    stream.have(64)
    name, end, _ = stream.data[:64].partition(b"\0")
    if not end or not name.startswith(b"JAVA PROFILE "):
        raise Unfit("it does not begin like one")
    version = name.decode("latin-1").removeprefix("JAVA PROFILE ")
    if name not in _VERSIONS:
        remedy = "; Android's are turned into such by its hprof-conv" if version == "1.0.3" else ""
        raise Unfit(f"it is of version {version[:20]!r}, and 1.0.1 and 1.0.2 can be read{remedy}")
    stream.take(len(name) + 1)
    (id_bytes,) = struct.unpack(">I8x", stream.take(12))
    if id_bytes not in (4, 8):
        raise Unfit(f"its ids have {id_bytes} bytes, and 4 or 8 are known")
    return Header(version=version, id_bytes=id_bytes)


def records(stream: Stream, id_bytes: int) -> Iterator[Record]:
    """All records behind the header that matter, in order. Raises Unfit at the first that makes no sense."""
    unfinished = False
    while stream.have(1):
        tag, length = struct.unpack(">B4xI", stream.take(9))
        unfinished = tag == _SEGMENT or (unfinished and tag != _END)
        if tag in (_HEAP, _SEGMENT):
            yield from _segment(stream, id_bytes, length)
        elif tag == _TEXT and id_bytes <= length <= id_bytes + _LONGEST_TEXT:
            body = stream.take(length)
            yield Text(id=int.from_bytes(body[:id_bytes]), text=body[id_bytes:])
        elif tag == _LOADED:
            if length != 8 + 2 * id_bytes:
                raise Unfit(f"a loaded class of {length} bytes ends at byte {stream.position}")
            body = stream.take(length)
            name = body[8 + id_bytes :]
            yield Loaded(class_id=int.from_bytes(body[4 : 4 + id_bytes]), name_id=int.from_bytes(name))
        elif not 0 < tag < 0x30:
            raise Unfit(f"no record is known as {tag:#04x}, before byte {stream.position}")
        elif not stream.skip(length):
            raise Unfit(f"it is cut short after {stream.seen} bytes")
    if unfinished:
        raise Unfit("it is cut short: segments of the heap are to come to an end, and these don't")


def _segment(stream: Stream, id_bytes: int, length: int) -> Iterator[Record]:
    end = stream.position + length
    while stream.position < end:
        before = stream.position
        batch = _walked(stream, id_bytes, end)
        if stream.position > before:
            yield batch
        else:  # what comes next is not here as a whole
            if len(stream.data) - stream.at >= end - stream.position:
                raise Unfit(f"a record at byte {before} goes beyond the end of its heap segment")
            if _long_array(stream, id_bytes):
                yield from _elements(stream, id_bytes, end)
            elif len(stream.data) - stream.at > _LONGEST_RECORD:
                raise Unfit(f"the record at byte {before} is longer than any class or instance")
            elif not stream.more():
                raise Unfit(f"it is cut short after {stream.seen} bytes")


def _walked(stream: Stream, id_bytes: int, segment_end: int) -> Batch:
    """What lies in ``stream.data`` as a whole, which is gone past; of arrays of numbers only the head has to."""
    data, at, u4 = stream.data, stream.at, struct.Struct(">I").unpack_from
    end = min(len(data), at + segment_end - stream.position)
    beyond = at + segment_end - stream.position  # an array of numbers may go so far, out of this piece
    instances: list[int] = []
    objects: list[int] = []
    primitives: list[int] = []
    roots: list[int] = []
    classes: list[int] = []
    instance_length, instance_head = 5 + 2 * id_bytes, 9 + 2 * id_bytes
    array_length, object_head, primitive_head = 5 + id_bytes, 9 + 2 * id_bytes, 10 + id_bytes
    while at < end:
        tag = data[at]
        if tag == INSTANCE:
            after = at + instance_head
            if after > end or (after := after + u4(data, at + instance_length)[0]) > end:
                break
            instances.append(at)
        elif tag == OBJECT_ARRAY:
            after = at + object_head
            if after > end or (after := after + u4(data, at + array_length)[0] * id_bytes) > end:
                break
            objects.append(at)
        elif tag == PRIMITIVE_ARRAY:
            after = at + primitive_head
            if after > end:
                break
            width = BASIC_BYTES.get(data[after - 1])
            if width is None:
                raise Unfit(f"an array has elements of type {data[after - 1]}")
            after += u4(data, at + array_length)[0] * width
            if after > beyond:
                break
            primitives.append(at)
        elif tag in _ROOT_IDS:
            ids, more = _ROOT_IDS[tag]
            after = at + 1 + ids * id_bytes + more
            if after > end:
                break
            roots.append(at)
        elif tag == CLASS:
            after = _class_end(data, at, end, id_bytes)
            if after > end:
                break
            classes.append(at)
        else:
            raise Unfit(_unknown(tag, stream.position + at - stream.at))
        at = after
    positions = (np.array(each, dtype=np.int64) for each in (instances, objects, primitives, roots, classes))
    names = ("instances", "object_arrays", "primitive_arrays", "roots", "classes")
    if not stream.skip(at - stream.at):
        raise Unfit(f"it is cut short after {stream.seen} bytes")
    return Batch(data=data, id_bytes=id_bytes, **dict(zip(names, positions, strict=True)))


def _unknown(tag: int, position: int) -> str:
    if tag in _ANDROID:
        return "it has records of Android's own; hprof-conv, of the Android SDK, turns it into one without"
    return f"no record of a heap is known as {tag:#04x}, at byte {position}"


def _class_end(data: bytes, at: int, end: int, id_bytes: int) -> int:
    """Where the class at ``at`` ends; more than ``end`` where that is not here."""
    u2 = struct.Struct(">H").unpack_from
    at += 9 + 7 * id_bytes
    for before, named in ((2, False), (id_bytes, True)):  # constants by index, static fields by name
        if at + 2 > end:
            return end + 1
        count = u2(data, at)[0]
        at += 2
        for _ in range(count):
            if at + before >= end:
                return end + 1
            kind = data[at + before]
            width = id_bytes if kind == REFERENCE else BASIC_BYTES.get(kind)
            if width is None:
                raise Unfit(f"a class has a {'field' if named else 'constant'} of type {kind}")
            at += before + 1 + width
    return at + 2 + u2(data, at)[0] * (id_bytes + 1) if at + 2 <= end else end + 1


def _long_array(stream: Stream, id_bytes: int) -> bool:
    """Whether an array of references begins at ``at`` that is better read piece by piece."""
    head = 9 + 2 * id_bytes
    if len(stream.data) - stream.at < head or stream.data[stream.at] != OBJECT_ARRAY:
        return False
    length: int = struct.unpack_from(">I", stream.data, stream.at + 5 + id_bytes)[0]
    return length * id_bytes > PIECE_BYTES


def _elements(stream: Stream, id_bytes: int, segment_end: int) -> Iterator[Elements]:
    head = stream.take(9 + 2 * id_bytes)
    array_id, (length,) = int.from_bytes(head[1 : 1 + id_bytes]), struct.unpack_from(">I", head, 5 + id_bytes)
    if stream.position + length * id_bytes > segment_end:
        raise Unfit(f"an array of {length} references goes beyond the end of its heap segment")
    for first in range(0, length, PIECE_BYTES // id_bytes):
        count = min(length - first, PIECE_BYTES // id_bytes)
        ids = np.frombuffer(stream.take(count * id_bytes), dtype=f">u{id_bytes}").astype(np.uint64)
        yield Elements(array_id=array_id, length=length, first=first, ids=ids)
