"""Constants out of readings: medians and robust lines, and what they would be of other invocations.

The unit is the invocation, as everywhere (:mod:`gcbarrier.results.intervals`): as many are drawn as there are, with
replacement, and the constant is computed anew, :data:`gcbarrier.costs.constants.DRAWS` times; the draws are then moved
outwards as Student's t is wider than the normal distribution. Of a single invocation its own samples have to tell how
far they lie apart.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import norm, t

from gcbarrier.costs.constants import DRAWS, Constant, Floats, Linear

_SEED = 2022
_TUNING = 1.345
"""Huber's: 95 % as good as least squares where there are no outliers ("Robust estimation of a location parameter",
Annals of Mathematical Statistics 35(1), 1964; the number for regression is in his "Robust Statistics", 1981)."""
_ROUNDS = 12
_QUARTILES = 1.349
"""Standard deviations between the quartiles of a normal distribution."""


@frozen
class Sample:
    """What one invocation read of one thing: the median of its samples, and their quartiles."""

    value: float
    low: float
    high: float


@frozen
class Row:
    """One collect of one invocation."""

    pages: float
    dirty: float
    ns: float


def scalar(samples: Sequence[Sample], *, least: float | None = None) -> Constant:
    """The median over invocations; no draw is below ``least``."""
    values = np.array([each.value for each in samples])
    if len(values) == 1:
        one = samples[0]
        deviation = abs(one.high - one.low) / _QUARTILES
        draws = one.value + deviation * _luck(values).standard_normal(DRAWS)
    else:
        drawn = values[_drawn(values, len(values))]
        draws = _widened(float(np.median(values)), np.median(drawn, axis=1), len(values))
    return _constant(float(np.median(values)), draws, least)


def difference(one: Constant, other: Constant, *, least: float | None = 0.0) -> Constant:
    """What ``one`` is more than ``other``; both were measured apart from each other.

    ``least``: a barrier makes nothing cheaper, so that what is below it is noise."""
    return _constant(one.value - other.value, one.array[1:] - other.array[1:], least)


def per(constant: Constant, count: float) -> Constant:
    """A share of it."""
    return Constant(value=constant.value / count, draws=tuple(each / count for each in constant.draws))


def line(invocations: Sequence[Sequence[Row]]) -> Linear:
    """The line that fits the rows of all invocations, none of whose coefficients is negative.

    What is far off in per cent counts less and less (Huber's weights), and a µs at 0.01 % of the pages counts as much
    as a ms at 100 %. Where all rows are of memories of one size, what is fixed and what a page costs can't be told
    apart: all of it is then the pages'.
    """
    table = np.array([(1.0, row.pages, row.dirty, max(row.ns, 1.0)) for rows in invocations for row in rows])
    design, ns = table[:, :3] / table[:, 3:], table[:, 3]
    if len({*table[:, 1]}) == 1:
        design[:, 0] = 0.0
    centre, weights, misfit = _fit(design)
    owner = np.repeat(np.arange(len(invocations)), [len(rows) for rows in invocations])
    drawn = []
    if len(invocations) > 1:
        # What is far off is far off in all draws: weights are not found anew.
        places = [np.flatnonzero(owner == at) for at in range(len(invocations))]
        for picked in _drawn(ns, len(invocations)):
            rows = np.concatenate([places[at] for at in picked])
            drawn.append(nnls(design[rows] * weights[rows, None], weights[rows])[0])
    # One invocation's rows: what they lie off the line is all that there is to know.
    draws = np.array(drawn) if drawn else np.tile(centre, (DRAWS, 1))
    wide = _widened(centre, draws, len(invocations)) if drawn else draws
    fixed, page, dirty = (_constant(float(centre[at]), wide[:, at], 0.0) for at in range(3))
    noise = _luck(ns).standard_normal(DRAWS)
    return Linear(fixed=fixed, page=page, dirty=dirty, misfit=_constant(1.0, np.exp(misfit * noise), 0.0))


def _fit(design: Floats) -> tuple[Floats, Floats, float]:
    """Coefficients with which all rows are 1, weights, and how far rows lie off: the deviation of the logarithm."""
    weights = np.ones(len(design))
    found = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        found, _norm = nnls(design * weights[:, None], weights)
        off = np.abs(design @ found - 1)
        # Off by so much is usual; weights go in squared.
        usual = max(float(np.median(off)) / 0.6745, 1e-9)
        weights = np.sqrt(np.minimum(1.0, _TUNING * usual / np.maximum(off, 1e-12)))
    logs = np.log(np.maximum(design @ found, 1e-9))
    return found, weights, float(np.median(np.abs(logs))) / 0.6745


def _luck(values: Floats) -> np.random.Generator:
    """The same for the same readings, and another for any others: what is measured apart is wrong apart."""
    return np.random.default_rng([_SEED, crc32(values.tobytes())])


def _drawn(values: Floats, count: int) -> NDArray[np.int64]:
    """Which invocations are drawn, each time."""
    return _luck(values).integers(count, size=(DRAWS, count))


def _widened(centre: Floats | float, draws: Floats, count: int) -> Floats:
    factor = t.ppf(0.975, count - 1) / norm.ppf(0.975) * np.sqrt(count / (count - 1))
    return np.asarray(centre + (draws - centre) * factor)


def _constant(value: float, draws: Floats, least: float | None) -> Constant:
    if least is not None:
        value, draws = max(value, least), np.maximum(draws, least)
    # Four digits: they are kept in a file, and nobody measures more.
    return Constant(value=value, draws=tuple(float(f"{each:.4g}") for each in draws))


__all__ = ["Row", "Sample", "difference", "line", "per", "scalar"]
