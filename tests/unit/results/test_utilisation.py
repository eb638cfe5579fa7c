"""Utilisation curves: against every window that there is, one by one."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcbarrier.results.utilisation import Timeline, timeline, window_lengths, worst

LENGTH = 40

shares = st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(1, 4)])
intervals = st.lists(st.tuples(st.integers(-5, LENGTH + 5), st.integers(0, 15), shares), max_size=8)


def made(found: list[tuple[int, int, Fraction]]) -> Timeline:
    begin = [one for one, _, _ in found]
    return timeline(LENGTH, begin, [at + long for at, long, _ in found], [float(share) for _, _, share in found])


def lost(found: list[tuple[int, int, Fraction]]) -> list[Fraction]:
    """Of each ns of the run."""
    each = []
    for at in range(LENGTH):
        met = [share for begin, long, share in found if begin <= at < begin + long]
        each.append(Fraction(1) if 1 in met else min(sum(met, Fraction(0)), Fraction(1)))
    return each


def least(found: list[tuple[int, int, Fraction]], window: int, *, longer: bool = False) -> Fraction:
    """By every window that begins and ends on a whole ns, as all edges do."""
    each = lost(found)
    lengths = range(window, LENGTH + 1) if longer else [window]
    return min(
        1 - sum(each[at : at + length], Fraction(0)) / length for length in lengths for at in range(LENGTH - length + 1)
    )


@given(intervals, st.integers(1, LENGTH))
def test_the_minimum_is_that_of_the_worst_window(found: list[tuple[int, int, Fraction]], window: int) -> None:
    assert made(found).mmu(window)[0] == pytest.approx(float(least(found, window)), abs=1e-9)


@given(intervals, st.integers(1, LENGTH))
def test_the_bounded_one_is_that_of_the_worst_window_so_long_or_longer(
    found: list[tuple[int, int, Fraction]], window: int
) -> None:
    assert made(found).bmu(window)[0] == pytest.approx(float(least(found, window, longer=True)), abs=1e-9)


@given(intervals, st.integers(1, LENGTH - 1), st.floats(0, 100))
def test_percentiles_are_those_of_windows_that_begin_anywhere(
    found: list[tuple[int, int, Fraction]], window: int, q: float
) -> None:
    """Begins are sampled so densely that no window's utilisation is further than a sample's step away."""
    line, steps = made(found), 64
    at = (np.arange((LENGTH - window) * steps) + 0.5) / steps
    sampled = np.sort(1 - (line.lost(at + window) - line.lost(at)) / window)
    value, slack = line.percentile(window, q)[0], 2 / (steps * window)
    below = np.searchsorted(sampled, value - slack, "left") / len(sampled)
    above = np.searchsorted(sampled, value + slack, "right") / len(sampled)
    assert below - 2 / len(sampled) <= q / 100 <= above + 2 / len(sampled)


@given(intervals, st.integers(1, LENGTH))
def test_the_ends_of_the_percentiles_are_the_worst_window_and_the_best(
    found: list[tuple[int, int, Fraction]], window: int
) -> None:
    line, each = made(found), lost(found)
    best = max(1 - sum(each[at : at + window], Fraction(0)) / window for at in range(LENGTH - window + 1))
    assert line.percentile(window, 0)[0] == pytest.approx(line.mmu(window)[0], abs=1e-9)
    assert line.percentile(window, 100)[0] == pytest.approx(float(best), abs=1e-9)


def test_two_pauses_close_to_each_other_are_worse_than_either() -> None:
    """What MMU was made for: 10 ns at 100 and 10 ns at 120 leave a window of 30 ns a third."""
    line = timeline(1000, [100, 120], [110, 130])
    assert line.mmu([10, 30, 1000]) == pytest.approx([0, 1 / 3, 0.98])


def test_the_bounded_one_never_falls_where_the_minimum_does() -> None:
    line = timeline(1000, [100, 120], [110, 130])
    assert line.mmu([19, 30])[1] < line.mmu([19, 30])[0]
    windows = np.arange(1, 1000)
    bounded = line.bmu(windows)
    assert (np.diff(bounded) >= -1e-12).all()
    assert bounded[18] == pytest.approx(1 / 3)


def test_half_the_speed_is_seen_however_short_the_pauses() -> None:
    """A pause of 1.6 µs, and between pauses a mutator that loses every second ns."""
    begin = np.arange(0, 1e8, 1e6)
    pauses = timeline(1e8, begin, begin + 1600)
    all_of_it = timeline(1e8, [*begin, 0], [*(begin + 1600), 1e8], [*np.ones(100), 0.5])
    assert pauses.mmu(1e6)[0] > 0.99
    assert all_of_it.mmu(1e6)[0] == pytest.approx(0.5, abs=0.01)


def test_what_overlaps_is_lost_once() -> None:
    line = timeline(100, [10, 15, 12], [20, 30, 14], [1.0, 1.0, 0.5])
    assert line.utilisation == pytest.approx(0.8)


def test_a_window_longer_than_the_run_is_the_run() -> None:
    line = timeline(100, [10], [20])
    assert line.mmu(1000)[0] == line.bmu(1000)[0] == line.percentile(1000, 30)[0] == pytest.approx(0.9)


def test_nothing_lost_is_all_there() -> None:
    line = timeline(100, [], [])
    assert line.mmu([1, 100]).tolist() == line.bmu([1, 100]).tolist() == line.percentile([1, 100], 5).tolist() == [1, 1]


def test_windows_and_runs_have_a_length() -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        timeline(0, [], [])
    with pytest.raises(ValueError, match="longer than nothing"):
        timeline(1, [], []).mmu(0)


def test_the_worst_mutator_is_the_one_that_counts() -> None:
    idle, held = timeline(100, [], []), timeline(100, [0], [50])
    assert worst([idle, held], [50, 100]).tolist() == [0, 0.5]
    assert worst([idle, held], [100], bounded=True).tolist() == [0.5]
    assert worst([idle, held], [100], 50).tolist() == [0.5]


def test_lengths_reach_from_the_shortest_to_the_run() -> None:
    lengths = window_lengths(1e9)
    assert lengths[0] == 1e3
    assert lengths[-1] == 1e9
    assert len(lengths) == 6 * 8 + 1
    assert window_lengths(10.0).tolist() == [10, 10]
