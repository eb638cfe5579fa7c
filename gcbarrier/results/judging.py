"""Ratios of many comparisons with their intervals, and which of them are hardly chance."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from gcbarrier.results.intervals import ENOUGH, Interval, ratio
from gcbarrier.results.permuted import Chances, exchanged, flipped

SIGNIFICANT = 0.05
"""How likely it may be that any of the differences that are called is none."""

SIGNS = 6
"""Pairs from which on their signs are exchanged.

Five have 32 signs, so that a difference of any size comes out by chance in 6 % of them, and none could ever be called.
Of those labels are exchanged as if they were no pairs: that calls fewer differences where seeds matter, never more.
"""

Pairing = Literal["none", "seed"]


@frozen(kw_only=True)
class Sample:
    """One measure of one configuration in A and in B: by the number of the invocation, finite values only."""

    a: Mapping[int, float]
    b: Mapping[int, float]
    seeds_a: Mapping[int, int]
    seeds_b: Mapping[int, int]

    @property
    def pairs(self) -> dict[int, tuple[float, float]]:
        """By seed, where most invocations have a partner; empty where they don't."""
        first, second = self._by_seed(self.a, self.seeds_a), self._by_seed(self.b, self.seeds_b)
        common = {seed: (first[seed], second[seed]) for seed in first if seed in second}
        return common if 2 * len(common) > max(len(self.a), len(self.b)) else {}

    def _by_seed(self, values: Mapping[int, float], seeds: Mapping[int, int]) -> dict[int, float]:
        found = {seeds[at]: value for at, value in values.items() if at in seeds}
        # Of two with one seed, as in runs put together, it is not known which is whose partner.
        return found if len(found) == len(values) else {}

    @property
    def positive(self) -> bool:
        """Whether there is a ratio."""
        return min(*self.a.values(), *self.b.values()) > 0


@frozen(kw_only=True)
class Judged:
    """What became of a :class:`Sample`."""

    ratio: Interval
    pairing: Pairing
    p: float | None = None
    p_among_all: float | None = None
    verdict: str = "unknown"


def judge(samples: Sequence[Sample]) -> list[Judged]:
    """Of each sample its ratio, and of those with invocations enough whether it could be chance.

    Ratios are of geometric means, and what is tested are the logarithms' means; where some number is 0, the numbers'
    means are. Samples in pairs and others are tested as two families.
    """
    drafts = [_draft(sample) for sample in samples]
    paired = [at for at, one in enumerate(samples) if len(one.pairs) >= SIGNS]
    rest = [at for at in range(len(samples)) if at not in set(paired) and _enough(samples[at])]
    families = [(members, test) for members, test in ((paired, _signs), (rest, _labels)) if members]
    for members, test in families:
        chances = test([samples[at] for at in members])
        for place, at in enumerate(members):
            among_all = min(float(chances.among_all[place]) * len(families), 1.0)
            drafts[at] = _decided(samples[at], drafts[at], float(chances.alone[place]), among_all)
    return drafts


_NAN = float("nan")


def _enough(sample: Sample) -> bool:
    return min(len(sample.a), len(sample.b), len(sample.pairs) or ENOUGH) >= ENOUGH


def mean(values: ArrayLike, axis: int = -1) -> Any:
    """The arithmetic mean along ``axis``."""
    return np.mean(np.asarray(values, np.float64), axis=axis)


def ratio_of(sample: Sample) -> Interval:
    """B's geometric mean over A's, of pairs where there are any.

    Where an invocation has nothing at all there is none, and the ratio is of arithmetic means, without an interval; nan
    where A's is 0.
    """
    if not sample.positive:
        first, second = mean(list(sample.a.values())), mean(list(sample.b.values()))
        centre = second / first if first > 0 and second >= 0 else _NAN
        return Interval(centre=centre, low=_NAN, high=_NAN, kind="range", n=min(len(sample.a), len(sample.b)))
    if pairs := sample.pairs:
        first, second = zip(*pairs.values(), strict=True)
        return ratio(second, first, paired=True)
    return ratio(list(sample.b.values()), list(sample.a.values()))


def _draft(sample: Sample) -> Judged:
    return Judged(ratio=ratio_of(sample), pairing="seed" if sample.pairs else "none")


def _decided(sample: Sample, draft: Judged, alone: float, among_all: float) -> Judged:
    first, second = (mean(list(side.values())) for side in (sample.a, sample.b))
    up = bool(draft.ratio.centre > 1 if draft.ratio.centre == draft.ratio.centre else second > first)
    apart = not draft.ratio.holds(1.0)
    called = among_all <= SIGNIFICANT and apart
    verdict = ("worse" if up else "better") if called else "chance"
    return Judged(ratio=draft.ratio, pairing=draft.pairing, p=alone, p_among_all=among_all, verdict=verdict)


def _scale(sample: Sample) -> Callable[[float], float]:
    return np.log if sample.positive else float


def _signs(samples: Sequence[Sample]) -> Chances:
    columns = {seed: place for place, seed in enumerate(sorted({seed for one in samples for seed in one.pairs}))}
    values = np.full((len(samples), len(columns)), np.nan)
    for row, sample in enumerate(samples):
        scale = _scale(sample)
        for seed, (first, second) in sample.pairs.items():
            values[row, columns[seed]] = scale(second) - scale(first)
    return flipped(values)


def _labels(samples: Sequence[Sample]) -> Chances:
    first = sorted({at for one in samples for at in one.a})
    second = sorted({at for one in samples for at in one.b})
    columns = {(side, at): place for place, (side, at) in enumerate([(0, n) for n in first] + [(1, n) for n in second])}
    values = np.full((len(samples), len(columns)), np.nan)
    for row, sample in enumerate(samples):
        scale = _scale(sample)
        for side, numbers in enumerate((sample.a, sample.b)):
            for at, value in numbers.items():
                values[row, columns[side, at]] = scale(value)
    return exchanged(values, np.array([side == 1 for side, _ in columns]))


__all__ = ["SIGNIFICANT", "SIGNS", "Judged", "Pairing", "Sample", "judge", "mean", "ratio_of"]
