"""Importers: a snapshot becomes the graph it describes, and whatever is wrong with one ends in one sentence."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gcbarrier.commands import main
from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile, importers
from gcbarrier.graphs.importers import v8

NODE_FIELDS = ["type", "name", "id", "self_size", "edge_count", "trace_node_id"]
EDGE_TYPES = ["context", "element", "property", "internal", "hidden", "shortcut", "weak"]
STRONG, SHORTCUT, WEAK = 3, 5, 6

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

Edges = list[list[tuple[int, int]]]


def snapshot(edges: Edges, sizes: list[int] | None = None, node_fields: list[str] = NODE_FIELDS) -> dict[str, Any]:
    """A heap snapshot whose node ``i`` has the edges ``edges[i]``: pairs of an edge type and a node."""
    sizes = [8 * i for i in range(len(edges))] if sizes is None else sizes
    nodes: list[int] = []
    for i, (out, size) in enumerate(zip(edges, sizes, strict=True)):
        values = {"self_size": size, "edge_count": len(out), "id": 2 * i + 1}
        nodes += [values.get(field, 0) for field in node_fields]
    flat = [(kind, 7, to * len(node_fields)) for out in edges for kind, to in out]
    return {
        "snapshot": {
            "meta": {
                "node_fields": node_fields,
                "node_types": [["hidden"], "string", "number", "number", "number", "number"],
                "edge_fields": ["type", "name_or_index", "to_node"],
                "edge_types": [EDGE_TYPES, "string_or_number", "node"],
            },
            "node_count": len(edges),
            "edge_count": len(flat),
        },
        "nodes": nodes,
        "edges": [number for edge in flat for number in edge],
        "strings": ["", 'a string that says "edges":[1,2]', "\u20ac"],
    }


SMALL: Edges = [[(STRONG, 1), (WEAK, 3)], [(STRONG, 2), (STRONG, 2), (SHORTCUT, 0)], [(STRONG, 1)], [(STRONG, 0)]]


def written(folder: Path, contents: Any, name: str = "x.heapsnapshot") -> Path:
    path = folder / name
    if not isinstance(contents, bytes):
        contents = (contents if isinstance(contents, str) else json.dumps(contents)).encode()
    path.write_bytes(contents)
    return path


def refused(path: Path, *words: str) -> None:
    with pytest.raises(GcBarrierError) as error:
        importers.import_graph(path, "v8")
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500
    for word in (str(path), *words):
        assert word in text


def test_strong_references_only_in_their_order(tmp_path: Path) -> None:
    graph = v8.read(written(tmp_path, snapshot(SMALL)))
    assert graph.sizes_bytes.tolist() == [0, 8, 16, 24]
    assert graph.offsets.tolist() == [0, 1, 3, 4, 5]
    assert graph.targets.tolist() == [1, 2, 2, 1, 0]
    assert graph.roots.tolist() == [0]


def test_what_the_root_does_not_reach_is_dropped(tmp_path: Path) -> None:
    imported = importers.import_graph(written(tmp_path, snapshot(SMALL)))
    assert (imported.dropped_nodes, imported.dropped_bytes) == (1, 24)
    assert imported.graph.sizes_bytes.tolist() == [0, 8, 16]
    assert imported.graph.targets.tolist() == [1, 2, 2, 1]


def test_dropping_renumbers_what_stays(tmp_path: Path) -> None:
    edges: Edges = [[(STRONG, 4), (STRONG, 2)], [(STRONG, 0)], [], [(STRONG, 1)], [(STRONG, 2), (STRONG, 4)]]
    graph = importers.import_graph(written(tmp_path, snapshot(edges))).graph
    assert graph.sizes_bytes.tolist() == [0, 16, 32]
    assert graph.offsets.tolist() == [0, 2, 2, 4]
    assert graph.targets.tolist() == [2, 1, 1, 2]


@pytest.mark.parametrize("fields", [["edge_count", "self_size"], [*NODE_FIELDS, "detachedness"]])
def test_fields_are_found_by_name(fields: list[str], tmp_path: Path) -> None:
    graph = v8.read(written(tmp_path, snapshot(SMALL, node_fields=fields)))
    assert graph.sizes_bytes.tolist() == [0, 8, 16, 24]
    assert graph.targets.tolist() == [1, 2, 2, 1, 0]


def test_layout_of_the_text_and_size_of_the_pieces_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, json.dumps(snapshot(SMALL), indent=1) + "\n")
    shares: list[float] = []
    monkeypatch.setattr(v8, "_PIECE_BYTES", 5)
    graph = v8.read(path, shares.append)
    assert graph.targets.tolist() == [1, 2, 2, 1, 0]
    assert len(shares) > 5
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1


@st.composite
def edges_of_small_heaps(draw: st.DrawFn) -> Edges:
    nodes = draw(st.integers(1, 10))
    edge = st.tuples(st.integers(0, len(EDGE_TYPES) - 1), st.integers(0, nodes - 1))
    return draw(st.lists(st.lists(edge, max_size=4), min_size=nodes, max_size=nodes))


@quick
@given(edges=edges_of_small_heaps())
def test_import_agrees_with_a_plain_traversal(edges: Edges, tmp_path: Path) -> None:
    strong = [[to for kind, to in out if kind not in (WEAK, SHORTCUT)] for out in edges]
    reached, waiting = {0}, [0]
    while waiting:
        fresh = set(strong[waiting.pop()]) - reached
        reached |= fresh
        waiting += fresh
    order = sorted(reached)
    imported = importers.import_graph(written(tmp_path, snapshot(edges)))
    graph = imported.graph
    assert imported.dropped_nodes == len(edges) - len(order)
    assert graph.sizes_bytes.tolist() == [8 * i for i in order]
    assert [graph.targets[graph.offsets[i] : graph.offsets[i + 1]].tolist() for i in range(graph.node_count)] == [
        [order.index(to) for to in strong[i]] for i in order
    ]


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("snapshot",), None, "meta"),
        (("snapshot", "meta"), [], "meta"),
        (("snapshot", "node_count"), 5, "fewer"),
        (("snapshot", "node_count"), 3, "more"),
        (("snapshot", "node_count"), 10**30, "fewer"),
        (("snapshot", "node_count"), -1, "fewer"),
        (("snapshot", "node_count"), True, "node_count"),
        (("snapshot", "edge_count"), 4.0, "edge_count"),
        (("snapshot", "edge_count"), 1, "more"),
        (("snapshot", "meta", "node_fields"), ["type", "self_size"], "edge_count"),
        (("snapshot", "meta", "node_fields"), [1, 2], "node_fields"),
        (("snapshot", "meta", "edge_fields"), ["type"], "to_node"),
        (("snapshot", "meta", "edge_types"), [], "types of edges"),
        (("snapshot", "meta", "edge_types"), [[1], "", ""], "edge_types"),
        (("nodes",), {}, "nodes"),
        (("nodes", 3), 10**40, "bytes"),
        (("nodes", 3), -8, "whole numbers"),
        (("nodes", 3), 1.5, "whole numbers"),
        (("nodes", 3), [[[]]], "fewer"),
        (("nodes", 4), 1, "add up"),
        (("nodes", 4), 10**40, "add up"),
        (("edges", 2), 4 * 6, "lead to a node"),
        (("edges", 2), 1, "lead to a node"),
        (("edges", 2), 10**40, "lead to a node"),
        (("edges", 2), "1", "whole numbers"),
    ],
)
def test_a_snapshot_that_contradicts_itself(path: tuple[Any, ...], value: Any, word: str, tmp_path: Path) -> None:
    contents = snapshot(SMALL)
    record: Any = contents
    for step in path[:-1]:
        record = record[step]
    record[path[-1]] = value
    refused(written(tmp_path, contents), word)


@pytest.mark.parametrize(
    ("contents", "word"),
    [
        (b"", "empty"),
        (b"\x00\xff\xfe" * 100, "begin"),
        (b"PK\x03\x04", "begin"),
        (b"hello", "begin"),
        (b"[1, 2]", "begin"),
        (b"{}", "header"),
        (b'{"name": "x", "version": 1}', "header"),
        (b'{"snapshot":' + b"[" * 500_000, "header"),
        (b'{"snapshot":{"node_count":' + b"9" * 10_000 + b"}}", "header"),
        (json.dumps(snapshot([])).encode(), "no nodes"),
        (json.dumps(snapshot(SMALL)).replace("[3, ", "[3 ").encode(), "commas"),
        (json.dumps(snapshot(SMALL)).replace('"edges": [3,', '"edges": [3,,').encode(), "commas"),
    ],
)
def test_something_else_than_a_snapshot(contents: bytes, word: str, tmp_path: Path) -> None:
    refused(written(tmp_path, contents), word)


def test_a_snapshot_cut_short_anywhere(tmp_path: Path) -> None:
    whole = json.dumps(snapshot(SMALL)).encode()
    for length in range(0, len(whole), 7):
        refused(written(tmp_path, whole[:length]))


@quick
@given(data=st.data())
def test_damaged_bytes_never_end_in_a_traceback(data: st.DataObject, tmp_path: Path) -> None:
    damaged = bytearray(json.dumps(snapshot(SMALL)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"9" * 30, b"-1", b"[", b"]", b"{", b",", b'"nodes":[']))
        )
    try:
        importers.import_graph(written(tmp_path, bytes(damaged)))
    except GcBarrierError as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017 - it may also be harmless


def test_files_that_are_not_there_or_not_files(tmp_path: Path) -> None:
    refused(tmp_path / "missing.heapsnapshot", "No such file")
    refused(tmp_path, "irectory")
    hidden = written(tmp_path, snapshot(SMALL))
    hidden.chmod(0)
    if not os.access(hidden, os.R_OK):  # root reads everything
        refused(hidden, "ermission")


def test_formats_are_found_by_suffix_or_name(tmp_path: Path) -> None:
    path = written(tmp_path, snapshot(SMALL), "x.json")
    assert importers.import_graph(path, "v8").graph.node_count == 3
    with pytest.raises(GcBarrierError, match=r"\.heapsnapshot \(v8\).*--format"):
        importers.import_graph(path)
    with pytest.raises(GcBarrierError, match="did you mean 'v8'"):
        importers.import_graph(path, "v8s")


def test_one_more_file_is_one_more_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain_list.py").write_text(
        "import numpy as np\n"
        "from gcbarrier.graphs.graphfile import Graph\n"
        "NAME, SUFFIXES = 'plain-list', ('.plain',)\n"
        "def read(path, progress):\n"
        "    n = len(path.read_text().split())\n"
        "    return Graph(sizes_bytes=np.full(n, 16, np.uint64), offsets=np.zeros(n + 1, np.uint64),\n"
        "                 targets=np.zeros(0, np.uint32), roots=np.arange(n, dtype=np.uint32))\n"
    )
    monkeypatch.setattr(importers, "__path__", [*importers.__path__, str(tmp_path)])
    assert sorted(importers.importers()) == ["cpython", "hprof", "hwgc", "plain-list", "v8"]
    assert importers.import_graph(written(tmp_path, "a b c", "x.plain")).graph.node_count == 3
    (tmp_path / "broken.py").write_text("NAME = 1 +\n")
    with pytest.raises(GcBarrierError, match=r"broken\.py"):
        importers.importers()


def test_the_command_writes_a_graph_and_says_how_to_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, snapshot(SMALL), "my app.heapsnapshot")
    assert main(["import", str(path), "--program-version", "2", "--tool", "Node.js 1", "--captured-by", "run it"]) == 0
    out = tmp_path / "my app.graph.npz"
    graph = graphfile.read(out)
    assert graph.node_count == 3
    assert graph.source == graphfile.Source(program="my app", version="2", tool="Node.js 1", command="run it")
    printed = capsys.readouterr()
    assert f"gcbarrier run pause_times --set heap=snapshot --set 'snapshot.graph={out}'" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize(
    "arguments",
    [["x.heapsnapshot"], ["bad.heapsnapshot"], ["."], ["good.heapsnapshot", "--out", "."],
     ["good.heapsnapshot", "--out", "good.heapsnapshot"], ["good.heapsnapshot", "--out", "none/x.npz"],
     ["good.heapsnapshot", "--format", "v9"]],
)  # fmt: skip
def test_the_command_fails_in_one_sentence_and_leaves_nothing(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = written(tmp_path, snapshot(SMALL), "good.heapsnapshot").read_bytes()
    written(tmp_path, good[:300], "bad.heapsnapshot")
    assert main(["import", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bad.heapsnapshot", "good.heapsnapshot"]
    assert (tmp_path / "good.heapsnapshot").read_bytes() == good
