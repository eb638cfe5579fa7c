"""A graph's pages beside those that the same process stored to, counted by hand."""

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from gcbarrier.bench.locality import of_graph
from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile, shipped
from gcbarrier.graphs.graphfile import Graph
from gcbarrier.page_traces.pagesfile import Writer

PAGE = 4096


def graph_file(folder: Path, **change: Any) -> str:
    """Objects begin on the pages 16, 17 and 20."""
    graph = Graph(
        sizes_bytes=np.array([32, 8192, 32], dtype=np.uint64),
        offsets=np.array([0, 2, 2, 3], dtype=np.uint64),
        targets=np.array([1, 2, 2], dtype=np.uint32),
        roots=np.array([0], dtype=np.uint32),
        addresses=np.array([16 * PAGE, 17 * PAGE + 8, 20 * PAGE], dtype=np.uint64),
    )
    path = folder / "app.graph.npz"
    graphfile.save(path, attrs.evolve(graph, **change))
    return str(path)


def recording(folder: Path, *processes: list[list[int]]) -> str:
    """Of each process the pages of each tick, which is a second."""
    path = folder / "app.pages"
    with Writer(path, command=["app"], every_ns=10**9, tracker="uffd-wp-async", facts={}) as writer:
        for pid, ticks in enumerate(processes, 1):
            number = writer.begin(pid=pid, parent_pid=None, began="start", command=["app"])
            for tick, pages in enumerate(ticks):
                runs = np.array([[page * PAGE, (page + 1) * PAGE] for page in pages], dtype=np.uint64).reshape(-1, 2)
                at = {"begin_ns": tick * 10**9, "end_ns": (tick + 1) * 10**9}
                writer.tick(number, **at, collect_ns=0, cpu_ns=0, faults=0, runs=runs)
            writer.end(number, ended="exit 0", mappings=())
        writer.close()
    return str(path)


def readings(**arguments: Any) -> dict[str, float]:
    return {each.what: each.value for each in of_graph(None, **arguments)}  # type: ignore[arg-type]


def test_a_graph_by_itself(tmp_path: Path) -> None:
    found = readings(graph=graph_file(tmp_path))
    assert found == {
        "placed": 1,
        "objects": 3,
        "references": 3,
        "bytes": 8256,
        "pages": 5,
        "marked-pages": 3,
        "bitmap-pages": 1,
        "objects-a-page": 1,
        "references-a-page": 0.6,
        "spanning": pytest.approx(1 / 3),
        "on-page": pytest.approx(1 / 3),
        "on-huge": 1,
    }


def test_the_middle_half_of_pages_counts_those_without_references(tmp_path: Path) -> None:
    path = graph_file(tmp_path)
    (reading,) = (each for each in of_graph(None, graph=path) if each.what == "references-a-page")  # type: ignore[arg-type]
    # 2, 0, 0, 0 and 1
    assert (reading.low, reading.value, reading.high, reading.samples) == (0, 0.6, 1, 5)


def test_a_vast_object_is_no_trouble(tmp_path: Path) -> None:
    sizes = np.array([32, 1 << 40, 32], dtype=np.uint64)
    addresses = np.array([16 * PAGE, 17 * PAGE, 1 << 52], dtype=np.uint64)
    found = readings(graph=graph_file(tmp_path, sizes_bytes=sizes, addresses=addresses))
    assert found["pages"] == 2 + (1 << 40) // PAGE


def test_without_memory_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_left(*_args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gcbarrier.bench.locality.locality", nothing_left)
    with pytest.raises(GcBarrierError, match="does not fit in memory"):
        readings(graph=graph_file(tmp_path))


def test_marks_and_stores_share_pages(tmp_path: Path) -> None:
    # The other process wrote more, and nothing of the graph.
    files = {"graph": graph_file(tmp_path), "recording": recording(tmp_path, [[16, 18], [], [17, 99]], [[7, 8, 9, 10]])}
    found = readings(**files)
    assert found["stored-pages"] == 4
    assert found["stored-of-marked"] == pytest.approx(2 / 3)
    assert found["marked-of-stored"] == 0.5
    assert found["marked-of-a-tick"] == 0.5, "of those that wrote at all"
    found = readings(**files, until_s=2)
    assert (found["stored-pages"], found["marked-of-stored"]) == (2, 0.5)
    assert found["stored-of-marked"] == pytest.approx(1 / 3)


def test_a_recording_of_another_process_is_refused(tmp_path: Path) -> None:
    other = recording(tmp_path, [[16, 1016, 1017]])
    with pytest.raises(GcBarrierError, match="has 1 of the graph's 3 pages: it is of another process"):
        readings(graph=graph_file(tmp_path), recording=other)


def test_a_graph_without_addresses_has_none_to_look_for(tmp_path: Path) -> None:
    path = graph_file(tmp_path, addresses=None)
    assert readings(graph=path)["placed"] == 0
    with pytest.raises(GcBarrierError, match="has no addresses to look for in a recording"):
        readings(graph=path, recording=recording(tmp_path, [[16]]))


@pytest.mark.parametrize("name", shipped.names())
def test_what_comes_along_is_whole(name: str) -> None:
    graph = graphfile.read(shipped.find(name))
    assert (graph.addresses is None) == (name == "typescript")
    assert graph.source.program


def test_the_shipped_recording_is_of_the_shipped_graph() -> None:
    assert "cpython" in shipped.names()
    found = readings(graph="cpython")
    assert found["stored-of-marked"] > 0.9, "each use of an object stores to its reference count"


@pytest.mark.parametrize("name", ["", "nobody", "no/such.graph.npz"])
def test_a_graph_that_is_not_there(name: str) -> None:
    with pytest.raises(
        GcBarrierError, match=r"there is no graph .*name one that came along \(cpython, jvm, typescript"
    ):
        shipped.find(name)
    assert shipped.recording_of(name) is None
