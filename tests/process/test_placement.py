"""The snapshot heap in the order of a program's addresses: checked like every heap."""

from collections.abc import Callable
from pathlib import Path

import pytest
from places import SUPPORT
from verified import MIB, found_nothing, one, to_verify

from gcbarrier import barriers
from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile, importers
from gcbarrier.model import evolve


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of a Java heap."""
    path = tmp_path_factory.mktemp("java") / "java.graph.npz"
    graphfile.save(path, importers.import_graph(SUPPORT / "java" / "heap.hprof.gz").graph)
    return path


@pytest.mark.parametrize(
    ("barrier", "mutators", "sanitizers"),
    [("none", 1, ""), ("cards", 2, ""), ("satb", 1, "address,undefined"), ("uffd-wp-async", 2, "address,undefined")],
)
def test_a_heap_in_order_of_addresses_is_checked(
    barrier: str,
    mutators: int,
    sanitizers: str,
    java: Path,
    needs: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs(*barriers.promises_of(barrier).needs)
    if sanitizers:
        monkeypatch.setenv("GCBARRIER_SANITIZE", sanitizers)
    config = to_verify("snapshot", barrier, mutators)
    params = {"rate_per_s": 0, "graph": str(java), "copies": 3 * mutators}
    outcome = one(evolve(config, heap_bytes=16 * MIB, heap_params=params))
    found_nothing(outcome)


def test_addresses_that_a_graph_has_not_are_refused_before_anything_runs(tmp_path: Path) -> None:
    graph = importers.import_graph(SUPPORT / "java" / "heap.hprof.gz").graph
    path = tmp_path / "without.graph.npz"
    graphfile.save(path, evolve(graph, addresses=None))
    config = to_verify("snapshot", "none")
    params = {"graph": str(path), "placement": "address"}
    with pytest.raises(GcBarrierError, match="placement=breadth-first"):
        one(evolve(config, heap_params=params))
