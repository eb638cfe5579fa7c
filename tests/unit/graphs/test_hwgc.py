"""Heap dumps of hwgc-soft: what a dump says is what the graph is, and whatever is wrong with one is said."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hwgc import an_object, dump, field, number, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gcbarrier.commands import main
from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import importers, protobuf, stream
from gcbarrier.graphs.graphfile import Graph, read
from gcbarrier.graphs.importers import hwgc

AT = 0x200_0000_0000

quick = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def written(folder: Path, data: bytes, name: str = "x.binpb") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def references(graph: Graph) -> dict[int, list[int]]:
    assert graph.addresses is not None
    at = graph.addresses.tolist()
    ends = graph.offsets.tolist()
    return {at[i]: [at[each] for each in graph.targets[ends[i] : ends[i + 1]].tolist()] for i in range(len(at))}


@pytest.mark.parametrize("compressed", [False, True])
def test_objects_edges_and_roots(compressed: bool, tmp_path: Path) -> None:
    data = gzip.compress(small()) if compressed else small()
    graph = hwgc.read(written(tmp_path, data))
    assert graph.addresses is not None
    assert graph.addresses.tolist() == [AT, AT + 32, AT + 64, AT + 128]
    assert graph.sizes_bytes.tolist() == [32, 16, 40, 24]
    assert references(graph) == {AT: [AT + 64], AT + 32: [], AT + 64: [AT, AT + 32], AT + 128: [AT]}
    assert graph.roots.tolist() == [0, 1]


@st.composite
def heaps(draw: st.DrawFn) -> tuple[bytes, dict[int, list[int]], dict[int, int]]:
    places = st.integers(1, (1 << 63) - 1)
    starts = draw(st.lists(places, min_size=1, max_size=12, unique=True))
    held = {start: draw(st.lists(st.sampled_from([0, *starts]), max_size=5)) for start in starts}
    sizes = {start: draw(st.integers(0, 1 << 40)) for start in starts}
    lengths = st.sampled_from([None, 0, 1 << 40])
    objects = [an_object(at, sizes[at], held[at], klass=draw(places), length=draw(lengths)) for at in starts]
    return dump(objects, starts[:1]), {at: [each for each in held[at] if each] for at in starts}, sizes


@quick
@given(heap=heaps(), piece=st.sampled_from([16, 48, 1 << 20]))
def test_any_heap_is_read_as_it_was_written(
    heap: tuple[bytes, dict[int, list[int]], dict[int, int]], piece: int, tmp_path: Path
) -> None:
    data, expected, sizes = heap
    with pytest.MonkeyPatch.context() as patch:
        for module in (stream, hwgc):
            patch.setattr(module, "PIECE_BYTES", piece)
        graph = hwgc.read(written(tmp_path, data))
    assert references(graph) == expected
    assert graph.addresses is not None
    assert dict(zip(graph.addresses.tolist(), graph.sizes_bytes.tolist(), strict=True)) == sizes


def test_an_array_of_more_than_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hwgc, "PIECE_BYTES", 1000)
    monkeypatch.setattr(stream, "PIECE_BYTES", 1000)
    held = [AT + 16 * (i % 3) for i in range(2000)]
    others = [an_object(AT + 16 * i, 16) for i in range(3)]
    path = written(
        tmp_path, dump([others[0], an_object(AT + 4096, 16024, held, length=2000), *others[1:]], [AT + 4096])
    )
    assert references(hwgc.read(path))[AT + 4096] == held


def test_references_to_what_is_not_there_are_none_and_counted(tmp_path: Path) -> None:
    graph = hwgc.read(written(tmp_path, dump([an_object(AT, 32, [AT, 8, 16])], [AT, 8])))
    assert references(graph) == {AT: [AT]}
    assert "2 references to what is not in it" in graph.source.tool


def test_what_newer_dumps_may_add_is_passed_over(tmp_path: Path) -> None:
    data = field(9, b"what") + small() + field(4, b"ever")
    assert hwgc.read(written(tmp_path, data)).node_count == 4


LONG = b"\xff" * 10 + b"\x01"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "0 objects"),
        (field(3, b""), "0 objects"),
        (b"JAVA PROFILE 1.0.2\0", "cut short"),
        (b"\x08\x01", "key 8"),
        (b"\x0a" + LONG, "more than 64 bits"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "cut short"),
        (b"\x1a\xff\xff\xff\xff\x7f", "cut short"),
        (b"\x12\xff\xff\xff\xff\x7f", "a root of"),
        (b"\x0a\xff", "cut short"),
        (field(1, b"\x08" + LONG), "more than 64 bits"),
        (field(1, b"\x08\x90"), "beyond the end of its message"),
        (field(1, field(1, 8) + b"\x52\x00"), "key 82 where 58"),
        (field(1, field(1, 8) + b"\x3a"), "beyond the end"),
        (field(1, field(1, 8) + b"\x3a\x09\x08\x08"), "beyond the end"),
        (field(1, field(1, 8) + b"\x3a\x80\x01" + bytes(128)), "key 58 where 58"),
        (field(1, field(1, 8) + field(7, field(1, 9) + field(3, 8))), "more than a slot and an object"),
        (dump([an_object(AT, 16)] * 2, [AT]), "the same address"),
        (dump([an_object(0, 16), an_object(AT, 16)], [AT]), "an object at address 0"),
        (dump([an_object(AT, 16)], []), "no roots"),
        (dump([an_object(AT, 16)], [AT + 8]), "no roots"),
        (dump([an_object(AT, 1 << 60)], [AT]), "an object of"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(data: bytes, word: str, tmp_path: Path) -> None:
    path = written(tmp_path, data)
    with pytest.raises(GcBarrierError) as error:
        importers.import_graph(path)
    assert word in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_dump_that_ends_early_is_refused_but_between_messages(tmp_path: Path) -> None:
    data = small()
    whole = {len(data) - len(data[at:]) for at in range(len(data))} & boundaries(data)
    for length in range(1, len(data)):
        path = written(tmp_path, data[:length])
        if length in whole:
            continue  # protobuf can't tell
        with pytest.raises(GcBarrierError, match="cut short"):
            importers.import_graph(path)


def boundaries(data: bytes) -> set[int]:
    """Where messages end."""
    found, at = set(), 0
    while at < len(data):
        length, begin = protobuf.number(data, at + 1)
        at = begin + length
        found.add(at)
    return found


def test_zstandard_is_refused_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, b"\x28\xb5\x2f\xfd" + bytes(20), "fop.binpb.zst")
    assert main(["import", str(path)]) == 2
    assert f"`zstd -d {path}`" in capsys.readouterr().err


def test_the_command_names_the_graph_after_the_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, gzip.compress(small()), "fop.binpb.gz")
    assert main(["import", str(path)]) == 0
    graph = read(tmp_path / "fop.graph.npz")
    assert graph.source.program == "fop"
    assert graph.addresses is not None
    assert graph.addresses.tolist() == [AT, AT + 32, AT + 64]
    assert "pages                     1  of 4 KiB" in capsys.readouterr().out


@quick
@given(values=st.lists(st.integers(0, (1 << 64) - 1), max_size=20))
def test_numbers_of_any_length(values: list[int]) -> None:
    each = [number(value) for value in values]
    data = b"".join(each)
    begin = np.cumsum([0, *map(len, each)])[:-1].astype(np.int64)
    found, after = protobuf.numbers(np.frombuffer(data + protobuf.PADDING, dtype=np.uint8), begin)
    assert found.tolist() == values
    assert after.tolist() == [*begin[1:].tolist(), *([len(data)] if values else [])]
