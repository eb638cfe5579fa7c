"""The barrier uffd-wp-log where it lacks what it would like: memory, threads in time, calls that succeed."""

import threading
from collections.abc import Callable

import pytest
from ordinary import ordinary, rings
from pages import collected, write
from places import PLUGINS

from gcbarrier import barriers
from gcbarrier.core.heap import Heap, Wanted
from gcbarrier.model import PAGE_BYTES, Config
from gcbarrier.plugins import discovery
from gcbarrier.session import program as programs
from gcbarrier.tracked import Tracked

LOG = "uffd-wp-log"
MIB = 1 << 20

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
