"""Distributions in few numbers, and how far invocations lie apart."""

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray


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
    """One number per invocation, and their centre.

    With the three or so invocations of a run an interval from a bootstrap would promise more than it can know: the
    spread shown is from the smallest to the largest.
    """

    centre: float
    low: float
    high: float
    each: tuple[float, ...]

    def __bool__(self) -> bool:
        """Whether there is any number in it."""
        return bool(self.each)


def spread(values: Sequence[float], *, ratio: bool = False) -> Spread:
    """The median of ``values`` (the geometric mean for ratios) with its range; nan is left out."""
    each = tuple(float(value) for value in values if np.isfinite(value))
    if not each:
        return Spread(centre=float("nan"), low=float("nan"), high=float("nan"), each=())
    centre = geometric_mean(each) if ratio else percentile(each, 50)
    return Spread(centre=centre, low=min(each), high=max(each), each=each)


__all__ = ["Spread", "geometric_mean", "percentile", "quartiles", "spread", "tail"]
