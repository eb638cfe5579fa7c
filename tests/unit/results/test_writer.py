"""Writing a run: all of it or nothing."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from synthetic import make_events, make_manifest, make_outcome, write_run

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Measured
from gcbarrier.results.run import load
from gcbarrier.results.writer import RunWriter

CONFIG = Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent")


def test_events_that_are_no_npy_are_refused(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "x") as writer, pytest.raises(ValueError, match="npy"):
        writer.add(Measured(record=make_outcome(CONFIG, 0), events=b"garbage"))


@pytest.mark.parametrize("problem", [KeyboardInterrupt, GcBarrierError, None])
def test_nothing_is_left_of_a_run_that_did_not_end(tmp_path: Path, problem: type[BaseException] | None) -> None:
    target = tmp_path / "runs" / "deep" / "x"
    try:
        with RunWriter(target) as writer:
            writer.add(Measured(record=make_outcome(CONFIG, 0), events=make_events(3)))
            assert not (target / "manifest.json").exists()
            if problem is not None:
                raise problem
    except (KeyboardInterrupt, GcBarrierError):
        assert problem is not None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_in_use_survives_the_clean_up(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "runs" / "x"):
        (tmp_path / "runs" / "other").mkdir()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]


def test_another_run_is_never_overwritten(tmp_path: Path) -> None:
    target = write_run(tmp_path / "x", [make_outcome(CONFIG, 0)])
    before = sorted(path.name for path in target.iterdir())
    (tmp_path / "file").touch()
    for taken in (target, tmp_path / "file", Path("/")):
        with pytest.raises(GcBarrierError, match="not an empty directory"), RunWriter(taken):
            pass
    assert sorted(path.name for path in target.iterdir()) == before


@pytest.mark.parametrize("ends_well", [True, False])
def test_what_others_put_there_meanwhile_stays(tmp_path: Path, ends_well: bool) -> None:
    target = tmp_path / "x"
    with RunWriter(target) as writer:
        (target / "precious").write_text("mine")
        if ends_well:
            writer.commit(make_manifest())
    assert (target / "precious").read_text() == "mine"
    assert ends_well or [path.name for path in target.iterdir()] == ["precious"]


def test_an_empty_directory_is_taken_over_and_stays(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with RunWriter(tmp_path / "x"):
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
    with RunWriter(target) as writer, full_disk(4096):
        for index in range(100):
            writer.add(Measured(record=make_outcome(CONFIG, index), events=make_events(10)))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(GcBarrierError, match=r"can't be written: .*; free some space"):
        fill(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GcBarrierError, match="can't be written"), RunWriter(tmp_path / "file" / "x"):
        pass
