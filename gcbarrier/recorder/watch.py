"""All processes of a recording: who comes, what each has written, and how each ends."""

import os
import time

from gcbarrier.recorder.door import BEGINS, ENDS, FORKED, GIVES_WAY, Caller
from gcbarrier.recorder.process import Process, Sink, ended_by, name_of, parent_of
from gcbarrier.recorder.trackers import Track, Tracker, UffdTracker


class Watch:
    """The processes that are watched, by their numbers; ticks are made by whoever calls ``tick``.

    ``track``: makes their trackers. ``zero_ns``: when the recording began, by CLOCK_MONOTONIC; now, if it isn't given.
    """

    def __init__(self, *, sink: Sink, track: Track, zero_ns: int | None = None) -> None:
        self.processes: dict[int, Process] = {}
        self.known: set[int] = set()
        """Numbers of all that were ever watched."""
        self.begun = 0
        """Traces so far."""
        self.collect_ns = 0
        """What reading and arming has taken so far, over all processes."""
        self.statuses: dict[int, int] = {}
        """Of processes that we have waited for ourselves; older kernels tell nobody else then."""
        self.unseen = 0
        """Process images that ended within a tick, which was not seen therefore."""
        self._sink, self._track = sink, track
        self._zero_ns = time.monotonic_ns() if zero_ns is None else zero_ns
        self._notes: dict[str, None] = {}

    def hear(self, caller: Caller) -> Process | None:
        """Do what a process asks for, and let it go on; the process, if it is one that is watched from now on."""
        known = self.processes.get(caller.pid)
        if caller.kind in (BEGINS, FORKED):
            return self._greet(caller)
        if caller.uffd is not None:
            caller.uffd.close()
        if known is not None and caller.kind == ENDS:
            self._tick(known)
            known.seen_off = True
        if known is not None and caller.kind == GIVES_WAY and isinstance(known.tracker, UffdTracker):
            known.tracker.give_way(caller.start, caller.start + caller.size_bytes)
        caller.answer(known is not None)
        return None

    def _greet(self, caller: Caller) -> Process | None:
        executed = self.begun > 0
        if caller.pid in self.processes:
            self.executed(caller.pid)
        began = "fork" if caller.kind == FORKED else "exec" if executed else "start"
        parent = parent_of(caller.pid)
        process = None
        try:
            made = self._tracker(caller)
            process = self.admit(caller.pid, parent if self.begun else None, began, made)
        except OSError as problem:
            who = f"process {caller.pid} ({name_of(caller.pid)}), a child of {parent},"
            self.note(f"{who} was not followed: {os.strerror(problem.errno or 0)}")
        caller.answer(process is not None)
        return process

    def _tracker(self, caller: Caller) -> Tracker:
        try:
            if caller.error:
                raise OSError(caller.error, "no userfaultfd")
            return self._track(caller.pid, caller.uffd)
        except OSError:
            if caller.uffd is not None:
                caller.uffd.close()
            raise

    def admit(self, pid: int, parent_pid: int | None, began: str, tracker: Tracker) -> Process:
        """Watch a process from now on, which should not run meanwhile. Raises OSError where it can't be looked into."""
        handle = -1
        try:
            handle = os.pidfd_open(pid)
            process = Process(
                pid=pid,
                parent_pid=parent_pid,
                began=began,
                tracker=tracker,
                handle=handle,
                sink=self._sink,
                zero_ns=self._zero_ns,
            )
        except OSError:
            tracker.close()
            if handle >= 0:
                os.close(handle)
            raise
        self.begun += 1
        self.processes[pid] = process
        self.known.add(pid)
        return process

    def tick(self) -> None:
        """End a tick of each process."""
        for process in list(self.processes.values()):
            self._tick(process)

    def _tick(self, process: Process) -> None:
        self.collect_ns += process.tick() or 0

    def ended(self, pid: int) -> None:
        """A process has ended."""
        process = self.processes.pop(pid)
        how = process.how_it_ended()
        self._end(process, ended_by(self.statuses[pid]) if how == "ended" and pid in self.statuses else how)

    def executed(self, pid: int) -> None:
        """A process executes another program now."""
        self._end(self.processes.pop(pid), "exec")

    def finish(self) -> None:
        """Watch nobody any longer; who still runs is seen a last time."""
        for pid, process in list(self.processes.items()):
            if process.has_ended():
                self.ended(pid)
        self.tick()
        while self.processes:
            _, process = self.processes.popitem()
            self._end(process, "still running")

    def abandon(self) -> None:
        """Let go of all, whatever becomes of their traces."""
        while self.processes:
            self.processes.popitem()[1].close()

    def notes(self) -> tuple[str, ...]:
        """What could not be watched, and why; sentences."""
        return tuple(self._notes)

    def note(self, sentence: str) -> None:
        """One more, unless it is there already."""
        self._notes[sentence] = None

    def _end(self, process: Process, ended: str) -> None:
        for clause in process.tracker.notes():
            self.note(f"process {process.pid} ({process.command[0]}) {clause}")
        self.unseen += ended != "still running" and not process.seen_off
        process.end(ended)
