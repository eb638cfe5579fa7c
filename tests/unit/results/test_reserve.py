"""A run's folder is reserved at the start: two runs never share one, and what a killed one left is told and cleared."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from synthetic import make_manifest, make_outcome, write_run

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config
from gcbarrier.results import reserve
from gcbarrier.results.run import load
from gcbarrier.results.writer import RunWriter

CONFIG = Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent")

WRITER = """
import sys
from pathlib import Path
from gcbarrier.results.writer import RunWriter
with RunWriter(Path(sys.argv[1]), {"experiment": "pause_times"}, or_next=len(sys.argv) > 2) as writer:
    (writer._target / "events" / "0.npy").write_bytes(b"half")
    print(writer._target, flush=True)
    sys.stdin.read()
"""


@contextmanager
def writing(target: Path, *or_next: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that is in the middle of a run, and its folder."""
    command = [sys.executable, "-c", WRITER, str(target), *or_next]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield child, Path(child.stdout.readline().strip())


def left_by_a_killed_run(target: Path) -> Path:
    """A folder without a manifest: it was killed in its first moment."""
    with writing(target) as (child, folder):
        child.kill()
    (folder / "manifest.json").unlink()
    return folder


def test_the_second_run_to_the_same_place_is_told_at_the_start(tmp_path: Path) -> None:
    with writing(tmp_path / "x") as (_, folder):
        before = sorted(folder.rglob("*"))
        with pytest.raises(GcBarrierError, match=r"another run is being written in .*: name another one with --out"):
            RunWriter(tmp_path / "x", make_manifest()).__enter__()
        assert sorted(folder.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_runs_that_choose_the_same_name_get_one_each(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "x"
    with writing(target, "or next") as (_, one), writing(target, "or next") as (_, two):
        with RunWriter(target, make_manifest(), or_next=True) as writer:
            three = writer.commit()
        assert [one, two, three] == [target, tmp_path / "runs" / "x-2", tmp_path / "runs" / "x-3"]
        assert load(three).experiment == "pause_times"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["x-3"]


def test_a_run_that_is_not_whole_is_called_so(tmp_path: Path) -> None:
    with writing(tmp_path / "x") as (child, folder):
        assert load(folder).state == "running"
        (folder / "manifest.json").rename(folder / "aside")
        with pytest.raises(GcBarrierError, match="is incomplete: the run that writes it has not ended yet"):
            load(folder)
        child.kill()
    with pytest.raises(GcBarrierError, match="is incomplete: the run that wrote it was killed"):
        load(folder)
    (folder / "aside").rename(folder / "manifest.json")
    assert load(folder).state == "killed"
    assert load(write_run(tmp_path / "y", [make_outcome(CONFIG, 0)])).state == "complete"


def test_a_killed_run_that_can_go_on_is_not_written_over(tmp_path: Path) -> None:
    with writing(tmp_path / "x") as (child, folder):
        child.kill()
    write_run(tmp_path / "beside", [make_outcome(CONFIG, 0)])
    with pytest.raises(GcBarrierError, match=r"`gcbarrier run --resume` goes on with it\): name another one"):
        RunWriter(tmp_path / "x", make_manifest()).__enter__()
    assert (folder / "events" / "0.npy").exists()


def test_two_do_not_go_on_with_one_run(tmp_path: Path) -> None:
    with writing(tmp_path / "x") as (_, folder), pytest.raises(GcBarrierError, match="wait until it has ended"):
        RunWriter.resume(folder).__enter__()


def test_what_a_killed_run_left_is_taken_over(tmp_path: Path) -> None:
    dead = left_by_a_killed_run(tmp_path / "x")
    assert (dead / "events" / "0.npy").exists()
    with RunWriter(tmp_path / "x", make_manifest()):
        assert list((dead / "events").iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_what_killed_runs_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    left_by_a_killed_run(tmp_path / "dead")
    (tmp_path / "given").mkdir()
    left_by_a_killed_run(tmp_path / "given")
    for name in (".next.partial-0123abcd", ".next.partial-mine", ".other.partial-0123abcd"):
        (tmp_path / name / "events").mkdir(parents=True)
    whole = write_run(tmp_path / "whole", [make_outcome(CONFIG, 0)])
    with writing(tmp_path / "alive") as (_, alive):
        write_run(tmp_path / "next", [make_outcome(CONFIG, 0)])
        assert (alive / "events" / "0.npy").exists()
        assert load(whole).outcomes
        assert {path.name for path in tmp_path.iterdir()} == {
            *("alive", "given", "next", "whole", ".next.partial-mine", ".other.partial-0123abcd")
        }
    assert list((tmp_path / "given").iterdir()) == [], "the user's own folder stays"


def test_a_users_files_among_what_a_killed_run_left_stay(tmp_path: Path) -> None:
    dead = left_by_a_killed_run(tmp_path / "x")
    (dead / "precious").write_text("mine")
    with pytest.raises(GcBarrierError, match="not an empty directory"):
        RunWriter(tmp_path / "x", make_manifest()).__enter__()
    assert [path.name for path in dead.iterdir()] == ["precious"]


def test_a_whole_run_whose_lock_was_left_is_whole(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "x", [make_outcome(CONFIG, 0)])
    (whole / reserve.LOCK).touch()
    with pytest.raises(GcBarrierError, match="name another one with --out"):
        RunWriter(whole, make_manifest()).__enter__()
    write_run(tmp_path / "other", [make_outcome(CONFIG, 0)])
    assert load(whole).outcomes


def test_the_one_that_lost_a_race_for_the_lock_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Somebody who clears up meets the file between its making and its locking.
    held: list[int] = []
    flock = reserve.fcntl.flock

    def late(lock: int, how: int) -> None:
        if not held:
            held.append(os.open(tmp_path / "x" / reserve.LOCK, os.O_RDWR))
            flock(held[0], reserve.fcntl.LOCK_EX)
            (tmp_path / "x" / reserve.LOCK).unlink()
        flock(lock, how)

    monkeypatch.setattr(reserve.fcntl, "flock", late)
    try:
        assert load(write_run(tmp_path / "x", [make_outcome(CONFIG, 0)])).outcomes
    finally:
        os.close(held[0])
