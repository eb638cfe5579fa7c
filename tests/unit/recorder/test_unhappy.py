"""The recorder where a process ends, is killed or says what it should not at a bad moment; nothing is timed here."""

import os
import time
from typing import Any

import numpy as np
import pytest

from gcbarrier.page_traces.coding import Runs
from gcbarrier.recorder.process import Process


class Ended:
    """A program whose memory is gone."""

    gone = True
    areas = ()


class Tracking:
    """Nothing is ever written."""

    name = "none"

    def __init__(self, space: Any = Ended) -> None:
        self.space = space

    def arm(self) -> bool:
        return True

    def collect(self) -> Runs:
        return np.empty((0, 2), dtype=np.uint64)

    def notes(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        pass


def test_a_process_that_ends_while_it_is_asked_for_the_first_time_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: int) -> int:
        raise ProcessLookupError

    monkeypatch.setattr(time, "clock_gettime_ns", gone)
    handle = os.pidfd_open(os.getpid())
    try:
        with pytest.raises(ProcessLookupError):
            Process(
                pid=os.getpid(),
                parent_pid=None,
                began="start",
                tracker=Tracking(),
                handle=handle,
                sink=None,  # type: ignore[arg-type]  # it never comes so far
                zero_ns=0,
            )
    finally:
        os.close(handle)
