"""What a recording tells of a program's windows, and how sure it is."""

import numpy as np
import pytest
from constants import recorded

from gcbarrier.costs.constants import interval
from gcbarrier.costs.curves import Curve, curve
from gcbarrier.costs.traces import Program, program, standard_error, stretch
from gcbarrier.errors import GcBarrierError
from gcbarrier.page_traces.records import Slowdown

MS = 1e6


def test_windows_hold_what_was_written_in_them() -> None:
    """The same hundred pages in each tick, and ten that nobody has written before."""
    seen = program(recorded([[*range(100), *range(1000 + 10 * tick, 1010 + 10 * tick)] for tick in range(64)]))
    assert seen.written.at(10 * MS)[0] == pytest.approx(110)
    assert seen.written.at(80 * MS)[0] == pytest.approx(180)
    assert seen.written.longest_ns == 320 * MS, "of a longer window there are not two"
    assert seen.writes_per_ns == pytest.approx(110 / (10 * MS))
    assert seen.pages == 100 + 64 * 10


def test_what_every_window_has_alike_is_certain_and_what_one_has_is_not() -> None:
    steady = program(recorded([list(range(100))] * 64))
    changing = program(recorded([list(range(100 if tick % 16 < 8 else 300)) for tick in range(64)]))
    low, centre, high = interval(steady.written.at(20 * MS))
    assert low == centre == high
    low, centre, high = interval(changing.written.at(20 * MS))
    assert low < centre < high


def test_the_interval_of_a_window_holds_the_truth() -> None:
    """Pages at random: of so many drawn from so many, so many are different."""
    every, each = 1000, 200
    truth = every * (1 - (1 - 1 / every) ** (each * 4))
    held = []
    for seed in range(40):
        luck = np.random.default_rng(seed)
        seen = program(recorded([luck.integers(0, every, each) for _ in range(64)]))
        low, _, high = interval(seen.written.at(40 * MS))
        held.append(low <= truth <= high)
    assert np.mean(held) > 33 / 40


def test_of_a_program_with_phases_the_interval_holds_the_truth_too() -> None:
    """Twenty ticks of many pages or of few, at random: a window tells of the next one what it will be."""
    held = []
    for seed in range(200):
        busy = np.repeat(np.random.default_rng(seed).random(64) < 0.5, 20)
        counts = np.where(busy, 300.0, 100.0)
        held.append(abs(counts.mean() - 200) <= 1.96 * standard_error(counts))
    assert np.mean(held) > 0.85


def test_a_program_that_recording_slowed_is_reckoned_by_its_own_clock() -> None:
    plain = program(recorded([list(range(100))] * 64))
    slowed = program(recorded([list(range(100))] * 64, walls=(100, 125)))
    assert (plain.stretch_known, slowed.stretch_known) == (False, True)
    assert set(plain.stretch) == {1.0}
    assert slowed.stretch == pytest.approx(1.25)
    assert slowed.duration_ns == pytest.approx(plain.duration_ns / 1.25)
    assert slowed.writes_per_ns == pytest.approx(plain.writes_per_ns * 1.25)


def test_it_is_known_only_at_the_interval_that_it_was_measured_at() -> None:
    measured = [Slowdown(every_ns=0, wall_ns=(100, 90, 110), cpu_ns=(1, 1, 1))]
    assert stretch(measured, 10) is None
    slower = stretch([*measured, Slowdown(every_ns=10, wall_ns=(150,), cpu_ns=(1,))], 10)
    faster = stretch([*measured, Slowdown(every_ns=10, wall_ns=(80,), cpu_ns=(1,))], 10)
    assert slower is not None
    assert faster is not None
    assert slower[0] == pytest.approx(1.5)
    assert faster[0] == 1.0
    assert faster.min() == 1.0, "being watched makes nothing faster"


def test_how_much_it_was_slowed_is_known_as_well_as_the_repetitions_agree() -> None:
    def doubt(*walls: int) -> float:
        alone = Slowdown(every_ns=0, wall_ns=(100,) * len(walls), cpu_ns=(1,) * len(walls))
        drawn = stretch([alone, Slowdown(every_ns=10, wall_ns=walls, cpu_ns=(1,) * len(walls))], 10)
        assert drawn is not None
        assert drawn[0] == pytest.approx(1.5)
        return float(np.std(drawn[1:]))

    assert doubt(150, 150, 150) == 0
    assert 0 < doubt(148, 150, 152) < doubt(140, 150, 160)
    assert doubt(140, 160, 140, 150, 160, 140, 150, 160, 150) < doubt(140, 150, 160)


def test_that_doubt_is_in_what_is_said_of_a_cycle() -> None:
    growing = [list(range(100 * tick, 100 * (tick + 1))) for tick in range(64)]
    agreeing, differing = (program(recorded(growing, walls=(100, 125), apart=apart)) for apart in (0, 10))
    window_ns = 32 * MS

    def doubt(one: Program) -> float:
        return float(np.std(one.written.at(window_ns)[1:]))

    assert agreeing.written.at(window_ns)[0] == pytest.approx(differing.written.at(window_ns)[0])
    assert doubt(agreeing) < doubt(differing)
    assert np.ptp(agreeing.stretch) == 0
    assert np.ptp(differing.stretch) > 0
    # Who was slowed more writes more in its own time.
    assert np.corrcoef(differing.stretch[1:], differing.writes_per_ns[1:])[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("writes", [[[1]] * 3, [[]] * 64])
def test_nothing_is_said_of_next_to_nothing(writes: list[list[int]]) -> None:
    with pytest.raises(GcBarrierError, match="record for longer"):
        program(recorded(writes))


def test_stores_are_as_many_as_are_given_for_each_page_that_is_written_in_a_cycle() -> None:
    seen = program(recorded([list(range(100))] * 64))
    told = seen.workload(period_ns=20 * MS, stores_per_page=50.0)
    assert told.stores_per_ns[0] * 20 * MS == pytest.approx(100 * 50)
    assert not told.least_stores
    unknown = seen.workload(period_ns=20 * MS)
    assert unknown.least_stores
    assert unknown.stores_per_ns * 20 * MS == pytest.approx(200), "a page in a tick, once"


def test_a_curve_between_and_beyond_what_was_seen() -> None:
    seen = curve(np.array([1.0, 100.0]), np.array([10.0, 100.0]))
    assert seen.at(10.0)[0] == pytest.approx(100**0.75)
    assert seen.at(0.5)[0] == pytest.approx(10 * 0.5**0.75)
    assert seen.at(400.0)[0] == pytest.approx(200)
    assert seen.at(0.0)[0] == 0
    # Draws in which a longer window holds much fewer: nothing of that is for windows below the shortest.
    steep = Curve(windows_ns=np.array([1.0, 1.0001]), pages=np.tile([10.0, 0.0], (201, 1)))
    assert steep.at(1e-9)[0] == pytest.approx(1e-8)
    assert seen.times(2.0).at(0.5)[0] == pytest.approx(10)
    assert seen.times(2.0).at(0.25)[0] == pytest.approx(10 * 0.5**0.75)
    shrinking = Curve(windows_ns=np.array([1.0, 2.0]), pages=np.tile([10.0, 5.0], (201, 1)))
    assert shrinking.at(100.0)[0] == pytest.approx(10 * 0.5**0), "a longer window never holds fewer"


def test_below_a_tick_there_may_be_more_pages_than_in_proportion() -> None:
    """A hundred pages at the square root of the length: between that and in proportion anything may be."""
    seen = curve(np.array([4.0, 8.0]), np.array([100.0, 100.0 * 2**0.5]))
    low, _, high = interval(seen.at(1.0))
    assert low == pytest.approx(25, rel=0.05)
    assert high == pytest.approx(50, rel=0.05)
    steady = program(recorded([list(range(100))] * 64))
    low, _, high = interval(steady.written.at(0.1 * MS))
    assert low < 2
    assert high > 80
