"""Recording in the lab, with a stand-in for the guest: what goes along, and what comes back."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import pytest
from attrs import evolve

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import lab as machine
from gcbarrier.recorder import lab
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.lab import named, record_in_lab
from gcbarrier.recorder.session import Done, Wish, beside

DONE = Done(status=3, problem="", wall_ns=1, cpu_ns=1)


class Guest:
    """Runs what it is given here and now."""

    asked: dict[str, Any]

    def __init__(self, **options: Any) -> None:
        Guest.asked = options

    def submit(self, job: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(job(*arguments))
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Wish]:
    """What was recorded in the guest."""
    wishes: list[Wish] = []

    def record(wish: Wish, _: Signals) -> Done:
        wishes.append(wish)
        wish.out.write_bytes(b"exact")
        beside(wish.out).write_bytes(b"soft-dirty")
        return DONE

    monkeypatch.setattr(machine, "LabExecutor", Guest)
    monkeypatch.setattr(lab, "record", record)
    monkeypatch.setattr(lab, "preload", lambda: tmp_path / "preload.so")
    monkeypatch.chdir(tmp_path)
    return wishes


def wish(tmp_path: Path, *command: str, tracker: str = "both") -> Wish:
    return Wish(command=command, out=tmp_path / "app.pages", every_ns=1, tracker=tracker)


def ask(wish: Wish, *include: Path) -> Done:
    return record_in_lab(wish, include=include, kernel="some", memory_bytes=5 << 20)


def test_both_files_come_back_and_files_that_are_named_go_along(recorded: list[Wish], tmp_path: Path) -> None:
    (tmp_path / "script.py").touch()
    (tmp_path / "folder").mkdir()
    more = tmp_path / "folder"
    assert ask(wish(tmp_path, "python3", "script.py", "folder", "no such", ""), more) == DONE
    assert (tmp_path / "app.pages").read_bytes() == b"exact"
    assert (tmp_path / "app.soft-dirty.pages").read_bytes() == b"soft-dirty"
    assert Guest.asked["include"] == [more, tmp_path / "script.py", tmp_path / "preload.so"]
    assert (Guest.asked["kernel"], Guest.asked["memory_bytes"]) == ("some", 5 << 20)
    (there,) = recorded
    assert there.library == tmp_path / "preload.so"
    assert there.out.name == "app.pages"
    assert not there.out.parent.exists(), "nothing is left in the guest"


def test_by_soft_dirty_alone_nothing_is_compiled(recorded: list[Wish], tmp_path: Path) -> None:
    ask(wish(tmp_path, "python3", tracker="soft-dirty"))
    assert recorded[0].library is None
    assert Guest.asked["include"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["app.pages"]


def test_what_was_not_recorded_does_not_come_back(
    recorded: list[Wish], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "record", lambda *_: evolve(DONE, problem="it was not to be"))
    assert ask(wish(tmp_path, "python3")).problem == "it was not to be"
    assert list(tmp_path.iterdir()) == []
    assert recorded == []


@pytest.mark.usefixtures("recorded")
def test_a_place_that_is_not_there_is_refused_before_a_guest_is_booted(tmp_path: Path) -> None:
    Guest.asked = {}
    with pytest.raises(GcBarrierError, match="there is no folder"):
        ask(Wish(command=("true",), out=tmp_path / "nowhere" / "app.pages", every_ns=1))
    assert Guest.asked == {}


@pytest.mark.usefixtures("recorded")
def test_a_place_that_can_not_be_written_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.pages").mkdir()
    with pytest.raises(GcBarrierError, match=r"the recording .*app\.pages can't be written: .*directory"):
        ask(wish(tmp_path, "true"))
    assert [path.name for path in tmp_path.iterdir()] == ["app.pages"]


def test_only_files_are_taken_along_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    assert named(["a", str(tmp_path / "a"), ".", "b", ""]) == [tmp_path / "a", tmp_path / "a"]
