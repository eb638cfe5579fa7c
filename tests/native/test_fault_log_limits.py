"""The barrier uffd-wp-log where it lacks what it would like: memory, threads in time, calls that succeed."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import race
from faultlog import BARRIERS, mutant
from ordinary import ordinary, rings
from pages import collected, write
from places import PLUGINS, TESTS

from gcbarrier import barriers
from gcbarrier.core.heap import Heap, Wanted
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES, Config
from gcbarrier.plugins import discovery
from gcbarrier.session import program as programs
from gcbarrier.tracked import Tracked

LOG = "uffd-wp-log"
MIB = 1 << 20
RECORDS = 4096 // 16
"""In the smallest ring."""
UNRECORDED = [2 * RECORDS, 3 * RECORDS]
"""Pages of :func:`overrun` of which there is no record."""
SANITIZERS = {
    "plain": (),
    "asan": ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "tsan": ("-O1", "-fsanitize=thread", "-DGCB_ONE_VIEW=1"),
}

Needs = Callable[..., None]


@pytest.fixture(autouse=True)
def _features(needs: Needs) -> None:
    needs("async-uffd-wp", "pagemap-scan", "perf-page-faults")


def test_threads_that_nobody_announced_leave_each_other_room() -> None:
    # Each wants more than all may have.
    with ordinary(MIB) as lockable, Tracked(16 * MIB, LOG, params={"ring_kib": 16 << 10, "check": True}) as memory:
        assert lockable < 16 * MIB
        ready, go = threading.Barrier(6), threading.Event()

        def writer(first: int) -> None:
            memory.attach()
            ready.wait()
            go.wait()
            write(memory, range(first, first + 20))

        threads = [threading.Thread(target=writer, args=(first,)) for first in range(0, 500, 100)]
        for thread in threads:
            thread.start()
        ready.wait()
        had = rings()
        memory.arm()
        go.set()
        for thread in threads:
            thread.join()
        assert len(had) == 5
        assert sum(had) <= lockable
        assert collected(memory, rearm=False) == [
            page for first in range(0, 500, 100) for page in range(first, first + 20)
        ]
        assert memory.tallies()["threads without a log"] == 0


def test_mutators_have_equal_parts_of_what_may_be_locked() -> None:
    discovery.add_path(PLUGINS)
    mutators = 3
    config = Config(heap="ring", barrier=LOG, collector="mostly-concurrent", heap_bytes=16 * MIB, mutators=mutators)
    chosen = barriers.choose(LOG, {"ring_kib": 16 << 10})
    prepared, plugin = programs.prepare(config), chosen.compile()
    with (
        ordinary(MIB) as lockable,
        Heap(config.heap_bytes, core=plugin.core, library=plugin.library, promises=chosen.promises) as heap,
    ):
        heap.start(prepared.plugin.library, mutators=mutators, seed=1, params=prepared.params)
        while heap.wait(1.0) is not Wanted.BUILT:
            pass
        had = rings()
        heap.finish()
    assert len(had) == mutators
    assert len(set(had)) == 1
    assert lockable / 2 / mutators < had[0] <= lockable / mutators, "the largest power of two that leaves room for all"


def test_a_ring_is_no_smaller_than_it_has_to_be() -> None:
    with ordinary(MIB), Tracked(16 * MIB, LOG, params={"ring_kib": 64}) as memory:
        memory.attach()
        assert rings() == [64 * 1024 + PAGE_BYTES]


@pytest.mark.parametrize("rearm", [False, True])
@pytest.mark.parametrize("check", [True, False], ids=["checked", "unchecked"])
def test_what_a_thread_wrote_before_it_was_attached_is_reported(rearm: bool, check: bool) -> None:
    with Tracked(16 * MIB, LOG, params={"check": check}) as memory:
        memory.attach()
        memory.arm()
        # The first is known: a collect does not look everywhere.
        assert collected(memory, rearm=True) == []
        _elsewhere(lambda: (write(memory, [5, 6]), memory.attach(), write(memory, [7])))
        write(memory, [9])
        assert collected(memory, rearm=rearm) == [5, 6, 7, 9]
        told = memory.tallies()
        assert told["fallbacks: a thread was attached while armed"] == 1
        assert told["fallbacks: a thread has no log"] == told["fallbacks: records may have been lost"] == 0
        write(memory, [11], at=1)
        assert collected(memory, rearm=False) == ([11] if rearm else [5, 6, 7, 9, 11])
        assert memory.tallies()["fallbacks: a thread was attached while armed"] == 1, "one look was enough"


def test_a_thread_that_comes_between_two_cycles_is_armed_against() -> None:
    with Tracked(16 * MIB, LOG) as memory:
        memory.attach()
        memory.arm()
        _elsewhere(lambda: (write(memory, [5]), memory.attach()))
        memory.arm()
        write(memory, [5], at=1)
        assert collected(memory, rearm=False) == [5]


def _elsewhere(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def latecomers(source: Path, out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Threads that write, are attached and write again, while another thread collects."""
    flags = (*flags, "-DGCB_PARAM_check=0", "-DGCB_PARAM_ring_kib=4")
    program = race.build(source, out, flags, program=TESTS / "native/latecomers.c")
    return subprocess.run([program, "1"], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_threads_that_are_attached_while_another_collects_lose_nothing(sanitizer: str, tmp_path: Path) -> None:
    done = latecomers(BARRIERS / "uffd_wp_log.c", tmp_path / "latecomers", *SANITIZERS[sanitizer])
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[1]) > 0


def test_threads_whose_coming_goes_unnoticed_lose(tmp_path: Path) -> None:
    told = "atomic_store_explicit(&threads->late, true, memory_order_release);"
    done = latecomers(mutant(tmp_path, "fault_threads.h", told, ""), tmp_path / "latecomers")
    assert done.returncode == 1, done.stdout + done.stderr


@contextlib.contextmanager
def broken(what: str) -> Iterator[None]:
    """The file behind the newest handle of that name is one with which nothing can be done."""
    fd = max(int(number) for number in os.listdir("/proc/self/fd") if _name(number) == what)
    kept, null = os.dup(fd), os.open("/dev/null", os.O_RDWR)
    os.dup2(null, fd, inheritable=False)
    try:
        yield
    finally:
        os.dup2(kept, fd, inheritable=False)
        os.close(kept)
        os.close(null)


def _name(number: str) -> str:
    with contextlib.suppress(FileNotFoundError):  # the listing's own
        return os.readlink(f"/proc/self/fd/{number}").replace(str(os.getpid()), "self")
    return ""


@contextlib.contextmanager
def overrun() -> Iterator[Tracked]:
    """Memory with more pages written than their writer's ring had room for.

    It has ended: the kernel tells of a loss with the next record, and there is none. This thread is attached as well.
    """
    # So large that scanning it all costs more than scanning what the log names.
    with Tracked(256 * MIB, LOG, params={"ring_kib": 4}) as memory:
        attached, go = threading.Event(), threading.Event()

        def writer() -> None:
            memory.attach()
            attached.set()
            go.wait()
            write(memory, range(4 * RECORDS))

        thread = threading.Thread(target=writer)
        thread.start()
        attached.wait()
        memory.attach()
        memory.arm()
        go.set()
        thread.join()
        yield memory


def test_a_collect_that_fails_does_not_forget_that_records_were_lost() -> None:
    with overrun() as memory:
        with broken("/proc/self/pagemap"), pytest.raises(GcBarrierError, match="PAGEMAP_SCAN failed"):
            memory.collect(rearm=False)
        assert collected(memory, rearm=False) == list(range(4 * RECORDS))
        assert collected(memory, rearm=True) == list(range(4 * RECORDS))
        assert collected(memory, rearm=True) == []


def test_an_arming_that_fails_does_not_forget_that_records_were_lost() -> None:
    with overrun() as memory:
        with broken("anon_inode:[userfaultfd]"), pytest.raises(GcBarrierError, match="can't be write-protected"):
            memory.arm()
        memory.arm()
        write(memory, UNRECORDED, at=8)
        assert collected(memory, rearm=False) == UNRECORDED


def test_after_a_rearming_that_failed_everything_is_armed() -> None:
    with overrun() as memory:
        with broken("/proc/self/pagemap"), pytest.raises(GcBarrierError, match="PAGEMAP_SCAN failed"):
            memory.collect(rearm=True)
        memory.arm()
        write(memory, UNRECORDED, at=8)
        assert collected(memory, rearm=False) == UNRECORDED
