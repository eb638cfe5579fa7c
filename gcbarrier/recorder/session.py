"""A program from its start to its end, with all that descends from it: the whole of ``gcbarrier record``."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from attrs import evolve, field, frozen

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import host
from gcbarrier.machines.features import feature
from gcbarrier.page_traces.pagesfile import SUFFIX, Writer
from gcbarrier.page_traces.records import SOFT_DIRTY, UFFD, Slowdown
from gcbarrier.recorder import programs, slowdown, trackers
from gcbarrier.recorder.agreement import Agreement, Pair
from gcbarrier.recorder.attach import Attached
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.launch import Child, preload
from gcbarrier.recorder.process import Sink, command_of
from gcbarrier.recorder.run import Ran, Way, unwatched, watched

BOTH = "both"
"""Beside the trackers' names: both on the same program, compared."""


@frozen(kw_only=True)
class Wish:
    """What is to be recorded, and how. Times are nanoseconds."""

    command: tuple[str, ...]
    out: Path
    every_ns: int
    tracker: str = UFFD
    """Or ``both``: two recordings, of which the one by soft-dirty lies beside the other."""
    library: Path | None = None
    """What is loaded into the program, compiled elsewhere."""
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
    agreement: Agreement | None = None
    """Of both trackers."""


def record(wish: Wish, signals: Signals, watch: Callable[[str], None] = lambda _: None) -> Done:
    """Run the program and write what it has written. ``watch`` is told which run for the slow-down it is.

    ``signals`` are handed on: block them before numpy is imported, which starts threads.

    Its standard streams, its signals and its process group are ours; what goes wrong with the recording, once it runs,
    does not concern it. Raises GcBarrierError, Unavailable among these, where it can't be started or watched, and
    KeyboardInterrupt where a signal comes before it is started.
    """
    for each in (UFFD, SOFT_DIRTY) if wish.tracker == BOTH else (wish.tracker,):
        trackers.check(each)
    program = programs.find(wish.command)
    if wish.tracker != SOFT_DIRTY and (why := programs.why_not(program)):
        raise GcBarrierError(f"{program} can't be recorded: {why}")
    read = slowdown.Input() if wish.repetitions else None
    with _Writing(wish, wish.command) as writing:

        def start(environment: Mapping[str, str]) -> Child:
            return Child(program, wish.command, environment, signals.before)

        way = writing.way(wish.library or preload() if wish.tracker != SOFT_DIRTY else None)
        if signals.come():  # there is no program yet that it could be for
            raise KeyboardInterrupt
        ran = watched(
            start,
            sink=writing.sink,
            signals=signals,
            way=way,
            every_ns=wish.every_ns,
            for_ns=wish.for_ns,
            huge_pages=wish.huge_pages,
        )
        problem, notes = ran.problem, ran.notes
        with contextlib.closing(ran.child):
            signalled = unwatched(ran.child, signals) or ran.signalled
            if not ran.traces and not problem:
                problem = _unseen(program, notes, injected=way.library is not None)
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
                        way=way,
                        huge_pages=wish.huge_pages,
                        watch=watch,
                    )
                notes = (*notes, why) if why else notes
            problem = problem or writing.close(notes, found)
            return writing.done(ran, problem)


def attach(pid: int, wish: Wish, signals: Signals) -> Done:
    """Record a process that runs already, until it ends, ``for_ns`` are over, or a signal comes; it runs on.

    Nothing is put into it, so it is by soft-dirty. Raises GcBarrierError, Unavailable among these, where that can't be.
    """
    tried = feature(SOFT_DIRTY)
    if wish.tracker != SOFT_DIRTY or not tried.works:
        why = "to be write-protected, a process has to open a userfaultfd itself when it starts"
        why += f", and soft-dirty does not work: {tried.why}" if not tried.works else ""
        remedy = "start it with `gcbarrier record -- COMMAND`" if not tried.works else f"use --with {SOFT_DIRTY}"
        raise Unavailable("recording a process that runs already", why, remedy)
    with contextlib.closing(Attached(pid)) as attached:
        command = command_of(pid)
        with _Writing(evolve(wish, huge_pages=True), command) as writing:
            ran = watched(
                lambda _: attached,
                sink=writing.sink,
                signals=signals,
                way=writing.way(None),
                every_ns=wish.every_ns,
                for_ns=wish.for_ns,
                huge_pages=True,
            )
            problem = ran.problem or ("" if ran.traces else f"process {pid} has ended, or is the kernel's own")
            problem = problem or writing.close(ran.notes, ())
            if problem:
                raise GcBarrierError(problem)
            return writing.done(ran, "")


def _unseen(program: Path, notes: Sequence[str], *, injected: bool) -> str:
    if injected:
        return f"{program} never introduced itself: {' '.join(notes) or 'it took no preloaded library'}"
    return f"{program} ended before it was seen"


def beside(out: Path) -> Path:
    """Where the recording by soft-dirty goes, if there are both."""
    return out.with_name(f"{out.name.removesuffix(SUFFIX)}.{SOFT_DIRTY}{SUFFIX}")


class _Writing:
    """The file of a recording, or the two of a pair; whoever leaves it without ``close`` leaves none behind."""

    def __init__(self, wish: Wish, command: Sequence[str]) -> None:
        facts = _facts(wish.huge_pages)
        places = {BOTH: {UFFD: wish.out, SOFT_DIRTY: beside(wish.out)}}.get(wish.tracker, {wish.tracker: wish.out})
        self._tracker = wish.tracker
        self._writers: list[Writer] = []
        try:
            for tracker, out in places.items():
                self._writers.append(Writer(out, command=command, every_ns=wish.every_ns, tracker=tracker, facts=facts))
        except BaseException:
            self.__exit__()
            raise
        self._pair = Pair(*self._writers) if wish.tracker == BOTH else None
        self.sink: Sink = self._pair or self._writers[0]

    def way(self, library: Path | None) -> Way:
        """How processes are watched whose ticks come here."""
        return Way(track=self._pair.track if self._pair else partial(trackers.track, self._tracker), library=library)

    def close(self, notes: Sequence[str], slowdowns: Sequence[Slowdown]) -> str:
        """Give each file its name; why that can't be, or ""."""
        try:
            for each in self._writers:
                each.close(notes=notes, slowdowns=slowdowns)
        except GcBarrierError as failure:
            return str(failure)
        self._writers = []
        return ""

    def done(self, ran: Ran, problem: str) -> Done:
        """What became of it."""
        agreement = self._pair.agreement if self._pair else None
        status, wall_ns, cpu_ns = ran.child.exit_status(), ran.wall_ns, ran.cpu_ns
        return Done(status=status, problem=problem, wall_ns=wall_ns, cpu_ns=cpu_ns, agreement=agreement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._writers:
            each.abort()


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
