"""The loop that only reads the clock, and mutators' places: what they refuse, and that they add up."""

import os
import subprocess
from pathlib import Path

import pytest
from burner import burning
from places import CHECKOUT, TESTS

from gcbarrier.bench.gaps import clock_gaps
from gcbarrier.core import build
from gcbarrier.core.heap import Heap
from gcbarrier.errors import GcBarrierError

MS = 1_000_000


def test_a_loop_that_another_thread_displaces_has_gaps_of_a_slice() -> None:
    (processor, *_) = os.sched_getaffinity(0)
    with burning():
        gaps = clock_gaps(build.core(), threads=1, processors=[processor], duration_ns=200 * MS, slice_ns=MS)
    assert gaps.preempted > 0
    assert gaps.longest_ns >= MS, "whoever has the processor has it for a slice"
    assert gaps.lost_share > gaps.short_share


def test_what_is_no_gap_is_the_loops_own() -> None:
    gaps = clock_gaps(build.core(), threads=1, duration_ns=20 * MS, slice_ns=1 << 60)
    assert gaps.wall_ns >= 20 * MS
    assert 0 < gaps.turn_ns < gaps.least_ns
    assert gaps.short_share == gaps.lost_share, "no gap is as long as that"


@pytest.mark.parametrize("processor", [1023, 4096])
def test_a_processor_that_is_not_there_is_an_error(processor: int) -> None:
    with pytest.raises(GcBarrierError, match="the clock can't be read by 1 threads: Invalid argument"):
        clock_gaps(build.core(), threads=1, processors=[processor], duration_ns=MS)


def test_places_that_can_not_be_are_refused() -> None:
    with Heap(1 << 20, core=build.core()) as heap:
        with pytest.raises(GcBarrierError, match="at most 64 places"):
            heap.place_mutators([0] * 65)
        with pytest.raises(GcBarrierError, match="there is no processor 4096"):
            heap.place_mutators([4096])
        heap.place_mutators([])


def test_mutators_that_share_a_processor_do_not_spin_on_it(tmp_path: Path) -> None:
    """One that is held would keep the other from its safepoint, and the collector waiting for it."""
    processors = sorted(os.sched_getaffinity(0))[:2]
    if len(processors) < 2:
        pytest.skip("this process may use one processor")
    native, program = CHECKOUT / "gcbarrier/native", tmp_path / "placed"
    options = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", f"-I{native}", f"-I{native}/include"]
    sources = map(str, (*sorted(native.rglob("*.c")), TESTS / "native/placed.c"))
    subprocess.run(["gcc", *options, *sources, "-o", str(program), "-pthread", "-ldl"], check=True)
    run = subprocess.run([str(program), *map(str, processors)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
