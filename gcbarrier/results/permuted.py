"""Could it be chance? Permutation tests of many comparisons at once, corrected for their number.

The unit is the invocation. If two runs do not differ, which of them an invocation was of is a label that might as well
have been another's: so labels are exchanged, or, where invocations are pairs of one seed, the signs of the pairs'
differences, and each comparison's statistic (Welch's t, or Student's of the differences) is seen among those that come
out then. No distribution is assumed.

The correction is Westfall and Young's step-down maxT ("Resampling-Based Multiple Testing", 1993, algorithm 2.8): labels
are exchanged in all comparisons alike, and a comparison counts by how often the *greatest* statistic of those not yet
decided reaches its own. That bounds the chance that any of the differences that are called is none. Holm's and
Benjamini and Hochberg's corrections do so of p-values, of which five invocations beside five have none below 1/126:
over a few dozen comparisons they could call nothing a difference, however large. And what one invocation has in common
with itself in other measures, or with its neighbours in time, is kept by exchanging labels of the whole of it.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

DRAWS = 4999
"""Labellings that are drawn where there are too many to try all; one more is what was measured."""

Floats = NDArray[np.float64]
_BLOCK = 256
"""Comparisons at a time: all statistics of thousands of them would not fit."""


@frozen
class Chances:
    """Of each comparison: how likely such a difference is by chance, by itself and among all."""

    alone: Floats
    among_all: Floats


def exchanged(values: Floats, second: NDArray[np.bool_], *, seed: int = 0) -> Chances:
    """Of the means of two groups, by exchanging labels.

    ``values`` has a row for each comparison and a column for each invocation, of which those of the ``second`` group
    are told by that; nan where there is none. ``seed`` decides what is drawn where not all labellings are tried.
    """
    columns, ones = len(second), int(second.sum())
    if comb(columns, ones) <= DRAWS + 1:
        picked = np.array(list(combinations(range(columns), ones)), np.intp).reshape(-1, ones)
        labels = np.zeros((len(picked), columns))
        np.put_along_axis(labels, picked, 1.0, axis=1)
        return _step_down(values, labels, second.astype(np.float64), _welch, 0)
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.tile(second.astype(np.float64), (DRAWS, 1)), axis=1)
    return _step_down(values, drawn, second.astype(np.float64), _welch, 1)


def flipped(differences: Floats, *, seed: int = 0) -> Chances:
    """Of paired differences around 0, by exchanging their signs; a row for each comparison, a column for each pair."""
    columns = differences.shape[1]
    if 2**columns <= DRAWS + 1:
        bits = (np.arange(2**columns)[:, None] >> np.arange(columns) & 1).astype(np.float64)
        return _step_down(differences, 1 - 2 * bits, np.ones(columns), _student, 0)
    drawn = 1 - 2 * np.random.default_rng(seed).integers(0, 2, (DRAWS, columns)).astype(np.float64)
    return _step_down(differences, drawn, np.ones(columns), _student, 1)


_Statistic = Callable[[Floats, NDArray[np.bool_], Floats], Floats]


def _step_down(values: Floats, labels: Floats, measured: Floats, of: _Statistic, counted: int) -> Chances:
    """``counted``: 1 where what was measured counts as a labelling besides those in ``labels``."""
    there = np.isfinite(values)
    scaled = _scaled(values, there, centred=of is _welch)
    found = np.concatenate(
        [of(scaled[at : at + _BLOCK], there[at : at + _BLOCK], labels) for at in range(0, len(values), _BLOCK)]
    )
    # Labellings that come to the same are not to differ in the last bit.
    seen = of(scaled, there, measured[None])[:, 0] * (1 - 1e-9)
    alone = (counted + (found >= seen[:, None]).sum(axis=1)) / (counted + found.shape[1])
    among = np.empty(len(values))
    greatest = np.zeros(found.shape[1])
    order = np.argsort(-seen, kind="stable")
    for row in order[::-1]:
        greatest = np.maximum(greatest, found[row])
        among[row] = (counted + (greatest >= seen[row]).sum()) / (counted + found.shape[1])
    among[order] = np.maximum.accumulate(among[order])
    return Chances(alone, among)


def _scaled(values: Floats, there: NDArray[np.bool_], *, centred: bool) -> Floats:
    """Rows of unit spread, so that one bound tells what is no spread at all; 0 where there is no value."""
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    filled = np.where(there, values, 0.0)
    moved = np.where(there, filled - filled.sum(axis=1, keepdims=True) / count, 0.0) if centred else filled
    size = np.sqrt((moved**2).sum(axis=1, keepdims=True) / count)
    least = 1e-12 * np.abs(filled).max(axis=1, keepdims=True)
    scaled: Floats = np.divide(moved, size, out=np.zeros_like(moved), where=size > least)
    return scaled


_NO_SPREAD = 1e-14
"""Of values that spread by 1: more than what is left of no variance where squares are subtracted. What differs without
any spread, as counts do, then differs by very much."""


def _quotient(difference: Floats, variance: Floats, *, known: Floats) -> Floats:
    """``|difference| / sqrt(variance)``; 0 where too few values were there to tell."""
    found: Floats = np.abs(difference) / np.sqrt(np.maximum(variance, _NO_SPREAD))
    found[known <= 0] = 0.0
    return found


def _welch(values: Floats, there: NDArray[np.bool_], labels: Floats) -> Floats:
    """Welch's t of each row under each labelling."""
    count, square = there.astype(np.float64), values**2
    many = [count @ group.T for group in (labels, 1 - labels)]
    sums = [values @ group.T for group in (labels, 1 - labels)]
    squares = [square @ group.T for group in (labels, 1 - labels)]
    enough = np.minimum(many[0], many[1]) - 1
    means = [total / np.maximum(n, 1) for total, n in zip(sums, many, strict=True)]
    spreads = [
        np.maximum(total - n * mean**2, 0) / np.maximum(n - 1, 1) / np.maximum(n, 1)
        for total, n, mean in zip(squares, many, means, strict=True)
    ]
    return _quotient(means[0] - means[1], spreads[0] + spreads[1], known=enough)


def _student(values: Floats, there: NDArray[np.bool_], signs: Floats) -> Floats:
    """Student's t of each row's mean under each choice of signs."""
    many = there.sum(axis=1, keepdims=True).astype(np.float64)
    mean = values @ signs.T / np.maximum(many, 1)
    square = (values**2).sum(axis=1, keepdims=True)
    variance = np.maximum(square - many * mean**2, 0) / np.maximum(many - 1, 1) / np.maximum(many, 1)
    return _quotient(mean, variance, known=many - 1 + 0 * mean)


__all__ = ["DRAWS", "Chances", "exchanged", "flipped"]
