"""How far a number can be trusted that comes from a few invocations: bootstrap intervals, and ranges below that.

The unit is the invocation: pauses of one process share its memory layout, its processors and its luck, so that more of
them say nothing about the next process (Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013). An
interval here is over invocations on one machine on one day, and says nothing of other machines.

The bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993) draws as many invocations as there are,
with replacement, again and again, and looks at what the statistic becomes. With five to ten of them its percentile
interval is too narrow, and so is BCa, which corrects bias and skewness only. So the percentiles are moved outwards as
Student's t is wider than the normal distribution: Hesterberg's expanded percentile interval ("What Teachers Should
Know About the Bootstrap", The American Statistician 69(4), 2015). How often each then holds the truth,
``tests/unit/results/test_coverage.py`` measures.

What no method mends: where a program has two modes, five invocations may all have met the same one; and a high
percentile of pauses that only some invocations reach is not known from five of them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import sqrt
from typing import Any, Literal

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

Kind = Literal["interval", "range"]

LEVEL = 0.95
"""How often an interval is to hold the truth."""

ENOUGH = 5
"""Invocations from which on there is an interval.

All of five lie on the same side of their distribution's median once in 16 times, so that even their whole range holds
it with 94 %; of four it is 88 %, and no interval within the range can do better.
"""

RESAMPLES = 4999
"""Enough that some lie beyond the outermost percentile asked for, 0.1 % at five invocations."""

_SEED = 20130620
"""The same data have the same interval, in every figure and every process."""

_BEYOND = 5
"""Pauses that must lie beyond a percentile: past the last few values a bootstrap can see nothing."""

Statistic = Callable[..., Any]
"""Of an array, along ``axis``."""


def median(values: ArrayLike, axis: int = -1) -> Any:
    """The median along ``axis``."""
    return np.median(np.asarray(values, np.float64), axis=axis)


def geometric(values: ArrayLike, axis: int = -1) -> Any:
    """The geometric mean along ``axis``, which suits ratios and rates; all values must be positive."""
    return np.exp(np.log(np.asarray(values, np.float64)).mean(axis=axis))


@frozen(kw_only=True)
class Interval:
    """A number and how far it can be trusted."""

    centre: float
    """The statistic of what was measured; nan where nothing was."""
    low: float
    high: float
    kind: Kind
    """``interval``: from a bootstrap, holds the truth about as often as ``level`` says. ``range``: the smallest and the
    largest of what was measured, with no promise."""
    n: int
    """Invocations, or pairs of them; the smaller number where two sets were compared."""
    level: float = LEVEL

    @property
    def half_width(self) -> float:
        """Half of what lies between the ends, as a share of the centre's size; nan where the centre is 0."""
        return (self.high - self.low) / 2 / abs(self.centre) if self.centre else float("nan")

    @property
    def words(self) -> str:
        """What the ends are, for small print."""
        return say(self.kind, self.n, self.level)

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies within."""
        return self.low <= value <= self.high


def say(kind: Kind, n: int, level: float = LEVEL) -> str:
    """What the ends of an interval or range over ``n`` invocations are."""
    over = f"{n} invocation{'s' * (n != 1)}"
    return f"{100 * level:g} % bootstrap interval over {over}" if kind == "interval" else f"range of {over}"


def interval(values: Iterable[float], statistic: Statistic = median) -> Interval:
    """Of ``statistic`` of one number per invocation; what is not finite is left out.

    ``statistic`` is a function at the top of a module (:func:`median`, :func:`geometric`), for it is remembered.
    """
    return _interval(tuple(float(value) for value in values if np.isfinite(value)), statistic)


def ratio(
    of: Sequence[float], to: Sequence[float], statistic: Statistic = geometric, *, paired: bool = False
) -> Interval:
    """Of ``statistic`` of ``of`` over that of ``to``, one number per invocation in each.

    ``paired``: ``of[i]`` and ``to[i]`` come from invocations of the same seed, which are drawn together; what their
    seed does to both then drops out. A pair of which one is not finite is left out. Otherwise they are drawn
    independently. The range, below :data:`ENOUGH`, is of the pairs' ratios, or from the smallest over the largest to
    the largest over the smallest. All nan where a number is not positive: there is no ratio then.
    """
    first, second = np.asarray(of, np.float64), np.asarray(to, np.float64)
    if paired:
        if first.shape != second.shape:
            raise ValueError("pairs need as many numbers on either side")
        both = np.isfinite(first) & np.isfinite(second)
        first, second = first[both], second[both]
    else:
        first, second = first[np.isfinite(first)], second[np.isfinite(second)]
    return _ratio(tuple(first.tolist()), tuple(second.tolist()), statistic, paired)


def of_percentile(groups: Sequence[ArrayLike], q: float) -> Interval:
    """Of the ``q``-th percentile (0 to 100) of all pauses together; ``groups`` has those of each invocation.

    Hierarchical: invocations are drawn, then as many pauses as they have from those that were drawn. The range, below
    :data:`ENOUGH` invocations or where fewer than five pauses lie beyond the percentile (on its shorter side), is of
    the invocations' own percentiles. An invocation without pauses is left out.
    """
    arrays = [array for group in groups if (array := np.asarray(group, np.float64)).size]
    n, pauses = len(arrays), sum(array.size for array in arrays)
    if not pauses:
        return _nothing(0)
    pooled = np.concatenate(arrays)
    order = np.argsort(pooled, kind="stable")
    pooled = pooled[order]
    centre = float(np.percentile(pooled, q))
    if n < ENOUGH or min(q, 100 - q) / 100 * pauses < _BEYOND:
        own = [float(np.percentile(array, q)) for array in arrays]
        return Interval(centre=centre, low=min(own), high=max(own), kind="range", n=n)
    drawn = _percentiles(pooled, order, [array.size for array in arrays], q)
    low, high = np.quantile(drawn, [_outer(n), 1 - _outer(n)])
    return Interval(centre=centre, low=float(low), high=float(high), kind="interval", n=n)


def _percentiles(
    pooled: NDArray[np.float64], order: NDArray[np.int64], sizes: Sequence[int], q: float
) -> NDArray[np.float64]:
    """The percentile of each resample.

    No pause is drawn: of N values drawn from a distribution the k-th smallest lies at its Beta(k, N + 1 - k)-th
    quantile, and the distribution is that of the pauses sorted once, each weighted by how often its invocation was
    drawn. All resamples look for theirs at the same time, by bisection.
    """
    rng = np.random.default_rng(_SEED)
    k = len(sizes)
    weights = rng.multinomial(k, [1 / k] * k, size=RESAMPLES)
    # below[i, j]: how many of the j smallest pauses are of invocation i.
    of = np.repeat(np.arange(k), sizes)[order]
    below = np.zeros((k, pooled.size + 1), np.int32)
    for index in range(k):
        np.cumsum(of == index, out=below[index, 1:])
    total = weights @ np.asarray(sizes)
    rank = 1 + (total - 1) * (q / 100)
    wanted = rng.beta(rank, total + 1 - rank) * total
    low, high = np.zeros(RESAMPLES, np.int64), np.full(RESAMPLES, pooled.size)
    while (open_ := high - low > 1).any():
        middle = (low + high) // 2
        enough = (weights.T * below[:, middle]).sum(axis=0) >= wanted
        high = np.where(open_ & enough, middle, high)
        low = np.where(open_ & ~enough, middle, low)
    return np.asarray(pooled[high - 1])


@lru_cache(maxsize=1 << 14)  # a figure, its table and its small print ask for the same cell
def _interval(values: tuple[float, ...], statistic: Statistic) -> Interval:
    n = len(values)
    if not n or (statistic is geometric and min(values) <= 0):
        return _nothing(n)
    centre, low, high = float(statistic(values)), min(values), max(values)
    if n < ENOUGH or low == high:
        return Interval(centre=centre, low=low, high=high, kind="range" if n < ENOUGH else "interval", n=n)
    low, high = _bootstrap((values,), statistic, n, paired=False)
    return Interval(centre=centre, low=low, high=high, kind="interval", n=n)


@lru_cache(maxsize=1 << 14)
def _ratio(of: tuple[float, ...], to: tuple[float, ...], statistic: Statistic, paired: bool) -> Interval:
    n = min(len(of), len(to))
    if not n or min(*of, *to) <= 0:
        return _nothing(n)
    centre = float(statistic(of) / statistic(to))
    if n < ENOUGH:
        ends = [min(of) / max(to), max(of) / min(to)]
        each = [one / other for one, other in zip(of, to, strict=True)] if paired else ends
        return Interval(centre=centre, low=min(each), high=max(each), kind="range", n=n)

    def quotient(of: NDArray[Any], to: NDArray[Any], axis: int) -> Any:
        return statistic(of, axis=axis) / statistic(to, axis=axis)

    low, high = _bootstrap((of, to), quotient, n, paired=paired)
    return Interval(centre=centre, low=low, high=high, kind="interval", n=n)


def _bootstrap(
    samples: tuple[tuple[float, ...], ...], statistic: Statistic, n: int, *, paired: bool
) -> tuple[float, float]:
    from scipy.stats import bootstrap

    found = bootstrap(
        samples,
        statistic,
        paired=paired,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=1 - 2 * _outer(n),
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


@lru_cache
def _outer(n: int) -> float:
    """The share of resamples to leave out at either end, so that ``n`` invocations do not promise too much."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - LEVEL) / 2)))


def _nothing(n: int) -> Interval:
    return Interval(centre=float("nan"), low=float("nan"), high=float("nan"), kind="range", n=n)


__all__ = [
    "ENOUGH",
    "LEVEL",
    "Interval",
    "Kind",
    "geometric",
    "interval",
    "median",
    "of_percentile",
    "ratio",
    "say",
]
