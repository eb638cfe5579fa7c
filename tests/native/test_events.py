"""Events that the core records, and what Python makes of them."""

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable

from places import CHECKOUT

from gcbarrier.core import build
from gcbarrier.core.events import PAUSE_KINDS, PREEMPTED, Kind
from gcbarrier.core.heap import Heap

EVENT_H = (CHECKOUT / "gcbarrier/native/include/event.h").read_text()


def test_python_and_c_call_events_and_pauses_alike() -> None:
    body = EVENT_H.partition("enum gcb_event_kind {")[2].partition("}")[0]
    names = re.findall(r"^  GCB_EV_(\w+)", body, re.MULTILINE)
    assert [kind.name for kind in Kind] == names
    assert [kind.value for kind in Kind] == list(range(1, len(names) + 1))
    body = EVENT_H.partition("enum gcb_pause_kind {")[2].partition("}")[0]
    assert ["", *(name.lower() for name in re.findall(r"GCB_PAUSE_(\w+)", body))] == list(PAUSE_KINDS)


def test_what_was_descheduled_before_a_stop_is_not_held_against_it(needs: Callable[..., None]) -> None:
    """A busy process on the same processor takes it away from this thread, between two stops."""
    needs("memfd")
    allowed = os.sched_getaffinity(0)
    with Heap(1 << 20, core=build.core()) as heap:
        heap.stop()
        heap.resume()
        os.sched_setaffinity(0, {min(allowed)})
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
            end = time.monotonic() + 30
            while resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw < before + 3 and time.monotonic() < end:
                sum(range(1000))
        finally:
            busy.kill()
            busy.wait()
            os.sched_setaffinity(0, allowed)
        assert resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw >= before + 3
        for _ in range(5):  # one of them is left alone, however busy the machine
            heap.stop()
            heap.resume()
        taken = heap.take_events()
        flags = taken["flags"][taken["kind"] == Kind.PAUSE]
        assert len(flags) == 6
        assert not all(flags[1:] & PREEMPTED)
