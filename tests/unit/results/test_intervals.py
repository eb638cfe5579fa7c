"""Intervals: what is one and what is a range, the same for the same data, and of data that has none."""

import numpy as np
import pytest

from gcbarrier.results import intervals
from gcbarrier.results.intervals import geometric, interval, median, of_percentile, ratio

FIVE = (10.0, 12.0, 11.0, 15.0, 13.0)


@pytest.mark.parametrize("statistic", [median, geometric])
def test_from_five_on_it_is_an_interval_and_below_a_range(statistic):
    found = interval(FIVE, statistic)
    assert (found.kind, found.n, found.words) == ("interval", 5, "95 % bootstrap interval over 5 invocations")
    assert min(FIVE) <= found.low < found.centre < found.high <= max(FIVE)
    fewer = interval(FIVE[:4], statistic)
    assert (fewer.kind, fewer.low, fewer.high, fewer.words) == ("range", 10.0, 15.0, "range of 4 invocations")


def test_the_same_data_have_the_same_interval_and_more_of_it_a_narrower_one():
    values = np.random.default_rng(1).lognormal(size=40)
    first = interval(values)
    intervals._interval.cache_clear()
    assert interval(values) == first
    assert first.half_width < interval(values[:8]).half_width


def test_of_a_mean_it_is_about_as_wide_as_students():
    values = np.random.default_rng(2).normal(100, 1, 12)
    found = interval(values, geometric)
    # From a table: t is 2.201 for 11 degrees of freedom.
    student = 2.201 * values.std(ddof=1) / np.sqrt(12)
    assert (found.high - found.low) / 2 == pytest.approx(student, rel=0.1)


@pytest.mark.parametrize("values", [(), (np.nan,), (np.inf, np.nan)])
def test_of_nothing_there_is_none(values):
    found = interval(values)
    assert (found.kind, found.n) == ("range", 0)
    assert np.isnan([found.centre, found.low, found.high, found.half_width]).all()


def test_of_one_it_is_that_and_what_is_not_finite_is_left_out():
    found = interval([np.nan, 3.0])
    assert (found.centre, found.low, found.high, found.kind, found.n) == (3.0, 3.0, 3.0, "range", 1)
    assert found.words == "range of 1 invocation"


def test_of_equal_values_it_has_no_width():
    found = interval([7.0] * 6)
    assert (found.low, found.high, found.kind, found.half_width) == (7.0, 7.0, "interval", 0.0)
    assert np.isnan(interval([0.0] * 6).half_width)


def test_of_values_that_are_not_positive_there_is_no_geometric_mean():
    assert np.isnan(interval([1.0, 2.0, 0.0, 3.0, 4.0], geometric).centre)
    assert np.isnan(ratio([1.0] * 5, [0.0] * 5).high)
    assert np.isnan(ratio([], [1.0]).centre)


def test_pairs_take_out_what_their_seeds_share():
    seeds = np.random.default_rng(3).lognormal(sigma=0.5, size=8)
    of, to = 1.1 * seeds * np.linspace(0.99, 1.01, 8), seeds
    apart, paired = ratio(of, to), ratio(of, to, paired=True)
    assert apart.centre == pytest.approx(paired.centre) == pytest.approx(1.1, rel=1e-3)
    assert apart.holds(1)
    assert not paired.holds(1)
    assert paired.half_width < 0.02


def test_a_pair_of_which_one_is_missing_is_left_out():
    assert ratio([1.0, np.nan, 4.0], [2.0, 2.0, np.nan], paired=True).n == 1
    with pytest.raises(ValueError, match="as many"):
        ratio([1.0], [1.0, 2.0], paired=True)


def test_a_ratio_below_five_is_a_range():
    of, to = [2.0, 4.0], [1.0, 4.0]
    paired, apart = ratio(of, to, paired=True), ratio(of, to)
    assert (paired.kind, paired.low, paired.high) == ("range", 1.0, 2.0)
    assert (apart.kind, apart.low, apart.high) == ("range", 0.5, 4.0)


def test_pauses_are_drawn_within_their_invocations():
    rng = np.random.default_rng(4)
    alike = [rng.lognormal(sigma=0.5, size=500) for _ in range(6)]
    apart = [values * factor for values, factor in zip(alike, (0.7, 0.8, 0.9, 1.1, 1.2, 1.3), strict=True)]
    close, wide = of_percentile(alike, 95), of_percentile(apart, 95)
    assert close.centre == pytest.approx(np.percentile(np.concatenate(alike), 95))
    assert (close.kind, close.n) == ("interval", 6)
    # As many pauses, and yet: what they share in an invocation is no evidence.
    assert wide.half_width > 2 * close.half_width


def test_resamples_of_pauses_lie_as_if_each_had_been_drawn():
    """Against drawing invocations, and pauses within, one by one."""
    rng = np.random.default_rng(5)
    groups = [rng.lognormal(mean, 0.5, size=size) for mean, size in ((0, 30), (0.1, 60), (0.3, 40), (0.2, 50), (0, 45))]
    slow = []
    for _ in range(4000):
        chosen = [groups[index] for index in rng.integers(0, 5, 5)]
        slow.append(np.percentile(np.concatenate([rng.choice(group, group.size) for group in chosen]), 90))
    found = of_percentile(groups, 90)
    edges = np.quantile(slow, [intervals._outer(5), 1 - intervals._outer(5)])
    assert [found.low, found.high] == pytest.approx(edges, rel=0.1)


def test_beyond_the_last_few_pauses_nothing_is_known():
    groups = [np.arange(1.0, 21.0)] * 6
    assert of_percentile(groups, 50).kind == "interval"
    # 120 pauses: 1.2 of them beyond the 99th.
    assert of_percentile(groups, 99).kind == "range"
    assert (of_percentile(groups, 100).low, of_percentile(groups, 100).kind) == (20.0, "range")
    assert of_percentile([], 50).n == of_percentile([[], []], 50).n == 0
    assert of_percentile([[5.0], []], 50).words == "range of 1 invocation"
