"""Java heap dumps that are made up: the records of HPROF, written by the format, and large ones at once.

``python tests/support/hprof.py FILE BYTES`` writes a large one; ``python tests/support/hprof.py FILE FROM`` takes out
a real one the texts that nothing names, and fills arrays of numbers with zeros, for they hold what a program knew of
its machine and its user. This is how ``java/heap.hprof.gz`` was made, by OpenJDK 17.0.15::

    cd tests/support/java && javac -d /tmp/classes Heap.java
    java -Xshare:off -XX:+UseSerialGC -Xmx8m -cp /tmp/classes Heap      # which waits for a line in the end
    jcmd PID GC.heap_dump -all /tmp/whole.hprof
    python ../hprof.py heap.hprof /tmp/whole.hprof && gzip -9n heap.hprof
"""

import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gcbarrier.graphs.hprof.records import Batch, header, records
from gcbarrier.graphs.stream import Stream

OBJECT, BOOLEAN, CHAR, FLOAT, DOUBLE, BYTE, SHORT, INT, LONG = 2, 4, 5, 6, 7, 8, 9, 10, 11
WIDTHS = {BOOLEAN: 1, CHAR: 2, FLOAT: 4, DOUBLE: 8, BYTE: 1, SHORT: 2, INT: 4, LONG: 8}
SEGMENT, END = 0x1C, 0x2C


class Dump:
    """A dump in the making. Pieces of the heap go into a segment, or several with ``split``."""

    def __init__(self, *, id_bytes: int = 8, version: str = "1.0.2") -> None:
        self.id_bytes = id_bytes
        self._whole = bytearray(f"JAVA PROFILE {version}\0".encode() + struct.pack(">IQ", id_bytes, 1_700_000_000_000))
        self._heap = bytearray()

    def id(self, number: int) -> bytes:
        return number.to_bytes(self.id_bytes)

    def record(self, tag: int, body: bytes = b"", length: int | None = None) -> None:
        """A record of its own, whose ``length`` may be a lie."""
        self._whole += struct.pack(">BII", tag, 0, len(body) if length is None else length) + body

    def text(self, number: int, text: str) -> None:
        self.record(0x01, self.id(number) + text.encode())

    def load_class(self, class_id: int, name_id: int) -> None:
        self.record(0x02, struct.pack(">I", 1) + self.id(class_id) + bytes(4) + self.id(name_id))

    def split(self, tag: int = SEGMENT) -> None:
        """End the segment."""
        self.record(tag, bytes(self._heap))
        self._heap.clear()

    def piece(self, data: bytes) -> None:
        """Whatever, into the segment."""
        self._heap += data

    def root(self, tag: int, number: int) -> None:
        more = {0x01: self.id_bytes, 0x02: 8, 0x03: 8, 0x04: 4, 0x06: 4, 0x08: 8}.get(tag, 0)
        self.piece(bytes([tag]) + self.id(number) + bytes(more))

    def a_class(
        self,
        number: int,
        *,
        parent: int = 0,
        loader: int = 0,
        constants: Sequence[tuple[int, int]] = (),
        statics: Sequence[tuple[int, int]] = (),
        fields: Sequence[int | tuple[int, int]] = (),
    ) -> None:
        """``constants`` and ``statics`` are pairs of type and value, ``fields`` types, or pairs of name and type."""
        words = [parent, loader, 0, 0, 0, 0]
        self.piece(bytes([0x20]) + self.id(number) + bytes(4) + b"".join(map(self.id, words)) + bytes(4))
        self.piece(struct.pack(">H", len(constants)))
        for kind, value in constants:
            self.piece(bytes([0, 1, kind]) + value.to_bytes(WIDTHS.get(kind, self.id_bytes)))
        self.piece(struct.pack(">H", len(statics)))
        for kind, value in statics:
            self.piece(self.id(77) + bytes([kind]) + value.to_bytes(WIDTHS.get(kind, self.id_bytes)))
        self.piece(struct.pack(">H", len(fields)))
        for field in fields:
            name, kind = field if isinstance(field, tuple) else (77, field)
            self.piece(self.id(name) + bytes([kind]))

    def instance(self, number: int, class_id: int, body: bytes = b"") -> None:
        head = bytes(4) + self.id(class_id) + struct.pack(">I", len(body))
        self.piece(bytes([0x21]) + self.id(number) + head + body)

    def objects(self, number: int, held: Sequence[int], class_id: int = 0) -> None:
        head = struct.pack(">II", 0, len(held)) + self.id(class_id)
        self.piece(bytes([0x22]) + self.id(number) + head + b"".join(map(self.id, held)))

    def numbers(self, number: int, kind: int, count: int) -> None:
        self.piece(bytes([0x23]) + self.id(number) + struct.pack(">IIB", 0, count, kind) + bytes(count * WIDTHS[kind]))

    def bytes(self) -> bytes:
        """All of it, ended as it should be."""
        if self._heap:
            self.split()
        self.record(END)
        return bytes(self._whole)


def small(id_bytes: int = 8) -> Dump:
    """A dump with one of everything, whose heap is one segment that has not been ended."""
    dump = Dump(id_bytes=id_bytes)
    for number, text in enumerate(("java/lang/ref/Reference", "java/lang/ref/WeakReference", "referent"), 1):
        dump.text(number, text)
    dump.load_class(0x1000, 1)
    dump.load_class(0x1100, 2)
    for tag in (0xFF, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08):
        dump.root(tag, 0x2000)
    dump.a_class(0x1000, fields=[(3, OBJECT), OBJECT])
    dump.a_class(0x1100, parent=0x1000, constants=[(INT, 7), (OBJECT, 0)], statics=[(OBJECT, 0x2200), (LONG, 5)])
    dump.a_class(0x1200, parent=0, fields=[INT, OBJECT, LONG, OBJECT])
    dump.instance(0x2000, 0x1200, bytes(4) + dump.id(0x2100) + bytes(8) + dump.id(0x2200))
    dump.instance(0x2100, 0x1100, dump.id(0x2400) + dump.id(0x2200))
    dump.objects(0x2200, [0x2000, 0, 0x2300, 0x2300])
    dump.numbers(0x2300, CHAR, 3)
    dump.numbers(0x2400, DOUBLE, 0)
    return dump


GROUP = np.dtype([
    ("tag", "u1"), ("id", ">u8"), ("_1", ">u4"), ("class", ">u8"), ("bytes", ">u4"), ("held", ">u8", 3), ("_2", ">u4"),
    ("tag2", "u1"), ("id2", ">u8"), ("_3", ">u4"), ("length2", ">u4"), ("class2", ">u8"), ("held2", ">u8", 4),
    ("tag3", "u1"), ("id3", ">u8"), ("_4", ">u4"), ("length3", ">u4"), ("type3", "u1"), ("numbers", "u1", 10),
])  # fmt: skip
"""An object of three references, an array of four and one of ten bytes: 46 bytes each in the dump, 96 in the heap."""


def large(path: Path, size_bytes: int, *, seed: int = 1) -> int:
    """A dump of about so many bytes, of many small objects that refer to any others; the number of objects."""
    chance = np.random.default_rng(seed)
    groups = size_bytes // GROUP.itemsize
    base, node = 0x7_0000_0000, 0x6_0000_0000
    head = Dump()
    head.root(0x05, base)
    head.a_class(node, fields=[OBJECT, OBJECT, OBJECT, INT])
    head.split()
    with path.open("wb") as file:
        file.write(head.bytes()[:-9])
        for first in range(0, groups, 1 << 16):
            count = min(1 << 16, groups - first)
            made = np.zeros(count, dtype=GROUP)
            at = base + 96 * np.arange(first, first + count, dtype=np.uint64)
            made["tag"], made["id"], made["class"], made["bytes"] = 0x21, at, node, 28
            made["tag2"], made["id2"], made["length2"] = 0x22, at + 32, 4
            made["tag3"], made["id3"], made["length3"], made["type3"] = 0x23, at + 64, 10, BYTE
            made["held"][:, 0], made["held"][:, 1] = at + 32, at + 64
            made["held"][:, 2] = np.where(at + 96 < base + 96 * groups, at + 96, 0)
            made["held2"] = base + 96 * chance.integers(0, groups, (count, 4), dtype=np.uint64)
            made["held2"][:, 3] = 0
            data = made.tobytes()
            file.write(struct.pack(">BII", SEGMENT, 0, len(data)) + data)
        file.write(struct.pack(">BII", END, 0, 0))
    return 3 * groups + 1


def without_numbers(path: Path) -> bytes:
    """The small dump at ``path``, with ids of 8 bytes, with arrays of zeros in place of all numbers."""
    with Stream(path) as stream:
        width = header(stream).id_bytes
        whole = path.read_bytes()
        data = bytearray(whole)
        for record in records(stream, width):
            if isinstance(record, Batch):
                start = whole.index(record.data)
                for at in record.primitive_arrays.tolist():
                    count, kind = struct.unpack_from(">IB", record.data, at + 5 + width)
                    begin = start + at + 10 + width
                    data[begin : begin + count * WIDTHS[kind]] = bytes(count * WIDTHS[kind])
        return bytes(data)


def without_unnamed_texts(data: bytes) -> bytes:
    """``data``, a dump with ids of 8 bytes, without the texts whose ids stand nowhere else."""
    at = data.index(0) + 13
    found: list[tuple[int, bytes]] = []
    while at < len(data):
        tag, length = struct.unpack_from(">B4xI", data, at)
        found.append((tag, data[at : at + 9 + length]))
        at += 9 + length
    texts = {record[9:17] for tag, record in found if tag == 0x01}
    rest = b"".join(record for tag, record in found if tag != 0x01)
    named = {rest[i : i + 8] for i in range(len(rest)) if rest[i : i + 8] in texts}
    kept = (record for tag, record in found if tag != 0x01 or record[9:17] in named)
    return data[: data.index(0) + 13] + b"".join(kept)


if __name__ == "__main__":
    if sys.argv[2].isdigit():
        large(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        Path(sys.argv[1]).write_bytes(without_unnamed_texts(without_numbers(Path(sys.argv[2]))))
