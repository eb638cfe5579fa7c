"""The child that marks is its process's: it outlives the thread that forked it, and nothing else."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.core.heap import Heap

FOLLOWING_S = 5.0
"""For a signal to arrive on a busy machine."""

ORPHAN = """
import ctypes, os, signal, sys, threading
thread = threading.Thread(target=lambda: print(ctypes.CDLL(sys.argv[1]).gcb_fork_idle(), flush=True))
thread.start()
thread.join()
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def core() -> Path:
    return build.core() / "libgcbarrier-core.so"


def in_a_thread_that_ends(work: Callable[[], object]) -> None:
    numbers = []

    def run() -> None:
        numbers.append(threading.get_native_id())
        work()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    while Path(f"/proc/self/task/{numbers[0]}").exists():
        time.sleep(0.001)


def asleep(process: int) -> bool:
    """As it is once all that it does first is done."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def ended(process: int, wait_s: float) -> bool:
    """Whether it has ended, or does so in this time; it is not reaped."""
    handle = os.pidfd_open(process)
    try:
        return bool(select.select([handle], [], [], wait_s)[0])
    finally:
        os.close(handle)


def test_a_child_outlives_the_thread_that_forked_it(core: Path) -> None:
    children = []

    def fork() -> None:
        children.append(ctypes.CDLL(str(core)).gcb_fork_idle())
        while not asleep(children[0]):
            time.sleep(0.001)

    in_a_thread_that_ends(fork)
    try:
        assert not ended(children[0], 0.3)
    finally:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)


def test_a_child_does_not_outlive_its_process(core: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, core], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        child = int(process.stdout.readline())
        assert not ended(child, 0)
        handle = os.pidfd_open(child)
        process.stdin.close()
        assert select.select([handle], [], [], FOLLOWING_S)[0], "it is left behind"
        os.close(handle)


def test_one_thread_forks_and_another_awaits() -> None:
    chosen = barriers.choose("fork-cow")
    plugin = chosen.compile()
    with Heap(1 << 20, core=plugin.core, library=plugin.library, promises=chosen.promises, memory="anonymous") as heap:
        for _ in range(20):
            heap.begin_cycle()
            in_a_thread_that_ends(heap.fork)
            heap.await_child()
            heap.flip()
            heap.sweep()
            heap.end_cycle()
