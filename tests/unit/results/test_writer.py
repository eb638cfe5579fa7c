"""Writing a run: what was finished is kept, however it ends."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from synthetic import make_events, make_manifest, make_outcome, write_run

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Measured
from gcbarrier.results.run import load
from gcbarrier.results.writer import RunWriter

CONFIG = Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent")


def test_events_that_are_no_npy_are_refused(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "x", make_manifest()) as writer, pytest.raises(ValueError, match="npy"):
        writer.add(Measured(record=make_outcome(CONFIG, 0), events=b"garbage"))


ENDS = [(KeyboardInterrupt(), "interrupted"), (GcBarrierError("no room"), "no room"), (None, "left before its end")]


@pytest.mark.parametrize(("problem", "_said"), ENDS)
def test_nothing_is_left_of_a_run_that_measured_nothing(
    tmp_path: Path, problem: BaseException | None, _said: str
) -> None:
    target = tmp_path / "runs" / "deep" / "x"
    with suppress(KeyboardInterrupt, GcBarrierError), RunWriter(target, make_manifest()):
        assert (target / "manifest.json").exists()
        if problem is not None:
            raise problem
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("problem", "said"), ENDS)
def test_what_was_measured_is_kept_and_gone_on_with(tmp_path: Path, problem: BaseException | None, said: str) -> None:
    target = tmp_path / "x"
    outcomes = [make_outcome(CONFIG, index) for index in range(3)]
    with suppress(KeyboardInterrupt, GcBarrierError), RunWriter(target, make_manifest()) as writer:
        writer.add(Measured(record=outcomes[0], events=make_events(3)))
        if problem is not None:
            raise problem
    stopped = load(target)
    assert (stopped.state, list(stopped.outcomes)) == ("stopped", outcomes[:1])
    assert said in stopped.manifest["stopped"]
    with RunWriter.resume(target) as writer:
        for outcome in outcomes[1:]:
            writer.add(Measured(record=outcome, events=make_events(5)))
        writer.commit()
    whole = load(target)
    assert (whole.state, list(whole.outcomes)) == ("complete", outcomes)
    assert [len(whole.events(index)) for index in range(3)] == [3, 5, 5]
    at_once = write_run(tmp_path / "y", outcomes)
    for name in ("pauses.csv", "stalls.csv"):
        assert (target / name).read_text() == (at_once / name).read_text()


def test_a_crash_in_the_middle_of_a_line_costs_that_line_only(tmp_path: Path) -> None:
    target = write_run(tmp_path / "x", [make_outcome(CONFIG, index) for index in range(2)])
    manifest = json.loads((target / "manifest.json").read_text()) | {"state": "running"}
    (target / "manifest.json").write_text(json.dumps(manifest))
    with (target / "outcomes.jsonl").open("ab") as file:
        file.write('{"machine": "n\u00e4'.encode()[:-1])
    with (target / "pauses.csv").open("a") as file:
        file.write("native,pause_t")
    assert (load(target).state, len(load(target).outcomes)) == ("killed", 2)
    with RunWriter.resume(target) as writer:
        writer.add(Measured(record=make_outcome(CONFIG, 2)))
        writer.commit()
    assert len(load(target).outcomes) == 3
    whole = write_run(tmp_path / "y", [make_outcome(CONFIG, index) for index in range(3)])
    assert (target / "pauses.csv").read_text() == (whole / "pauses.csv").read_text()


def test_a_run_that_was_killed_right_after_its_manifest_is_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.mkdir()
    words = make_manifest() | {"format": 1, "state": "running", "plans": {}}
    (target / "manifest.json").write_text(json.dumps(words))
    (target / ".gcbarrier-run").touch()
    assert (load(target).state, load(target).outcomes) == ("killed", ())
    with RunWriter.resume(target) as writer:
        writer.add(Measured(record=make_outcome(CONFIG, 0), events=make_events(3)))
        writer.commit()
    assert len(load(target).events(0)) == 3


@pytest.mark.parametrize("whole", [False, True])
def test_a_run_that_another_has_gone_on_with_meanwhile_is_left_alone(tmp_path: Path, whole: bool) -> None:
    target = tmp_path / "x"
    with RunWriter(target, make_manifest()) as writer:
        writer.add(Measured(record=make_outcome(CONFIG, 0)))
    seen = load(target)
    with RunWriter.resume(target, seen) as writer:
        if whole:
            writer.commit()
        else:
            writer.add(Measured(record=make_outcome(CONFIG, 1)))
    after = (target / "outcomes.jsonl").read_text(), load(target).state
    with pytest.raises(GcBarrierError, match="meanwhile"), RunWriter.resume(target, seen):
        pass
    assert ((target / "outcomes.jsonl").read_text(), load(target).state) == after


def test_a_run_may_go_on_with_its_own_copies(tmp_path: Path) -> None:
    (tmp_path / "heap.py").write_text("one")
    with RunWriter(tmp_path / "x", make_manifest()) as writer:
        writer.keep({"heaps/mine/heap.py": tmp_path / "heap.py"})
        copy = tmp_path / "x" / "sources" / "heaps" / "mine" / "heap.py"
        writer.keep({"heaps/mine/heap.py": copy})
        assert copy.read_text() == "one"
        writer.commit()


def test_a_folder_that_is_in_use_survives_the_clean_up(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "runs" / "x", make_manifest()):
        (tmp_path / "runs" / "other").mkdir()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]


def test_another_run_is_never_overwritten(tmp_path: Path) -> None:
    target = write_run(tmp_path / "x", [make_outcome(CONFIG, 0)])
    before = sorted(path.name for path in target.iterdir())
    (tmp_path / "file").touch()
    for taken in (target, tmp_path / "file", Path("/")):
        with pytest.raises(GcBarrierError, match="not an empty directory"), RunWriter(taken, make_manifest()):
            pass
    assert sorted(path.name for path in target.iterdir()) == before


@pytest.mark.parametrize("ends_well", [True, False])
def test_what_others_put_there_meanwhile_stays(tmp_path: Path, ends_well: bool) -> None:
    target = tmp_path / "x"
    with RunWriter(target, make_manifest()) as writer:
        (target / "precious").write_text("mine")
        if ends_well:
            writer.commit()
    assert (target / "precious").read_text() == "mine"
    assert ends_well or [path.name for path in target.iterdir()] == ["precious"]


def test_an_empty_directory_is_taken_over_and_stays(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with RunWriter(tmp_path / "x", make_manifest()):
        pass
    assert list((tmp_path / "x").iterdir()) == []
    inode = (tmp_path / "x").stat().st_ino
    assert load(write_run(tmp_path / "x", [make_outcome(CONFIG, 0)])).outcomes
    # A mount point can't be renamed onto.
    assert (tmp_path / "x").stat().st_ino == inode
    assert not list((tmp_path / "x").glob(".*"))


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond ``limit``: the nearest thing to a full disk that needs no privilege."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(target: Path) -> None:
    with RunWriter(target, make_manifest()) as writer, full_disk(16384):
        for index in range(100):
            writer.add(Measured(record=make_outcome(CONFIG, index), events=make_events(10)))


def test_a_full_disk_is_one_sentence_and_keeps_what_was_finished(tmp_path: Path) -> None:
    with pytest.raises(GcBarrierError, match=r"can't be written: .*; free some space"):
        fill(tmp_path / "x")
    run = load(tmp_path / "x")
    assert run.state == "stopped"
    assert list(run.outcomes) == [make_outcome(CONFIG, index) for index in range(len(run.outcomes))]
    assert 0 < len(run.outcomes) < 100


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GcBarrierError, match="can't be written"), RunWriter(tmp_path / "file" / "x", make_manifest()):
        pass
