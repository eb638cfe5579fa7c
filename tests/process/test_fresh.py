"""One fresh interpreter for each job, and nothing of it left."""

import os
import select
import signal
import sys
import time
from pathlib import Path

import fresh_jobs
import pytest
from places import SUPPORT

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import fresh
from gcbarrier.machines.fresh import FreshExecutor, Within


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def await_end(process: int) -> None:
    try:
        ended = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        assert select.select([ended], [], [], 60)[0], f"{process} still runs"
    finally:
        os.close(ended)


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


@pytest.mark.parametrize("own_session", [False, True])
def test_an_orphan_holds_nothing_up_and_does_not_stay(own_session: bool, tmp_path: Path) -> None:
    note = tmp_path / "note"
    with FreshExecutor(deadline_s=60) as executor:
        done = executor.submit(fresh_jobs.leave_an_orphan, str(note), "return", own_session=own_session)
        assert done.result() == "done"
        assert gone(int(note.read_text())), "ended before the result was told"


def test_the_orphan_of_a_job_that_crashes_does_not_stay(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with FreshExecutor(deadline_s=60) as executor, pytest.raises(GcBarrierError, match=r"crashed \(SIGSEGV\)"):
        executor.submit(fresh_jobs.leave_an_orphan, str(note), "crash").result()
    await_end(int(note.read_text()))


def test_a_job_that_is_stopped_takes_its_orphan_along(tmp_path: Path) -> None:
    note = tmp_path / "note"

    def interrupted() -> None:
        with FreshExecutor() as executor:
            executor.submit(fresh_jobs.leave_an_orphan, str(note), "wait", own_session=True)
            while not note.exists() or not note.read_text():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    await_end(int(note.read_text()))


def test_a_job_that_stops_itself_is_ended() -> None:
    with FreshExecutor(deadline_s=60) as executor:
        with pytest.raises(GcBarrierError, match=r"process was stopped \(SIGSTOP\)"):
            executor.submit(fresh_jobs.stop).result()
        assert executor.submit(fresh_jobs.who, 4).result()[2] == 8


def test_a_job_has_a_deadline_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "_GRACE_S", 3.0)
    with FreshExecutor() as executor:
        assert executor.submit(Within(60.0, fresh_jobs.who), 4).result()[2] == 8
        with pytest.raises(GcBarrierError, match=r"crashed \(SIGALRM\)"):
            executor.submit(Within(0.1, fresh_jobs.sleep), str(tmp_path / "note")).result()
        with pytest.raises(GcBarrierError, match=r"hung \(it ran over its deadline of 3 s\)"):
            executor.submit(Within(0.1, fresh_jobs.wait_without_an_alarm)).result()


def test_what_lies_in_the_folder_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("signal", "random", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with FreshExecutor(deadline_s=60) as executor:
        assert executor.submit(fresh_jobs.where).result() == fresh_jobs.where()


def test_the_job_has_its_callers_path_and_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gcbarrier").mkdir()
    (tmp_path / "gcbarrier" / "__init__.py").write_text("raise SystemExit('another one')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with FreshExecutor(deadline_s=60) as executor:
        assert executor.submit(fresh_jobs.where).result() == fresh_jobs.where()
