"""What a recording of page writes tells of a program: how many pages within a cycle, and how sure that is."""

from collections.abc import Sequence
from math import hypot
from statistics import median

import numpy as np
from attrs import frozen
from scipy.stats import norm, t

from gcbarrier.costs.constants import DRAWS, Floats
from gcbarrier.costs.curves import Curve, curve
from gcbarrier.costs.workload import Workload
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES
from gcbarrier.page_traces.numbers import first_writes, working_set
from gcbarrier.page_traces.records import PageTrace, Recording, Slowdown


@frozen(kw_only=True, eq=False)
class Program:
    """A recorded process as the formula wants it."""

    written: Curve
    """By its own clock; of windows that fit into the recording twice at least."""
    writes_per_ns: Floats
    """Pages that are written in a tick, over all ticks, for each draw: no fewer stores than these were made."""
    pages: int
    """That were there or were written."""
    duration_ns: float
    """Of the recording, by the program's own clock."""
    processors: float
    """Processor time that it used over the time that went by. The recorder's own is not in it, but the faults that
    recording made the program take are, which nobody has told apart: it is a little too much."""
    stretch: Floats
    """How many times as long it took for being recorded, and that for each draw (the draws of ``written`` and
    ``writes_per_ns``, too): measured, or 1 where ``Recording.slowdowns`` does not tell."""
    stretch_known: bool

    def workload(
        self, *, period_ns: float, mutators: int = 1, heap_bytes: int = 0, stores_per_page: float = 0.0
    ) -> Workload:
        """In cycles of so long. ``heap_bytes``: 0, as many pages as were seen. ``stores_per_page``: to a page that is
        written in a cycle; 0: not known, and so one in each tick."""
        pages = heap_bytes / PAGE_BYTES if heap_bytes else float(self.pages)
        told = stores_per_page > 0
        stores = self.written.at(period_ns) * stores_per_page / period_ns if told else self.writes_per_ns
        return Workload(
            written=self.written,
            stores_per_ns=stores,
            pages=pages,
            mutators=mutators,
            processors=self.processors if self.processors > 0 else 0.0,
            least_stores=not told,
        )


def program(recording: Recording, trace: PageTrace | None = None) -> Program:
    """Of a recording's main process, or of another one of it.

    Raises GcBarrierError where nothing was written or there are too few ticks to see anything twice.
    """
    trace = recording.main if trace is None else trace
    if trace.ticks < _LEAST or not trace.counts.any():
        seen = f"{trace.ticks} ticks" if trace.counts.any() else "no write"
        raise GcBarrierError(f"the recording has {seen}: nothing can be said of cycles; record for longer")
    known = stretch(recording.slowdowns, recording.every_ns)
    slowed = np.ones(1 + DRAWS) if known is None else known
    factor = float(slowed[0])
    clock = slowed / factor
    tick_ns = trace.duration_ns / trace.ticks / factor
    scale = trace.page_bytes / PAGE_BYTES
    windows = [1 << power for power in range(trace.ticks.bit_length()) if 2 << power <= trace.ticks]
    means = working_set(trace, windows) * scale
    errors = np.array(
        [standard_error(np.asarray(first_writes(trace, window) * scale, np.float64)) for window in windows]
    )
    watched_ns = float(trace.duration_ns)
    return Program(
        written=curve(np.array(windows) * tick_ns, means, errors, clock=clock),
        writes_per_ns=float(trace.counts.sum()) * scale / (trace.ticks * tick_ns) * clock,
        pages=round(len(trace.pages) * scale),
        duration_ns=trace.ticks * tick_ns,
        processors=float(trace.cpu_ns.sum()) / watched_ns,
        stretch=slowed,
        stretch_known=known is not None,
    )


_LEAST = 4
_BATCHES = 6


def standard_error(counts: Floats) -> float:
    """The standard error of the mean, windows that follow one another not being taken for independent.

    A program has phases, and windows that are shorter than these are alike. So batches of windows are taken, twice as
    long again and again: where these lie further apart than their windows would by chance, the error is theirs (batch
    means; of fewer than six of them nothing is to be learnt).
    """
    found, size = _apart(counts), 2
    while (batches := len(counts) // size) >= _BATCHES:
        found = max(found, _apart(counts[: batches * size].reshape(batches, size).mean(axis=1)))
        size *= 2
    return found


def _apart(counts: Floats) -> float:
    """The standard error of the mean of independent numbers, wider by Student's t: of few little is known."""
    n = len(counts)
    factor = t.ppf(0.975, n - 1) / norm.ppf(0.975)
    return float(np.std(counts, ddof=1) / np.sqrt(n) * factor)


def stretch(slowdowns: Sequence[Slowdown], every_ns: int) -> Floats | None:
    """How many times as long it took, watched every so often, as not watched, and that for each draw.

    Shape ``(1 + DRAWS,)``; None where it was not measured. Of a single repetition nothing tells how far it is off.
    """
    walls = {each.every_ns: np.log(each.wall_ns) for each in slowdowns if each.wall_ns and all(each.wall_ns)}
    if 0 not in walls or every_ns not in walls:
        return None
    watched, alone = walls[every_ns], walls[0]
    # Of times that are multiplied by chance, the middle has about the error of the mean.
    error = hypot(*(_apart(each) if len(each) > 1 else 0.0 for each in (watched, alone)))
    luck = np.concatenate([[0.0], np.random.default_rng(_SEED).standard_normal(DRAWS)])
    return np.asarray(np.maximum(np.exp(median(watched) - median(alone) + luck * error), 1.0))


_SEED = 2022


__all__ = ["Program", "program", "standard_error", "stretch"]
