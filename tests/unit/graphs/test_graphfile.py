"""The graph file: what is saved comes back, and whatever else is given ends in one sentence."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import CHECKOUT

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs.addresses import overlapping
from gcbarrier.graphs.graphfile import FORMAT, Graph, GraphFault, Source, read, save

SHIPPED = CHECKOUT / "heaps" / "snapshot" / "typescript.graph.npz"

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def graph(
    references: list[list[int]],
    *,
    sizes: list[int] | None = None,
    roots: tuple[int, ...] = (0,),
    addresses: list[int] | None = None,
) -> Graph:
    """A graph from its adjacency lists."""
    return Graph(
        sizes_bytes=np.array([16] * len(references) if sizes is None else sizes, dtype=np.uint64),
        offsets=np.cumsum([0, *map(len, references)]).astype(np.uint64),
        targets=np.array([target for each in references for target in each], dtype=np.uint32),
        roots=np.array(roots, dtype=np.uint32),
        source=Source(program="a test", version="1", tool="none", command="pytest"),
        addresses=None if addresses is None else np.array(addresses, dtype=np.uint64),
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    nodes = draw(st.integers(1, 12))
    index = st.integers(0, nodes - 1)
    address = st.integers(1, (1 << 64) - 1 - (1 << 40))
    return graph(
        draw(st.lists(st.lists(index, max_size=5), min_size=nodes, max_size=nodes)),
        sizes=draw(st.lists(st.integers(0, 1 << 40), min_size=nodes, max_size=nodes)),
        roots=tuple(draw(st.lists(index, min_size=1, max_size=3))),
        addresses=draw(st.none() | st.lists(address, min_size=nodes, max_size=nodes, unique=True)),
    )


def same(one: Graph, other: Graph) -> bool:
    if (one.addresses is None) != (other.addresses is None):
        return False
    return one.source == other.source and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("sizes_bytes", "offsets", "targets", "roots", "addresses")
    )


def one_sentence(error: pytest.ExceptionInfo[GcBarrierError], *words: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500
    for word in words:
        assert word in text


@quick
@given(original=graphs())
def test_a_saved_graph_comes_back(original: Graph, tmp_path: Path) -> None:
    path = tmp_path / "x.graph.npz"
    save(path, original)
    assert same(read(path), original)
    assert [each.name for each in tmp_path.iterdir()] == ["x.graph.npz"]


def test_what_a_graph_says_of_itself() -> None:
    example = graph([[1, 2, 1], [], [0]], sizes=[0, 24, 100])
    assert (example.node_count, example.edge_count, example.total_bytes) == (3, 4, 124)
    assert example.out_degrees().tolist() == [3, 0, 1]
    with pytest.raises(ValueError, match="read-only"):
        example.targets[0] = 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sizes_bytes": np.array([16, 16], dtype=np.int64)}, "uint64"),
        ({"sizes_bytes": np.array([], dtype=np.uint64)}, "0 objects"),
        ({"sizes_bytes": np.array([16], dtype=np.uint64)}, "out-degrees of 2"),
        ({"sizes_bytes": np.array([16, 2**63], dtype=np.uint64)}, "bytes"),
        ({"offsets": np.array([0, 2, 1], dtype=np.uint64)}, "backwards"),
        ({"offsets": np.array([0, 0, 0], dtype=np.uint64)}, "add up"),
        ({"offsets": np.array([[0, 1, 1]], dtype=np.uint64)}, "one-dimensional"),
        ({"targets": np.array([2], dtype=np.uint32)}, "object 2"),
        ({"roots": np.array([9], dtype=np.uint32)}, "object 9"),
        ({"roots": np.array([], dtype=np.uint32)}, "no roots"),
        ({"addresses": np.array([16, 32], dtype=np.int64)}, "addresses is not"),
        ({"addresses": np.array([[16, 32]], dtype=np.uint64)}, "addresses is not"),
        ({"addresses": np.array([16], dtype=np.uint64)}, "addresses of 1"),
        ({"addresses": np.array([16, 0], dtype=np.uint64)}, "object 1 has the address 0"),
        ({"addresses": np.array([16, 2**64 - 8], dtype=np.uint64)}, "after the last address"),
        ({"addresses": np.array([32, 32], dtype=np.uint64)}, "two objects have the address 0x20"),
    ],
)
def test_arrays_that_make_no_graph(change: dict[str, Any], word: str) -> None:
    arrays: dict[str, Any] = {
        "sizes_bytes": np.array([16, 16], dtype=np.uint64),
        "offsets": np.array([0, 1, 1], dtype=np.uint64),
        "targets": np.array([1], dtype=np.uint32),
        "roots": np.array([0], dtype=np.uint32),
    }
    Graph(**arrays)
    with pytest.raises(GraphFault) as error:
        Graph(**(arrays | change))
    one_sentence(error, word)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def contents(**change: Any) -> dict[str, Any]:
    return {
        "format": np.array(FORMAT),
        "source": np.array(json.dumps({"program": "p"})),
        "sizes_bytes": np.array([16, 16], dtype=np.uint8),
        "out_degrees": np.array([1, 0], dtype=np.uint32),
        "targets": np.array([1], dtype=np.uint32),
        "roots": np.array([0], dtype=np.uint32),
    } | change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": np.array("gcbarrier graph 99")}, "gcbarrier graph 99"),
        ({"source": np.array("[]")}, "source"),
        ({"source": np.array("{")}, "damaged"),
        ({"source": np.array('{"program": 1}')}, "damaged"),
        ({"source": np.array("[" * 100_000)}, "damaged"),
        ({"sizes_bytes": np.array([1.5, 2.5])}, "sizes_bytes"),
        ({"out_degrees": np.array([1, 2], dtype=np.uint32)}, "add up"),
        ({"out_degrees": np.array([1], dtype=np.uint32)}, "out-degrees of 1"),
        ({"targets": np.array([1 << 32], dtype=np.uint64)}, "32 bits"),
        ({"targets": np.array([7], dtype=np.uint32)}, "object 7"),
        ({"roots": np.array([object()])}, "damaged"),
        ({"address_steps": np.array([32, 16], dtype=np.uint8)}, "address_steps"),
        ({"address_steps": np.array([[32, 16]], dtype=np.uint64)}, "address_steps"),
        ({"address_steps": np.zeros((9, 2), dtype=np.uint8)}, "address_steps"),
        ({"address_steps": np.array([[32]], dtype=np.uint8)}, "addresses of 1"),
        ({"address_steps": np.array([[32, 0]], dtype=np.uint8)}, "two objects have the address 0x10"),
        ({"address_steps": np.zeros((0, 2), dtype=np.uint8)}, "object 0 has the address 0"),
    ],
)
def test_an_archive_that_holds_no_graph(change: dict[str, Any], word: str, tmp_path: Path) -> None:
    path = tmp_path / "x.graph.npz"
    np.savez(path, **contents())
    assert read(path).source.program == "p"
    np.savez(path, **contents(**change))
    with pytest.raises(GcBarrierError) as error:
        read(path)
    one_sentence(error, str(path), word, "gcbarrier import")


@pytest.mark.parametrize("name", list(contents()))
def test_an_archive_that_lacks_an_array(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.graph.npz"
    arrays = contents()
    del arrays[name]
    np.savez(path, **arrays)
    with pytest.raises(GcBarrierError) as error:
        read(path)
    one_sentence(error, str(path), repr(name))


def test_a_graph_with_addresses_is_a_file_that_earlier_versions_read(tmp_path: Path) -> None:
    path = tmp_path / "x.graph.npz"
    save(path, graph([[1], []], addresses=[4096, 48]))
    with np.load(path) as archive:  # those look for these five, and for nothing else
        assert str(archive["format"]) == "gcbarrier graph 1"
        assert set(archive.files) - {"address_steps"} == set(contents())


def test_addresses_of_a_real_heap_take_little_room(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    sizes = chance.choice([16, 24, 32, 48, 128], 100_000)
    starts = 0x7_0000_0000 + np.cumsum(sizes) + np.repeat(np.arange(4) << 33, 25_000)  # far apart: four spaces
    one = graph([[] for _ in sizes], sizes=sizes.tolist())
    other = graph([[] for _ in sizes], sizes=sizes.tolist(), addresses=starts.tolist())
    save(tmp_path / "without", one)
    save(tmp_path / "with", other)
    assert same(read(tmp_path / "with"), other)
    more = (tmp_path / "with").stat().st_size - (tmp_path / "without").stat().st_size
    assert more < len(sizes)  # less than a byte each, of eight


def test_objects_that_overlap_are_counted() -> None:
    starts, sizes = np.array([100, 10, 50, 40], dtype=np.uint64), np.array([8, 60, 10, 1], dtype=np.uint64)
    assert overlapping(starts, sizes) == 2  # 40 and 50, both within the one at 10
    assert overlapping(np.sort(starts), np.full(4, 10, dtype=np.uint64)) == 0


def test_something_else_than_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.graph.npz"
    with pytest.raises(GcBarrierError) as error:
        read(path)
    one_sentence(error, str(path), "No such file")
    with pytest.raises(GcBarrierError) as error:
        read(tmp_path)
    one_sentence(error, "irectory")
    for data in (b"", b"PK\x03\x04", b"{}", pickle.dumps({"a": 1}), bytes(range(256)) * 8):
        path.write_bytes(data)
        with pytest.raises(GcBarrierError) as error:
            read(path)
        one_sentence(error, str(path), "gcbarrier import")
    with path.open("wb") as file:
        np.save(file, np.arange(4))
    with pytest.raises(GcBarrierError) as error:
        read(path)
    one_sentence(error, "bare array")


@quick
@given(data=st.data())
def test_damaged_bytes_never_end_in_a_traceback(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "x.graph.npz"
    save(path, graph([[1, 2], [0], [2, 2]]))
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    for _ in range(data.draw(st.integers(0, 4)) if whole else 0):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        read(path)
    except GcBarrierError as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017 - it may also be harmless


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    example = graph([[]])
    for place in (tmp_path / "missing" / "x.graph.npz", tmp_path, Path("."), Path("/dev/null")):
        with pytest.raises(GcBarrierError) as error:
            save(place, example)
        one_sentence(error, "can't be written", str(place))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_save_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.graph.npz"
    before = graph([[0]])
    save(path, before)

    def interrupted(file: Any, **_arrays: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(path, graph([[], []]))
    assert [each.name for each in tmp_path.iterdir()] == ["x.graph.npz"]
    assert same(read(path), before)


def test_the_shipped_graph_is_a_real_one_and_says_whose() -> None:
    shipped = read(SHIPPED)
    assert shipped.node_count > 100_000
    assert shipped.edge_count > 3 * shipped.node_count
    assert SHIPPED.stat().st_size < 1_500_000
    assert shipped.source.program.startswith("TypeScript")
    assert shipped.source.version
    assert "writeHeapSnapshot" in shipped.source.command
