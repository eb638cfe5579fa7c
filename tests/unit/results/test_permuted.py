"""Whether it could be chance: against enumeration by hand, and against what chance does."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp, ttest_ind

from gcbarrier.results.judging import Sample, judge
from gcbarrier.results.permuted import exchanged, flipped

RNG_SEED = 20240229
FIVE_FIVE = np.array([False] * 5 + [True] * 5)


def apart(first: list[float], second: list[float]) -> np.ndarray:
    return np.array([[*first, *second]])


def test_one_comparison_is_as_enumerated_by_hand() -> None:
    values = np.random.default_rng(RNG_SEED).normal(size=(1, 10))
    values[0, 5:] += 0.9

    def t(ones: tuple[int, ...]) -> float:
        rest = [at for at in range(10) if at not in ones]
        return abs(ttest_ind(values[0, list(ones)], values[0, rest], equal_var=False).statistic)

    seen = t((5, 6, 7, 8, 9))
    wanted = np.mean([t(ones) >= seen * (1 - 1e-9) for ones in combinations(range(10), 5)])
    found = exchanged(values, FIVE_FIVE)
    assert found.alone[0] == pytest.approx(wanted)
    assert found.among_all[0] == found.alone[0], "alone, there is nothing to correct for"


def test_signs_are_as_enumerated_by_hand() -> None:
    values = np.random.default_rng(RNG_SEED).normal(0.6, 1, size=(1, 7))
    seen = abs(ttest_1samp(values[0], 0).statistic)
    every = [abs(ttest_1samp(values[0] * signs, 0).statistic) for signs in product([1, -1], repeat=7)]
    assert flipped(values).alone[0] == pytest.approx(np.mean(np.array(every) >= seen * (1 - 1e-9)))


def test_five_that_lie_apart_are_as_unlikely_as_labels_allow() -> None:
    found = exchanged(apart([1, 2, 3, 4, 5], [11, 12, 13, 14, 15.5]), FIVE_FIVE)
    assert found.alone[0] == pytest.approx(2 / 252)


def test_a_difference_stays_one_among_many_that_are_none() -> None:
    rng = np.random.default_rng(RNG_SEED)
    values = rng.normal(size=(150, 10))
    values[17, 5:] += 60
    found = exchanged(values, FIVE_FIVE)
    assert found.among_all[17] == pytest.approx(2 / 252), "Holm would make 1 of this"
    assert (np.delete(found.among_all, 17) > 0.05).all()
    assert (found.among_all >= found.alone).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_what_never_differs_is_no_difference(value: float) -> None:
    assert exchanged(np.full((1, 10), value), FIVE_FIVE).alone[0] == 1
    assert flipped(np.zeros((1, 8))).alone[0] == 1


def test_what_always_differs_by_as_much_is_one() -> None:
    """Counts: no spread, so that t would be infinite, and of what never differs nan."""
    found = exchanged(apart([100.0] * 5, [101.0] * 5), FIVE_FIVE)
    assert found.alone[0] == pytest.approx(2 / 252)


def test_what_is_missing_is_left_out() -> None:
    whole = exchanged(apart([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), FIVE_FIVE)
    holes = apart([1, 2, np.nan, 4, 5], [6, 7, 8, 9, np.nan])
    assert whole.alone[0] <= exchanged(holes, FIVE_FIVE).alone[0] <= 0.1
    assert exchanged(apart([1, *[np.nan] * 4], [np.nan] * 5), FIVE_FIVE).alone[0] == 1


def test_many_invocations_are_drawn_from_and_the_same_each_time() -> None:
    values = np.random.default_rng(RNG_SEED).normal(size=(3, 40))
    values[0, 20:] += 3
    labels = np.arange(40) >= 20
    first, second = exchanged(values, labels), exchanged(values, labels)
    assert first.alone.tolist() == second.alone.tolist()
    assert first.among_all[0] == pytest.approx(1 / 5000)


def of(first: np.ndarray, second: np.ndarray, *, paired: bool) -> Sample:
    seeds = {at: at for at in range(len(first))}
    others = seeds if paired else {at: 1000 + at for at in range(len(second))}
    return Sample(a=dict(enumerate(first)), b=dict(enumerate(second)), seeds_a=seeds, seeds_b=others)


def alike(rng: np.random.Generator, n: int, measures: int, *, paired: bool) -> list[Sample]:
    """Two runs of one program: lognormal, with what an invocation (or its seed) does to all of its measures."""
    effects = rng.normal(0, 0.05, (2, n))
    if paired:
        effects[1] = effects[0]
    first, second = (np.exp(rng.normal(0, 0.03, (measures, n)) + effect) for effect in effects)
    return [of(one, other, paired=paired) for one, other in zip(first, second, strict=True)]


COMPARISONS = 200


@pytest.mark.parametrize(("n", "paired"), [(5, False), (5, True), (7, True)])
def test_chance_is_called_a_difference_no_more_often_than_it_says(n: int, paired: bool) -> None:
    """In 5 % of comparisons *any* ratio may be called. More than this has a chance of a thousandth if that holds."""
    rng = np.random.default_rng(RNG_SEED)
    judged = [judge(alike(rng, n, 2, paired=paired)) for _ in range(COMPARISONS)]
    called = sum(any(one.verdict != "chance" for one in each) for each in judged)
    assert called <= binom.ppf(0.999, COMPARISONS, 0.05)


def test_what_one_in_a_hundred_has_is_not_called_among_many() -> None:
    rng = np.random.default_rng(RNG_SEED)
    judged = judge([of(*np.exp(rng.normal(0, 0.03, (2, 5))), paired=False) for _ in range(60)])
    assert min(one.p for one in judged if one.p is not None) <= 0.03
    assert {one.verdict for one in judged} == {"chance"}


def test_without_the_correction_it_would_be_called_too_often() -> None:
    """So that the test above can fail."""
    rng = np.random.default_rng(RNG_SEED)
    alone = 0
    for _ in range(COMPARISONS):
        found = exchanged(rng.normal(size=(20, 10)), FIVE_FIVE)
        alone += bool((found.alone <= 0.05).any())
    assert alone > binom.ppf(0.999, COMPARISONS, 0.05)
