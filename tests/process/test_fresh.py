"""One fresh interpreter for each job, and nothing of it left."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from places import CHECKOUT

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.fresh import FreshExecutor


def who(value: int) -> tuple[int, int, int]:
    print("noise on standard output must not hurt")
    return os.getpid(), threading.active_count(), value * 2


def refuse() -> None:
    raise Unavailable("it", "of this", "do that")


def break_down() -> None:
    raise ZeroDivisionError("by nothing")


def die(number: int) -> None:
    os.write(2, b"last words\n")
    os.kill(os.getpid(), number)


def leave() -> None:
    os._exit(3)


def sleep(note: str) -> None:
    Path(note).write_text(str(os.getpid()))
    time.sleep(60)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_each_job_has_a_process_of_its_own_with_one_thread() -> None:
    with FreshExecutor() as executor:
        answers = [executor.submit(who, value).result() for value in (1, 2)]
    assert [answer[1:] for answer in answers] == [(1, 2), (1, 4)]
    assert len({answer[0] for answer in answers} | {os.getpid()}) == 3
    assert all(gone(answer[0]) for answer in answers)


def test_errors_come_back_as_what_they_are() -> None:
    with FreshExecutor() as executor:
        with pytest.raises(Unavailable, match=r"it is not available here: of this \(do that\)") as caught:
            executor.submit(refuse).result()
        assert caught.value.remedy == "do that"
        with pytest.raises(GcBarrierError, match="ZeroDivisionError in the invocation's process: by nothing"):
            executor.submit(break_down).result()


def test_a_death_says_how_and_the_next_job_runs() -> None:
    with FreshExecutor() as executor:
        with pytest.raises(GcBarrierError, match=r"crashed \(SIGSEGV\); it said last\n  \| last words"):
            executor.submit(die, signal.SIGSEGV).result()
        with pytest.raises(GcBarrierError, match="was killed, most likely for want of memory"):
            executor.submit(die, signal.SIGKILL).result()
        with pytest.raises(GcBarrierError, match=r"ended without a result \(status 3\)"):
            executor.submit(leave).result()
        assert executor.submit(who, 4).result()[2] == 8


def test_a_hung_job_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with FreshExecutor(deadline_s=3) as executor:
        with pytest.raises(GcBarrierError, match=r"hung \(it ran over its deadline of 3 s\)"):
            executor.submit(sleep, str(note)).result()
        assert gone(int(note.read_text()))


def test_an_exception_in_the_block_ends_the_job_at_once(tmp_path: Path) -> None:
    note = tmp_path / "note"

    def interrupted() -> None:
        with FreshExecutor() as executor:
            executor.submit(sleep, str(note))
            executor.submit(sleep, str(note))
            while not note.exists() or not note.read_text():
                time.sleep(0.01)
            raise KeyboardInterrupt

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - before < 30
    assert gone(int(note.read_text()))
