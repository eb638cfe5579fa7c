"""Watching processes that do not introduce themselves: one that runs already, and whoever it forks, found in ``/proc``.

Nothing of ours is in them, so they are found when a tick looks: a child is watched from the first tick that it is seen
at, and what it or its parent wrote since the tick before the fork counts as there already. One that lives shorter than
a tick is missed, and so is the last tick of each.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.primitives import syscall
from gcbarrier.recorder.descriptors import Came, readable
from gcbarrier.recorder.process import command_of, name_of
from gcbarrier.recorder.trackers import Track
from gcbarrier.recorder.watch import Watch

_KCMP_VM = 1


class Attached:
    """A program that somebody else has started. It is told nothing, and goes on when watching ends.

    Raises GcBarrierError where there is no such process, or it may not be looked into.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._left = False
        try:
            self._handle = os.pidfd_open(pid)
        except (OSError, OverflowError):
            if pid > 0 and Path(f"/proc/{pid}").exists():
                why = "it is a thread of another, whose number it wants"
                raise GcBarrierError(f"process {pid} can't be recorded: {why}") from None
            raise GcBarrierError(f"there is no process {pid}: look for its number with `ps`") from None

    def fileno(self) -> int:
        """Readable when it has ended."""
        return self._handle

    def has_ended(self) -> bool:
        """Whether it has, or nobody wants to watch it any more."""
        return self._left or readable(self._handle)

    def hand_on(self, came: Came) -> None:  # noqa: ARG002
        """Any signal is for us, and ends the recording."""
        self._left = True

    def exit_status(self) -> int:
        """0: how it ends, if it does, is its parent's to know."""
        return 0

    def cpu_ns(self) -> int:
        """Unknown."""
        return 0

    def close(self) -> None:
        """Forget it."""
        os.close(self._handle)


class Descent:
    """A process and its descendants: those that run now are watched, and each that appears later once it is seen."""

    def __init__(self, watch: Watch, root: int, track: Track) -> None:
        self._watch, self._root, self._track = watch, root, track
        self._refused: set[int] = set()

    def begin(self, began: str) -> None:
        """Watch the first of them, unless it is gone. Raises GcBarrierError where it may not be looked into."""
        self._admit(self._root, None, began)
        if self._refused:
            raise GcBarrierError(f"process {self._root} is another user's, or has rights of its own: record it as root")
        self.look()

    def look(self) -> None:
        """Who has ended, who executes another program, who is new."""
        for pid, process in list(self._watch.processes.items()):
            if process.has_ended():
                self._watch.ended(pid)
            # Its memory is gone before it has ended: then there is no other program.
            elif process.tracker.space.gone and _program(pid)[0]:
                self._watch.executed(pid)
                self._admit(pid, process.parent_pid, "exec")
        parents = list(self._watch.processes)
        while parents:
            new = [each for parent in parents for each in self._born(parent)]
            parents = [pid for pid, parent in new if self._admit(pid, parent, _beginning(pid, parent))]

    def notes(self) -> tuple[str, ...]:
        """Those that could not be looked into are the watch's to tell."""
        return ()

    def _born(self, parent: int) -> Iterator[tuple[int, int]]:
        for child in children(parent):
            # Between vfork and exec it has its parent's memory, whose bits are not to be cleared.
            if child not in self._watch.processes and child not in self._refused and not _same_memory(parent, child):
                yield child, parent

    def _admit(self, pid: int, parent: int | None, began: str) -> bool:
        try:
            tracker = self._track(pid, None)
            tracker.arm()
            if not tracker.space.areas:
                tracker.close()
                return False
            self._watch.admit(pid, parent, began, tracker)
        except PermissionError:
            self._refused.add(pid)
            if pid != self._root:
                why = "it is another user's, or has rights of its own"
                self._watch.note(f"process {pid} ({name_of(pid)}), a child of {parent}, was not followed: {why}")
            return False
        except OSError:
            return False  # it has ended again
        return True


def children(pid: int) -> Iterator[int]:
    """Processes that this one has started and that still are its."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())


def _beginning(pid: int, parent: int) -> str:
    return "fork" if _program(pid) == _program(parent) else "exec"


def _program(pid: int) -> tuple[str, tuple[str, ...]]:
    """What it executes, and with which words; "" and some name where there is no such program any more."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe"), command_of(pid)
    return "", ()


def _same_memory(one: int, other: int) -> bool:
    try:
        return syscall("kcmp", one, other, _KCMP_VM, 0, 0) == 0
    except (OSError, Unavailable):
        # A kernel without that call, or one of them has ended.
        return False
