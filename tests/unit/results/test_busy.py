"""Was the machine busy? Judged on readings that are made up; and what a run says of it."""

from collections.abc import Sequence
from typing import Any

import pytest
from synthetic import make_outcome

from gcbarrier.model import Config, Gaps, Outcome, Ran, Temper, evolve
from gcbarrier.results import burden, busy

MS = 1_000_000
CONFIG = Config(heap="graph_edits", barrier="cards", collector="mostly-concurrent")
QUIET_LOOP = Gaps(
    threads=2,
    wall_ns=50 * MS,
    turn_ns=25,
    least_ns=60,
    count=300,
    longest_ns=80_000,
    p999_ns=70_000,
    lost_share=0.015,
    short_share=0.015,
    preempted=8,
)
BUSY_LOOP = evolve(QUIET_LOOP, longest_ns=12 * MS, lost_share=0.7)
MUTATOR = Ran(name="mutator 0", processor=1, waited_ns=2 * MS, voluntary=3)
COLLECTOR = Ran(name="collector", processor=0, waited_ns=1 * MS, voluntary=9)


def temper(**changes: Any) -> Temper:
    """Two processors for two threads, for a second, and nobody else."""
    alone = Temper(
        processors=2,
        wall_ns=1000 * MS,
        own_ns=1500 * MS,
        others_ns=20 * MS,
        steal_ns=0,
        throttled=0,
        throttled_ns=0,
        gaps=QUIET_LOOP,
        ran=(MUTATOR, COLLECTOR),
    )
    return evolve(alone, **changes)


def outcome(index: int = 0, *, longer: int = 1, preempted: int = 0, **changes: Any) -> Outcome:
    """An invocation on such a machine; of its pauses so many are preempted, and all are so many times longer."""
    made = make_outcome(CONFIG, index)
    pauses = [
        evolve(pause, pause_ns=1000 * longer, preempted=number < preempted) for number, pause in enumerate(made.pauses)
    ]
    return evolve(made, pauses=tuple(pauses), temper=temper(**changes))


def is_busy(**changes: Any) -> bool:
    found = burden(outcome(**changes))
    assert found is not None
    return found.busy


def test_nobody_beside_it_is_quiet() -> None:
    assert not is_busy()


def test_a_thread_beside_it_that_needs_a_processor_of_its_own_is_busy() -> None:
    assert is_busy(others_ns=1000 * MS, gaps=BUSY_LOOP)


def test_a_thread_beside_it_that_has_a_processor_to_spare_is_not() -> None:
    assert not is_busy(others_ns=950 * MS, processors=3)
    assert is_busy(others_ns=1950 * MS, processors=3), "two of them have not"


def test_threads_of_its_own_need_processors_as_well() -> None:
    markers = tuple(Ran(name=f"gcb-marker-{number}", involuntary=1) for number in (1, 2))
    assert is_busy(others_ns=950 * MS, processors=4, ran=(MUTATOR, COLLECTOR, *markers))
    assert not is_busy(others_ns=950 * MS, processors=4)


def test_a_mutator_that_sleeps_most_of_the_time_is_disturbed_as_well() -> None:
    # In a cycle it and the collector need both.
    assert is_busy(own_ns=190 * MS, others_ns=600 * MS)


@pytest.mark.parametrize("others_ms", [0, 20, 40])
def test_what_the_kernels_ticks_can_not_tell_from_nothing_is_quiet(others_ms: int) -> None:
    # Nothing is known of what the machine itself takes.
    assert not is_busy(others_ns=others_ms * MS, gaps=None)
    assert is_busy(others_ns=others_ms * MS + 41 * MS, gaps=None)


def test_what_the_machine_takes_from_any_thread_is_quiet_however_long_it_ran() -> None:
    minute = {"wall_ns": 60_000 * MS, "own_ns": 90_000 * MS}
    assert not is_busy(**minute, others_ns=1000 * MS)
    assert is_busy(**minute, others_ns=3000 * MS)


def test_a_stolen_processor_is_busy_though_nobody_else_runs() -> None:
    assert not is_busy(steal_ns=30 * MS)
    assert is_busy(steal_ns=200 * MS, processors=2)
    assert is_busy(steal_ns=200 * MS, processors=3), "the free one may not be the one that is stolen"


def test_a_clock_that_stood_still_though_nobody_had_the_processor_is_busy() -> None:
    # As in a guest that is not told what its host does.
    assert is_busy(others_ns=0, gaps=evolve(BUSY_LOOP, absent_share=0.6))
    assert not is_busy(others_ns=0, gaps=evolve(BUSY_LOOP, absent_share=0.01))
    found = busy([outcome(0, others_ns=0, gaps=evolve(BUSY_LOOP, absent_share=0.6))])
    assert found is not None
    assert found.met == found.pauses
    assert "its processors were not there for 60 % of the time" in found.sentence


def test_a_quota_that_stopped_it_is_busy() -> None:
    assert is_busy(throttled=3, throttled_ns=90 * MS)


def test_what_is_not_known_is_neither() -> None:
    assert burden(make_outcome(CONFIG, 0)) is None, "from before it was asked"
    assert burden(outcome(others_ns=None, steal_ns=None)) is None
    assert burden(outcome(wall_ns=0)) is None
    assert busy([make_outcome(CONFIG, 0)]) is None


def test_how_long_its_threads_waited_is_a_share_of_what_they_wanted() -> None:
    found = burden(outcome(own_ns=97 * MS))
    assert found is not None
    assert found.waited == pytest.approx(0.03)
    unknown = burden(outcome(ran=(Ran(name="mutator 0"),)))
    assert unknown is not None
    assert unknown.waited != unknown.waited


def beside(index: int, **changes: Any) -> Outcome:
    return outcome(index, **{"others_ns": 1000 * MS, "gaps": BUSY_LOOP, **changes})


def said(outcomes: Sequence[Outcome]) -> str:
    found = busy(outcomes)
    assert found is not None
    return found.sentence


def test_a_quiet_run_says_nothing() -> None:
    assert busy([outcome(index) for index in range(3)]) is None


def test_a_run_says_how_often_and_how_much_it_may_have_mattered() -> None:
    outcomes = [outcome(0), outcome(1), beside(2, longer=4, preempted=5)]
    pauses = len(outcomes[2].pauses)
    words = said(outcomes)
    assert words.startswith("the machine was busy in 1 of 3 invocations: others used 1 of the 2 processors, and its 2")
    assert f"up to 5 of their {pauses} pauses may be longer for it" in words
    assert "median pauses are 4 times those of quiet invocations" in words
    assert "gcbarrier doctor --quiet-machine" in words


def test_nothing_tells_which_pauses_a_hypervisor_met() -> None:
    found = busy([outcome(0, steal_ns=500 * MS, preempted=1)])
    assert found is not None
    assert found.met == found.pauses > 1


def test_without_a_quiet_invocation_nobody_can_tell_by_how_much() -> None:
    words = said([beside(0), beside(1)])
    assert "busy in 2 of 2 invocations" in words
    assert "no configuration has quiet invocations as well" in words


def test_what_failed_and_what_is_not_known_is_not_counted() -> None:
    failed = evolve(beside(3), error="it did not go well")
    assert "busy in 1 of 2 invocations" in said([outcome(0), beside(1), make_outcome(CONFIG, 2), failed])
