"""A recording's numbers in one place: what they are of, and where there are none."""

import math

import numpy as np
import pytest
from attrs import evolve
from made_up import made, overview

from gcbarrier.page_traces.records import PageTrace, Slowdown


def test_numbers_of_a_program() -> None:
    own = overview([[1, 2], [2], [], [9]] * 4, every_ns=10_000_000)
    assert own.tick_ns == 10_000_000
    assert own.written.tolist() == [0, 1, 2]
    assert own.written_bytes == 3 * 4096
    assert own.windows == (1, 2, 4)
    assert own.working_set[0] == 1.0
    assert own.spread.shape == (3, 2)
    assert own.spread[2].tolist() == [3, 3]


def test_pages_that_were_only_there_are_none_that_were_written() -> None:
    trace = PageTrace.of([[1, 2], [2]], every_ns=10)
    before = PageTrace.of([[0, 2, 7]], every_ns=10)
    own = overview([[1]])
    own = evolve(own, trace=evolve(trace, before=before._kept))
    assert len(own.trace.pages) == 4
    assert own.trace.pages[own.written].tolist() == [4096, 2 * 4096]


def test_pages_within_a_time_are_those_of_the_nearest_ticks() -> None:
    own = overview([[1, 2], [3], [4], [5]], every_ns=10)
    assert own.pages_within(10) == own.pages_within(14) == 5 / 4
    assert own.pages_within(40) == 5
    assert math.isnan(own.pages_within(4))
    assert math.isnan(own.pages_within(50))


def test_ticks_are_as_long_as_they_were() -> None:
    trace = PageTrace.of([[1]] * 3, every_ns=10)
    late = evolve(trace, end_ns=trace.begin_ns + np.array([10, 30, 30]))
    assert evolve(overview([[1]]), trace=late).tick_ns == 30


def test_processors_in_use_are_those_of_its_time() -> None:
    own = overview([[1]] * 4, every_ns=10)
    own = evolve(own, trace=evolve(own.trace, cpu_ns=np.array([10, 0, 20, 0])))
    assert own.processors == 0.75


@pytest.mark.parametrize("writes", [[], [[]], [[], []]])
def test_nothing_recorded_has_no_numbers(writes: list[list[int]]) -> None:
    own = overview(writes)
    assert len(own.written) == len(own.slowdowns) == own.rewrites.writes == 0
    assert len(own.windows) == len(own.working_set) == len(own.spread) == min(len(writes), 1)
    assert math.isnan(own.tick_ns) == math.isnan(own.processors) == (not writes)
    assert math.isnan(own.pages_within(1e6)) or own.pages_within(1e6) == 0


def test_slow_downs_are_over_the_median_without() -> None:
    slowdowns = (
        Slowdown(every_ns=10, wall_ns=(30, 60), cpu_ns=(11, 22)),
        Slowdown(every_ns=0, wall_ns=(10, 20, 40), cpu_ns=(11, 11, 11)),
    )
    bare, watched = overview([[1]], slowdowns=slowdowns).slowdowns
    assert (bare.every_ns, bare.wall, bare.cpu) == (0, (0.5, 1.0, 2.0), (1.0, 1.0, 1.0))
    assert (watched.every_ns, watched.wall, watched.cpu) == (10, (1.5, 3.0), (1.0, 2.0))


@pytest.mark.parametrize(
    "slowdowns",
    [
        (),
        (Slowdown(every_ns=10, wall_ns=(30,), cpu_ns=(11,)),),
        (Slowdown(every_ns=0, wall_ns=(), cpu_ns=()), Slowdown(every_ns=10, wall_ns=(30,), cpu_ns=(11,))),
        (Slowdown(every_ns=0, wall_ns=(5,), cpu_ns=(0,)), Slowdown(every_ns=10, wall_ns=(30,), cpu_ns=(11,))),
    ],
)
def test_there_is_no_slow_down_without_something_to_compare_with(slowdowns: tuple[Slowdown, ...]) -> None:
    assert overview([[1]], slowdowns=slowdowns).slowdowns == ()


def test_a_recording_made_up_is_read_as_it_was() -> None:
    assert [each.tolist() for each in made([[1, 2], [2]]).main.writes()] == [[0, 1], [1]]
