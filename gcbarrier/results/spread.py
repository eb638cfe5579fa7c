"""Distributions in few numbers, and how far the centre of some invocations can be trusted."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from gcbarrier.results.intervals import ENOUGH, Interval, Statistic, geometric, interval, median, ratio


def percentile(values: ArrayLike, q: float) -> float:
    """The ``q``-th percentile (0–100), linearly interpolated; nan where there are no values."""
    array = np.asarray(values, dtype=np.float64)
    return float(np.percentile(array, q)) if array.size else float("nan")


def quartiles(values: ArrayLike) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile, as :func:`percentile` has them."""
    return percentile(values, 25), percentile(values, 50), percentile(values, 75)


def geometric_mean(values: ArrayLike) -> float:
    """The mean that suits ratios and rates; nan where there are no values or one is not positive."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size or not (array > 0).all():
        return float("nan")
    return float(np.exp(np.log(array).mean()))


def tail(values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The complementary distribution: ``values`` in ascending order, and the share that is at least as large.

    The share starts at 1 and ends at ``1/n``, so every single value has a place on a logarithmic axis.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return ordered, np.arange(ordered.size, 0, -1) / max(ordered.size, 1)


@frozen(kw_only=True)
class Spread:
    """One number per invocation, and their centre with its interval (:mod:`gcbarrier.results.intervals`)."""

    centre: float
    low: float
    high: float
    each: tuple[float, ...]
    kind: Literal["interval", "range", "samples"] = "range"
    """What ``low`` and ``high`` are: the ends of a bootstrap interval of ``centre`` over the invocations; the smallest
    and the largest, where these are too few; or of what a probe sampled within them."""
    geometric: bool = False
    """The centre is a geometric mean, of a ratio, and not a median."""
    seeds: tuple[int, ...] = ()
    """Of the invocations that ``each`` is of; empty where that is not known, or two have the same."""

    def __bool__(self) -> bool:
        """Whether there is any number in it."""
        return bool(self.each)

    @property
    def half_width(self) -> float:
        """Half of what lies between the ends, as a share of the centre's size; nan where the centre is 0."""
        return (self.high - self.low) / 2 / abs(self.centre) if self.centre else float("nan")


_NOTHING = Spread(centre=float("nan"), low=float("nan"), high=float("nan"), each=())


def spread(values: Sequence[float], *, ratio: bool = False, seeds: Sequence[int] = ()) -> Spread:
    """The median of ``values`` (the geometric mean for ratios) with its interval; nan is left out.

    ``seeds``: of the invocations that the values are of.
    """
    kept = [at for at, value in enumerate(values) if np.isfinite(value)]
    each = tuple(float(values[at]) for at in kept)
    if not each:
        return _NOTHING
    own = tuple(seeds[at] for at in kept) if len(seeds) == len(values) else ()
    found = interval(each, geometric if ratio else median)
    return _spread(found, each, own if len(set(own)) == len(own) else (), geometric=ratio)


def over(one: Spread, other: Spread, statistic: Statistic = median) -> Spread:
    """``statistic`` of ``one`` over that of ``other``, with its interval: nothing where either has no positive number.

    Invocations of the same seed ran the same program about the same time, so they are pairs, and ``each`` is of pairs.
    Where not all have a partner and the pairs are too few for an interval, or either side would have to do without more
    than the other lacks, all are compared with all, and ``each`` is over the other's statistic.
    """
    if not one or not other or min(*one.each, *other.each) <= 0:
        return _NOTHING
    of, to = (dict(zip(side.seeds, side.each, strict=False)) for side in (one, other))
    shared = tuple(seed for seed in of if seed in to)
    fewer, more = sorted((len(one.each), len(other.each)))
    if len(shared) == more or len(shared) == fewer >= ENOUGH:
        first, second = [of[seed] for seed in shared], [to[seed] for seed in shared]
        each = tuple(mine / theirs for mine, theirs in zip(first, second, strict=True))
        return _spread(ratio(first, second, statistic, paired=True), each, shared, geometric=statistic is geometric)
    reference = float(statistic(other.each))
    each = tuple(value / reference for value in one.each)
    return _spread(ratio(one.each, other.each, statistic), each, one.seeds, geometric=statistic is geometric)


def _spread(found: Interval, each: tuple[float, ...], seeds: tuple[int, ...], *, geometric: bool) -> Spread:
    low, high = found.low, found.high
    return Spread(centre=found.centre, low=low, high=high, each=each, kind=found.kind, geometric=geometric, seeds=seeds)


__all__ = ["Spread", "geometric_mean", "over", "percentile", "quartiles", "spread", "tail"]
