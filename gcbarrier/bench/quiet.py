"""Is this machine quiet? Looked at for some seconds: what it does to a thread that only reads the clock."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from gcbarrier.bench.gaps import clock_gaps
from gcbarrier.machines import temper as machine
from gcbarrier.machines.quiet import Look, looks, users
from gcbarrier.model import Gaps, Temper
from gcbarrier.results.burden import Burden, weighed

_EACH_NS = 2_000_000_000
_NAMED = 3


@frozen(kw_only=True)
class Quiet:
    """What was found."""

    alone: Gaps
    """Of one thread, the other processors left to whoever wants them."""
    everywhere: Gaps
    """Of a thread on each processor that this process may use."""
    looks: tuple[Look, ...]

    @property
    def wrong(self) -> bool:
        """Whether something is to be mended."""
        return any(look.wrong for look in self.looks)


def quiet(core: Path, *, each_ns: int = _EACH_NS) -> Quiet:
    """Look at it twice for ``each_ns``, and at its settings. ``core`` is the compiled core's folder."""
    processors = sorted(os.sched_getaffinity(0))
    slice_ns = machine.slice_of()
    alone = clock_gaps(core, threads=1, duration_ns=each_ns, slice_ns=slice_ns)
    before, begun, threads = machine.slow(processors), machine.moment(processors), users()
    everywhere = clock_gaps(
        core, threads=len(processors), processors=processors, duration_ns=each_ns, slice_ns=slice_ns
    )
    ended, now = machine.moment(processors), users()
    temper = machine.temper(
        before, begun, ended, machine.slow(processors), processors=len(processors), gaps=everywhere, slice_ns=slice_ns
    )
    found = (*restless(temper, _busiest(threads, now)), *looks(processors))
    return Quiet(alone=alone, everywhere=everywhere, looks=found)


def restless(temper: Temper, busiest: Sequence[str]) -> Sequence[Look]:
    """What a thread on each processor had to share it with; ``busiest`` are the others that used most."""
    found = weighed(temper, temper.processors)
    if found is None:
        return ()
    ended = f"end or move what runs beside: {', '.join(busiest)}" if busiest else "end what runs beside"
    return (
        Look(
            what="other threads",
            found=f"used {_processors(found.others, found)}",
            why="whoever needs a processor that another thread has waits for a slice of the scheduler, milliseconds",
            mend=ended if found.to_others > found.own else "",
        ),
        Look(
            what="hypervisor, firmware",
            found=f"took {_processors(max(found.stolen, found.absent), found)}",
            why="a processor that is taken away is a gap in whatever ran on it, and nothing in there can tell",
            mend="take a machine, or virtual processors, of your own" if found.stopped else "",
        ),
    )


def _processors(share: float, found: Burden) -> str:
    return f"{share * found.processors:.2g} of {found.processors} processors"


def _busiest(before: Mapping[int, tuple[str, int]], now: Mapping[int, tuple[str, int]]) -> list[str]:
    used = {number: ticks - before.get(number, ("", 0))[1] for number, (_, ticks) in now.items()}
    used.pop(os.getpid(), None)
    ordered = sorted(used, key=lambda number: -used[number])[:_NAMED]
    return [f"{now[number][0]} ({number})" for number in ordered if used[number] > 0]


__all__ = ["Quiet", "quiet", "restless"]
