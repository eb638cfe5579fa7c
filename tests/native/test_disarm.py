"""When the core disarms a barrier: at the end of each cycle that has armed, however it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gcbarrier.core import build
from gcbarrier.core.heap import Heap
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Barrier

COUNTING = """
#include "barrier.h"

static int open_barrier(gcb_barrier *barrier) {
  barrier->tallies[0].what = "armed";
  barrier->tallies[1].what = "disarmed";
  return 0;
}
static int arm(gcb_barrier *barrier) {
  barrier->tallies[0].count++;
  return 0;
}
static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  (void)barrier, (void)rearm, (void)dirty;
  return 0;
}
static int disarm(gcb_barrier *barrier) {
  return ++barrier->tallies[1].count == 3 ? gcb_set_error("it will not let go") : 0;
}
static void close_barrier(gcb_barrier *barrier) { (void)barrier; }
GCB_BARRIER = {.open = open_barrier, .arm = arm, .collect = collect, .disarm = disarm, .close = close_barrier,
               .tracks = true};
"""


@pytest.fixture
def heap(tmp_path: Path) -> Iterator[Heap]:
    source = tmp_path / "counting.c"
    source.write_text(COUNTING)
    plugin = build.barrier(source)
    with Heap(1 << 20, core=plugin.core, library=plugin.library, promises=Barrier(atomic=True)) as heap:
        yield heap


def counts(heap: Heap) -> tuple[int, int]:
    told = heap.tallies()
    return told["armed"], told["disarmed"]


def test_a_remark_disarms(heap: Heap) -> None:
    heap.begin_cycle()
    heap.arm()
    heap.mark()
    heap.collect(rearm=True)
    heap.collect(rearm=False)
    assert counts(heap) == (1, 0), "the cycle goes on"
    heap.rescan()
    heap.remark()
    assert counts(heap) == (1, 1)


def test_a_full_collection_out_of_an_armed_cycle_disarms(heap: Heap) -> None:
    heap.begin_cycle()
    heap.arm()
    heap.full()
    assert counts(heap) == (1, 1)
    heap.end_cycle()
    heap.begin_cycle()
    heap.full()
    assert counts(heap) == (1, 1), "there was nothing to disarm"


def test_a_barrier_that_can_not_disarm_fails_the_cycle(heap: Heap) -> None:
    for _ in range(2):
        heap.begin_cycle()
        heap.arm()
        heap.full()
    heap.begin_cycle()
    heap.arm()
    with pytest.raises(GcBarrierError, match="it will not let go"):
        heap.full()
