"""What mutators lost, by what they lost it to: from raw events, and from records alone."""

import numpy as np
import pytest

from gcbarrier.core.events import EVENT, Kind
from gcbarrier.model import Config, Cycle, Invocation, Outcome, Pause, Stall, evolve
from gcbarrier.results.mutators import LOSSES, Lost, lost_time

START, WALL = 1_000_000, 100_000
MUTATORS = 2
PHASES = dict.fromkeys(("ttsp_ns", "roots_ns", "collect_ns", "rescan_ns", "mark_ns", "resume_ns"), 0)


def pause(at: int, long: int) -> Pause:
    counts = {"dirty_granules": 0, "rounds": 0, "preempted": False}
    return Pause(cycle=1, kind="remark", start_ns=START + at, pause_ns=long, **counts, **PHASES)


def outcome(*, faults: int = 0, cost_ns: int = 100, told: bool = True, **fields) -> Outcome:
    config = Config(heap="ring", barrier="uffd-wp-log", collector="mostly-concurrent", mutators=MUTATORS)
    facts = {"fault_cost_ns": cost_ns} | ({"started_ns": START} if told else {})
    return Outcome(
        invocation=Invocation(config=config, index=0, seed=0),
        machine="native",
        wall_ns=WALL,
        minor_faults=faults,
        facts=facts,
        **fields,
    )


def events(*found: tuple[Kind, int, int, int, int]) -> np.ndarray:
    """Kind, begin and end from the start of the run, value, thread."""
    made = np.zeros(len(found), EVENT)
    for row, (kind, begin, end, value, thread) in zip(made, found, strict=True):
        row["kind"], row["start_ns"], row["end_ns"] = kind, START + begin, START + end
        row["value"], row["thread"], row["cycle"] = value, thread, 1
    return made


def ns(lost: Lost, what: str, mutator: int) -> float:
    spans = lost.by_mutator[mutator][what]
    return float(((spans[:, 1] - spans[:, 0]) * spans[:, 2]).sum())


def test_each_mutator_lost_what_its_own_events_say() -> None:
    lost = lost_time(
        outcome(pauses=(pause(1000, 500),), stalls=(_stall(5000, 700, mutator=1),)),
        events(
            (Kind.PAUSE, 1000, 1500, 1, 0),
            (Kind.HELD, 1100, 1500, 0, 1),  # mutator 1 slept through it
            (Kind.HELP, 3000, 3200, 200, 2),
            (Kind.HELP, 4000, 5000, 250, 1),  # four times, one event
        ),
    )
    assert [ns(lost, "stopped", mutator) for mutator in range(2)] == [400, 0]
    assert [ns(lost, "helping", mutator) for mutator in range(2)] == [250, 200]
    assert [ns(lost, "waiting", mutator) for mutator in range(2)] == [0, 700]
    assert [ns(lost, "faults", mutator) for mutator in range(2)] == [0, 0]
    assert lost.classic.utilisation == pytest.approx(1 - 500 / WALL)
    assert [one.utilisation for one in lost.whole] == pytest.approx([1 - 650 / WALL, 1 - 900 / WALL])
    assert lost.share("helping") == pytest.approx(225 / WALL)


def _stall(at: int, long: int, *, mutator: int) -> Stall:
    return Stall(cycle=1, mutator=mutator, start_ns=START + at, stall_ns=long, request_bytes=64)


def test_faults_are_spread_over_the_time_between_two_looks_in_which_it_ran() -> None:
    lost = lost_time(
        outcome(pauses=(pause(0, 1000),), cost_ns=100),
        events((Kind.HELD, 0, 1000, 0, 1), (Kind.FAULTS, 0, 5000, 20, 1), (Kind.FAULTS, 5000, 6000, 100, 1)),
    )
    first, second = lost.by_mutator[0]["faults"]
    assert first.tolist() == [0, 5000, 0.5]  # 20 x 100 ns in the 4000 that were left
    assert second.tolist() == [5000, 6000, 1]  # more than there is room for
    assert lost.whole[0].lost([1000, 5000, 6000]) == pytest.approx([1000, 3000, 4000])
    assert ns(lost, "faults", 1) == 0


def test_what_the_kernel_does_not_count_is_what_was_reported() -> None:
    """Of a page barrier by signals, say: a first store for each granule of a report, half of them each mutator's."""
    found = events((Kind.ARM, 0, 1000, 64, 0), (Kind.COLLECT, 4500, 5000, 40, 0), (Kind.COLLECT, 6800, 7000, 10, 0))
    lost = lost_time(outcome(), found)
    for mutator in range(2):
        assert lost.by_mutator[mutator]["faults"].tolist() == [[1000, 5000, 0.5], [5000, 7000, 0.25]]


def test_a_run_without_such_events_has_its_faults_between_arming_and_remark() -> None:
    seen = outcome(told=False, faults=20, pauses=(pause(3000, 1000),))
    found = events((Kind.ARM, 1000, 1100, 64, 0), (Kind.PAUSE, 3000, 4000, 1, 0))
    lost = lost_time(seen, found)
    begin, end, share = lost.by_mutator[0]["faults"][0]
    assert end - begin == 3000
    assert share == pytest.approx(10 * 100 / 2000)  # it was stopped for the rest
    assert ns(lost, "stopped", 0) == ns(lost, "stopped", 1) == 1000


def test_without_events_the_records_tell() -> None:
    cycle = Cycle(
        cycle=1,
        cause="",
        start_ns=START + 500,
        duration_ns=99_500,
        rounds=1,
        marked_objects=1,
        mark_ns=1,
        live_bytes=1,
    )
    lost = lost_time(outcome(told=False, faults=200, pauses=(pause(1000, 500),), cycles=(cycle,)))
    assert lost.length_ns == WALL
    assert ns(lost, "stopped", 1) == 500
    assert ns(lost, "faults", 0) == pytest.approx(100 * 100, rel=0.02)
    assert set(lost.by_mutator[0]) == set(LOSSES)


def test_what_was_before_the_run_is_not_in_it() -> None:
    found = events((Kind.FAULTS, -500, 700, 9000, 1), (Kind.HELD, -500, -100, 0, 1))
    lost = lost_time(outcome(), found)
    assert [one.utilisation for one in lost.whole] == [1, 1]
    assert lost_time(outcome(), found[:0]).classic.utilisation == 1


def test_no_stamp_is_rounded_on_a_machine_that_has_been_up_for_years() -> None:
    late = (1 << 60) + 1
    seen = evolve(outcome(), facts={"started_ns": late})
    found = events((Kind.HELD, 0, 0, 0, 1))
    found["start_ns"], found["end_ns"] = late + 1001, late + 1003
    assert lost_time(seen, found).by_mutator[0]["stopped"].tolist() == [[1001, 1003, 1]]
