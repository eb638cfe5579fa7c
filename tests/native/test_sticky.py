"""Sticky marks through the heap's own calls: in which order they may come, and over which barriers."""

from collections.abc import Iterator

import pytest

from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.core.heap import Heap
from gcbarrier.errors import GcBarrierError


def _heap(barrier: str) -> Heap:
    chosen = barriers.choose(barrier)
    plugin = chosen.compile()
    return Heap(1 << 20, core=plugin.core, library=plugin.library, promises=chosen.promises)


@pytest.fixture
def heap() -> Iterator[Heap]:
    with _heap("cards") as made:
        yield made


def _full(heap: Heap) -> None:
    heap.full()
    heap.sweep()
    heap.end_cycle()


def test_the_first_cycle_is_full_and_the_second_minor(heap: Heap) -> None:
    heap.begin_cycle()
    assert not heap.stick(1)
    with pytest.raises(GcBarrierError, match="no object is old: a full cycle comes first"):
        heap.minor()
    _full(heap)
    heap.begin_cycle()
    assert heap.stick(1)
    heap.minor()
    heap.end_cycle()
    assert heap.generation() == dict.fromkeys(heap.generation(), 0) | {"minor": 1}


def test_marks_that_are_forgotten_are_no_minor_cycle(heap: Heap) -> None:
    heap.begin_cycle()
    heap.stick(2)
    _full(heap)
    heap.begin_cycle()
    assert heap.stick(2)
    heap.forget_marks()
    assert not heap.stick(2)
    heap.remember()
    heap.mark()
    heap.remark()
    heap.end_cycle()
    heap.begin_cycle()
    assert heap.stick(2)
    heap.minor()


def test_what_makes_no_sense_is_refused(heap: Heap) -> None:
    with pytest.raises(GcBarrierError, match="no cycle has begun"):
        heap.stick(1)
    heap.begin_cycle()
    for call in (heap.minor, heap.remember):
        with pytest.raises(GcBarrierError, match="marks do not stick"):
            call()
    for wrong in (0, 3):
        with pytest.raises(GcBarrierError, match=f"an object is old after one cycle or two, not {wrong}"):
            heap.stick(wrong)
    heap.stick(1)
    with pytest.raises(GcBarrierError, match="marks stick already, after another number of cycles"):
        heap.stick(2)


@pytest.mark.parametrize("barrier", ["none", "satb"])
def test_marks_stick_only_where_writes_are_told(barrier: str) -> None:
    with _heap(barrier) as heap:
        heap.begin_cycle()
        with pytest.raises(GcBarrierError, match="marks stick only over a barrier that tells where was written"):
            heap.stick(1)
        _full(heap)


def test_without_sticking_nothing_changes() -> None:
    with Heap(1 << 20, core=build.core()) as heap:
        heap.begin_cycle()
        heap.forget_marks()
        _full(heap)
        assert heap.generation()["minor"] == 0
