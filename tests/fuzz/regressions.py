"""Inputs that once broke a reader, or were made to: by target and name. A new crash becomes an entry here."""

import struct

import hprof
import hwgc
import numpy as np
from python_heaps import stream
from targets import SEPARATOR, archive, graph_members, packed, run_text, snapshot_text, stamps_file

from gcbarrier.core.times import FIRST, STAMP

DEEP = "[" * 3000
GOOGOL = "9" * 400
LONG = "9" * 5000
"""More digits than Python turns into a number."""


def _npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    """An array file whose header promises what it likes."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


def _graph(**members: bytes) -> bytes:
    return archive(list((dict(graph_members()) | {f"{name}.npy": data for name, data in members.items()}).items()))


def _snapshot(old: str, new: str) -> bytes:
    text = snapshot_text()
    assert text.count(old) == 1, old
    return text.replace(old, new).encode()


def _run(old: str, new: str) -> bytes:
    text = run_text()
    assert old in text, old
    return text.replace(old, new, 1).encode()


def heap_of(data: bytes) -> bytes:
    """A Java heap dump whose heap is these bytes."""
    dump = hprof.Dump()
    dump.piece(data)
    return dump.bytes()


def _classes(*parents: tuple[int, int], instance_of: int | None = None) -> bytes:
    dump = hprof.Dump()
    for number, parent in parents:
        dump.a_class(number, parent=parent)
    dump.instance(0x50_0000, parents[0][0] if instance_of is None else instance_of)
    return dump.bytes()


def _inherited() -> bytes:
    """A few classes with many fields, one below the other, and many below the last, with an object without fields."""
    dump = hprof.Dump()
    for depth in range(8):
        dump.a_class(
            0x1_0000 + 8 * depth, parent=0x1_0000 + 8 * depth - 8 if depth else 0, fields=[hprof.OBJECT] * 9_999
        )
    for number in range(200):
        dump.a_class(0x10_0000 + 8 * number, parent=0x1_0000 + 8 * 7)
        dump.instance(0x20_0000 + 8 * number, 0x10_0000 + 8 * number)
    return dump.bytes()


REGRESSIONS: dict[str, dict[str, bytes]] = {
    "archive": {
        "sizes of 8 TB": _graph(sizes_bytes=_npy("'<u8'", "(1000000000000,)")),
        "sizes of 800 MB": _graph(sizes_bytes=_npy("'<u8'", "(100000000,)")),
        "a format of 400 MB": _graph(format=_npy("'<U100000000'", "()")),
        "roots of nothing, 10^11 times": _graph(roots=_npy("'<U0'", "(100000000000,)")),
        "an array of arrays of arrays": _graph(roots=_npy("('<u4', (30000, 30000))", "(3,)")),
        "a header of Python 2": _graph(roots=_npy("'<u4'", "(1L,)", bytes(4))),
        "addresses of 8 TB": _graph(address_steps=_npy("'|u1'", "(8, 1000000000000)")),
        "addresses of nothing": _graph(address_steps=_npy("'|u1'", "(0, 100000000000)")),
        "another array that promises 8 TB": _graph(notes=_npy("'<u8'", "(1000000000000,)")),
        "degrees that wrap round": archive(graph_members(out_degrees=np.array([2**32 - 1] * 3, dtype=np.uint32))),
    },
    "stamps": {
        "stamps of 8 TB": stamps_file() + _npy("'<u8'", "(1000000000000,)"),
        "firsts that are numbers": stamps_file(np.arange(2), np.arange(3)),
        "counts that wrap round": stamps_file(np.array([(0, 2**64 - 1), (0, 2)], FIRST), np.array([(0, 5)], STAMP)),
        "a beginning after the end of time": stamps_file(np.array([(2**64 - 1, 1)], FIRST), np.array([(0, 5)], STAMP)),
        "nothing, 10^11 times": stamps_file() + _npy("'<U0'", "(100000000000,)"),
        "a header of Python 2": stamps_file() + _npy("'<u4'", "(1L,)", bytes(4)),
        "a header that does not end": stamps_file() + b"\x93NUMPY\x01\x00",
        "half of it": stamps_file(np.array([(0, 1)], FIRST), np.array([(0, 5)], STAMP))[:-5],
    },
    "hprof": {
        "an instance of 4 GiB": heap_of(b"\x21" + bytes(7) + b"\x08" + bytes(12) + b"\xff" * 4),
        "2^32 references": heap_of(b"\x22" + bytes(7) + b"\x08" + bytes(4) + b"\xff" * 4 + bytes(8)),
        "2^32 numbers of 8 bytes": heap_of(b"\x23" + bytes(7) + b"\x08" + bytes(4) + b"\xff" * 4 + b"\x0b"),
        "a segment of 4 GiB": hprof.small().bytes() + b"\x1c" + bytes(4) + b"\xff" * 4,
        "a text of 4 GiB": hprof.small().bytes() + b"\x01" + bytes(4) + b"\xff" * 4,
        "fields without an end": heap_of(b"\x20" + bytes(7) + b"\x08" + bytes(60) + b"\xff\xff"),
        "a class below itself": _classes((0x10, 0x20), (0x20, 0x10)),
        "1100 superclasses": _classes(*((8 * i, 8 * i + 8) for i in range(1, 1_100))),
        "16 million inherited fields": _inherited(),
        "objects of class 0": _classes((0x10, 0), instance_of=0),
        "an object of a class that is not there": _classes((0x10, 0), instance_of=0x90),
    },
    "hwgc": {
        "an edge longer than what is read of it": b"\x0a"
        + hwgc.number(9 << 20)
        + b"\x08\x08\x18\x08\x3a\xff"
        + bytes(254),
        "an object of 2^63 bytes": b"\x0a" + b"\xff" * 8 + b"\x7f",
        "a root of 2^35 bytes": b"\x12" + b"\xff" * 4 + b"\x7f",
        "a number without an end": b"\x0a" + b"\xff" * 100_000,
        "an object that is one number without an end": hwgc.field(1, b"\x08" + b"\xff" * 100_000),
        "an edge into the next object": hwgc.field(1, hwgc.field(1, 8) + b"\x3a\x7f") + hwgc.small(),
    },
    "members": {"nothing": b"", "no format": packed(graph_members()[1:])},
    "python heap": {
        "10^18 objects": stream([])[:-24] + struct.pack("<QQ", 1 << 60, 1 << 60),
        "degrees that wrap round": stream([])[:-24]
        + struct.pack("<14Q", 2, 1, 1, 2, 8, 16, 8, 8, 1, 1, (1 << 64) - 1, 2, 1, 0)
        + struct.pack("<2Q", 2, 1),
        "a text of 2^60 bytes": b"gcbarrier python heap 1\n" + struct.pack("<Q", 1 << 60),
    },
    "snapshot": {
        "10^12 nodes": _snapshot('"node_count": 3', '"node_count": 1000000000000'),
        "10^12 edges": _snapshot('"edge_count": 4', '"edge_count": 1000000000000'),
        "a count of 5000 digits": _snapshot('"node_count": 3', f'"node_count": {LONG}'),
        "a size of 400 digits": _snapshot("[9, 1, 1, 0,", f"[9, 1, 1, {GOOGOL},"),
        "deep meta": _snapshot('"meta": {', f'"meta": {DEEP}{{'),
        "a wide row": _snapshot('"self_size",', '"self_size",' + '"x",' * 50_000),
        "no number": _snapshot('"node_count": 3', '"node_count": NaN'),
    },
    "run": {
        "a deep manifest": DEEP.encode() + SEPARATOR,
        "a deep outcome": _run('"facts": {', f'"facts": {DEEP}{{'),
        "a manifest of 5000 digits": _run('"format": 1', f'"format": {LONG}'),
        "an infinite count": _run('"index": 0', '"index": Infinity'),
        "a count that is none": _run('"index": 0', '"index": NaN'),
        "a size of 400 digits": _run('"index": 0', f'"index": {GOOGOL}'),
        "a list for a record": _run('"config": {', '"config": [{'),
        "null for a list": _run('"round_dirty": [3, 1]', '"round_dirty": null'),
    },
    "settings": {
        "a size of 400 digits": f"heap_bytes={GOOGOL}".encode(),
        "a size of 400 digits and a unit": f"heap_bytes={GOOGOL}TiB".encode(),
        "a duration of 400 digits": f"duration_s={GOOGOL}".encode(),
        "no duration": b"duration_s=nan",
        "an infinite duration": b"duration_s=inf",
        "a seed of 5000 digits": f"seed={LONG}".encode(),
        "invocations of 5000 digits": f"invocations={LONG}".encode(),
        "infinitely many rounds": b"mostly-concurrent.rounds=1e999",
        "not a number of rounds": b"mostly-concurrent.rounds=nan",
        "a rate of 400 digits": f"graph_edits.rate_per_s={GOOGOL}".encode(),
        "a name with an end in it": b"heap=x\x00y",
        "a name that is a path": b"heap=../heaps/graph_edits",
    },
}
