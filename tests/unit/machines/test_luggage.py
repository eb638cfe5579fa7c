"""What travels to a worker, and how both ends know that they run the same code."""

import json
import sys
from pathlib import Path

import pytest
from places import PLUGINS

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import cache
from gcbarrier.machines.cluster import connect, luggage
from gcbarrier.machines.cluster.luggage import Luggage, digest, packed
from gcbarrier.plugins import discovery


def test_plugins_go_along_and_nothing_else_of_their_folder(tmp_path: Path) -> None:
    for name in ("heaps/mine/heap.py", "heaps/mine/__pycache__/heap.pyc", "runs/large.npy", "heaps/.hidden/x", "x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    discovery.add_path(tmp_path)
    discovery.add_path(PLUGINS)
    mine, theirs = packed().folders
    assert mine == {"heaps/mine/heap.py": b"heaps/mine/heap.py"}
    assert {"heaps/ring/mutator.c", "barriers/lossy.c", "experiments/tiny.py"} <= theirs.keys()


def test_parameters_that_name_files_take_these_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.npz").write_bytes(b"a")
    assert packed(["~/a.npz", str(tmp_path / "a.npz"), "", "nowhere", str(tmp_path), 3, 1.5]).files == {
        "~/a.npz": b"a",
        str(tmp_path / "a.npz"): b"a",
    }


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_path: Path) -> bytes:
        raise PermissionError(13, "no")

    (tmp_path / "a.npz").touch()
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(GcBarrierError, match=r"a\.npz can't be sent along: Permission denied; make it readable"):
        packed([str(tmp_path / "a.npz")])


def test_any_change_of_code_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(**files: str) -> str:
        package = tmp_path / "gcbarrier"
        for name, text in files.items():
            (package / f"{name}.c").write_text(text)
        return digest()

    (tmp_path / "gcbarrier").mkdir()
    monkeypatch.setattr(luggage, "_PACKAGE", tmp_path / "gcbarrier")
    found = [installed(a="1"), installed(a="2"), installed(a="1", b=""), installed(b="x")]
    assert len(set(found)) == 4
    (tmp_path / "gcbarrier" / "notes.md").write_text("no code")
    assert digest() == found[-1]
    for data in ("heaps.npz", "program.pages"):
        before = digest()
        (tmp_path / "gcbarrier" / data).write_text("what heaps are made of")
        assert digest() != before


def test_an_installed_package_has_the_digest_of_its_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def arranged(heaps: Path) -> str:
        package = heaps.parent / "gcbarrier" if heaps.parent.name != "gcbarrier" else heaps.parent
        for file in (package / "core.py", heaps / "ring" / "heap.py"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(file.name)
        monkeypatch.setattr(luggage, "_PACKAGE", package)
        monkeypatch.setattr(discovery, "_PACKAGE", package)
        return digest()

    checkout = arranged(tmp_path / "checkout" / "heaps")
    installed = arranged(tmp_path / "site" / "gcbarrier" / "heaps")
    assert checkout == installed


def test_files_are_found_where_they_came_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.FILES_VARIABLE, raising=False)
    assert cache.travelled("/there/a.npz") == Path("/there/a.npz")
    monkeypatch.setenv("HOME", "/home/worker")
    (tmp_path / "files.json").write_text(json.dumps({"~/a.npz": "/scratch/0-a.npz", "b.npz": "/scratch/1-b.npz"}))
    monkeypatch.setenv(cache.FILES_VARIABLE, str(tmp_path / "files.json"))
    assert cache.travelled("~/a.npz") == Path("/scratch/0-a.npz")
    assert cache.travelled(Path("/home/worker/a.npz")) == Path("/scratch/0-a.npz")
    assert cache.travelled("b.npz") == Path("/scratch/1-b.npz")
    assert cache.travelled("c.npz") == Path("c.npz")


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(Unavailable, match=r"distributed is not installed.*pip install 'gcbarrier\[dask\]'"):
        connect("tcp://127.0.0.1:1", Luggage()).__enter__()
