"""The stream that a Python program writes its heap down in: what graph it becomes, and what is refused."""

import struct
from pathlib import Path

import pytest
from python_heaps import SMALL, stream

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile, importers
from gcbarrier.graphs.graphfile import Graph
from gcbarrier.graphs.importers import cpython


def written(folder: Path, data: bytes) -> Path:
    path = folder / "x.pyheap"
    path.write_bytes(data)
    return path


def read(folder: Path, data: bytes) -> Graph:
    return cpython.read(written(folder, data))


@pytest.mark.parametrize("pieces", [[SMALL], [SMALL[:2], SMALL[2:]], [[each] for each in SMALL]], ids=len)
def test_objects_are_in_the_order_of_their_addresses_however_they_came(tmp_path: Path, pieces: list[list]) -> None:  # type: ignore[type-arg]
    graph = read(tmp_path, stream(pieces))
    assert graph.addresses is not None
    assert graph.addresses.tolist() == [0x1030, 0x1050, 0x2010, 0x3000, 0x3010]
    assert graph.sizes_bytes.tolist() == [24, 32, 64, 16, 16]
    assert graph.offsets.tolist() == [0, 1, 1, 3, 4, 5], "a reference to what is not there is none"
    assert graph.targets.tolist() == [1, 0, 0, 4, 3]
    assert graph.source.tool == "CPython 3.12.1, after 1.50 s"


def test_roots_are_what_is_held_more_often_than_by_objects(tmp_path: Path) -> None:
    assert read(tmp_path, stream([SMALL])).roots.tolist() == [2]
    more = [(*each[:3], each[3] + (each[0] == 96), each[4]) for each in SMALL]
    assert read(tmp_path, stream([more])).roots.tolist() == [2, 3]  # type: ignore[list-item]


def test_garbage_is_dropped_and_the_file_keeps_addresses(tmp_path: Path) -> None:
    imported = importers.import_graph(written(tmp_path, stream([SMALL])))
    assert (imported.dropped_nodes, imported.dropped_bytes) == (2, 32)
    graphfile.save(tmp_path / "x.graph.npz", imported.graph)
    again = graphfile.read(tmp_path / "x.graph.npz")
    assert again.addresses is not None
    assert again.addresses.tolist() == [0x1030, 0x1050, 0x2010]


def test_cut_anywhere_it_is_refused(tmp_path: Path) -> None:
    whole = stream([SMALL[:3], SMALL[3:]])
    for length in range(len(whole)):
        with pytest.raises(GcBarrierError) as error:
            read(tmp_path, whole[:length])
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (stream([SMALL], totals=(5, 5)), "its end speaks of other numbers"),
        (stream([SMALL]) + b"x", "something follows its end"),
        (stream([SMALL, SMALL[:1]]), "an object is in it twice"),
        (stream([]), "it has 0 objects"),
        (stream([[(1, 0, 8, 1, [])]]), "object 0 has the address 0"),
        (stream([[(1, 8, 8, 1, []), (2, 8, 8, 1, [])]]), "two objects have the address 0x8"),
        (stream([[(1, 8, 1 << 60, 1, [])]]), "it has an object of 1152921504606846976 bytes"),
        (stream([[(1, (1 << 64) - 8, 64, 1, [])]]), "ends after the last address"),
        (stream([[(1, 8, 8, 0, [])]]), "it has no roots"),
        (stream([SMALL], text="version \x1b[2J\n"), "its text is none"),
        (b"gcbarrier python heap 2\n" + bytes(99), "it does not begin with"),
        (stream([])[:-24] + struct.pack("<QQ", 1 << 61, 1 << 61), "it promises 2305843009213693952 objects"),
        (stream([SMALL])[:24] + struct.pack("<Q", 7) + bytes(99), "its text has 7 bytes"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(GcBarrierError, match="is not a Python heap that can be used") as error:
        read(tmp_path, data)
    assert sentence in str(error.value)


def test_degrees_that_only_add_up_by_going_round_are_refused(tmp_path: Path) -> None:
    columns = [1, 2, 8, 16, 8, 8, 1, 1, (1 << 64) - 1, 2]
    data = stream([])[:-24] + struct.pack("<14Q", 2, 1, *columns, 1, 0) + struct.pack("<2Q", 2, 1)
    with pytest.raises(GcBarrierError, match="are not the 1 that follow"):
        read(tmp_path, data)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(GcBarrierError, match="can't be read: No such file or directory; check the path"):
        cpython.read(tmp_path / "none.pyheap")
