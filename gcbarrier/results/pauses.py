"""Pauses as an array, and what a typical one is made of."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcbarrier.model import Outcome
from gcbarrier.results.run import Run
from gcbarrier.results.spread import quartiles
from gcbarrier.results.tables import PAUSES

PAUSE_PHASES = ("ttsp", "roots", "collect", "rescan", "mark", "resume")
"""The phases of a pause in the order in which they happen; column ``<phase>_ns`` holds each."""


def pauses(source: Run | Iterable[Outcome]) -> NDArray[Any]:
    """Every pause as a row of a structured array, shape ``(n,)``, with the columns of ``pauses.csv``.

    Order is that of the outcomes, then of time. Times are nanoseconds (int64). Failed invocations are included.
    """
    if isinstance(source, Run):
        return PAUSES.array(source.outcomes, source.experiment)
    return PAUSES.array(source)


def phase_split(table: NDArray[Any]) -> NDArray[np.float64]:
    """What the typical pause of ``table`` (see :func:`pauses`) is made of, in ns, shape ``(len(PAUSE_PHASES) + 1,)``.

    The last element is time in no phase. Medians of phases do not add up to the median of the pause, so this takes
    the mean of each phase over the middle half of the pauses and scales the lot to the median pause: the sum is the
    median. All zeros where there are no pauses.
    """
    if not len(table):
        return np.zeros(len(PAUSE_PHASES) + 1)
    total = table["pause_ns"].astype(np.float64)
    low, median, high = quartiles(total)
    middle = table[(total >= low) & (total <= high)]
    if not len(middle):  # two pauses: both quartiles lie strictly between them
        middle = table
    parts = np.array([middle[f"{phase}_ns"].mean() for phase in PAUSE_PHASES])
    other = max(float(middle["pause_ns"].mean() - parts.sum()), 0.0)
    split = np.append(parts, other)
    whole = split.sum()
    return np.asarray(split * (median / whole) if whole else split)


def stopped_per_cycle(table: NDArray[Any]) -> NDArray[np.int64]:
    """How long each cycle stopped the mutators in all its pauses together, in ns, shape ``(number of cycles,)``.

    ``table`` (see :func:`pauses`) must be of one configuration on one machine: a cycle is told apart by its
    invocation and number. Order is that of both. Cycles without a pause are not in it.
    """
    cycles = table[["invocation", "cycle"]]
    distinct, which = np.unique(cycles, return_inverse=True)
    # Not bincount's weights: they are floats, which drop nanoseconds in sums beyond 2**53.
    total = np.zeros(len(distinct), np.int64)
    np.add.at(total, which, table["pause_ns"])
    return total


__all__ = ["PAUSE_PHASES", "pauses", "phase_split", "stopped_per_cycle"]
