"""Barriers by page among what else a process has: what they leave behind, crashes, handlers, forks, limits."""

import resource
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pages import collected, left_behind, python, write

from gcbarrier import barriers
from gcbarrier.core.library import open_core
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import MEMORY_TYPES, PAGE_BYTES
from gcbarrier.tracked import Tracked

NAMES = ("uffd-wp-async", "uffd-wp-sync", "uffd-wp-sigbus", "mprotect")
SIGNALLED = {"mprotect": signal.SIGSEGV, "uffd-wp-sigbus": signal.SIGBUS}
MIB = 1 << 20

Needs = Callable[..., None]


@pytest.fixture(params=NAMES)
def barrier(request: pytest.FixtureRequest, needs: Needs) -> str:
    needs(*barriers.promises_of(request.param).needs)
    return str(request.param)


def test_close_leaves_no_thread_no_file_and_no_handler(barrier: str) -> None:
    Tracked(MIB, barrier).close()  # what is loaded stays
    before = left_behind()
    for _ in range(3):
        with Tracked(MIB, barrier) as memory, Tracked(MIB, barrier) as other:
            for each in (memory, other):
                each.arm()
                write(each, [1])
                assert collected(each, rearm=True) == [1]
            if barrier != "uffd-wp-async":
                assert left_behind() != before
            memory.close()
            write(other, [2])
            assert collected(other, rearm=True) == [2], "the other one goes on"
        assert left_behind() == before


def test_a_failed_open_leaves_nothing_either(barrier: str) -> None:
    plugin = barriers.choose(barrier).compile()
    core = open_core(plugin.core)
    operations = core.barrier(plugin.library)

    def opens() -> bool:
        space = core.lib.gcb_space_new(MIB, MEMORY_TYPES.index("shmem"), operations, False)
        core.lib.gcb_space_free(space)
        return space != core.ffi.NULL

    assert opens()
    before = left_behind()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    failures = 0
    try:
        # One more descriptor each time, until there are enough.
        for files in range(3, soft):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
            if opens():
                break
            failures += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert failures > 0
    assert left_behind() == before


def test_the_handler_thread_takes_no_signal_of_the_process(needs: Needs) -> None:
    needs("sync-uffd-wp")
    with Tracked(MIB, "uffd-wp-sync") as memory:
        memory.arm()
        write(memory, [0])  # it runs, and is past what the C library does first
        (status,) = [
            text
            for task in Path("/proc/self/task").iterdir()
            if "gcb-uffd-wp" in (text := task.joinpath("status").read_text())
        ]
    blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1):
        assert blocked >> (number - 1) & 1
    assert not blocked >> (signal.SIGSEGV - 1) & 1


@pytest.mark.parametrize("barrier", SIGNALLED)
def test_sixteen_that_handle_a_signal_fit_in_a_process(barrier: str, needs: Needs) -> None:
    needs(*barriers.promises_of(barrier).needs)
    before = left_behind()
    opened = [Tracked(MIB, barrier) for _ in range(16)]
    try:
        with pytest.raises(GcBarrierError, match=f"no more than 16 barriers that handle {SIGNALLED[barrier].name}"):
            Tracked(MIB, barrier)
        for memory in opened:
            memory.arm()
        for number, memory in enumerate(opened):
            write(memory, [number])
        for number, memory in enumerate(opened):
            assert collected(memory, rearm=False) == [number]
    finally:
        for memory in opened:
            memory.close()
    assert left_behind() == before


CRASHES = {
    "an address that is not mapped": "ctypes.memset(16, 1, 1)",
    "read-only memory of somebody else": """
libc.mmap.restype = ctypes.c_void_p
ctypes.memset(libc.mmap(None, 4096, 1, 0x22, -1, 0), 1, 1)""",
    "the heap's contents as a program": "ctypes.CFUNCTYPE(None)(memory.address)()",
    "a signal that was sent": "os.kill(os.getpid(), signal.SIGSEGV)",
    "with another handler below": "memory.close(); faulthandler.enable(); open_one(); ctypes.memset(16, 1, 1)",
    "after the last barrier": "memory.close(); ctypes.memset(16, 1, 1)",
}
CRASH = """
import ctypes, faulthandler, os, resource, signal, sys
from gcbarrier.tracked import Tracked
libc = ctypes.CDLL(None)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def open_one():
    global memory
    memory = Tracked(1 << 20, sys.argv[2])
    memory.arm()
    memory.view[0] = 1
    assert list(memory.collect(rearm=True)) == [0]
open_one()
exec(sys.argv[1])
signal.pause()
"""


BUS_CRASHES = {
    "behind the file's end": "behind()",
    "behind the file's end, of a page that was opened": "memory.view[last] = 1; behind()",
    "a signal that was sent": "os.kill(os.getpid(), signal.SIGBUS)",
    "with another handler below": "memory.close(); faulthandler.enable(); open_one(); behind()",
    "after the last barrier": "memory.close(); os.kill(os.getpid(), signal.SIGBUS)",
    "in a forked child, of its own doing": """
child = os.fork()
if child == 0:
    libc.mmap.argtypes = [ctypes.c_size_t] * 6
    libc.mmap(memory.address + last, 4096, 3, 0x11, os.memfd_create("short"), 0)
    memory.view[last] = 1
status = os.waitpid(child, 0)[1]
memory.view[last] = 1
assert list(memory.collect(rearm=True)) == [255], "the child opened a page of its parent's"
os.kill(os.getpid(), os.WTERMSIG(status))""",
}
BEHIND = """
last = 255 * 4096
def behind():
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:gcbarrier"):
                os.truncate(int(name), last)
        except FileNotFoundError:
            pass
    memory.view[last] = 1
"""


@pytest.mark.parametrize("crash", CRASHES)
def test_a_real_crash_is_still_one(crash: str) -> None:
    child = python(CRASH, CRASHES[crash], "mprotect")
    assert child.returncode == -signal.SIGSEGV, child.stdout + child.stderr
    assert ("Fatal Python error: Segmentation fault" in child.stderr) == ("another handler" in crash), child.stderr


@pytest.mark.parametrize("crash", BUS_CRASHES)
def test_a_real_bus_error_is_still_one(crash: str, needs: Needs) -> None:
    needs("uffd-sigbus")
    child = python(CRASH, BEHIND + BUS_CRASHES[crash], "uffd-wp-sigbus")
    assert child.returncode == -signal.SIGBUS, child.stdout + child.stderr
    assert ("Fatal Python error: Bus error" in child.stderr) == ("another handler" in crash), child.stderr


IN_THE_WAY = """
import faulthandler, sys
from gcbarrier.errors import GcBarrierError
from gcbarrier.tracked import Tracked
memory = Tracked(1 << 20, sys.argv[1])
faulthandler.enable()  # and does not know of ours
memory.close()
try:
    Tracked(1 << 20, sys.argv[1])
except GcBarrierError as problem:
    print(problem)
faulthandler.disable()
with Tracked(1 << 20, sys.argv[1]) as memory:
    memory.arm()
    memory.view[4096] = 1
    print(list(map(int, memory.collect(rearm=True))))
"""


@pytest.mark.parametrize("barrier", SIGNALLED)
def test_a_handler_that_came_later_is_an_error_and_no_crash(barrier: str, needs: Needs) -> None:
    needs(*barriers.promises_of(barrier).needs)
    child = python(IN_THE_WAY, barrier)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout == f"another {SIGNALLED[barrier].name} handler is in the way of the barrier's\n[1]\n"


FORKED = """
import os, sys
from gcbarrier.tracked import Tracked
memory = Tracked(1 << 20, sys.argv[1])
memory.arm()
memory.view[0] = 1
child = os.fork()
if child == 0:
    memory.view[4096 * 2] = 1
    memory.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
memory.view[4096 * 5] = 1
print(list(map(int, memory.collect(rearm=True))))
memory.view[4096] = 1
# And out, with everything still open.
"""


def test_a_forked_child_writes_closes_and_ends(barrier: str) -> None:
    child = python(FORKED, barrier)
    assert (child.returncode, child.stdout, child.stderr) == (0, "[0, 5]\n", "")


def test_more_mappings_than_the_kernel_allows_are_an_error_and_no_loss() -> None:
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    pages = -(-(limit + 512) // 8) * 8
    with Tracked(pages * PAGE_BYTES, "mprotect") as memory:
        memory.arm()
        write(memory, range(0, pages, 2), 5)
        for rearm in (True, False):
            with pytest.raises(GcBarrierError, match=rf"vm\.max_map_count = {limit} allows.*sysctl vm\.max_map_count="):
                memory.collect(rearm=rearm)
        everything = np.frombuffer(memory.view, np.uint8)[::PAGE_BYTES].copy()
        assert list(np.flatnonzero(everything == 5)) == list(range(0, pages, 2)), "every store was made"
        assert len(Path("/proc/self/maps").read_text().splitlines()) < limit // 2, "one mapping again"
        memory.arm()
        write(memory, [3, 4, 9])
        assert collected(memory, rearm=True) == [3, 4, 9], "armed anew, it tracks again"
