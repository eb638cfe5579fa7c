"""Quartiles, the same ones everywhere; and centres with their intervals, and quotients of them."""

import numpy as np
import pytest

from gcbarrier.bench.marker import _quotient
from gcbarrier.bench.probes import timed
from gcbarrier.results.intervals import geometric, interval, ratio
from gcbarrier.results.spread import over, percentile, quartiles, spread


def test_quartiles_are_linearly_interpolated_like_percentiles() -> None:
    assert quartiles([4, 1, 3, 2]) == (1.75, 2.5, 3.25)
    assert quartiles([7]) == (7, 7, 7)
    values = [3.0, 14.0, 15.0, 92.0, 65.0, 35.0, 89.0]
    assert quartiles(values) == tuple(percentile(values, q) for q in (25, 50, 75))
    assert all(each != each for each in quartiles([]))


@pytest.mark.parametrize("samples", [[10.0, 20.0], [10.0], [4.0, 1.0, 3.0, 2.0]])
def test_readings_have_these_quartiles(samples: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GCBARRIER_ACCELERATOR", raising=False)
    expected = quartiles(samples)
    for reading in (timed("x", samples), _quotient(samples, 1)):
        assert (reading.low, reading.value, reading.high) == expected, "and none lies beyond what was sampled"


def test_a_spread_says_whether_it_has_an_interval() -> None:
    five, four = spread([5.0, 1, 3, 2, 4, float("nan")]), spread([5.0, 1, 3, 2])
    assert (five.kind, five.each) == ("interval", (5, 1, 3, 2, 4))
    assert (five.low, five.high) == (interval(five.each).low, interval(five.each).high)
    assert (four.kind, four.low, four.high) == ("range", 1, 5)
    assert spread([5.0, 1, 3, 2, 4], ratio=True).low == interval(five.each, geometric).low
    assert not spread([])


def test_a_quotient_pairs_invocations_of_the_same_seed() -> None:
    seeds, base = range(10, 16), [1.0, 5, 2, 9, 4, 7]
    one = spread([2.0 * value for value in base], seeds=seeds)
    # In another order, which says nothing.
    other = spread(base[::-1], seeds=seeds[::-1])
    paired = over(one, other)
    assert (paired.each, paired.low, paired.centre, paired.high) == ((2,) * 6, 2, 2, 2)
    apart = over(one, spread(base))
    assert apart.low < 1 < 3 < apart.high
    assert apart.low == ratio(one.each, base, paired=False, statistic=lambda x, axis=-1: np.median(x, axis=axis)).low


@pytest.mark.parametrize(("seeds", "pairs"), [([1, 2, 3, 4, 5], 5), ([1, 2, 3, 4], 0), ([1, 2, 3, 4, 9], 0)])
def test_few_pairs_are_no_reason_to_leave_the_others_out(seeds: list[int], pairs: int) -> None:
    one, other = spread([1.0] * len(seeds), seeds=seeds), spread([1.0, 2, 3, 4, 5, 6], seeds=range(1, 7))
    assert over(one, other).centre == pytest.approx(1 / 3 if pairs else 1 / 3.5)


def test_invocations_that_share_a_seed_among_themselves_are_no_pairs() -> None:
    twice = spread([1.0, 2, 4], seeds=[1, 1, 2])
    assert twice.seeds == ()
    assert over(twice, twice).high == 4


def test_there_is_no_quotient_of_nothing() -> None:
    one = spread([1.0, 2])
    assert not over(one, spread([]))
    assert not over(spread([]), one)
    assert not over(one, spread([1.0, 0]))
