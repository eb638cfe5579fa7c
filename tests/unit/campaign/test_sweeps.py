"""Sweeps: from ``--set`` and from a file, to the configurations of a plan."""

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as explored
from hypothesis import strategies as st

from gcbarrier.campaign import pairs, settings
from gcbarrier.campaign.plans import Plan
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Probe, converter

MIB = 1 << 20
PLAN = Plan(
    configs=(
        Config(heap="graph_edits", barrier="none", collector="stop-the-world"),
        Config(heap="graph_edits", barrier="cards", collector="mostly-concurrent"),
        Config(heap="gcbench", barrier="cards", collector="mostly-concurrent"),
    )
)


def swept(*given: str, plan: Plan = PLAN) -> tuple[Config, ...]:
    return settings.read(given).apply(plan).configs


def file(folder: Path, text: str, experiment: str = "stalls", *given: str) -> settings.Settings:
    path = folder / "sweep.toml"
    path.write_text(text, encoding="utf-8")
    return settings.read(given, sweep=path, experiment=experiment)


def test_a_parameter_is_swept_where_it_belongs_and_nowhere_else() -> None:
    found = swept("graph_edits.rate_per_s=0,1000,1e3")
    assert [(config.heap, config.barrier, dict(config.heap_params)) for config in found] == [
        ("graph_edits", "none", {"rate_per_s": 0.0}),
        ("graph_edits", "cards", {"rate_per_s": 0.0}),
        ("gcbench", "cards", {}),
        ("graph_edits", "none", {"rate_per_s": 1000.0}),
        ("graph_edits", "cards", {"rate_per_s": 1000.0}),
    ]


@pytest.mark.parametrize(
    ("pair", "field", "values"),
    [
        ("mutators=1,2", "mutators", {1, 2}),
        ("heap_bytes=64MiB, 128MiB", "heap_bytes", {64 * MIB, 128 * MIB}),
        ("duration_s=0.5,1,2", "duration_s", {0.5, 1.0, 2.0}),
        ("operations=1000,2000", "operations", {1000, 2000}),
        ("heap=2x,4x", "heap_times", {2.0, 4.0}),
    ],
)
def test_every_field_can_be_swept(pair: str, field: str, values: set[Any]) -> None:
    found = swept(pair)
    assert len(found) == len(values) * len(PLAN.configs)
    assert {getattr(config, field) for config in found} == values


def test_memory_is_swept_over_what_a_barrier_can_watch() -> None:
    plan = Plan(configs=(Config(heap="graph_edits", barrier="none", collector="stop-the-world"),))
    assert {config.memory for config in swept("memory=shmem,anonymous", plan=plan)} == {"shmem", "anonymous"}


def test_a_barrier_by_itself_is_swept_too() -> None:
    plan = Plan(probes=(Probe(function="a:b", barrier="cards"),))
    settled = settings.read(["cards.card_bytes=128,512", "heap_bytes=8MiB,16MiB"]).apply(plan)
    assert {(int(one.barrier_params["card_bytes"]), one.heap_bytes) for one in settled.probes} == {
        (card, size * MIB) for card in (128, 512) for size in (8, 16)
    }
    with pytest.raises(GcBarrierError, match="mutators= would change nothing"):
        settings.read(["mutators=1,2"]).apply(plan)


AXES: dict[str, st.SearchStrategy[list[Any]]] = {
    "mutators": st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True),
    "operations": st.lists(st.integers(1, 1 << 40), min_size=1, max_size=3, unique=True),
    "duration_s": st.lists(st.floats(0.01, 100), min_size=1, max_size=3, unique=True),
    "graph_edits.rate_per_s": st.lists(st.floats(0, 1e6), min_size=1, max_size=3, unique=True),
    "mostly-concurrent.rounds": st.lists(st.integers(0, 50), min_size=1, max_size=3, unique=True),
}


@given(st.fixed_dictionaries({}, optional=AXES))
@explored(deadline=None, max_examples=40)
def test_every_grid_has_the_product_of_its_values(axes: dict[str, list[Any]]) -> None:
    given_pairs = [f"{key}={','.join(map(repr, values))}" for key, values in axes.items()]
    plan = Plan(configs=PLAN.configs[1:2])
    read = settings.read(given_pairs)
    size = prod(len(values) for values in axes.values())
    assert len(list(read.each())) == size
    # What is in the manifest is the same again.
    kept = converter.structure(json.loads(json.dumps(converter.unstructure(read))), settings.Settings)
    assert list(kept.each()) == list(read.each())
    if size <= 8:  # each is tried whether it can be run
        found = read.apply(plan).configs
        assert len(found) == len(set(found)) == size


@explored(deadline=None)
@given(st.lists(st.text(min_size=1).filter(lambda text: text == text.strip() and "\\" not in text), min_size=1))
def test_texts_keep_their_commas_where_these_are_escaped(texts: list[str]) -> None:
    written = ",".join(text.replace(",", "\\,") for text in texts)
    assert pairs.split([f"snapshot.graph={written}"]) == {"snapshot.graph": tuple(texts)}


def test_a_text_is_swept_and_may_hold_commas_and_digits() -> None:
    one = settings.read(["snapshot.graph=a\\,b.graph"])
    assert one.params == {"snapshot": {"graph": "a,b.graph"}}
    assert not one.grid
    assert settings.read(["snapshot.graph=a,007,7"]).grid == {"snapshot.graph": ("a", "007", "7")}


@pytest.mark.parametrize(
    ("given_pairs", "said"),
    [
        (
            ["heap_bytes=1GiB", "heap_bytes=2GiB"],
            "heap_bytes is set twice, to 1GiB and to 2GiB: set it once, or to both as heap_bytes=1GiB,2GiB",
        ),
        (["graph_edits.rate_per_s=1", "graph_edits.rate_per_s=1"], "graph_edits.rate_per_s is set twice"),
        (["barrier=cards", "barrier=log"], "barrier is set twice"),
        (["heap=2x", "heap=gcbench,3x"], "heap is set twice, to 2x and to gcbench,3x"),
        (["seed=1", "seed=2"], "seed is set twice, to 1 and to 2: set it once$"),
        (["mutators=1,"], "mutators=1,: there is nothing beside a comma"),
        (["mutators=,"], "nothing beside a comma"),
        (["mutators=1,two"], "mutators=two: it takes a number"),
        (["graph_edits.rate_per_s=1,x"], "the heap graph_edits: rate_per_s is a number, not 'x'"),
        (["invocations=3,5"], "invocations=3,5: a run has one invocations; set one value"),
        (["machine=native,lab"], "a run has one machine"),
    ],
)
def test_a_mistake_is_one_sentence(given_pairs: list[str], said: str) -> None:
    with pytest.raises(GcBarrierError, match=said) as caught:
        settings.read(given_pairs)
    assert "\n" not in str(caught.value)


def test_a_point_that_cannot_be_run_is_named() -> None:
    with pytest.raises(GcBarrierError, match=r"can't be run like that.*at mutators=2, graph_edits.move_share=2"):
        swept("graph_edits.move_share=0.1,2", "mutators=2")


def test_a_sweep_of_too_many_points_is_refused_before_it_is_made() -> None:
    many = ",".join(map(str, range(1, 65)))
    with pytest.raises(GcBarrierError, match="a sweep of 262,144 points"):
        swept(f"mutators={many}", f"operations={many}", f"mostly-concurrent.rounds={many}")


WHOLE = """
invocations = 5
seed = 3
[set]
duration_s = 2
graph_edits.move_share = 0.0
[experiments.stalls]
invocations = 7
set.duration_s = 5
[grid]
mutators = [1, 2, 4]
"graph_edits.rate_per_s" = [0, 1000.0]
[[points]]
barrier = "cards"
mostly-concurrent.rounds = 4
[[points]]
barrier = "uffd-wp-async"
heap_bytes = "128MiB"
[[exclude]]
mutators = 4
heap_bytes = "128MiB"
"""


def test_a_file_says_what_goes_together_and_what_is_left_out(tmp_path: Path) -> None:
    read = file(tmp_path, WHOLE)
    assert (read.invocations, read.seed) == (7, 3)
    assert read.named("barrier") == ("cards", "uffd-wp-async")
    plan = read.apply(Plan(configs=PLAN.configs[:2]))
    assert plan.invocations == 7
    assert {config.duration_s for config in plan.configs} == {5.0}
    tracked = [config for config in plan.configs if config.barrier != "none"]
    points = {(one.barrier, one.heap_bytes // MIB, one.collector_params.get("rounds")) for one in tracked}
    assert points == {("cards", 64, 4), ("uffd-wp-async", 128, None)}
    assert len(tracked) == 3 * 2 + 2 * 2
    assert not [one for one in plan.configs if (one.mutators, one.heap_bytes) == (4, 128 * MIB)]
    # Each point has its baseline.
    assert len(plan.configs) == 2 * len(tracked)


def test_what_a_file_says_of_another_experiment_is_not_of_this(tmp_path: Path) -> None:
    read = file(tmp_path, WHOLE, "dirty_rate")
    assert (read.invocations, read.fields["duration_s"]) == (5, 2.0)


def test_a_command_line_goes_before_the_file(tmp_path: Path) -> None:
    read = file(tmp_path, WHOLE, "stalls", "mutators=3", "duration_s=1", "invocations=1")
    assert (read.fields["mutators"], read.fields["duration_s"], read.invocations) == (3, 1.0, 1)
    assert list(read.grid) == ["graph_edits.rate_per_s"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grids = 1", "sweep.toml: there is no 'grids' here; did you mean 'grid'"),
        (
            "[experiments.stalls]\nsets.x = 1",
            r"sweep.toml, experiments\['stalls'\]: there is no 'sets' here; did you mean",
        ),
        ("[experiments.stall]\nseed = 1", "experiments.stall: .*did you mean 'stalls'"),
        ("invocations = '5'", "sweep.toml, invocations: it takes a whole number, not '5'"),
        ("invocations = 0", "sweep.toml, invocations: invocations=0: it takes a whole number from 1"),
        ("[set]\nmutator = 2", "sweep.toml, set.mutator: 'mutator' can't be set; did you mean 'mutators'"),
        ("[set]\nmutators = [1, 2]", "sweep.toml, set.mutators: what is set has one value here; mutators is swept in"),
        ("[set]\nseed = 2", "sweep.toml, set.seed: .*stands at the top of the file"),
        ("[grid]\nseed = [1, 2]", "sweep.toml, grid.seed: a run has one seed"),
        ("[grid]\nmutators = []", "sweep.toml, grid: mutators has no value"),
        ("[grid]\nmutators = [1, 'x']", "sweep.toml, grid.mutators: mutators=x: it takes a number"),
        ("[grid]\nmutators = [[1]]", "sweep.toml, grid: mutators: .1. is no value"),
        ("[grid]\nmutators = [1, 2]\n[set]\nmutators = 1", "set.mutators: the grid sweeps it"),
        ("[grid]\nmutators = [1, 2]\n[[points]]\nmutators = 1", r"points\[1\].mutators: the grid sweeps it"),
        (
            "[grid]\ngraph_edits.rate_per_sec = [1]",
            "grid.graph_edits.rate_per_sec: the heap graph_edits has no parameter 'rate_per_sec'; did",
        ),
        ("[[points]]\nbarrier = 'card'", r"points\[1\].barrier: no barrier is called 'card'; did you mean 'cards'"),
        ("[[points]]", r"points\[1\]: it says nothing"),
        ("[[points]]\nseed = 1", r"points\[1\].seed: a run has one seed"),
        ("[grid]\nmutators = [1, 2]\n[[exclude]]\nmutators = 3", r"exclude\[1\].mutators: 3 is none of the values"),
        ("points = 3", "sweep.toml, points: "),
        ("[set", "sweep.toml can't be read as a sweep: "),
        ("set = 1979-05-27", "sweep.toml, set: .* is no table"),
        ("[set]\nmutators = 1979-05-27", "sweep.toml, set: mutators: .* is no value"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(GcBarrierError, match=said) as caught:
        file(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(GcBarrierError, match=r"sweep.toml can't be read as a sweep: No such file"):
        settings.read([], sweep=tmp_path / "sweep.toml")
    with pytest.raises(GcBarrierError, match="Is a directory"):
        settings.read([], sweep=tmp_path)


def test_points_and_exclusions_must_leave_something_and_not_be_set_twice(tmp_path: Path) -> None:
    with pytest.raises(GcBarrierError, match=r"heap_bytes is part of the points of .*sweep.toml"):
        file(tmp_path, WHOLE, "stalls", "heap_bytes=1GiB")
    read = file(tmp_path, "[[exclude]]\nmemory = 'shmem'")
    with pytest.raises(GcBarrierError, match="all that would be run is excluded"):
        read.apply(PLAN)
    read = file(tmp_path, "[[points]]\nbarrier = 'log'\nsnapshot.graph = 'x'")
    with pytest.raises(GcBarrierError, match=r"can't run over log|snapshot is not part of this plan"):
        read.apply(PLAN)


def test_the_file_that_the_documentation_shows_can_be_read(tmp_path: Path) -> None:
    from gcbarrier.campaign import sweeps

    shown = str(sweeps.__doc__).partition("::\n")[2]
    read = file(tmp_path, "\n".join(line.removeprefix("    ") for line in shown.splitlines()))
    assert read.invocations == 3
    assert len(read.points) == 2
    assert read.apply(PLAN).configs
