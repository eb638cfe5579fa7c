"""The barrier uffd-wp-log: what it does where the log is not enough, and that the log is never believed wrongly."""

import contextlib
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import race
from faultlog import BARRIERS, mutant

from gcbarrier import Config, barriers, measure
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES, Scalar
from gcbarrier.tracked import Tracked

LOG = "uffd-wp-log"
MIB = 1 << 20
ONE_PAGE = 256
"""Records in the smallest ring."""
STORES = 20_000_000

Needs = Callable[..., None]


@pytest.fixture(autouse=True)
def _features(needs: Needs) -> None:
    needs("async-uffd-wp", "pagemap-scan", "perf-page-faults")


@contextlib.contextmanager
def logged(size_bytes: int = 16 * MIB, plugin: build.Plugin | None = None, **params: Scalar) -> Iterator[Tracked]:
    """Memory whose writer, this thread, is attached."""
    with Tracked(size_bytes, LOG, params={"check": True} | params, plugin=plugin) as memory:
        memory.attach()
        memory.arm()
        yield memory


def write(memory: Tracked, pages: object, at: int = 0) -> None:
    np.frombuffer(memory.view, np.uint8).reshape(-1, PAGE_BYTES)[np.asarray(pages), at] ^= 1


def fallbacks(memory: Tracked) -> int:
    return sum(count for name, count in memory.tallies().items() if name.startswith("fallbacks"))


CHECKED = pytest.mark.parametrize("check", [True, False], ids=["checked", "unchecked"])


@CHECKED
def test_the_log_alone_in_a_pause_and_parts_beside_the_mutators(check: bool) -> None:
    with logged(check=check) as memory:
        write(memory, [3, 700, 701, 4000])
        assert memory.collect(rearm=True).tolist() == [3, 700, 701, 4000]
        write(memory, [701, 4000, 5], at=9)
        assert memory.collect(rearm=False).tolist() == [5, 701, 4000]
        told = memory.tallies()
        assert told["collects by the log alone"] == told["collects by scanning what the log names"] == 1
        assert fallbacks(memory) == 0


@CHECKED
def test_only_what_is_open_is_armed_again(check: bool) -> None:
    with logged(check=check) as memory:
        for cycle in range(3):
            write(memory, [10 + cycle, 2000])
            assert memory.collect(rearm=False).tolist() == [10 + cycle, 2000]
            write(memory, [3000 + cycle])
            memory.arm()
            # All three were left open, and each by another way.
            write(memory, [10 + cycle, 2000, 3000 + cycle], at=7)
            assert memory.collect(rearm=True).tolist() == [10 + cycle, 2000, 3000 + cycle]
        assert memory.tallies()["armings of everything"] == 1


@pytest.mark.parametrize("written", [ONE_PAGE - 6, ONE_PAGE - 1, ONE_PAGE, ONE_PAGE + 1, 4 * ONE_PAGE])
@pytest.mark.parametrize("rearm", [False, True])
@CHECKED
def test_a_full_ring_is_noticed_though_nothing_follows(written: int, rearm: bool, check: bool) -> None:
    with logged(ring_kib=4, check=check) as memory:
        for _ in range(3):
            # The kernel tells of a loss with the next record that finds room: there is none.
            write(memory, np.arange(written))
            assert memory.collect(rearm=rearm).tolist() == list(range(written))
            memory.arm()
        assert memory.tallies()["fallbacks: records may have been lost"] > 0 or written < ONE_PAGE
        write(memory, [4, 5])
        assert memory.collect(rearm=False).tolist() == [4, 5], "and the log is good again"


def test_a_full_ring_that_nobody_notices_would_lose_writes(tmp_path: Path) -> None:
    complete = "bool complete = head - ring->before <= ring->bytes - ROOM;"
    source = mutant(tmp_path, "fault_ring.h", complete, "bool complete = true;")
    plugin = build.barrier(source, barriers.choose(LOG, {"ring_kib": 4, "check": True}).defines)
    with logged(plugin=plugin) as memory:
        write(memory, np.arange(4 * ONE_PAGE))
        with pytest.raises(GcBarrierError, match="written pages are not in the fault log"):
            memory.collect(rearm=False)


def test_a_ring_that_was_full_between_two_drains_is_noticed_by_the_second() -> None:
    with logged(ring_kib=4) as memory:
        write(memory, np.arange(ONE_PAGE // 2))
        assert memory.collect(rearm=True).size == ONE_PAGE // 2
        assert fallbacks(memory) == 0
        # It may have been full before the first drain moved the tail: no telling from here.
        write(memory, np.arange(ONE_PAGE // 2))
        assert memory.collect(rearm=True).size == ONE_PAGE // 2
        assert fallbacks(memory) == 1


def test_a_thread_without_a_ring_makes_every_collect_a_scan() -> None:
    with Tracked(16 * MIB, LOG, params={"check": True}) as memory:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with open("/dev/null", "rb") as next_handle:
            free = next_handle.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            memory.attach()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        memory.arm()
        write(memory, [1, 99])
        assert memory.collect(rearm=True).tolist() == [1, 99]
        write(memory, [99, 100])
        assert memory.collect(rearm=False).tolist() == [99, 100]
        told = memory.tallies()
        assert told["threads without a log"] == 1
        assert told["fallbacks: a thread has no log"] == 2, "the first arming is of everything in any case"
        memory.arm()
        assert memory.tallies()["fallbacks: a thread has no log"] == 3, "and the second must be"


def test_what_a_pause_has_read_is_still_in_the_ring() -> None:
    """It is put among the open pages by the next drain, and armed with them."""
    with logged(check=False) as memory:
        write(memory, [3, 4])
        assert memory.collect(rearm=False).tolist() == [3, 4]
        write(memory, [5], at=1)
        assert memory.collect(rearm=False).tolist() == [3, 4, 5]
        assert memory.collect(rearm=True).tolist() == [3, 4, 5]
        write(memory, [4], at=2)
        assert memory.collect(rearm=False).tolist() == [4]


def test_with_no_thread_known_any_may_be_writing() -> None:
    with Tracked(16 * MIB, LOG) as memory:
        memory.arm()
        write(memory, [8, 9])
        assert memory.collect(rearm=False).tolist() == [8, 9]
        assert fallbacks(memory) == 1


def test_each_attached_thread_has_its_log() -> None:
    with Tracked(16 * MIB, LOG, params={"check": True}) as memory:
        ready, go = threading.Barrier(3), threading.Event()

        def writer(first: int) -> None:
            memory.attach()
            ready.wait()
            go.wait()
            write(memory, np.arange(first, first + 50))

        threads = [threading.Thread(target=writer, args=(first,)) for first in (100, 1000)]
        for thread in threads:
            thread.start()
        ready.wait()
        memory.arm()
        go.set()
        for thread in threads:
            thread.join()
        # They have ended; what they wrote has not.
        assert memory.collect(rearm=False).tolist() == [*range(100, 150), *range(1000, 1050)]
        assert fallbacks(memory) == 0


def racing(source: Path, out: Path, *, check: bool = True) -> Path:
    return race.build(source, out, (f"-DGCB_PARAM_check={int(check)}", "-DGCB_PARAM_ring_kib=1024"))


@pytest.mark.parametrize("memory", [0, 2], ids=["shmem", "anonymous"])
def test_the_log_and_the_page_tables_agree_over_racing_stores(memory: int, tmp_path: Path) -> None:
    """Every collect with the writers stopped is compared with PAGEMAP_SCAN: a difference ends the program."""
    program = racing(BARRIERS / "uffd_wp_log.c", tmp_path / "race")
    stores = 0
    while stores < STORES:
        # Few pages, which are opened all the time, and many stores; then many pages and few stores to each.
        for mib, writers in ((1, 1), (2, 2), (16, 2)):
            counted = race.run(program, 0.5, mib, writers, "run", memory)
            assert counted["lost"] == 0
            assert counted["fallbacks:_records_may_have_been_lost"] == 0, "the log itself is tried"
            stores += counted["stores"]


def test_racing_stores_lose_nothing_where_nothing_is_checked(tmp_path: Path) -> None:
    program = racing(BARRIERS / "uffd_wp_log.c", tmp_path / "race", check=False)
    for mib, writers in ((1, 1), (2, 2), (16, 2)):
        counted = race.run(program, 1, mib, writers, "run")
        assert counted["lost"] == 0
        assert counted["collects_by_the_log_alone"] == counted["cycles"] > 0


MISTAKES = {
    "the event that comes before the page is writable": (
        "fault_ring.h",
        "gcb_fault_event(PERF_COUNT_SW_PAGE_FAULTS_MIN, true)",
        "gcb_fault_event(PERF_COUNT_SW_PAGE_FAULTS, true)",
    ),
    "one record in a thousand dropped": (
        "fault_ring.h",
        "if (offset < range->bytes)",
        "static unsigned records; if (++records % 1000 && offset < range->bytes)",
    ),
    "what is reported without being armed is forgotten": (
        "uffd_wp_log.c",
        "  add_open(f, dirty);\n  gcb_dirty_keep_armed(dirty, barrier->armed);\n  return 0;\n",
        "  add_open(f, dirty);\n  gcb_dirty_clear(&f->open);\n  return 0;\n",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_check_finds_what_the_log_lacks(mistake: str, tmp_path: Path) -> None:
    program = racing(mutant(tmp_path, *MISTAKES[mistake]), tmp_path / "race")
    for _ in range(60):  # where other work takes the processors, the moment is seldom hit
        done = subprocess.run([program, "0.5", "1", "1", "run"], capture_output=True, text=True, check=False)
        if done.returncode:
            assert done.returncode == 1 or "not in the fault log" in done.stderr
            return
    pytest.fail("nothing was found missing")


def measured(**barrier_params: Scalar) -> Iterator[object]:
    config = Config(
        heap="graph_edits",
        barrier=LOG,
        collector="mostly-concurrent",
        heap_bytes=32 * MIB,
        heap_params={"rate_per_s": 20_000.0},
        barrier_params=barrier_params,
        collector_params={"every_s": 0.02, "rounds": 0},
        duration_s=0.5,
        mutators=2,
        verify=True,
    )
    return iter(measure(config, invocations=1))


def test_sessions_count_and_mark_their_fallbacks() -> None:
    (good,), (short,) = measured(check=True), measured(check=True, ring_kib=4)
    assert good.error == short.error == ""
    assert not any(pause.fell_back for pause in good.pauses)
    assert any(pause.fell_back for pause in short.pauses), "two hundred records are soon full"
    assert good.tallies["fallbacks: records may have been lost"] == 0 < good.tallies["collects by the log alone"]
    assert short.tallies["fallbacks: records may have been lost"] > 0
