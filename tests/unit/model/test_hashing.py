"""Configurations and probes as keys: equal ones have one hash, and what they hold stays as it is."""

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcbarrier.model import Config, Invocation, Probe, evolve, from_json, to_json

NAMES = st.sampled_from(("rate_per_s", "rounds", "graph", "live_share"))
VALUES = st.one_of(
    st.booleans(), st.integers(-(1 << 62), 1 << 62), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
PARAMS = st.dictionaries(NAMES, VALUES)


def config(**fields: Any) -> Config:
    return Config(heap="graph_edits", barrier="cards", collector="mostly-concurrent", **fields)


@settings(deadline=None)
@given(PARAMS, PARAMS, st.integers(1, 64), st.randoms())
def test_equal_configurations_have_equal_hashes(
    heap: dict[str, Any], collector: dict[str, Any], mutators: int, random: Any
) -> None:
    one = config(heap_params=heap, collector_params=collector, mutators=mutators)
    shuffled = list(heap.items())
    random.shuffle(shuffled)
    other = config(heap_params=dict(shuffled), collector_params=dict(collector), mutators=mutators)
    for like in (other, from_json(to_json(one), Config), pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert like == one
        assert hash(like) == hash(one)
        assert {one: "there"}[like] == "there"
    assert to_json(from_json(to_json(one), Config)) == to_json(one)


@settings(deadline=None)
@given(PARAMS, PARAMS)
def test_parameters_equal_a_dict_with_the_same_items_and_no_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    made = config(heap_params=one)
    assert made.heap_params == one
    assert (made.heap_params == other) == (one == other)
    assert (made == config(heap_params=other)) == (one == other)


def test_what_becomes_of_the_users_dict_is_not_seen() -> None:
    params: dict[str, Any] = {"rounds": 1}
    made = config(collector_params=params)
    before = hash(made)
    params["rounds"] = 2
    assert (made.collector_params["rounds"], hash(made)) == (1, before)
    with pytest.raises(TypeError):
        made.collector_params["rounds"] = 2  # type: ignore[index]
    assert evolve(made, mutators=2).collector_params == {"rounds": 1}
    assert made.collector_params | {"rounds": 3} == {"rounds": 3}


def test_probes_and_invocations_are_keys_too() -> None:
    probe = Probe(function="a:b", barrier="cards", barrier_params={"card_bytes": 128}, arguments={"sample": 1})
    assert {probe} == {from_json(to_json(probe), Probe)}
    invocation = Invocation(config=config(heap_params={"a": 1}), index=0, seed=1)
    assert {invocation} == {from_json(to_json(invocation), Invocation)}


def test_what_is_no_mapping_is_refused_as_before() -> None:
    with pytest.raises(TypeError, match="heap_params must map names to numbers, truths or texts"):
        config(heap_params=[("rounds", 1)])
    with pytest.raises(TypeError, match="heap_params must map names"):
        config(heap_params={"rounds": [1]})
