"""Operations' times as the core hands them over, and as records.

Buckets are log-linear (``native/world/times.c``): 64 to each power of two, and below 64 ns one for each nanosecond.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcbarrier.core.events import Kind
from gcbarrier.model import PHASES, OperationTimes, SlowOperation

SLOW = np.dtype(
    [
        ("start_ns", "<u8"),
        ("end_ns", "<u8"),
        ("took_ns", "<u8"),
        ("mutator", "<u4"),
        ("phase", "<u4"),
        ("preempted", "<u4"),
        ("blocked", "<u4"),
    ]
)
"""``gcb_slow_operation`` in ``native/include/records.h``."""
SLOW_AT_MOST = 256
"""Of each mutator."""

STAMP = np.dtype([("gap_ns", "<u4"), ("took_ns", "<u4")])
"""``gcb_stamp`` in ``native/include/records.h``: one operation after the other, of one mutator after the other."""
FIRST = np.dtype([("first_ns", "<u8"), ("count", "<u8")])
"""Of each mutator: where its first operation began, and how many of the stamps are its own."""

_FINE_SHIFT = 6


def bucket_bounds(buckets: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The least time of each bucket, and the least that is too long for it, in ns."""
    number = np.asarray(buckets, np.int64)
    fine = 1 << _FINE_SHIFT
    shift = np.maximum((number >> _FINE_SHIFT) - 1, 0)
    low = np.where(number < fine, number, (fine + (number & (fine - 1))) << shift)
    return low, low + (np.int64(1) << shift)


def histograms(counts: NDArray[Any]) -> tuple[OperationTimes, ...]:
    """``counts`` of shape ``(phases, buckets)``, by phase; one in which no operation ended is left out."""
    found = []
    for phase, each in zip(PHASES, counts, strict=True):
        used = np.flatnonzero(each)
        low, high = bucket_bounds(used)
        if len(used):
            bounds = {"low_ns": tuple(low.tolist()), "high_ns": tuple(high.tolist())}
            found.append(OperationTimes(phase=phase, counts=tuple(int(count) for count in each[used]), **bounds))
    return tuple(found)


def slow_operations(slow: NDArray[Any], events: NDArray[Any]) -> tuple[SlowOperation, ...]:
    """Slow operations (of dtype SLOW), slowest first, with the names of the ``events`` that overlap each."""
    found = []
    for one in slow[np.argsort(slow["took_ns"], kind="stable")[::-1]]:
        met = events[(events["start_ns"] < one["end_ns"]) & (events["end_ns"] > one["start_ns"])]
        # Another mutator's wait is not its own.
        met = met[(met["thread"] == 0) | (met["thread"] == one["mutator"] + 1)]
        found.append(
            SlowOperation(
                mutator=int(one["mutator"]),
                start_ns=int(one["start_ns"]),
                end_ns=int(one["end_ns"]),
                operation_ns=int(one["took_ns"]),
                phase=PHASES[int(one["phase"])],
                during=tuple(Kind(kind).name.lower() for kind in np.unique(met["kind"])),
                preempted=bool(one["preempted"]),
                blocked=bool(one["blocked"]),
            )
        )
    return tuple(found)


__all__ = ["FIRST", "SLOW", "SLOW_AT_MOST", "STAMP", "bucket_bounds", "histograms", "slow_operations"]
