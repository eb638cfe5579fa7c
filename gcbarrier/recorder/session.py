"""A program from its start to its end, with all that descends from it: the whole of ``gcbarrier record``."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import field, frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import host
from gcbarrier.page_traces.pagesfile import Writer
from gcbarrier.page_traces.records import UFFD, Slowdown
from gcbarrier.recorder import programs, slowdown, trackers
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.launch import Child
from gcbarrier.recorder.run import unwatched, watched


@frozen(kw_only=True)
class Wish:
    """What is to be recorded, and how. Times are nanoseconds."""

    command: tuple[str, ...]
    out: Path
    every_ns: int
    tracker: str = UFFD
    for_ns: int | None = None
    """Record for so long; the program runs on to its end. None: to its end."""
    huge_pages: bool = False
    """Leave it its transparent huge pages; each reads as written as a whole."""
    repetitions: int = 0
    """So many further runs, bare and at each interval of ``at_ns``, to measure the slow-down."""
    at_ns: tuple[int, ...] = field(default=())


@frozen(kw_only=True)
class Done:
    """What became of it."""

    status: int
    """Of the program, as a shell tells it."""
    problem: str
    """Why there is no recording: a sentence; "": there is one."""
    wall_ns: int
    cpu_ns: int
    """Processor time of the recorder while it recorded."""


def record(wish: Wish, signals: Signals, watch: Callable[[str], None] = lambda _: None) -> Done:
    """Run the program and write what it has written. ``watch`` is told which run for the slow-down it is.

    ``signals`` are handed on: block them before numpy is imported, which starts threads.

    Its standard streams, its signals and its process group are ours; what goes wrong with the recording, once it runs,
    does not concern it. Raises GcBarrierError, Unavailable among these, where it can't be started or watched.
    """
    trackers.check(wish.tracker)
    program = programs.find(wish.command)
    if why := programs.why_not(program):
        raise GcBarrierError(f"{program} can't be recorded: {why}")
    read = slowdown.Input() if wish.repetitions else None
    writer = Writer(
        wish.out, command=wish.command, every_ns=wish.every_ns, tracker=wish.tracker, facts=_facts(wish.huge_pages)
    )
    with writer:

        def start(environment: Mapping[str, str]) -> Child:
            return Child(program, wish.command, environment, signals.before)

        ran = watched(
            start,
            sink=writer,
            signals=signals,
            tracker=wish.tracker,
            every_ns=wish.every_ns,
            for_ns=wish.for_ns,
            huge_pages=wish.huge_pages,
        )
        problem, notes = ran.problem, ran.notes
        with contextlib.closing(ran.child):
            signalled = unwatched(ran.child, signals) or ran.signalled
            if not ran.traces and not problem:
                problem = f"{program} never introduced itself: {' '.join(notes) or 'it took no preloaded library'}"
            found: tuple[Slowdown, ...] = ()
            if read is not None and not problem:
                if signalled:
                    why = "the slow-down was not measured: a signal came"
                else:
                    found, why = slowdown.measure(
                        program,
                        wish.command,
                        read=read,
                        repetitions=wish.repetitions,
                        intervals_ns=wish.at_ns or (wish.every_ns,),
                        signals=signals,
                        tracker=wish.tracker,
                        huge_pages=wish.huge_pages,
                        watch=watch,
                    )
                notes = (*notes, why) if why else notes
            if problem:
                writer.abort()
            else:
                try:
                    writer.close(notes=notes, slowdowns=found)
                except GcBarrierError as failure:
                    problem = str(failure)
                    writer.abort()
            return Done(status=ran.child.exit_status(), problem=problem, wall_ns=ran.wall_ns, cpu_ns=ran.cpu_ns)


def _facts(huge_pages: bool) -> dict[str, str]:
    """What a recording should say of where it was made."""
    told = host.manifest()

    def word(*names: str) -> str:
        value: object = told
        for name in names:
            value = value.get(name, host.UNKNOWN) if isinstance(value, Mapping) else host.UNKNOWN
        return str(value)

    return {
        "when": word("date"),
        "kernel": word("kernel", "release"),
        "processor": word("cpu", "model"),
        "processors": word("cpu", "online"),
        "hypervisor": word("hypervisor"),
        "machine": word("machine"),
        "transparent huge pages": word("thp", "enabled") if huge_pages else "switched off for the program",
        "gcbarrier": word("gcbarrier", "version"),
    }
