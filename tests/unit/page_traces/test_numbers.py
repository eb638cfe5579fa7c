"""Numbers out of page writes, against what counting by hand and by definition comes to."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from gcbarrier.page_traces.numbers import first_writes, first_writes_of_each, per_tick, rewrites, working_set


@frozen
class Made:
    """Writes that are made up: for each tick, the pages."""

    sets: Sequence[frozenset[int]]
    page_count: int

    @property
    def ticks(self) -> int:
        return len(self.sets)

    @property
    def pages(self) -> np.ndarray:
        return np.arange(self.page_count, dtype=np.uint64) * 4096

    def writes(self) -> Iterator[np.ndarray]:
        return (np.array(sorted(written), dtype=np.uint32) for written in self.sets)


PAGES = 6
MADE = st.lists(st.frozensets(st.integers(0, PAGES - 1)), max_size=12).map(lambda sets: Made(sets, PAGES))

HAND = Made([frozenset({0, 1}), frozenset({0}), frozenset(), frozenset({0, 2}), frozenset({2})], 4)
"""Page 1 is written once, page 3 never."""


def distinct(trace: Made, first: int, window: int) -> int:
    return len(frozenset().union(*trace.sets[first : first + window]))


def test_a_working_set_by_hand() -> None:
    # Windows of 2: {0, 1}, {0}, {0, 2}, {0, 2}.
    assert working_set(HAND, [1, 2, 5]) == pytest.approx([6 / 5, 7 / 4, 3])


def test_windows_that_do_not_exist_have_no_mean() -> None:
    assert all(math.isnan(value) for value in working_set(HAND, [0, -1, 6]))
    assert working_set(HAND, []).shape == (0,)
    assert math.isnan(working_set(Made([], 4), [1])[0])


@given(MADE)
def test_a_working_set_is_the_mean_over_all_windows(trace: Made) -> None:
    windows = range(1, trace.ticks + 1)
    for window, mean in zip(windows, working_set(trace, windows), strict=True):
        starts = range(trace.ticks - window + 1)
        assert mean == pytest.approx(sum(distinct(trace, at, window) for at in starts) / len(starts))


@given(MADE)
def test_longer_windows_hold_no_fewer_pages_and_the_longest_holds_all(trace: Made) -> None:
    curve = working_set(trace, range(1, trace.ticks + 1))
    assert (np.diff(curve) >= -1e-9).all()
    if trace.ticks:
        assert curve[-1] == distinct(trace, 0, trace.ticks)


@given(MADE, st.integers(1, 14))
def test_first_writes_are_the_pages_of_whole_windows(trace: Made, window: int) -> None:
    starts = range(0, trace.ticks - window + 1, window)
    assert first_writes(trace, window).tolist() == [distinct(trace, at, window) for at in starts]


@given(MADE, st.lists(st.integers(1, 14), max_size=4))
def test_several_lengths_at_once_are_each_by_itself(trace: Made, windows: list[int]) -> None:
    each = [first_writes(trace, window).tolist() for window in windows]
    assert [counts.tolist() for counts in first_writes_of_each(trace, windows)] == each


def test_a_window_has_ticks() -> None:
    with pytest.raises(ValueError, match="at least 1 tick, not 0"):
        first_writes(HAND, 0)


def test_rewrites_by_hand() -> None:
    found = rewrites(HAND)
    assert found.intervals.tolist() == [0, 2, 1, 0, 0]
    assert (found.firsts, found.writes) == (3, 6)
    assert found.per_page.tolist() == [3, 1, 2, 0]
    assert [found.within(ticks) for ticks in (-1, 0, 1, 2, 99)] == pytest.approx([0, 0, 2 / 6, 3 / 6, 3 / 6])
    assert found.concentration() == pytest.approx([0, 3 / 6, 5 / 6, 1])
    assert [found.pages_for(share) for share in (0.0, 0.5, 0.6, 5 / 6, 0.9, 1.0)] == [0, 1, 2, 2, 3, 3]


def test_nothing_written_is_written_by_no_page() -> None:
    for trace in (Made([], 3), Made([frozenset()], 3), Made([frozenset()] * 4, 0)):
        found = rewrites(trace)
        assert found.writes == 0
        assert math.isnan(found.within(1))
        assert found.concentration().tolist() == [0.0]
        assert found.pages_for(0.9) == 0
        assert per_tick(trace).tolist() == [0] * trace.ticks


@given(MADE)
def test_each_write_is_a_first_or_again(trace: Made) -> None:
    found = rewrites(trace)
    assert found.writes == sum(map(len, trace.sets)) == found.per_page.sum() == per_tick(trace).sum()
    assert found.firsts == distinct(trace, 0, trace.ticks)
    for ticks in range(trace.ticks + 1):
        again = sum(
            page in frozenset().union(*trace.sets[max(at - ticks, 0) : at])
            for at, written in enumerate(trace.sets)
            for page in written
        )
        assert math.isnan(found.within(ticks)) or found.within(ticks) == pytest.approx(again / found.writes)


@given(MADE)
def test_few_pages_take_most_writes(trace: Made) -> None:
    curve = rewrites(trace).concentration()
    assert (np.diff(curve) > 0).all()
    assert (np.diff(curve, 2) <= 1e-9).all(), "the next page is never written more often"
    assert len(curve) == 1 or curve[-1] == pytest.approx(1)


def test_ticks_in_the_order_of_what_they_write() -> None:
    assert per_tick(HAND).tolist() == [0, 1, 1, 2, 2]
