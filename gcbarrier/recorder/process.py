"""One process image under a tracker: its ticks, and what the kernel says of it besides."""

import errno
import fcntl
import os
import struct
import time
from pathlib import Path
from typing import Protocol

from gcbarrier.page_traces.coding import Runs
from gcbarrier.page_traces.records import Mapping
from gcbarrier.recorder.descriptors import readable
from gcbarrier.recorder.maps import History
from gcbarrier.recorder.trackers import Tracker

_MINOR_FAULTS = 7
"""Of the fields of ``/proc/PID/stat`` behind the name."""
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO = struct.Struct("=QQ11Ii")
_PIDFD_INFO_EXIT = 1 << 3
_CPUCLOCK_SCHED = 2
CLOSED = "?"


class Sink(Protocol):
    """Where ticks go: a ``page_traces.pagesfile.Writer``, or nowhere."""

    def begin(self, *, pid: int, parent_pid: int | None, began: str, command: tuple[str, ...], initial: Runs) -> int:
        """A process is watched from now on; the number of its trace."""
        ...

    def tick(
        self, number: int, *, begin_ns: int, end_ns: int, collect_ns: int, cpu_ns: int, faults: int, runs: Runs
    ) -> None:
        """What it has written."""
        ...

    def end(self, number: int, *, ended: str, mappings: tuple[Mapping, ...]) -> None:
        """It is watched no longer."""
        ...


class Process:
    """A process from its introduction to its end, or to its next exec.

    ``handle``: a pidfd of it, which is closed with it. Raises OSError where it is gone already.
    """

    def __init__(
        self, *, pid: int, parent_pid: int | None, began: str, tracker: Tracker, handle: int, sink: Sink, zero_ns: int
    ) -> None:
        self.pid, self.parent_pid, self.began = pid, parent_pid, began
        self.tracker, self.handle = tracker, handle
        self.ticks = 0
        self.seen_off = False
        """Whether it has said that it ends, and its last tick was seen."""
        self.left = False
        """Whether it has executed another program, which has not introduced itself."""
        self._sink, self._zero_ns = sink, zero_ns
        self._history = History()
        self._stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        # clock_getcpuclockid(3), in nanoseconds where /proc has hundredths of a second.
        self._clock = ~pid << 3 | _CPUCLOCK_SCHED
        self.command = command_of(pid)
        self._cpu_ns = self._faults = 0  # of one that is ending already
        self._cpu_ns, self._faults = self._spent()
        self._begin_ns = self._now_ns()
        tracker.arm()
        initial = tracker.collect()
        if tracker.space.gone:
            os.close(self._stat)
            raise ProcessLookupError(errno.ESRCH, "it has ended")
        self._history.note(tracker.space.areas, 0)
        self.number = sink.begin(pid=pid, parent_pid=parent_pid, began=began, command=self.command, initial=initial)

    def tick(self) -> int | None:
        """End a tick and begin the next; how long that took, in ns. None: there is no such program any more."""
        end_ns = self._now_ns()
        changed = self.tracker.arm()
        runs = self.tracker.collect()
        if self.tracker.space.gone:
            # One that is ending has no memory any more, either, and no program.
            self.left = self.left or bool(program_of(self.pid))
            return None
        took_ns = self._now_ns() - end_ns
        cpu_ns, faults = self._spent()
        self._sink.tick(
            self.number,
            begin_ns=self._begin_ns,
            end_ns=end_ns,
            collect_ns=took_ns,
            cpu_ns=max(0, cpu_ns - self._cpu_ns),
            faults=max(0, faults - self._faults),
            runs=runs,
        )
        if changed:
            self._history.note(self.tracker.space.areas, self.ticks)
        self._begin_ns, self._cpu_ns, self._faults = end_ns, cpu_ns, faults
        self.ticks += 1
        return took_ns

    def has_ended(self) -> bool:
        """Whether it has."""
        return readable(self.handle)

    def how_it_ended(self) -> str:
        """``exit 0`` or ``signal 9``, now that it has; ``ended`` where the kernel does not tell."""
        if self.left:
            return "exec"
        status = _status(self.handle)
        if status is None:
            try:  # nobody has waited for it yet
                status = int(os.pread(self._stat, 4096, 0).split()[-1])
            except (OSError, IndexError, ValueError):  # or just has
                status = _status(self.handle)
        return "ended" if status is None else ended_by(status)

    def end(self, ended: str) -> None:
        """Watch it no longer."""
        self._sink.end(self.number, ended=ended, mappings=self._history.all())
        self.close()

    def close(self) -> None:
        """Let go of it, whatever becomes of its trace."""
        self.tracker.close()
        os.close(self._stat)
        os.close(self.handle)

    def _now_ns(self) -> int:
        return time.monotonic_ns() - self._zero_ns

    def _spent(self) -> tuple[int, int]:
        """Its processor time in ns and its minor faults so far; what it last said, if it is ending."""
        try:
            words = os.pread(self._stat, 4096, 0).rpartition(b")")[2].split()
            return time.clock_gettime_ns(self._clock), int(words[_MINOR_FAULTS])
        except (OSError, IndexError):
            return self._cpu_ns, self._faults


def command_of(pid: int) -> tuple[str, ...]:
    """The words of a process's command line; its name in brackets where it has none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        if words != [b""]:
            return tuple(word.decode(errors="replace") for word in words)
    except OSError:
        pass
    return (f"[{name_of(pid)}]",)


def name_of(pid: int) -> str:
    """What the kernel calls a process, at most 15 letters; "" where it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""


def program_of(pid: int) -> str:
    """Path of what a process runs; "" of one that has ended, :data:`CLOSED` of one that can't be looked into."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except PermissionError:
        return CLOSED
    except OSError:
        return ""


def parent_of(pid: int) -> int | None:
    """Number of its parent; None where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _status(handle: int) -> int | None:
    """What ``wait(2)`` has told somebody of a process, by its pidfd: Linux 6.15 and newer keep that."""
    answer = bytearray(64)
    struct.pack_into("=Q", answer, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(handle, _PIDFD_GET_INFO, answer)
    except OSError:
        return None
    mask, _cgroup, *_ids, status = _PIDFD_INFO.unpack_from(answer)
    return int(status) if mask & _PIDFD_INFO_EXIT else None


def ended_by(status: int) -> str:
    """What ``wait(2)`` says, as a trace has it."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit {code}" if code >= 0 else f"signal {-code}"
