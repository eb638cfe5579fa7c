"""What the machine alone does to a thread: threads that only read the clock (``native/bench/gaps.c``)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gcbarrier.core.library import open_core
from gcbarrier.machines.temper import tick_ns
from gcbarrier.model import Gaps

SHORT_TICKS = 5
"""How long a look takes before each invocation, in ticks of the kernel's accounts: 50 ms as a rule. Another thread that
wants the same processor as much as ours gets it for a slice of some milliseconds at a time, so it shows in that."""
_KEPT = 1 << 14


def clock_gaps(
    core: Path,
    *,
    threads: int,
    processors: Sequence[int] = (),
    duration_ns: int | None = None,
    slice_ns: int | None = None,
) -> Gaps:
    """Look at the clock for ``duration_ns`` (by default for :data:`SHORT_TICKS`), in so many threads at once.

    ``core`` is the compiled core's folder. ``processors``: one for each thread; empty: wherever the scheduler puts
    them. ``slice_ns``: shorter gaps count as the machine's own (``Gaps.short_share``); None: those shorter than a tick.
    Raises GcBarrierError where there is no such processor.
    """
    opened = open_core(core)
    each = opened.ffi.new("gcb_gaps[]", threads)
    lengths = np.zeros((threads, _KEPT), np.uint64)
    opened.check(
        opened.lib.gcb_clock_gaps(
            threads,
            opened.ffi.new("uint32_t[]", list(processors)[:threads]) if processors else opened.ffi.NULL,
            SHORT_TICKS * tick_ns() if duration_ns is None else duration_ns,
            tick_ns() if slice_ns is None else slice_ns,
            each,
            opened.ffi.from_buffer("uint64_t[]", lengths),
            _KEPT,
        )
    )
    found = np.sort(np.concatenate([row[: min(int(one.count), _KEPT)] for row, one in zip(lengths, each, strict=True)]))
    wall_ns = sum(int(one.wall_ns) for one in each)
    return Gaps(
        threads=threads,
        wall_ns=max(int(one.wall_ns) for one in each),
        turn_ns=max(int(one.turn_ns) for one in each),
        least_ns=max(int(one.least_ns) for one in each),
        count=sum(int(one.count) for one in each),
        longest_ns=max(int(one.longest_ns) for one in each),
        p999_ns=int(found[int(0.999 * (len(found) - 1))]) if len(found) else 0,
        lost_share=sum(int(one.lost_ns) for one in each) / wall_ns,
        short_share=sum(int(one.short_ns) for one in each) / wall_ns,
        absent_share=sum(int(one.absent_ns) for one in each) / wall_ns,
        preempted=sum(int(one.preempted) for one in each),
    )


__all__ = ["SHORT_TICKS", "clock_gaps"]
