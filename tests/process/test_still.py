"""A process that is held still: nothing of it runs meanwhile, nobody is told, and afterwards it goes on as it was."""

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gcbarrier.errors import GcBarrierError
from gcbarrier.recorder.launch import Child
from gcbarrier.recorder.still import Still

COUNTERS = 64
COUNTING = """
import mmap, signal, sys, threading, time
counters = mmap.mmap(int(sys.argv[1]), 4096)
def count(index):
    while True:
        counters[index] = (counters[index] + 1) % 251
def again(index):
    counters[index] = (counters[index] + 1) % 251
    threading.Thread(target=again, args=(index,)).start()
def signalled(*_):
    counters[64] += 1
signal.signal(signal.SIGUSR1, signalled)
for index in range(3):
    threading.Thread(target=count, args=(index,), daemon=True).start()
again(3)
counters[65] = 1
while True:
    time.sleep(0.001)
"""


@contextmanager
def counting() -> Iterator[tuple[subprocess.Popen[bytes], mmap.mmap]]:
    """A program whose threads count, and one that is born anew each time."""
    file = os.memfd_create("counters")
    os.ftruncate(file, 4096)
    command = [sys.executable, "-c", COUNTING, str(file)]
    with mmap.mmap(file, 4096) as counters, subprocess.Popen(command, pass_fds=[file]) as program:
        os.close(file)
        wait_for(lambda: counters[65] == 1)
        try:
            yield program, counters
        finally:
            program.kill()


def wait_for(come: Callable[[], bool]) -> None:
    """Without an assertion about time: a test that waits in vain is ended by the suite's limit."""
    while not come():
        time.sleep(0.001)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def waits_for_what_it_vforked(pid: int) -> bool:
    """Its state alone does not tell: so it sleeps as well while a page of its program comes from the disk."""
    return state(pid) == "D" and Path(f"/proc/{pid}/task/{pid}/children").read_text() != ""


def test_no_thread_runs_meanwhile_and_all_do_afterwards() -> None:
    with counting() as (program, counters):
        still = Still(program.pid)
        for _ in range(20):
            with still.held():
                before = counters[:4]
                time.sleep(0.005)
                assert counters[:4] == before
            for index, count in enumerate(before):
                wait_for(lambda index=index, count=count: counters[index] != count)
        still.close()


def test_a_signal_that_comes_meanwhile_is_delivered_once() -> None:
    with counting() as (program, counters):
        still = Still(program.pid)
        for times in range(1, 6):
            with still.held():
                program.send_signal(signal.SIGUSR1)
                time.sleep(0.005)
                assert counters[64] == times - 1
            wait_for(lambda times=times: counters[64] == times)
        time.sleep(0.02)
        assert counters[64] == 5
        # On its way when it is to be held.
        for times in range(6, 26):
            program.send_signal(signal.SIGUSR1)
            with still.held():
                pass
            wait_for(lambda times=times: counters[64] == times)


def test_its_parent_is_told_nothing() -> None:
    told = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"])
print(child.pid, flush=True)
seen = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WSTOPPED | os.WCONTINUED)
print(seen.si_code == os.CLD_KILLED, seen.si_status)
"""
    with subprocess.Popen([sys.executable, "-c", told], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.stdout.readline()
        still = Still(child)
        try:
            for _ in range(10):
                with still.held():
                    assert state(child) == "t"
            wait_for(lambda: state(child) == "S")
        finally:
            os.kill(child, signal.SIGTERM)
        assert parent.stdout.read() == "True 15\n"


def test_a_stopped_process_stays_stopped() -> None:
    with counting() as (program, counters):
        still = Still(program.pid)
        program.send_signal(signal.SIGSTOP)
        wait_for(lambda: state(program.pid) == "T")
        before = counters[:4]
        for _ in range(3):
            with still.held():
                pass
        time.sleep(0.005)
        assert (state(program.pid), counters[:4]) == ("T", before)
        program.send_signal(signal.SIGCONT)
        wait_for(lambda: counters[:4] != before)


def test_one_that_somebody_else_traces_is_refused() -> None:
    tracing = """
import sys
from gcbarrier.recorder.still import Still
with Still(int(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""
    with counting() as (program, counters):
        command = [sys.executable, "-c", tracing, str(program.pid)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tracer:
            assert tracer.stdin is not None
            assert tracer.stdout is not None
            tracer.stdout.readline()
            still = Still(program.pid)
            with pytest.raises(GcBarrierError) as refused, still.held():
                pass
            assert str(refused.value) == (
                f"process {program.pid} is being traced by process {tracer.pid}: end that first"
            )
            tracer.stdin.close()
        with still.held():
            before = counters[:4]
        wait_for(lambda: counters[:4] != before)


def test_how_it_ended_is_left_to_who_waits_for_it() -> None:
    with counting() as (program, _):
        still = Still(program.pid)
        program.send_signal(signal.SIGTERM)
        while True:
            try:
                with still.held():
                    pass
            except ProcessLookupError:
                break
            if state(program.pid) == "Z":
                break
        assert program.wait() == -signal.SIGTERM
        with pytest.raises(ProcessLookupError), still.held():
            pass


# The child has its parent's memory until it has executed a program, and before that it opens a FIFO.
SPAWNING = """
import os, sys
actions = [(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)]
print("up", flush=True)
child = os.posix_spawn("/bin/true", ["true"], {}, file_actions=actions)
print("spawned", flush=True)
os.waitpid(child, 0)
"""


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    made = tmp_path / "fifo"
    os.mkfifo(made)
    return made


def test_a_child_of_ours_that_stops_late_has_not_ended(fifo: Path) -> None:
    child = Child(Path(sys.executable), ["python", "-c", SPAWNING, str(fifo)], os.environ, [], quiet=True)
    wait_for(lambda: waits_for_what_it_vforked(child.pid))
    still = Still(child.pid)
    with still.held():
        pass
    os.close(os.open(fifo, os.O_WRONLY))
    wait_for(lambda: state(child.pid) == "t")
    assert not child.has_ended()
    still.close()
    wait_for(child.has_ended)
    assert child.exit_status() == 0
    child.close()


def test_a_parent_that_waits_for_what_it_vforked_is_not_waited_for(fifo: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SPAWNING, str(fifo)], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        wait_for(lambda: waits_for_what_it_vforked(program.pid))
        still = Still(program.pid)
        for _ in range(3):
            with still.held():
                assert state(program.pid) == "D"
        os.close(os.open(fifo, os.O_WRONLY))
        still.close()
        assert program.stdout.readline() == b"spawned\n"
        assert program.wait() == 0
