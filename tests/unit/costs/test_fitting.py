"""Fits find what readings were made of, and their intervals hold it."""

from collections.abc import Sequence

import numpy as np
import pytest

from gcbarrier.costs.constants import Linear
from gcbarrier.costs.fitting import Row, Sample, difference, line, per, scalar

FIXED, PAGE, DIRTY = 2000.0, 1.5, 40.0
PAGES = (4096, 16384)
SHARES = (0.001, 0.03, 1.0)


def rows(seed: int, noise: float, *, pages: Sequence[int] = PAGES, invocations: int = 5) -> list[list[Row]]:
    """What invocations read, each of them off by its own factor."""
    luck = np.random.default_rng(seed)
    return [
        [
            Row(size, share * size, (FIXED + PAGE * size + DIRTY * share * size) * float(luck.lognormal(0, noise)))
            for size in pages
            for share in SHARES
        ]
        for _ in range(invocations)
    ]


def coefficients(found: Linear) -> list[float]:
    """Its three."""
    return [found.fixed.value, found.page.value, found.dirty.value]


def test_a_line_without_noise_is_found_exactly() -> None:
    found = line(rows(1, 0.0))
    assert coefficients(found) == pytest.approx([FIXED, PAGE, DIRTY], rel=1e-6)
    assert found.misfit.low == pytest.approx(1.0, abs=1e-6)


def test_what_is_far_off_counts_little() -> None:
    made = rows(1, 0.01)
    made[0][0] = Row(made[0][0].pages, made[0][0].dirty, 50 * made[0][0].ns)
    assert coefficients(line(made))[1:] == pytest.approx([PAGE, DIRTY], rel=0.05)


def test_memories_of_one_size_have_no_fixed_part() -> None:
    found = line(rows(1, 0.0, pages=PAGES[:1]))
    assert found.fixed.value == 0
    assert found.ns(PAGES[0], 100)[0] == pytest.approx(FIXED + PAGE * PAGES[0] + DIRTY * 100, rel=1e-6)


def test_no_cost_is_negative() -> None:
    found = line([[Row(4096, 4, 100), Row(4096, 4096, 90), Row(16384, 16, 80), Row(16384, 16384, 70)]] * 3)
    assert min(coefficients(found)) >= 0
    assert min(found.dirty.draws) >= 0


def test_intervals_of_a_line_hold_the_truth_as_often_as_they_say() -> None:
    held = np.mean([holds(line(rows(seed, 0.05))) for seed in range(12)])
    # 95 of 100, of which these are 12 at random: fewer than 9 once in 500.
    assert held >= 9 / 12


def holds(found: Linear) -> bool:
    """Whether the interval of what a dirty page costs has it."""
    return found.dirty.low <= DIRTY <= found.dirty.high


def test_intervals_of_a_median_hold_the_truth_as_often_as_they_say() -> None:
    luck = np.random.default_rng(3)
    held = []
    for _ in range(100):
        found = scalar([Sample(value, value, value) for value in luck.normal(100, 10, 5)])
        held.append(found.low <= 100 <= found.high)
    assert np.mean(held) > 0.87


def test_one_invocation_is_as_uncertain_as_its_samples() -> None:
    found = scalar([Sample(100, 90, 110)])
    # Quartiles are 0.67 deviations away, the ends of the interval 1.96.
    assert found.low == pytest.approx(100 - 10 / 0.674 * 1.96, rel=0.1)
    assert found.value == 100


def test_a_difference_of_what_is_alike_is_nothing_and_not_less() -> None:
    one = scalar([Sample(value, value, value) for value in (10.0, 11.0, 9.0)])
    other = scalar([Sample(value, value, value) for value in (10.5, 11.5, 9.5)])
    assert difference(one, other).value == 0
    assert min(difference(one, other).draws) == 0
    assert difference(other, one).value == pytest.approx(0.5)


def test_a_share_of_a_constant_has_that_share_of_its_spread() -> None:
    one = scalar([Sample(value, value, value) for value in (10.0, 12.0, 9.0)])
    assert per(one, 2).value == one.value / 2
    assert per(one, 2).high == pytest.approx(one.high / 2)
