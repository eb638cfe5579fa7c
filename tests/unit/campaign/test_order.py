"""In which order a plan's invocations come: ends of ranges first, then anything, by plan and seed alone."""

from itertools import product as combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcbarrier.campaign import runner
from gcbarrier.campaign.order import levels, stages
from gcbarrier.campaign.plans import Plan, product
from gcbarrier.model import Config, Invocation, Probe, from_json, to_json


class Bare:
    """A job without anything compiled for it."""

    def __init__(self, part: Any, index: int = 0) -> None:
        self.invocation = Invocation(config=part, index=index, seed=0) if isinstance(part, Config) else None
        self.probe, self.index = part, index

    def __attrs_evolved__(self, invocation: Invocation) -> "Bare":
        made = Bare(invocation.config, invocation.index)
        made.invocation = invocation
        return made


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_compiled", lambda config, _made: Bare(config))
    monkeypatch.setattr(runner, "evolve", lambda job, invocation: job.__attrs_evolved__(invocation))
    monkeypatch.setattr(runner.probes, "job", lambda probe, index: Bare(probe, index))


def grid(rates: list[float], mutators: list[int], barriers: list[str]) -> tuple[Config, ...]:
    return product(
        heap="graph_edits",
        heap_params=[{"rate_per_s": rate} for rate in rates],
        mutators=mutators,
        pairs=[("none", "never"), *((name, "mostly-concurrent") for name in barriers)],
    )


def ordered(plan: Plan, seed: int) -> list[Invocation]:
    return [step.job.invocation for step in runner.steps(plan, seed=seed, accelerator="native")]  # type: ignore[attr-defined]


RATES = st.lists(st.floats(0, 1e9), min_size=1, max_size=6, unique=True)
PLANS = st.builds(
    lambda rates, mutators, barriers, invocations: Plan(
        configs=grid(rates, mutators, barriers), invocations=invocations
    ),
    RATES,
    st.lists(st.integers(1, 64), min_size=1, max_size=5, unique=True),
    st.lists(st.sampled_from(("cards", "log", "soft-dirty")), min_size=0, max_size=3, unique=True),
    st.integers(1, 4),
)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [0]), (2, [0, 0]), (3, [0, 1, 0]), (5, [0, 2, 1, 2, 0]), (9, [0, 3, 2, 3, 1, 3, 2, 3, 0])],
)
def test_levels_are_ends_then_middle_then_quarters(count: int, expected: list[int]) -> None:
    assert levels(count) == expected


@given(PLANS, st.integers(0, 1 << 31))
@settings(deadline=None, max_examples=60)
def test_the_order_is_a_permutation_round_by_round_and_follows_from_plan_and_seed(plan: Plan, seed: int) -> None:
    found = ordered(plan, seed)
    # Also of a plan that was read again, as that of a run to be gone on with.
    assert found == ordered(plan, seed) == ordered(from_json(to_json(plan), Plan), seed)
    assert [one.index for one in found] == sorted(one.index for one in found)
    for index in range(plan.invocations):
        here = [one.config for one in found if one.index == index]
        assert len(here) == len(plan.configs)
        assert set(here) == set(plan.configs)
    first = [one.config for one in found if one.index == 0]
    place = dict(zip(plan.configs, stages(plan.configs), strict=True))
    assert [place[config] for config in first] == sorted(place.values())


@given(PLANS, st.integers(0, 1 << 31))
@settings(deadline=None, max_examples=60)
def test_whoever_is_cut_short_has_seen_the_corners_first_and_all_that_is_compared_there(plan: Plan, seed: int) -> None:
    rates = sorted({float(config.heap_params["rate_per_s"]) for config in plan.configs})
    mutators = sorted({config.mutators for config in plan.configs})
    pairs = {(config.barrier, config.collector) for config in plan.configs}
    corners = set(combinations({rates[0], rates[-1]}, {mutators[0], mutators[-1]}, pairs))
    met = {
        (one.config.heap_params["rate_per_s"], one.config.mutators, (one.config.barrier, one.config.collector))
        for one in ordered(plan, seed)[: len(corners)]
    }
    assert met == corners


def test_rounds_after_the_first_are_shuffled_without_regard_to_the_ends() -> None:
    plan = Plan(configs=grid([1.0, 2.0, 3.0, 4.0, 5.0], [1], ["cards"]), invocations=8)
    place = dict(zip(plan.configs, stages(plan.configs), strict=True))
    later = [[place[one.config] for one in ordered(plan, 1) if one.index == index] for index in range(1, 8)]
    assert any(each != sorted(each) for each in later)
    assert len({tuple(each) for each in later}) > 1


def test_what_takes_two_values_or_is_a_word_has_no_middle() -> None:
    configs = (
        *grid([1.0, 9.0], [1], ["cards", "log", "soft-dirty"]),
        Config(heap="gcbench", barrier="cards", collector="generational", heap_bytes=512 << 20, duration_s=3.0),
        Config(heap="snapshot", barrier="cards", collector="generational", heap_params={"graph": "a"}),
        Config(heap="snapshot", barrier="cards", collector="generational", heap_params={"graph": "b"}),
        Config(heap="snapshot", barrier="cards", collector="generational", heap_params={"graph": "c"}),
    )
    assert set(stages(configs)) == {0}


def test_probes_begin_with_their_ends_too() -> None:
    sizes = [(1 << 20) * size for size in (1, 2, 4, 8, 16)]
    probes = tuple(Probe(function="a:b", barrier="cards", heap_bytes=size) for size in sizes)
    steps = runner.steps(Plan(probes=probes, invocations=2), seed=3, accelerator="native")
    found = [step.job.probe.heap_bytes for step in steps]  # type: ignore[attr-defined]
    assert set(found[:2]) == {sizes[0], sizes[-1]}
    assert found[2] == sizes[2]
    assert sorted(found[5:]) == sizes
