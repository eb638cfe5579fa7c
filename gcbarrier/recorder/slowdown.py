"""What being watched costs a program: it is run again, bare and at several intervals, in turn."""

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.page_traces.coding import Runs
from gcbarrier.page_traces.records import Mapping as Mapped
from gcbarrier.page_traces.records import Slowdown
from gcbarrier.recorder.attach import Attached
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.launch import Child
from gcbarrier.recorder.run import Way, unwatched, watched

BARE = 0


class Nowhere:
    """Takes the ticks of a recording, and keeps nothing."""

    def begin(self, *, pid: int, parent_pid: int | None, began: str, command: tuple[str, ...], initial: Runs) -> int:  # noqa: ARG002
        """A number that stands for all."""
        return 0

    def tick(
        self, number: int, *, begin_ns: int, end_ns: int, collect_ns: int, cpu_ns: int, faults: int, runs: Runs
    ) -> None:
        """Nothing."""

    def end(self, number: int, *, ended: str, mappings: tuple[Mapped, ...]) -> None:
        """Nothing."""


class Input:
    """What a program that is run again reads: its standard input from where it is now, if that is a file.

    Raises GcBarrierError where it is one that can be read only once.
    """

    def __init__(self) -> None:
        kind = os.fstat(0).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            raise GcBarrierError("--slow-down runs the program again, and its input can be read only once: give a file")
        self._file = "/proc/self/fd/0" if stat.S_ISREG(kind) else os.devnull
        self._at = os.lseek(0, 0, os.SEEK_CUR) if stat.S_ISREG(kind) else 0

    def open(self) -> int:
        """A descriptor of its own, whose position nobody shares."""
        made = os.open(self._file, os.O_RDONLY)
        if self._at:
            os.lseek(made, self._at, os.SEEK_SET)
        return made


def measure(
    program: Path,
    command: Sequence[str],
    *,
    read: Input,
    repetitions: int,
    intervals_ns: Sequence[int],
    signals: Signals,
    way: Way,
    huge_pages: bool,
    watch: Callable[[str], None],
) -> tuple[tuple[Slowdown, ...], str]:
    """Wall and processor time of so many runs, bare and at each interval; and why there are fewer than asked, or "".

    What these runs print is discarded. A signal ends the measuring with the run that it was handed on to.
    """
    wall: dict[int, list[int]] = {each: [] for each in (BARE, *intervals_ns)}
    cpu: dict[int, list[int]] = {each: [] for each in wall}
    why = ""
    for repetition in range(repetitions):
        for every_ns in wall:
            if why:
                break
            watch(f"run {repetition + 1} of {repetitions}, " + (f"at {every_ns / 1e6:g} ms" if every_ns else "bare"))
            begun_ns = time.monotonic_ns()

            def start(environment: Mapping[str, str]) -> Child:
                return Child(program, command, environment, signals.before, read=read.open(), quiet=True)

            if every_ns == BARE:
                child: Child | Attached = start(os.environ)
                signalled = unwatched(child, signals)
            else:
                ran = watched(
                    start,
                    sink=Nowhere(),
                    signals=signals,
                    way=way,
                    every_ns=every_ns,
                    huge_pages=huge_pages,
                )
                child, signalled, why = ran.child, ran.signalled, ran.problem
            took_ns = time.monotonic_ns() - begun_ns
            if signalled:
                why = "a signal came"
            if not why:
                wall[every_ns].append(took_ns)
                cpu[every_ns].append(child.cpu_ns())
            child.close()
    found = (Slowdown(every_ns=each, wall_ns=tuple(wall[each]), cpu_ns=tuple(cpu[each])) for each in wall if wall[each])
    return tuple(found), f"the slow-down was not measured to the end: {why}" if why else ""
