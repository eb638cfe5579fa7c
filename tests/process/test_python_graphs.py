"""``gcbarrier import --python``: a program of known structure is found in its graph."""

from pathlib import Path

import numpy as np
import pytest
from captured import PYTHONS, captured, of_degree, program, referred, run

from gcbarrier.graphs import graphfile

STRUCTURE = """
    class Node:
        __slots__ = ("next", "value")

    class Sized:
        def __sizeof__(self):
            print("asked")
            return 7

    first = None
    for number in range(1000):
        node = Node()
        node.next, node.value = first, 1.5 * number
        first = node
    ring = []
    ring.append(ring)
    table = {f"key {number}": 0.5 + number for number in range(700)}
    array = [float(number) for number in range(5003)]
    some = {float(number) for number in range(907)}
    pair = (None, array)
    sized = [Sized() for _ in range(611)]
"""


@pytest.mark.parametrize("version", PYTHONS)
def test_a_known_structure_is_in_the_graph(version: str, tmp_path: Path) -> None:
    done = run(tmp_path, PYTHONS[version], program(tmp_path, STRUCTURE))
    assert (done.returncode, done.stdout) == (0, ""), "nothing of the program's own is called"
    graph = graphfile.read(tmp_path / "x.graph.npz")
    assert graph.addresses is not None
    degrees = graph.out_degrees()
    # A list, its array, and the floats.
    (array,) = of_degree(graph, 5003)
    assert graph.sizes_bytes[array] >= 8 * 5003
    (owner,) = np.flatnonzero([array in referred(graph, node) for node in of_degree(graph, 1)])
    assert graph.sizes_bytes[of_degree(graph, 1)[owner]] == 16 + 40
    assert set(graph.sizes_bytes[referred(graph, array)]) == {24}
    # Keys and values of a dict in one table, which is all that its owner refers to.
    (table,) = of_degree(graph, 1400)
    assert graph.sizes_bytes[table] >= 700 * 16
    assert len(of_degree(graph, 907)) == 1
    # The chain: each node has its class (from 3.9 on), the next one and its value.
    floats = {node for node in of_degree(graph, 0) if graph.sizes_bytes[node] == 24}
    nodes = {
        node
        for node in np.flatnonzero((graph.sizes_bytes == 48) & (degrees >= 2) & (degrees <= 3)).tolist()
        if floats & set(referred(graph, node))
    }
    chained = {target for node in nodes for target in referred(graph, node) if target in nodes}
    assert len(nodes) == 1000
    assert len(chained) == 999
    # And a list that holds itself.
    assert any(
        referred(graph, part) == [node]
        for node in of_degree(graph, 1)
        for part in referred(graph, node)
        if graph.sizes_bytes[node] == 56
    )


def test_addresses_are_where_python_says_objects_are(tmp_path: Path) -> None:
    text = """
        import sys
        one, table, text = [None] * 777, {}, "a text of its own"
        class Plain: pass
        plain = Plain()
        print(id(one), id(text), id(plain), sys.getsizeof(text), sys.getsizeof(plain))
        Plain.__slots__ = one, text
    """
    done = run(tmp_path, program(tmp_path, text))
    one, text_at, plain, text_bytes, plain_bytes = map(int, done.stdout.split())
    graph = graphfile.read(tmp_path / "x.graph.npz")
    assert graph.addresses is not None
    by_address = dict(zip(graph.addresses.tolist(), graph.sizes_bytes.tolist(), strict=True))
    assert by_address[one - 16] == 56, "behind the collector's header"
    assert by_address[text_at] == text_bytes, "which texts have none of"
    before = [each for each in (16, 32) if plain - each in by_address]
    assert len(before) == 1
    assert by_address[plain - before[0]] == plain_bytes


def test_what_captures_is_not_in_the_graph(tmp_path: Path) -> None:
    text = """
        import atexit, gc
        def look():
            for each in gc.get_objects():
                code = getattr(each, "__code__", None)
                if code is not None and "sitecustomize" in code.co_filename and "captures" in code.co_filename:
                    print(id(each), id(each.__globals__))
        atexit.register(look)
    """
    done = run(tmp_path, program(tmp_path, text))
    ours = {int(word) for word in done.stdout.split()}
    assert len(ours) > 2, "it is there, and waits"
    graph = graphfile.read(tmp_path / "x.graph.npz")
    assert graph.addresses is not None
    assert not {each - 16 for each in ours} & set(graph.addresses.tolist())


def test_what_was_frozen_is_there(tmp_path: Path) -> None:
    graph = captured(tmp_path, "-c", "import gc; x = [[] for _ in range(4001)]; gc.freeze()")
    (array,) = of_degree(graph, 4001)
    assert len(set(referred(graph, array))) == 4001


def test_garbage_that_no_collection_has_found_is_dropped(tmp_path: Path) -> None:
    text = "import gc; gc.disable(); x = [None] * 4001; x.append(x); y = [None] * 4003; del x"
    graph = captured(tmp_path, "-c", text)
    assert [len(of_degree(graph, count)) for count in (4002, 4003)] == [0, 1]
