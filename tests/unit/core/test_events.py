"""Pauses and cycles out of raw events whose right answer is known beforehand."""

import numpy as np

from gcbarrier.core.events import EVENT, PREEMPTED, Kind, cycles, pauses
from gcbarrier.core.heap import Wanted


def event(kind: Kind, start: int, end: int, value: int = 0, *, cycle: int = 1, pause: int = 0, flags: int = 0) -> tuple:
    return (start, end, value, cycle, pause, int(kind), flags, 0)


# A cycle with an atomic round, a round that had to stop the world, and the remark.
CYCLE = np.array(
    [
        event(Kind.ARM, 100, 110, 64),
        event(Kind.ROOTS, 110, 111, 5),
        event(Kind.MARK, 111, 300, 1000),
        event(Kind.COLLECT, 300, 310, 40),
        event(Kind.RESCAN, 310, 330, 80),
        event(Kind.MARK, 330, 340, 7),
        event(Kind.TTSP, 400, 404, 2, pause=1),
        event(Kind.COLLECT, 404, 420, 9, pause=1),
        event(Kind.RESUME, 420, 430, pause=1),
        event(Kind.PAUSE, 400, 430, 2, pause=1, flags=PREEMPTED),
        event(Kind.RESCAN, 431, 440, 9),
        event(Kind.MARK, 440, 441, 0),
        event(Kind.TTSP, 500, 505, 2, pause=2),
        event(Kind.ROOTS, 505, 507, 5, pause=2),
        event(Kind.COLLECT, 507, 517, 3, pause=2),
        event(Kind.RESCAN, 517, 524, 3, pause=2),
        event(Kind.MARK, 524, 525, 1, pause=2),
        event(Kind.ORACLE, 525, 1525, 1008, pause=2),
        event(Kind.RESUME, 1525, 1530, pause=2),
        event(Kind.PAUSE, 500, 1530, 1, pause=2),
        event(Kind.SWEEP, 1530, 1600, 12),
        event(Kind.CYCLE, 1600, 1600, 4096),
    ],
    dtype=EVENT,
)


def test_a_pause_is_its_phases_and_its_length() -> None:
    rearm, remark = pauses(CYCLE)
    assert (rearm.kind, rearm.pause_ns, rearm.ttsp_ns, rearm.collect_ns, rearm.resume_ns) == ("rearm", 30, 4, 16, 10)
    assert (rearm.dirty_granules, rearm.rounds, rearm.preempted) == (9, 1, True)
    assert (remark.kind, remark.start_ns, remark.cycle) == ("remark", 500, 1)
    assert (remark.roots_ns, remark.rescan_ns, remark.mark_ns) == (2, 7, 1)
    assert (remark.dirty_granules, remark.rounds, remark.preempted, remark.prototype) == (3, 2, False, False)


def test_the_oracles_time_is_nobodys_pause() -> None:
    assert pauses(CYCLE)[1].pause_ns == 30


def test_a_cycle_counts_rounds_and_marking_in_and_out_of_pauses() -> None:
    (cycle,) = cycles(CYCLE, {1: "trigger"})
    assert (cycle.cause, cycle.rounds, cycle.round_dirty) == ("trigger", 2, (40, 9))
    assert (cycle.marked_objects, cycle.mark_ns) == (1008, 189 + 10 + 1 + 1)
    assert (cycle.start_ns, cycle.duration_ns, cycle.live_bytes) == (100, 1500, 4096)


def test_order_does_not_matter_and_unfinished_cycles_are_none() -> None:
    shuffled = np.random.default_rng(1).permutation(CYCLE)
    assert pauses(shuffled) == pauses(CYCLE)
    assert cycles(shuffled, {}) == cycles(CYCLE, {})
    assert cycles(CYCLE[:-1], {}) == ()
    assert pauses(CYCLE[:0]) == ()


def test_a_pause_with_python_in_it_says_so() -> None:
    table = np.array([event(Kind.PAUSE, 1, 5, 4, pause=1)], dtype=EVENT)
    assert [(pause.kind, pause.prototype) for pause in pauses(table)] == [("prototype", True)]


def test_what_the_core_is_wanted_for_has_a_name() -> None:
    assert [wanted.value for wanted in Wanted] == [0, 1, 2, 3, 4, 5]
