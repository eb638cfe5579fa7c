"""The recorder where a process ends, is killed or says what it should not at a bad moment; nothing is timed here."""

import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gcbarrier.page_traces.coding import Runs
from gcbarrier.primitives import Userfaultfd
from gcbarrier.recorder import process
from gcbarrier.recorder.attach import Attached
from gcbarrier.recorder.descriptors import Came, Signals
from gcbarrier.recorder.door import BEGINS, ENDS, Door
from gcbarrier.recorder.launch import Child
from gcbarrier.recorder.maps import Area
from gcbarrier.recorder.process import Process
from gcbarrier.recorder.ticks import Loop
from gcbarrier.recorder.trackers import Tracker, UffdTracker
from gcbarrier.recorder.watch import Watch


class Running:
    """A program without memory."""

    gone = False
    areas = ()


class Ended(Running):
    """And gone."""

    gone = True


class Tracking:
    """Nothing is ever written."""

    name = "none"

    def __init__(self, space: Any = Running) -> None:
        self.space = space

    def arm(self) -> bool:
        return True

    def collect(self) -> Runs:
        return np.empty((0, 2), dtype=np.uint64)

    def notes(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        pass


class Sink:
    """Forgets what it is told."""

    def begin(self, **_: object) -> int:
        return 0

    def tick(self, *_: object, **__: object) -> None:
        pass

    def end(self, *_: object, **__: object) -> None:
        pass


def test_a_process_that_ends_while_it_is_asked_for_the_first_time_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: int) -> int:
        raise ProcessLookupError

    monkeypatch.setattr(time, "clock_gettime_ns", gone)
    handle = os.pidfd_open(os.getpid())
    try:
        with pytest.raises(ProcessLookupError):
            Process(
                pid=os.getpid(),
                parent_pid=None,
                began="start",
                tracker=Tracking(Ended),
                handle=handle,
                sink=None,  # type: ignore[arg-type]  # it never comes so far
                zero_ns=0,
            )
    finally:
        os.close(handle)


def test_how_it_ended_is_known_of_who_is_waited_for_while_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(Path("/bin/sh"), ["sh", "-c", "exit 3"], {}, ())
    it = Process.__new__(Process)
    it.handle, it.left = child._handle, False
    it._stat = os.open(f"/proc/{child.pid}/stat", os.O_RDONLY)
    status = process._status

    def just_before(handle: int) -> int | None:
        monkeypatch.setattr(process, "_status", status)
        found = status(handle)
        os.waitpid(child.pid, 0)
        return found

    monkeypatch.setattr(process, "_status", just_before)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    how = it.how_it_ended()
    known = status(it.handle) is not None
    os.close(it._stat)
    child.close()
    if not known:
        pytest.skip("this kernel tells nobody but who has waited")
    assert how == "exit 3"


@pytest.fixture
def high() -> Iterator[int]:
    """Descriptors from this one on are beyond what select(2) takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"only {hard} files can be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    yield 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("kind", [Child, Attached])
def test_the_end_is_seen_whatever_the_descriptors_number(high: int, kind: type[Child] | type[Attached]) -> None:
    child = Child(Path("/bin/cat"), ["cat"], {}, (), read=os.pipe()[0])
    it = child if kind is Child else Attached(child.pid)
    low = it._handle
    it._handle = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, high)
    os.close(low)
    assert not it.has_ended()
    os.kill(child.pid, 9)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert it.has_ended()
    assert child.has_ended()
    assert child.exit_status() == 128 + 9
    it.close()


def test_the_end_of_one_of_many_processes_is_seen(high: int) -> None:
    it = Process.__new__(Process)
    low = os.pidfd_open(os.getpid())
    it.handle = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, high)
    os.close(low)
    assert not it.has_ended()
    os.close(it.handle)


class Together:
    """The loop with its door, and a program that is this process."""

    def __init__(self, track: Any) -> None:
        self.door = Door()
        self.watch = Watch(sink=Sink(), track=track)
        self.child, self.signals = Attached(os.getpid()), Signals(())
        self.loop = Loop(
            watch=self.watch, door=self.door, child=self.child, signals=self.signals, every_ns=60_000_000_000
        )

    def call(self, kind: int) -> socket.socket:
        """Say something, and have the loop hear it."""
        line = socket.socket(socket.AF_UNIX)
        line.connect(f"\0{self.door.name}")
        line.send(struct.pack("=IiQQ", kind, 0, 0, 0))
        self.loop._let_in()
        (descriptor,) = self.door.waiting
        self.loop._hear(descriptor)
        return line

    def close(self) -> None:
        self.watch.abandon()
        self.loop._poll.close()
        self.loop._clock.close()
        self.door.close()
        self.child.close()
        self.signals.close()


def test_who_waits_for_an_answer_gets_one_whatever_happens() -> None:
    def broken(_: int, __: Userfaultfd | None) -> Tracker:
        raise RuntimeError("a mistake of ours")

    it = Together(broken)
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(f"\0{it.door.name}")
        line.send(struct.pack("=IiQQ", BEGINS, 0, 0, 0))
        it.loop._let_in()
        (descriptor,) = it.door.waiting
        with pytest.raises(RuntimeError, match="a mistake of ours") as kept:
            it.loop._hear(descriptor)
        assert line.recv(1) == b"n", f"it would wait for as long as {kept} is kept"
    it.close()


def test_of_who_executes_a_program_and_is_gone_before_it_is_looked_into_nothing_is_kept() -> None:
    trackers = iter([Tracking()])

    def track(_: int, __: Userfaultfd | None) -> Tracker:
        if (tracker := next(trackers, None)) is not None:
            return tracker
        raise OSError(errno.ESRCH, "it has ended")

    it = Together(track)
    awaited = set(it.loop._does)
    with it.call(BEGINS) as line:
        assert line.recv(1) == b"y"
    (watched,) = it.watch.processes.values()
    assert set(it.loop._does) == awaited | {watched.handle}
    with it.call(BEGINS) as line:
        assert line.recv(1) == b"n"
    assert set(it.loop._does) == awaited, "its descriptor is closed, and its number the next one's"
    with it.call(ENDS) as line:
        assert line.recv(1) == b"n"
    it.close()


@pytest.mark.parametrize(("sender", "handed_on"), [("the program", False), ("a child of it", False), ("another", True)])
def test_a_signal_that_watched_processes_send_is_not_handed_on(
    sender: str, handed_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Together(lambda *_: Tracking())
    with it.call(BEGINS):  # which makes this process both; of the program nobody else is needed
        child, stranger = os.getpid(), os.getppid()
    if sender != "the program":
        monkeypatch.setattr(it.child, "pid", stranger + 1)
    if sender == "a child of it":
        it.watch.ended(child)  # a `kill` has ended before its signal is read
    by = stranger if handed_on else child
    monkeypatch.setattr(it.signals, "come", lambda: [Came(signal.SIGTERM, True, by)])
    it.loop._hand_on()
    assert it.loop.signalled == it.child.has_ended() == handed_on
    it.close()


class Same(Running):
    """Mappings that read the same at each tick."""

    areas = (Area(4096, 8192, True, "a"), Area(8192, 12288, True, "b"), Area(12288, 16384, False, "c"))  # type: ignore[assignment]

    def __init__(self) -> None:
        self.changes = iter([True])

    def refresh(self) -> bool:
        return next(self.changes, False)


class Refusing:
    """A userfaultfd that does not take what reaches into some range."""

    def __init__(self, start: int, end: int, number: int = errno.EINVAL) -> None:
        self.refused, self.number = (start, end), number
        self.asked: list[tuple[int, int]] = []

    def register(self, start: int, size_bytes: int) -> None:
        self.asked.append((start, start + size_bytes))
        if start < self.refused[1] and start + size_bytes > self.refused[0]:
            raise OSError(self.number, "refused")


def tracker(uffd: Refusing) -> UffdTracker:
    made = UffdTracker(os.getpid(), uffd)  # type: ignore[arg-type]
    made.space.close()
    made._pagemap.close()
    made.space = Same()  # type: ignore[assignment]
    return made


def test_a_mapping_that_was_refused_is_tried_again_though_the_maps_read_the_same() -> None:
    uffd = Refusing(0, 1 << 20)
    it = tracker(uffd)
    assert it.arm()
    assert it._spans == []
    uffd.refused = (0, 0)
    assert not it.arm()
    assert it._spans == [(4096, 12288)]
    uffd.asked = []
    assert not it.arm()
    assert uffd.asked == [(4096, 12288)]


def test_what_is_refused_for_ever_keeps_nothing_else_from_being_watched() -> None:
    uffd = Refusing(8192, 12288)
    it = tracker(uffd)
    for _ in range(3):
        uffd.asked = []
        it.arm()
        assert it._spans == [(4096, 8192)]
        assert len(uffd.asked) == 3, "as a whole, and each by itself"


def test_what_another_userfaultfd_has_is_asked_for_once() -> None:
    uffd = Refusing(8192, 12288, errno.EBUSY)
    it = tracker(uffd)
    for _ in range(2):
        it.arm()
    assert it._spans == [(4096, 8192)]
    uffd.asked = []
    it.arm()
    assert uffd.asked == [(4096, 8192)]
