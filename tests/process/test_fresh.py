"""One fresh interpreter for each job, and nothing of it left."""

import os
import signal
import time
from pathlib import Path

import fresh_jobs
import pytest
from places import SUPPORT

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.fresh import FreshExecutor


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_each_job_has_a_process_of_its_own_with_one_thread() -> None:
    with FreshExecutor() as executor:
        answers = [executor.submit(fresh_jobs.who, value).result() for value in (1, 2)]
    assert [answer[1:] for answer in answers] == [(1, 2), (1, 4)]
    assert len({answer[0] for answer in answers} | {os.getpid()}) == 3
    assert all(gone(answer[0]) for answer in answers)


def test_errors_come_back_as_what_they_are() -> None:
    with FreshExecutor() as executor:
        with pytest.raises(Unavailable, match=r"it is not available here: of this \(do that\)") as caught:
            executor.submit(fresh_jobs.refuse).result()
        assert caught.value.remedy == "do that"
        with pytest.raises(GcBarrierError, match="ZeroDivisionError in the invocation's process: by nothing"):
            executor.submit(fresh_jobs.break_down).result()


def test_a_death_says_how_and_the_next_job_runs() -> None:
    with FreshExecutor() as executor:
        with pytest.raises(GcBarrierError, match=r"crashed \(SIGSEGV\); it said last\n  \| last words"):
            executor.submit(fresh_jobs.die, signal.SIGSEGV).result()
        with pytest.raises(GcBarrierError, match="was killed, most likely for want of memory"):
            executor.submit(fresh_jobs.die, signal.SIGKILL).result()
        with pytest.raises(GcBarrierError, match=r"ended without a result \(status 3\)"):
            executor.submit(fresh_jobs.leave).result()
        assert executor.submit(fresh_jobs.who, 4).result()[2] == 8


def test_a_hung_job_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with FreshExecutor(deadline_s=3) as executor:
        with pytest.raises(GcBarrierError, match=r"hung \(it ran over its deadline of 3 s\)"):
            executor.submit(fresh_jobs.sleep, str(note)).result()
        assert gone(int(note.read_text()))


def test_an_exception_in_the_block_ends_the_job_at_once(tmp_path: Path) -> None:
    note = tmp_path / "note"

    def interrupted() -> None:
        with FreshExecutor() as executor:
            first = executor.submit(fresh_jobs.sleep, str(note))
            executor.submit(fresh_jobs.sleep, str(note))
            while not note.exists() or not note.read_text():
                assert not first.done(), first.exception()
                time.sleep(0.01)
            raise KeyboardInterrupt

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - before < 30
    assert gone(int(note.read_text()))
