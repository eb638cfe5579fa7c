"""What a collector notes of its cycles."""

import math

import numpy as np
import pytest

from gcbarrier.core import build
from gcbarrier.core.heap import Heap
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Note


def test_a_note_is_of_the_cycle_under_way_and_a_number() -> None:
    with Heap(1 << 20, core=build.core()) as heap:
        assert heap.notes == ()
        heap.begin_cycle()
        heap.note("rounds", np.int64(3))
        heap.full()
        heap.sweep()
        heap.end_cycle()
        heap.begin_cycle()
        heap.note("share", 0.5)
        for wrong in (True, "7", None, math.nan, math.inf, 1 << 63):
            with pytest.raises(GcBarrierError, match=r"noted 'wrong' as .*: note a finite number"):
                heap.note("wrong", wrong)  # type: ignore[arg-type]
        assert heap.notes == (Note(cycle=1, name="rounds", value=3), Note(cycle=2, name="share", value=0.5))
        assert [type(note.value) for note in heap.notes] == [int, float]
