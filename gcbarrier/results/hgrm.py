"""Percentiles as HdrHistogram writes them (``.hgrm``): what its plotter, and many others, read.

A line for each level, which lie the denser the closer they are to 100 %: so many to each half of the distance that is
left. Values are microseconds.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from gcbarrier.results.operations import Histogram

_TICKS = 5
"""Levels to each half of the distance to 100 %; HdrHistogram's own default."""
_PER_US = 1e3


def hgrm(values_ns: ArrayLike, counts: ArrayLike | None = None) -> str:
    """The text of such a file, of values in ns; ``counts``: how often each occurred (None: once)."""
    values = np.asarray(values_ns, np.float64)
    order = np.argsort(values, kind="stable")
    values = values[order] / _PER_US
    many = np.ones(len(values), np.int64) if counts is None else np.asarray(counts, np.int64)[order]
    up_to = np.cumsum(many)
    total = int(up_to[-1]) if len(up_to) else 0
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for level in _levels(total):
        at = int(np.searchsorted(up_to, max(int(np.ceil(level * total - 1e-6)), 1)))
        # Equal values are one: all that do not exceed it are counted.
        seen = int(up_to[np.searchsorted(values, values[at], "right") - 1])
        lines.append(f"{values[at]:12.3f} {level:2.12f} {seen:10d} {1 / (1 - level):14.2f}")
    if total:
        lines.append(f"{values[-1]:12.3f} {1:2.12f} {total:10d}")
    mean = float((values * many).sum() / total) if total else 0.0
    deviation = float(np.sqrt(((values - mean) ** 2 * many).sum() / total)) if total else 0.0
    most = float(values[-1]) if total else 0.0
    lines.append(f"#[Mean    = {mean:12.3f}, StdDeviation   = {deviation:12.3f}]")
    lines.append(f"#[Max     = {most:12.3f}, Total count    = {total:12d}]")
    lines.append(f"#[Buckets = {1:12d}, SubBuckets     = {len(values):12d}]")
    return "\n".join(lines) + "\n"


def hgrm_of(times: Histogram) -> str:
    """Of operations' times in buckets: each is its middle."""
    return hgrm((times.low_ns + times.high_ns - 1) / 2, times.counts)


def _levels(total: int) -> Iterator[float]:
    """Until none of the values is left above."""
    left = 1.0
    while total and left * total >= 1:
        yield 1 - left
        # Of the half that it is in: the steps are as long until it is over.
        half = 2.0 ** np.ceil(np.log2(left) - 1e-9)
        left -= float(half) / (2 * _TICKS)


__all__ = ["hgrm", "hgrm_of"]
