"""A process that runs already and its descendants, found from outside; with a tracker that asks nothing of a kernel."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from staged import Kept, compiled

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.features import Feature
from gcbarrier.page_traces.coding import Runs
from gcbarrier.page_traces.pagesfile import read
from gcbarrier.primitives import Userfaultfd
from gcbarrier.recorder import attach as attaching
from gcbarrier.recorder import process as processes
from gcbarrier.recorder import session, trackers
from gcbarrier.recorder.attach import Attached, Descent
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.launch import without_huge_pages
from gcbarrier.recorder.maps import AddressSpace
from gcbarrier.recorder.session import Done, Wish, attach
from gcbarrier.recorder.watch import Watch


class Blind:
    """A tracker that looks at what is mapped, and sees no writes."""

    name = "soft-dirty"

    def __init__(self, pid: int, _: Userfaultfd | None) -> None:
        self.space = AddressSpace(pid)

    def arm(self) -> bool:
        return self.space.refresh()

    def collect(self) -> Runs:
        return np.empty((0, 2), np.uint64)

    def notes(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        self.space.close()


class Program:
    """``recorded.c``, which does what it is told."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.hear()

    def tell(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what} 0 0\n".encode())
        self.process.stdin.flush()

    def hear(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().split()


@pytest.fixture(scope="module")
def compiled_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("attached") / "recorded")


@pytest.fixture
def program(compiled_program: Path) -> Iterator[Program]:
    made = Program(compiled_program)
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def watch(kept: Kept) -> Iterator[Watch]:
    made = Watch(sink=kept, track=Blind)
    yield made
    made.abandon()


def begun(kept: Kept) -> list[tuple[object, object, object]]:
    return [(each["pid"], each["parent_pid"], each["began"]) for each in kept.begun]


def test_who_is_born_who_executes_another_program_and_who_ends(program: Program, watch: Watch, kept: Kept) -> None:
    descent = Descent(watch, program.pid, Blind)
    descent.begin("attach")
    program.tell("fork")
    child = int(program.hear()[1])
    descent.look()
    assert begun(kept) == [(program.pid, None, "attach"), (child, program.pid, "fork")]
    program.tell("exec")
    assert program.hear()[0] == "executed"
    watch.tick()
    descent.look()
    assert begun(kept)[2:] == [(child, program.pid, "exec")]
    assert kept.ended == {1: "exec"}
    program.tell("leave")
    assert program.hear()[0] == "fork"
    watch.tick()
    descent.look()
    assert kept.ended.keys() == {1, 2}
    assert kept.ended[2] in ("exit 0", "ended")
    assert len(kept.begun) == 3
    assert set(watch.processes) == {program.pid}


def test_how_a_process_ended_that_we_waited_for_is_known_whatever_the_kernel_tells(
    watch: Watch, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_status", lambda _: None)
    with subprocess.Popen(["sleep", "600"]) as program:
        Descent(watch, program.pid, Blind).begin("start")
        program.terminate()
    watch.statuses[program.pid] = signal.SIGTERM
    watch.finish()
    assert kept.ended == {0: "signal 15"}


def test_descendants_that_are_there_already_are_watched(program: Program, watch: Watch, kept: Kept) -> None:
    pids = []
    for _ in range(2):
        program.tell("fork")
        pids.append(int(program.hear()[1]))
    Descent(watch, program.pid, Blind).begin("attach")
    assert begun(kept) == [
        (program.pid, None, "attach"),
        (pids[0], program.pid, "fork"),
        (pids[1], pids[0], "fork"),
    ]


def test_a_process_without_memory_that_has_not_ended_executes_nothing(
    program: Program, watch: Watch, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    descent = Descent(watch, program.pid, Blind)
    descent.begin("attach")
    watch.processes[program.pid].tracker.space.gone = True
    monkeypatch.setattr(attaching, "_program", lambda _: ("", ()))
    descent.look()
    assert (len(kept.begun), kept.ended) == (1, {})


def test_a_child_that_still_has_its_parents_memory_is_none_yet(tmp_path: Path, watch: Watch, kept: Kept) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # It executes a program only once it has opened the FIFO.
    spawning = """
import os, sys
actions = [(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)]
child = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=actions)
os.waitpid(child, 0)
"""
    with subprocess.Popen([sys.executable, "-c", spawning, str(fifo)]) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        while not (child := children.read_text().strip()):
            time.sleep(0.001)
        descent = Descent(watch, parent.pid, Blind)
        descent.begin("attach")
        assert len(kept.begun) == 1
        with open(fifo, "wb"):
            while os.path.basename(os.readlink(f"/proc/{child}/exe")) != "cat":
                time.sleep(0.001)
            descent.look()
            assert begun(kept)[1:] == [(int(child), parent.pid, "exec")]


def test_who_may_not_be_looked_into_is_noted_or_refused(program: Program, kept: Kept) -> None:
    program.tell("fork")
    child = int(program.hear()[1])
    closed = {child}

    def track(pid: int, uffd: Userfaultfd | None) -> Blind:
        if pid in closed:
            raise PermissionError
        return Blind(pid, uffd)

    watch = Watch(sink=kept, track=track)
    descent = Descent(watch, program.pid, track)
    descent.begin("attach")
    descent.look()
    (note,) = watch.notes()
    assert note == (
        f"process {child} (recorded), a child of {program.pid}, was not followed: it is another user's, or has rights "
        "of its own"
    )
    watch.abandon()
    closed.add(program.pid)
    with pytest.raises(GcBarrierError, match=f"process {program.pid} is another user's"):
        Descent(watch, program.pid, track).begin("attach")


def test_programs_are_executed_without_huge_pages_and_nothing_else_is_changed() -> None:
    def allowed() -> list[str]:
        text = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
        return [line.split()[1] for line in text.splitlines() if line.startswith("THP_enabled:")]

    before = allowed()
    if not before:
        pytest.skip("this kernel does not tell")
    with without_huge_pages():
        assert allowed() == ["0"]
        with without_huge_pages():
            pass
        assert allowed() == ["0"], "switched off before, it stays so"
    assert allowed() == before


def test_what_is_no_process_is_refused() -> None:
    for pid in (-1, 0, 1 << 40):
        with pytest.raises(GcBarrierError, match=f"there is no process {pid}: look for its number"):
            Attached(pid)
    ready = threading.Event()
    told: list[int] = []

    def be() -> None:
        told.append(threading.get_native_id())
        ready.wait()

    thread = threading.Thread(target=be)
    thread.start()
    while not told:
        time.sleep(0.001)
    with pytest.raises(GcBarrierError, match=rf"process {told[0]} can't be recorded: it is a thread of another"):
        Attached(told[0])
    ready.set()
    thread.join()


@pytest.fixture
def attachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this kernel had soft-dirty bits."""
    monkeypatch.setattr(session, "feature", lambda name: Feature(name=name, works=True))
    monkeypatch.setattr(trackers, "track", lambda _name, pid, uffd: Blind(pid, uffd))


def record(pid: int, wish: Wish) -> Done:
    with Signals() as signals:
        return attach(pid, wish, signals)


def wish(out: Path, for_ns: int | None = None) -> Wish:
    return Wish(command=(), out=out, every_ns=1_000_000, tracker="soft-dirty", for_ns=for_ns)


@pytest.mark.usefixtures("attachable")
def test_a_recording_ends_after_its_time_and_the_program_goes_on(program: Program, tmp_path: Path) -> None:
    done = record(program.pid, wish(tmp_path / "app.pages", for_ns=20_000_000))
    assert (done.status, done.problem) == (0, "")
    (trace,) = read(tmp_path / "app.pages").traces
    assert (trace.pid, trace.began, trace.ended) == (program.pid, "attach", "still running")
    assert trace.ticks > 0
    assert trace.mappings
    program.tell("descriptors")
    assert program.hear() == ["descriptors", "0"]


@pytest.mark.usefixtures("attachable")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_recording_and_not_the_program(program: Program, tmp_path: Path, number: int) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    # Not to the process: a library's idle threads would take it.
    signal.pthread_kill(threading.get_ident(), number)
    try:
        record(program.pid, wish(tmp_path / "app.pages"))
    finally:
        signal.sigtimedwait([number], 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert read(tmp_path / "app.pages").traces[0].ended == "still running"
    program.tell("descriptors")
    assert program.hear() == ["descriptors", "0"]


def test_a_recording_ends_with_its_program(
    program: Program,
    tmp_path: Path,
    attachable: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = iter([None, None, "leave"])

    class Ending(Blind):
        def collect(self) -> Runs:
            if (what := next(looks, None)) is not None:
                program.tell(what)
            return super().collect()

    monkeypatch.setattr(trackers, "track", lambda _name, pid, uffd: Ending(pid, uffd))
    record(program.pid, wish(tmp_path / "app.pages"))
    assert select.select([program.process.stdout], [], [], 0)[0]
    (trace,) = read(tmp_path / "app.pages").traces
    assert trace.ended in ("exit 0", "ended")


@pytest.mark.usefixtures("attachable")
def test_of_a_process_that_has_ended_nothing_is_recorded(program: Program, tmp_path: Path) -> None:
    program.tell("leave")
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(GcBarrierError, match=rf"process {program.pid} has ended, or is"):
        record(program.pid, wish(tmp_path / "app.pages"))
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_needs_the_programs_help_is_refused(tmp_path: Path, attachable: None) -> None:  # noqa: ARG001
    other = Wish(command=(), out=tmp_path / "app.pages", every_ns=1_000_000)
    with pytest.raises(
        GcBarrierError, match=r"has to open a userfaultfd itself when it starts \(use --with soft-dirty"
    ):
        record(1, other)
