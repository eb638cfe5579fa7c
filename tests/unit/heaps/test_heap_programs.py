"""The shipped heaps' Python side: parameters, sizes, and the tables that mutator.c builds a snapshot from."""

import ast
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile
from gcbarrier.graphs.graphfile import Graph
from gcbarrier.plugins import discovery

MIB = 1 << 20
HEAPS = ("allocate", "bursts", "gcbench", "graph_edits", "requests", "snapshot")
AUTOMATIC = {
    "allocate": ("references", "tables"),
    "bursts": ("groups",),
    "gcbench": ("stretch_depth", "long_lived_depth", "array_doubles", "max_depth"),
    "graph_edits": ("nodes",),
    "requests": ("records",),
    "snapshot": ("copies",),
}


def heap(name: str) -> ModuleType:
    return discovery.module("heaps", name)


def made(name: str, *, heap_mib: int = 64, mutators: int = 1, **params: Any) -> Any:
    """Resolved and checked parameters."""
    module, size = heap(name), {"heap_bytes": heap_mib * MIB, "mutators": mutators}
    resolved = module.resolve(module.Params(**params), **size)
    module.check(resolved, **size)
    return resolved


def tables(blob: Any) -> dict[str, np.ndarray]:
    """The blob, taken apart like mutator.c does."""
    data = np.asarray(blob).tobytes()
    names = ("objects", "references", "pages", "free_slots", "leaf_slots", "fixed", "garbage", "most_references",
             "by_address")  # fmt: skip
    counts = np.frombuffer(data, np.uint64, len(names)).astype(np.int64)
    n = dict(zip(names, (int(count) for count in counts), strict=True))
    found = {"counts": counts, "starts": np.frombuffer(data, np.uint64, n["objects"] + 1, 72).astype(np.int64)}
    at = 72 + 8 * (n["objects"] + 1)
    for name, length in (
        ("order", n["objects"]),
        ("targets", n["references"]),
        ("raw_words", n["objects"]),
        ("parents", n["objects"]),
        ("parent_slots", n["objects"]),
        ("free_starts", n["pages"] + 1),
        ("free_owners", n["free_slots"]),
        ("free_indices", n["free_slots"]),
        ("leaf_starts", n["pages"] + 1),
        ("leaf_owners", n["leaf_slots"]),
        ("leaf_indices", n["leaf_slots"]),
        ("fixed", n["fixed"]),
        ("garbage", n["garbage"]),
    ):
        found[name] = np.frombuffer(data, np.uint32, length, at).astype(np.int64)
        at += 4 * length
    assert at == len(data)
    return found


def graph_of(
    references: list[list[int]],
    roots: list[int],
    sizes: list[int] | None = None,
    addresses: list[int] | None = None,
) -> Graph:
    return Graph(
        sizes_bytes=np.array(sizes or [16] * len(references), dtype=np.uint64),
        offsets=np.cumsum([0, *map(len, references)]).astype(np.uint64),
        targets=np.array([target for each in references for target in each], dtype=np.uint32),
        roots=np.array(roots, dtype=np.uint32),
        addresses=None if addresses is None else np.array(addresses, dtype=np.uint64),
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    nodes = draw(st.integers(1, 12))
    node = st.integers(0, nodes - 1)
    references = draw(st.lists(st.lists(node, max_size=5), min_size=nodes, max_size=nodes))
    sizes = draw(st.lists(st.integers(0, 20_000), min_size=nodes, max_size=nodes))
    address = st.integers(1, 1 << 40)
    addresses = draw(st.none() | st.lists(address, min_size=nodes, max_size=nodes, unique=True))
    return graph_of(references, draw(st.lists(node, min_size=1, max_size=3)), sizes, addresses)


@pytest.mark.parametrize("name", [*HEAPS, "trace"])
def test_every_parameter_has_a_default_and_says_what_it_means(name: str) -> None:
    assert discovery.summary("heaps", name).endswith(".")
    cls = heap(name).Params
    cls()
    tree = ast.parse(discovery.find("heaps", name).read_text())
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Params")
    explained = {
        field.target.id
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)
    }
    for field in attrs.fields(cls):
        assert field.type in (int, float, bool, str), field.name
        assert field.validator is not None, field.name
        assert field.name in explained, field.name


@pytest.mark.parametrize("name", HEAPS)
@pytest.mark.parametrize(("heap_mib", "mutators"), [(64, 1), (128, 2), (1024, 1), (1024, 8), (8192, 3)])
def test_automatic_values_fit_the_heap_and_are_concrete(name: str, heap_mib: int, mutators: int) -> None:
    params = made(name, heap_mib=heap_mib, mutators=mutators)
    assert all(getattr(params, field) > 0 for field in AUTOMATIC[name])
    size = {"heap_bytes": heap_mib * MIB, "mutators": mutators}
    assert heap(name).resolve(params, **size) == params


@pytest.mark.parametrize("name", HEAPS)
def test_given_values_stay(name: str) -> None:
    given_values = dict.fromkeys(AUTOMATIC[name], 5)
    if name == "graph_edits":
        given_values["nodes"] = 1000
    if name == "bursts":
        given_values |= {"groups": 1000, "pages": 100}
    params = made(name, heap_mib=512, **given_values)
    assert {field: getattr(params, field) for field in given_values} == given_values


@pytest.mark.parametrize("name", [name for name in HEAPS if name != "bursts"])
@pytest.mark.parametrize("mutators", [1, 2])
def test_live_bytes_make_the_same_program_in_a_heap_of_any_size(name: str, mutators: int) -> None:
    live_bytes = 50 * MIB
    small = made(name, heap_mib=150, mutators=mutators, live_bytes=live_bytes)
    assert made(name, heap_mib=1024, mutators=mutators, live_bytes=live_bytes) == small
    share = heap(name).Params().live_share
    by_share = made(name, heap_mib=1024, mutators=mutators, live_share=live_bytes / (1024 * MIB))
    assert made(name, heap_mib=1024, mutators=mutators) != small
    # What lives is what a share of so many bytes would be; of gcbench the other trees follow too.
    differing = {field for field in AUTOMATIC[name] if getattr(small, field) != getattr(by_share, field)}
    assert differing <= {"stretch_depth", "max_depth"}
    whole = made(name, heap_mib=round(live_bytes / share / MIB), mutators=mutators)
    for field in AUTOMATIC[name]:
        assert getattr(whole, field) == pytest.approx(getattr(small, field), rel=0.01), field


@pytest.mark.parametrize("share", [0.1, 0.35, 0.7])
def test_gcbench_takes_its_share(share: float) -> None:
    module = heap("gcbench")
    for heap_mib, mutators in ((64, 1), (512, 3)):
        p = made("gcbench", heap_mib=heap_mib, mutators=mutators, live_share=share)
        live = mutators * (module.NODE_BYTES * ((2 << p.long_lived_depth) - 1) + 8 * p.array_doubles)
        assert live == pytest.approx(share * heap_mib * MIB, rel=0.01)


def test_graph_edits_takes_its_share() -> None:
    p = made("graph_edits", heap_mib=256, mutators=3, live_share=0.5, object_bytes=128)
    assert p.nodes % 3 == 0
    assert p.nodes * 128 == pytest.approx(128 * MIB, rel=0.001)


def test_snapshot_fills_its_share_with_copies() -> None:
    p = made("snapshot", heap_mib=1024)
    copy_bytes = 1024 * MIB * 0.4 / p.copies
    assert 20 * MIB < copy_bytes < 27 * MIB
    assert made("snapshot", heap_mib=64).copies == 1


def test_graphs_that_come_along_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert made("snapshot", heap_mib=1024, graph="typescript") == attrs.evolve(
        made("snapshot", heap_mib=1024), graph="typescript"
    )
    copies = {name: made("snapshot", heap_mib=1024, graph=name).copies for name in ("cpython", "jvm", "typescript")}
    assert len(set(copies.values())) > 1
    with pytest.raises(GcBarrierError, match="nobody can't be read: No such file or directory"):
        made("snapshot", heap_mib=64, graph="nobody")


@pytest.mark.parametrize(
    ("name", "heap_mib", "mutators", "params", "remedy"),
    [
        ("bursts", 16, 1, {"groups": 4000}, "use fewer"),
        ("bursts", 16, 1, {"pages": 3824}, "larger heap or fewer pages"),
        ("bursts", 16, 4, {"pages": 3}, "use more pages"),
        ("gcbench", 64, 1, {"long_lived_depth": 22}, "smaller depths"),
        ("gcbench", 64, 1, {"stretch_depth": 21}, "at least 143 MiB"),
        ("gcbench", 64, 1, {"min_depth": 6, "max_depth": 5}, "raise max_depth"),
        ("gcbench", 1, 64, {}, "fewer mutators"),
        ("graph_edits", 64, 1, {"object_bytes": 72}, "object_bytes=80"),
        ("graph_edits", 64, 1, {"references": 7}, "at least 80 bytes"),
        ("graph_edits", 64, 1, {"move_share": 0.7, "replace_share": 0.5}, "sum at most 1"),
        ("graph_edits", 64, 1, {"nodes": 15}, "larger heap"),
        ("graph_edits", 64, 1, {"nodes": 2_000_000}, "at least 136 MiB"),
        ("graph_edits", 1, 16, {}, "or less live_share"),
        ("graph_edits", 16, 8, {"ring": 100_000}, "less live_share, nodes or ring"),
        ("snapshot", 64, 1, {"move_share": 0.7, "replace_share": 0.5}, "sum at most 1"),
        ("snapshot", 16, 1, {}, "use a heap of at least"),
        ("snapshot", 64, 2, {}, "fewer mutators"),
        ("snapshot", 64, 1, {"copies": 3}, "fewer copies"),
        ("snapshot", 64, 1, {"graph": "nowhere.graph.npz"}, "gcbarrier import"),
        ("snapshot", 64, 1, {"placement": "address"}, "placement=breadth-first"),
    ],
)
def test_what_cannot_run_is_refused_with_a_remedy(
    name: str, heap_mib: int, mutators: int, params: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(GcBarrierError) as caught:
        made(name, heap_mib=heap_mib, mutators=mutators, **params)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_heap_that_an_error_asks_for_is_large_enough() -> None:
    made("gcbench", heap_mib=143, stretch_depth=21)
    made("graph_edits", heap_mib=136, nodes=2_000_000)
    for heap_mib, mutators in ((16, 1), (64, 2), (64, 7)):
        with pytest.raises(GcBarrierError) as caught:
            made("snapshot", heap_mib=heap_mib, mutators=mutators)
        made("snapshot", heap_mib=int(str(caught.value).split("at least ")[1].split(" MiB")[0]), mutators=mutators)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("gcbench", {"live_share": 0.0}),
        ("gcbench", {"max_depth": 31}),
        ("graph_edits", {"references": 1}),
        ("graph_edits", {"hot_share": 0.0}),
        ("graph_edits", {"garbage_per_edit": -1.0}),
        ("snapshot", {"ring": 0}),
        ("snapshot", {"zipf": -0.5}),
        ("snapshot", {"placement": "random"}),
    ],
)
def test_values_out_of_range_are_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        heap(name).Params(**params)


def test_a_plan_is_breadth_first_behind_the_roots() -> None:
    # 3 is a root and refers to 1 twice; 0 is not reached.
    plan = heap("snapshot").plan_of(graph_of([[1], [2], [1], [1, 1, 3]], [3, 3]))
    assert plan.starts.tolist() == [0, 1, 4, 5, 6]
    assert plan.targets.tolist() == [1, 2, 2, 1, 3, 2]
    assert plan.parents.tolist() == [0, 0, 1, 2]
    assert plan.parent_slots.tolist() == [0, 0, 0, 0]
    assert plan.movable.tolist() == [False, False, False, True]
    assert plan.raw_words.tolist() == [1, 1, 1, 1]


@given(graphs())
def test_every_object_is_kept_by_one_before_it(graph: Graph) -> None:
    plan = heap("snapshot").plan_of(graph)
    objects = np.arange(len(plan.parents))
    assert (plan.parents[1:] < objects[1:]).all()
    assert (plan.targets[plan.starts[plan.parents[1:]] + plan.parent_slots[1:]] == objects[1:]).all()
    assert (np.bincount(plan.targets, minlength=len(objects))[plan.movable] == 1).all()
    assert not plan.movable[plan.parents].any()
    assert not plan.movable[0]
    assert (plan.raw_words >= 1).all()


def test_a_plan_knows_the_order_of_addresses_of_what_is_reached() -> None:
    plan = heap("snapshot").plan_of(graph_of([[1], [2], [1], [1, 1, 3]], [3, 3], addresses=[10, 50, 40, 70]))
    assert plan.by_address.tolist() == [0, 3, 2, 1]  # the table of roots, then 2, 1 and 3, as they are numbered
    assert heap("snapshot").plan_of(graph_of([[]], [0])).by_address is None


def test_the_order_of_allocation_is_by_address_where_there_are_addresses(tmp_path: Path) -> None:
    references, sizes, size = [[1, 2], [2], []], [48, 32, 16], {"heap_bytes": 64 * MIB, "mutators": 1}
    for name, addresses in (("with", [4096, 16, 320]), ("without", None)):
        graphfile.save(tmp_path / f"{name}.graph.npz", graph_of(references, [0], sizes, addresses))
    without = made("snapshot", graph=str(tmp_path / "without.graph.npz"))
    assert without.placement == "breadth-first"
    assert tables(heap("snapshot").blob(without, **size))["order"].tolist() == [0, 1, 2, 3]
    placed = made("snapshot", graph=str(tmp_path / "with.graph.npz"))
    assert placed.placement == "address"
    found = tables(heap("snapshot").blob(placed, **size))
    assert found["order"].tolist() == [0, 2, 3, 1]
    assert found["counts"][-1] == 1
    chosen = made("snapshot", graph=str(tmp_path / "with.graph.npz"), placement="breadth-first")
    again = tables(heap("snapshot").blob(chosen, **size))
    assert again["order"].tolist() == [0, 1, 2, 3]
    assert again["counts"][-1] == 0
    assert {name: table.tolist() for name, table in found.items() if name not in ("counts", "order")} == {
        name: table.tolist() for name, table in again.items() if name not in ("counts", "order")
    }  # all else is the same, for it is all on one page


@pytest.mark.parametrize("placement", ["address", "breadth-first"])
@settings(deadline=None)
@given(graph=graphs())
def test_tables_name_each_slot_that_may_be_edited_once(placement: str, graph: Graph) -> None:
    module = heap("snapshot")
    plan = module.plan_of(graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_plan", lambda _params: plan)
        params = module.Params(copies=1, placement=placement)
        found = tables(module.blob(params, heap_bytes=64 * MIB, mutators=1))
    degrees = np.diff(plan.starts)
    tree = {(int(owner), int(slot)) for owner, slot in zip(plan.parents[1:], plan.parent_slots[1:], strict=True)}
    every = {(owner, slot) for owner, degree in enumerate(degrees) for slot in range(degree)}
    free = list(zip(found["free_owners"].tolist(), found["free_indices"].tolist(), strict=True))
    leaves = list(zip(found["leaf_owners"].tolist(), found["leaf_indices"].tolist(), strict=True))
    assert sorted(free) == sorted((o, s) for o, s in every - tree if not plan.movable[o])
    assert sorted(leaves) == sorted((o, s) for o, s in tree if plan.movable[plan.targets[plan.starts[o] + s]])
    assert not plan.movable[found["fixed"]].any()
    assert len(found["fixed"]) + plan.movable.sum() == len(plan.parents)
    assert (found["garbage"] > 0).all()
    assert len(found["garbage"]) > 0
    # Each entry stands under the page that its slot would lie on.
    order = found["order"]
    assert sorted(order) == list(range(len(plan.parents)))
    assert order[0] == 0
    starts_bytes = np.empty(len(order), dtype=np.int64)
    starts_bytes[order] = np.cumsum(plan.sizes_bytes[order]) - plan.sizes_bytes[order]
    for kind in ("free", "leaf"):
        pages = np.repeat(np.arange(len(found[f"{kind}_starts"]) - 1), np.diff(found[f"{kind}_starts"]))
        at = starts_bytes[found[f"{kind}_owners"]] + 8 + 8 * found[f"{kind}_indices"]
        assert (at // 4096 == pages).all()


def test_the_shipped_graph_is_whole_and_the_default() -> None:
    module = heap("snapshot")
    graph = graphfile.read(discovery.find("heaps", "snapshot").with_name("typescript.graph.npz"))
    p = made("snapshot")
    found = tables(module.blob(p, heap_bytes=64 * MIB, mutators=1))
    # One object more, which refers to the roots.
    assert found["counts"][0] == graph.node_count + 1
    assert found["counts"][1] == graph.edge_count + len(graph.roots)
    assert 8 * (found["counts"][0] + found["counts"][1] + found["raw_words"].sum()) >= graph.total_bytes
    assert len(found["leaf_owners"]) > 50_000
    assert len(found["free_owners"]) > 400_000
    assert graph.source.version in module.__doc__
    assert graph.source.command.splitlines()[-1].strip() in module.__doc__


def test_another_graph_is_taken_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "small.graph.npz"
    graphfile.save(path, graph_of([[1, 2], [2], []], [0]))
    p = made("snapshot", graph=str(path), copies=4, mutators=4)
    found = tables(heap("snapshot").blob(p, heap_bytes=64 * MIB, mutators=4))
    assert found["counts"][:2].tolist() == [4, 4]
