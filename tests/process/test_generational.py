"""Sticky marks in whole invocations: nothing is lost over any barrier that tells where was written; and the policy."""

import pytest
from pairwise import combined
from places import PLUGINS
from verified import HEAPS, MIB, found_nothing, one, to_verify

from gcbarrier import barriers, measure
from gcbarrier.collectors.generational import NOTES
from gcbarrier.model import Config, Outcome, evolve
from gcbarrier.plugins import discovery


def _sticky(barrier: str) -> bool:
    promises = barriers.promises_of(barrier)
    return promises.tracks and not promises.snapshot


BARRIERS = [barrier for barrier in discovery.names("barriers") if _sticky(barrier)]
"""Newcomers included: what they need decides where they are tested."""


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None, needs, request: pytest.FixtureRequest) -> None:
    discovery.add_path(PLUGINS)
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    needs(*barriers.promises_of(parameters.get("barrier", "cards")).needs)


def noted(outcome: Outcome, name: str) -> list[float]:
    return [note.value for note in outcome.notes if note.name == name]


def kinds(outcome: Outcome) -> set[str]:
    return {pause.kind for pause in outcome.pauses}


@combined(heap=HEAPS, barrier=BARRIERS, concurrent=[True, False], survivals=[1, 2], mutators=[1, 3])
def test_nothing_reachable_is_lost(heap: str, barrier: str, concurrent: bool, survivals: int, mutators: int) -> None:
    config = to_verify(heap, barrier, mutators)
    params = {"concurrent": concurrent, "survivals": survivals, "every_s": 0.02, **config.collector_params}
    outcome = one(evolve(config, collector="generational", collector_params=params))
    found_nothing(outcome)
    # The first cycle has nobody who is old.
    assert len(outcome.cycles) == 1 or "minor" in kinds(outcome)
    assert not concurrent or not barriers.promises_of(barrier).atomic or "rearm" not in kinds(outcome)


@pytest.mark.parametrize("card_bytes", [128, 4096])
def test_cards_of_any_size_are_a_remembered_set(card_bytes: int) -> None:
    config = evolve(to_verify("gcbench", "cards"), barrier_params={"card_bytes": card_bytes}, collector="generational")
    outcome = one(config)
    found_nothing(outcome)
    assert sum(noted(outcome, "remembered granules")) > 0


def gcbench(rate_per_s: float = 0.0, **params: float) -> Outcome:
    return one(
        Config(
            heap="gcbench",
            barrier="cards",
            collector="generational",
            collector_params=params,
            heap_params={"rate_per_s": rate_per_s},
            heap_bytes=16 * MIB,
            duration_s=0.5,
        )
    )


def test_the_nursery_is_as_large_as_it_is_asked_to_be() -> None:
    nursery = 1 * MIB
    # 16 MB/s, so that the collector comes in time.
    outcome = gcbench(rate_per_s=500.0, nursery_bytes=nursery)
    young = sorted(noted(outcome, "young bytes"))
    assert len(young) >= 4
    assert nursery / 2 < young[len(young) // 2] < 2 * nursery


def test_a_pause_is_told_by_what_it_marks() -> None:
    stopped, running = gcbench(concurrent=False), gcbench(concurrent=True)
    assert kinds(stopped) == {"full", "minor"}
    assert kinds(running) - {"full"} == {"remark", "minor"}
    for outcome in (stopped, running):
        full = {pause.cycle for pause in outcome.pauses if pause.kind != "minor"}
        assert len(full) == sum(noted(outcome, "full cycle"))
        minors = len(outcome.cycles) - len(full)
        assert {name: len(noted(outcome, name)) for name in NOTES} == dict.fromkeys(NOTES, minors)


def test_old_objects_that_die_are_found_when_the_old_space_has_grown() -> None:
    """In gcbench subtrees of the old tree are replaced: with an exact old space it never grows by a tenth."""
    often, seldom = gcbench(growth=1.02), gcbench(growth=100.0)
    share = [sum(noted(outcome, "full cycle")) / len(outcome.cycles) for outcome in (often, seldom)]
    assert share[0] > share[1]
    assert max(cycle.live_bytes for cycle in often.cycles) < 16 * MIB


def test_who_has_lived_through_one_cycle_is_not_old_after_two() -> None:
    one_is_enough, two = gcbench(concurrent=False), gcbench(concurrent=False, survivals=2)
    assert noted(one_is_enough, "promoted bytes") == noted(one_is_enough, "survived bytes")
    assert sum(noted(two, "promoted bytes")) < sum(noted(two, "survived bytes"))


def test_running_out_of_memory_is_told_with_what_really_lives() -> None:
    """What has died old would else be called live: a full cycle comes before the end."""
    config = Config(
        heap="ring",
        barrier="cards",
        collector="generational",
        heap_bytes=2 * MIB,
        heap_params={"keep": True, "raw_bytes": 200},
    )
    (outcome,) = measure(config)
    assert outcome.error.startswith("out of memory: the heap of 2097152 bytes, with ")
    assert outcome.pauses[-1].kind == "full"


@pytest.mark.parametrize("concurrent", [True, False])
def test_the_memory_beside_the_heap_stays_small(concurrent: bool) -> None:
    outcome = gcbench(concurrent=concurrent)
    assert outcome.metadata_bytes <= 0.04 * 16 * MIB
