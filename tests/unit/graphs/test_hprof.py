"""Java heap dumps: what a dump says is what the graph is, however it is written and in whatever pieces it is read."""

import gzip
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hprof import BYTE, CHAR, DOUBLE, INT, LONG, OBJECT, SHORT, WIDTHS, Dump, large, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import SUPPORT

from gcbarrier.graphs import importers, linked, stream
from gcbarrier.graphs.addresses import overlapping
from gcbarrier.graphs.graphfile import Graph
from gcbarrier.graphs.hprof import objects, records, sizes
from gcbarrier.graphs.hprof.sizes import LAYOUTS, Layout
from gcbarrier.graphs.importers import hprof

quick = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def written(folder: Path, data: bytes, name: str = "x.hprof") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def references(graph: Graph) -> dict[int, list[int]]:
    """By address, what each object refers to, by address."""
    assert graph.addresses is not None
    at = graph.addresses.tolist()
    bounds = pairwise(graph.offsets.tolist())
    return {at[i]: [at[each] for each in graph.targets[a:b].tolist()] for i, (a, b) in enumerate(bounds)}


def same(one: Graph, other: Graph) -> bool:
    names = ("sizes_bytes", "offsets", "targets", "roots", "addresses")
    return one.source == other.source and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in names
    )


SMALL = {
    0x1000: [],
    0x1100: [0x1000, 0x2200],  # its superclass and its static field
    0x1200: [],
    0x2000: [0x2100, 0x2200],
    0x2100: [0x2200],  # not its referent, for it is a weak reference
    0x2200: [0x2000, 0x2300, 0x2300],  # not null
    0x2300: [],
    0x2400: [],
}


@pytest.mark.parametrize("id_bytes", [4, 8])
@pytest.mark.parametrize("compressed", [False, True])
def test_objects_arrays_and_classes(id_bytes: int, compressed: bool, tmp_path: Path) -> None:
    data = small(id_bytes).bytes()
    graph = hprof.read(written(tmp_path, gzip.compress(data) if compressed else data))
    assert references(graph) == SMALL
    assert graph.addresses is not None
    assert graph.addresses[graph.roots].tolist() == [0x1000, 0x1100, 0x1200, 0x2000]
    assert "HPROF 1.0.2" in graph.source.tool


def test_only_what_a_weak_reference_keeps_is_dropped(tmp_path: Path) -> None:
    path = written(tmp_path, small().bytes())
    imported = importers.import_graph(path)
    assert imported.dropped_nodes == 1
    assert references(imported.graph) == {at: held for at, held in SMALL.items() if at != 0x2400}


@pytest.mark.parametrize("tag", [0xFF, *range(0x01, 0x09)])
def test_every_kind_of_root(tag: int, tmp_path: Path) -> None:
    dump = Dump()
    dump.numbers(0x10, BYTE, 1)
    dump.root(tag, 0x20)
    dump.root(tag, 0x999)  # a thread that has ended, say
    dump.numbers(0x20, BYTE, 1)
    assert hprof.read(written(tmp_path, dump.bytes())).roots.tolist() == [1]


def test_fields_come_class_by_class_from_the_objects_own_up(tmp_path: Path) -> None:
    dump = Dump(version="1.0.1")
    dump.a_class(0x10, fields=[OBJECT, SHORT])
    dump.a_class(0x20, parent=0x10, fields=[])
    dump.a_class(0x30, parent=0x20, fields=[BYTE, OBJECT, DOUBLE, OBJECT])
    for at in (0x100, 0x200, 0x300):
        dump.numbers(at, INT, 1)
    body = b"\xff" + dump.id(0x300) + b"\xff" * 8 + dump.id(0x100) + dump.id(0x200) + b"\xff" * 2
    dump.instance(0x400, 0x30, body)
    assert references(hprof.read(written(tmp_path, dump.bytes())))[0x400] == [0x300, 0x100, 0x200]


def test_instances_may_come_before_their_class_and_in_another_segment(tmp_path: Path) -> None:
    dump = Dump()
    dump.instance(0x20, 0x10, dump.id(0x20))
    dump.split()
    dump.record(0x05, bytes(12))  # a stack trace in between
    dump.a_class(0x10, fields=[OBJECT])
    dump.split(tag=0x0C)
    assert references(hprof.read(written(tmp_path, dump.bytes())))[0x20] == [0x20]


def test_references_to_what_is_not_there_are_none_and_counted(tmp_path: Path) -> None:
    dump = Dump()
    dump.root(0xFF, 0x20)
    dump.objects(0x20, [0x20, 0x30, 0x40, 0])
    graph = hprof.read(written(tmp_path, dump.bytes()))
    assert references(graph) == {0x20: [0x20]}
    assert "2 references to what is not in it" in graph.source.tool


@pytest.mark.parametrize("piece", [32, 100, 333])
@pytest.mark.parametrize("id_bytes", [4, 8])
def test_the_size_of_the_pieces_does_not_matter(
    piece: int, id_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = small(id_bytes)
    dump.objects(0x3000, [0x2000 + 0x100 * (i % 5) for i in range(200)])  # longer than any piece
    dump.split()
    dump.numbers(0x4000, LONG, 100)
    path = written(tmp_path, dump.bytes())
    whole = hprof.read(path)
    shares: list[float] = []
    for module in (stream, records):
        monkeypatch.setattr(module, "PIECE_BYTES", piece)
    assert same(hprof.read(path, shares.append), whole)
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5 < 0.99 < shares[-1] <= 1


def laid_out(layout: Layout) -> tuple[Dump, dict[int, int]]:
    """A heap without gaps, as a machine with this layout would have it, and the objects' sizes."""
    dump = Dump()
    dump.a_class(0x100000, fields=[OBJECT, INT, OBJECT, BYTE])
    dump.a_class(0x100100, fields=[OBJECT])
    found: dict[int, int] = {}
    at = 0x10000

    def placed(size: int) -> int:
        nonlocal at
        found[at] = (size + 7) // 8 * 8
        at += found[at]
        return at - (size + 7) // 8 * 8

    for i in range(30):
        dump.instance(placed(layout.header + 2 * layout.reference + 5), 0x100000, bytes(21))
        dump.instance(placed(layout.header + layout.reference), 0x100100, bytes(8))
        for kind in (CHAR, LONG):
            first = -(-layout.array_header // WIDTHS[kind]) * WIDTHS[kind]
            dump.numbers(placed(first + i * WIDTHS[kind]), kind, i)
        first = -(-layout.array_header // layout.reference) * layout.reference
        dump.objects(placed(first + i * layout.reference), [0x10000] * i)
    return dump, found


@pytest.mark.parametrize("layout", LAYOUTS[8], ids=str)
def test_sizes_follow_from_where_objects_lie(layout: Layout, tmp_path: Path) -> None:
    dump, expected = laid_out(layout)
    graph = hprof.read(written(tmp_path, dump.bytes()))
    assert graph.addresses is not None
    found = dict(zip(graph.addresses.tolist(), graph.sizes_bytes.tolist(), strict=True))
    assert {at: found[at] for at in expected} == expected
    assert str(layout) in graph.source.tool


def test_a_class_is_as_large_as_an_object_of_its_class_and_its_static_fields(tmp_path: Path) -> None:
    dump = Dump()
    dump.text(1, "java/lang/Class")
    dump.load_class(0x100, 1)
    dump.a_class(0x100, fields=[OBJECT, INT])
    dump.a_class(0x200, statics=[(OBJECT, 0), (LONG, 1)])
    graph = hprof.read(written(tmp_path, dump.bytes()))
    assert graph.sizes_bytes.tolist() == [0x100, 0x100]  # with nothing nearer than 256 bytes
    layout = LAYOUTS[8][0]
    exact = [layout.header + layout.reference + 4, layout.header + 2 * layout.reference + 4 + 8]
    dump.numbers(0x208 + exact[1] // 8 * 8, BYTE, 0)
    assert hprof.read(written(tmp_path, dump.bytes())).sizes_bytes.tolist()[:2] == [-(-each // 8) * 8 for each in exact]


@st.composite
def heaps(draw: st.DrawFn) -> tuple[Dump, dict[int, list[int]]]:
    """A dump of any few objects, and what they refer to."""
    dump = Dump(id_bytes=draw(st.sampled_from([4, 8])))
    ids = draw(st.lists(st.integers(1, 1 << 20).map(lambda each: 8 * each), min_size=2, max_size=14, unique=True))
    held = st.sampled_from([0, *ids])
    fields = draw(st.lists(st.sampled_from([OBJECT, BYTE, LONG]), max_size=4))
    expected: dict[int, list[int]] = {}
    for number, at in enumerate(ids):
        kind = "class" if number == 0 else draw(st.sampled_from(["instance", "objects", "numbers"]))
        some = draw(st.lists(held, max_size=4))
        if kind == "class":
            dump.a_class(at, fields=fields, statics=[(OBJECT, each) for each in some])
        elif kind == "instance":
            some = [draw(held) for field in fields if field == OBJECT]
            waiting = iter(some)
            parts = [dump.id(next(waiting)) if field == OBJECT else bytes(WIDTHS[field]) for field in fields]
            dump.instance(at, ids[0], b"".join(parts))
        elif kind == "objects":
            dump.objects(at, some)
        else:
            some = []
            dump.numbers(at, BYTE, draw(st.integers(0, 3)))
        expected[at] = [each for each in some if each]
        if draw(st.booleans()):
            dump.split()
    return dump, expected


@quick
@given(heap=heaps(), piece=st.sampled_from([32, 64, 1 << 20]))
def test_any_heap_is_read_as_it_was_written(
    heap: tuple[Dump, dict[int, list[int]]], piece: int, tmp_path: Path
) -> None:
    dump, expected = heap
    with pytest.MonkeyPatch.context() as patch:
        for module in (stream, records):
            patch.setattr(module, "PIECE_BYTES", piece)
        assert references(hprof.read(written(tmp_path, dump.bytes()))) == expected


def test_what_a_real_machine_wrote() -> None:
    path = SUPPORT / "java" / "heap.hprof.gz"
    graph = hprof.read(path)
    assert "references of 4 and headers of 12 bytes" in graph.source.tool
    assert "not in it" not in graph.source.tool
    assert graph.addresses is not None
    assert overlapping(graph.addresses, graph.sizes_bytes) == 0
    gaps = np.diff(graph.addresses)
    assert (gaps == graph.sizes_bytes[:-1]).mean() > 0.9  # allocated one behind the other
    # The table, its 64 leaves, which refer to it and to an array of five each, and nothing else that is like that.
    held = references(graph)
    tables = [at for at, refers in held.items() if len(refers) == 64 and all(at in held[each] for each in refers)]
    assert len(tables) == 1
    leaves = held[tables[0]]
    bytes_of = dict(zip(graph.addresses.tolist(), graph.sizes_bytes.tolist(), strict=True))
    assert {bytes_of[leaf] for leaf in leaves} == {32}
    assert bytes_of[tables[0]] == 16 + 64 * 4
    assert all(len(held[leaf]) == 2 for leaf in leaves)
    arrays = [each for leaf in leaves for each in held[leaf] if each != tables[0]]
    assert {bytes_of[each] for each in arrays} == {16 + 5 * 4 + 4}
    # The 65th, that only the weak reference leads to, is there like them, and is left out.
    weakly = [at for at, refers in held.items() if bytes_of[at] == 32 and at not in leaves and len(refers) == 1]
    numbers = {each for at in weakly for each in held[at] if bytes_of[each] == 40 and not held[each]}
    kept = references(importers.import_graph(path).graph)
    assert set(leaves) <= set(kept)
    assert numbers - set(kept)


def peak_bytes(path: Path, piece: int) -> tuple[int, int]:
    """How much memory reading takes at most, and the number of objects."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (stream, records):
            patch.setattr(module, "PIECE_BYTES", piece)
        for other in (sizes, objects, linked):
            patch.setattr(other, "_PIECE", 1 << 10)
        tracemalloc.start()  # which numpy tells of its arrays
        try:
            count = hprof.read(path).node_count
            return tracemalloc.get_traced_memory()[1], count
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("compressed", [False, True])
def test_memory_is_for_objects_and_not_for_what_is_in_them(compressed: bool, tmp_path: Path) -> None:
    dump = small()
    dump.numbers(0x10000, BYTE, 32 << 20)
    data = dump.bytes()
    path = written(tmp_path, gzip.compress(data, 1) if compressed else data)  # which is 200 times smaller
    peak, count = peak_bytes(path, 1 << 20)
    assert count == 9
    assert peak < 8 << 20


def test_memory_for_an_object_is_a_few_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.hprof"
    peaks, counts = [], []
    for size in (1 << 19, 1 << 20):
        made = large(path, size)
        peak, count = peak_bytes(path, 1 << 16)
        assert count == made
        peaks.append(peak)
        counts.append(count)
    # 24 bytes of what stays, 10 of two and a third slots, 24 more while they are sorted, or linked and checked.
    assert peaks[1] - peaks[0] < 60 * (counts[1] - counts[0])
