"""One run of a program under a tracker: what recording it and measuring what that costs have in common."""

import contextlib
import errno
import os
import resource
import select
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.recorder.attach import Attached, Descent
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.door import Door
from gcbarrier.recorder.family import Family
from gcbarrier.recorder.launch import Child, environment, without_huge_pages
from gcbarrier.recorder.process import Sink
from gcbarrier.recorder.ticks import Loop
from gcbarrier.recorder.trackers import Track
from gcbarrier.recorder.watch import Watch


@frozen(kw_only=True)
class Way:
    """How processes come to be watched."""

    track: Track
    library: Path | None
    """What is loaded into them, so that they introduce themselves; None: nothing, they are looked for."""


@frozen(kw_only=True)
class Ran:
    """What is known once the program has ended, or is watched no longer."""

    child: Child | Attached
    traces: int
    notes: tuple[str, ...]
    signalled: bool
    """Whether a signal came that was handed on."""
    wall_ns: int
    cpu_ns: int
    """Processor time of ours meanwhile."""
    problem: str = ""
    """Why it could not be watched to the end: a sentence."""


def watched(
    start: Callable[[Mapping[str, str]], Child | Attached],
    *,
    sink: Sink,
    signals: Signals,
    way: Way,
    every_ns: int,
    for_ns: int | None = None,
    huge_pages: bool = False,
) -> Ran:
    """Start a program in the environment given to ``start``, or attach to one, and watch it to its end, or for so long.

    Whatever goes wrong while it runs does not concern it: it is let go and runs on.
    """
    with contextlib.closing(Door()) as door:
        surroundings = environment(door.name, way.library, huge_pages=huge_pages) if way.library else os.environ
        begun_ns, begun_cpu_ns = time.monotonic_ns(), time.process_time_ns()
        with contextlib.nullcontext() if way.library or huge_pages else without_huge_pages():
            child = start(surroundings)
        watch = Watch(sink=sink, track=way.track, zero_ns=begun_ns)
        family = Family(watch, child.pid) if way.library else Descent(watch, child.pid, way.track)
        loop = Loop(watch=watch, door=door, child=child, signals=signals, every_ns=every_ns, besides=family.look)
        problem = ""
        try:
            with _many_files():
                if isinstance(family, Descent):
                    family.begin("attach" if isinstance(child, Attached) else "start")
                loop.run(None if for_ns is None else begun_ns + for_ns)
                if isinstance(child, Child) and child.status is not None:
                    watch.statuses[child.pid] = child.status
                watch.finish()
        except (GcBarrierError, OSError) as failure:
            problem = str(failure)
            watch.abandon()
        except BaseException:
            watch.abandon()
            door.close()
            unwatched(child, signals)
            raise
    wall_ns = time.monotonic_ns() - begun_ns
    return Ran(
        child=child,
        traces=watch.begun,
        notes=(*family.notes(), *watch.notes(), *_left_out(loop, watch, door, wall_ns // every_ns)),
        signalled=loop.signalled,
        wall_ns=wall_ns,
        cpu_ns=time.process_time_ns() - begun_cpu_ns,
        problem=problem,
    )


def unwatched(child: Child | Attached, signals: Signals) -> bool:
    """Wait for a program's end and hand signals on; whether one came."""
    signalled = False
    poll = select.poll()
    for each in (child, signals):
        poll.register(each.fileno(), select.POLLIN)
    while not child.has_ended():
        poll.poll()
        for came in signals.come():
            if came.by != child.pid:  # as in the loop
                signalled = True
                child.hand_on(came)
    return signalled


def _left_out(loop: Loop, watch: Watch, door: Door, ticks: int) -> Iterator[str]:
    if loop.late:
        share = f"{loop.late:,} of {ticks:,} ticks"
        yield f"{share} were left out, and those before them are longer: the recorder took, or waited for, too long"
    if watch.unseen:
        yield f"the last tick of {watch.unseen:,} of {watch.begun:,} process images is missing: each ended within it"
    if door.turned_away:
        yield f"{door.turned_away:,} process images were not followed: {os.strerror(errno.EMFILE)} (`ulimit -Hn`)"


@contextlib.contextmanager
def _many_files() -> Iterator[None]:
    """Five descriptors a process may be more than an ordinary limit allows. What a program inherits is not changed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
