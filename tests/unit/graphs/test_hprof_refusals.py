"""Java heap dumps that can't be used: one sentence each, that says what is wrong."""

import gzip
from pathlib import Path

import pytest
from hprof import BYTE, INT, OBJECT, Dump, small

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import importers


def refusal(folder: Path, data: bytes) -> str:
    path = folder / "x.hprof"
    path.write_bytes(data)
    with pytest.raises(GcBarrierError) as error:
        importers.import_graph(path)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500
    assert str(path) in text
    return text


def broken(data: bytes, kind: int = 0x1C) -> bytes:
    """A dump whose heap is these bytes."""
    dump = Dump()
    dump.piece(data)
    dump.split(kind)
    return dump.bytes()


def classes(*parents: tuple[int, int]) -> Dump:
    dump = Dump()
    for number, parent in parents:
        dump.a_class(number, parent=parent, fields=[INT])
    return dump


def with_instance(dump: Dump, class_id: int, body: bytes = b"") -> bytes:
    dump.instance(0x5000, class_id, body)
    return dump.bytes()


def twice(tag: str) -> bytes:
    dump = small()
    if tag == "class":
        dump.a_class(0x1200)
    else:
        dump.numbers(0x1200 if tag == "a class and an array" else 0x2300, BYTE, 1)
    return dump.bytes()


ID = bytes(7) + b"\x08"
HEAD = b"JAVA PROFILE 1.0.2\0"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "does not begin like one"),
        (b"JAVA PROFILE ", "does not begin like one"),
        (b'{"snapshot": {}}', "does not begin like one"),
        (b"JAVA PROFILE 1.0.3\0" + bytes(12), "hprof-conv"),
        (b"JAVA PROFILE 2\0" + bytes(12), "'2'"),
        (HEAD + bytes(5), "cut short after 24 bytes"),
        (HEAD + b"\0\0\0\2" + bytes(8), "2 bytes, and 4 or 8"),
        (HEAD + b"\0\0\0\x08" + bytes(8), "0 objects"),
        (Dump().bytes(), "0 objects"),
        (Dump().bytes() + b"\x77" + bytes(8), "0x77"),
        (broken(b"\x77"), "0x77"),
        (broken(b"\xfe" + bytes(12)), "hprof-conv"),
        (broken(b"\xc3" + bytes(40)), "hprof-conv"),
        (broken(b"\x21" + ID + bytes(12) + b"\xff\xff\xff\xff"), "goes beyond the end of its heap segment"),
        (broken(b"\x22" + ID + bytes(4) + b"\xff\xff\xff\xff" + ID), "goes beyond the end of its heap segment"),
        (broken(b"\x23" + ID + bytes(4) + b"\xff\xff\xff\xff\x08"), "goes beyond the end of its heap segment"),
        (broken(b"\x23" + ID + bytes(8) + b"\x03"), "type 3"),
        (broken(b"\x23" + ID + bytes(8) + b"\x08"), "no roots"),
        (broken(b"\x20" + ID + bytes(56) + b"\0\0\0\1" + ID + b"\x0c" + bytes(8)), "a field of type 12"),
        (broken(b"\x20" + ID + bytes(56) + b"\0\1\0\1\x0c" + bytes(8)), "a constant of type 12"),
        (broken(b"\x20" + ID + bytes(56) + b"\0\0\0\0\0\1" + ID + b"\x0c"), "a field of type 12"),
        (broken(b"\x20" + ID + bytes(56) + b"\0\0\0\0\xff\xff"), "goes beyond the end of its heap segment"),
        (with_instance(classes((0x10, 0x20), (0x20, 0x30), (0x30, 0x10)), 0x10), "or is one of its own"),
        (with_instance(classes((0x10, 0x10)), 0x10), "or is one of its own"),
        (with_instance(classes(*((8 * i, 8 * i + 8) for i in range(1, 2000))), 8), "more than 1024 superclasses"),
        (with_instance(classes((0x10, 0x20)), 0x10, bytes(4)), "nothing says what class 0x20 is"),
        (with_instance(classes((0x10, 0)), 0x90), "nothing says what class 0x90 is"),
        (with_instance(classes((0x10, 0)), 0), "nothing says what class 0x0 is"),
        (with_instance(classes((0x10, 0)), 0x10, bytes(3)), "0x5000 has other fields than its class"),
        (with_instance(classes((0x10, 0)), 0x10, bytes(5)), "0x5000 has other fields than its class"),
        (twice("class"), "0x1200 stands there twice"),
        (twice("array"), "two of its objects have the id 0x2300"),
        (twice("a class and an array"), "two of its objects have the id 0x1200"),
        (broken(b"\x23" + bytes(16) + b"\x08"), "the id 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(data: bytes, word: str, tmp_path: Path) -> None:
    assert word in refusal(tmp_path, data)


def test_a_dump_that_ends_early_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    data = small(4).bytes()
    for length in range(19, len(data)):
        text = refusal(tmp_path, data[:length])
        assert "cut short" in text or "0 objects" in text
    whole = gzip.compress(data)
    for length in range(2, len(whole), 7):
        refusal(tmp_path, whole[:length])


def test_records_that_are_longer_than_the_file_are_refused_at_once(tmp_path: Path) -> None:
    for tag in (0x01, 0x03, 0x0C, 0x1C):
        dump = small()
        dump.split()
        dump.record(tag, length=0xFFFFFFFF)
        assert "cut short" in refusal(tmp_path, dump.bytes()[:-9])
    dump = small()
    dump.split()
    # An instance, a class's fields, arrays: 4 GiB of a segment of 4 GiB, and the file has none of them.
    for piece in (b"\x21" + ID + bytes(12) + b"\xff\xff\xff\0", b"\x22" + ID + bytes(4) + b"\x1f\xff\xff\0" + ID,
                  b"\x23" + ID + bytes(4) + b"\xff\xff\xff\0\x08", b"\x20" + ID + bytes(56) + b"\xff\xff"):  # fmt: skip
        whole = dump.bytes()[:-9] + b"\x1c" + bytes(4) + b"\xff\xff\xff\xff" + piece
        assert "cut short" in refusal(tmp_path, whole)


def test_compression_that_is_damaged(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(small().bytes()))
    data[len(data) // 2] ^= 0xFF
    text = refusal(tmp_path, bytes(data))
    assert "compression is damaged" in text or "heap dump" in text
    assert "compression is damaged" in refusal(tmp_path, gzip.compress(small().bytes())[:-4])
    assert "compression is damaged" in refusal(tmp_path, gzip.compress(small().bytes()) + b"rubbish")


def test_more_classes_than_any_program_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gcbarrier.graphs.hprof import classes as module
    from gcbarrier.graphs.hprof import kinds

    for each in (module, kinds):
        monkeypatch.setattr(each, "MOST_CLASSES", 3)
    dump = Dump()
    for number in range(1, 5):
        dump.a_class(0x10 * number, fields=[OBJECT])
    assert "more than 3 classes" in refusal(tmp_path, dump.bytes())
    dump = Dump()
    for number in range(1, 6):
        dump.instance(0x10 * number, 0x1000 * number)
    assert "more than 3 classes" in refusal(tmp_path, dump.bytes())


def test_files_that_are_not_there_or_not_files(tmp_path: Path) -> None:
    for path, word in ((tmp_path / "missing.hprof", "No such file"), (tmp_path, "irectory")):
        with pytest.raises(GcBarrierError, match=word):
            importers.import_graph(path, "hprof")
