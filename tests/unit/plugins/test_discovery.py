"""Plug-ins are found by path, refused where ambiguous, and their mistakes are the user's to read."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery

Maker = Callable[..., Path]


@pytest.fixture
def own(tmp_path: Path) -> Maker:
    """``own("barriers/x.py", "text")``: write a file into a user's folder, which is on the search path."""
    root = tmp_path / "own"

    def write(path: str, text: str = '"""Summary.\n\nMore."""\n', *, root: Path = root) -> Path:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        discovery.add_path(root)
        return file

    return write


def test_each_kind_is_found_by_its_own_shape(own: Maker) -> None:
    heap = own("heaps/my_heap/heap.py")
    own("heaps/my_heap/mutator.c", "")
    barrier = own("barriers/my_barrier.py")
    own("barriers/my_barrier.c", "")
    collector = own("collectors/my_collector.py")
    experiment = own("experiments/my_question.py")
    assert discovery.find("heaps", "my_heap") == heap
    assert discovery.find("barriers", "my-barrier") == barrier
    assert discovery.find("collectors", "my-collector") == collector
    assert discovery.find("experiments", "my_question") == experiment
    for kind, name in (("heaps", "my_heap"), ("barriers", "my-barrier"), ("collectors", "my-collector")):
        assert name in discovery.names(kind)


def test_names_are_sorted_and_helpers_are_not_plugins(own: Maker) -> None:
    for name in ("zeta", "alpha", "_helper"):
        own(f"collectors/{name}.py")
    own("heaps/_common/heap.py")
    own("heaps/_common/mutator.c", "")
    names = discovery.names("collectors")
    assert names == sorted(names)
    assert {"zeta", "alpha"} <= set(names)
    assert not any("helper" in name for name in names)
    assert "_common" not in discovery.names("heaps")


@pytest.mark.parametrize(
    ("kind", "file", "needed"), [("heaps", "heaps/x_x/heap.py", "mutator.c"), ("barriers", "barriers/x_x.py", "x_x.c")]
)
def test_a_missing_c_file_is_named(own: Maker, kind: str, file: str, needed: str) -> None:
    own(file)
    name = "x_x" if kind == "heaps" else "x-x"
    assert name not in discovery.names(kind)
    with pytest.raises(GcBarrierError, match=f"lacks its C file: write .*{needed}"):
        discovery.find(kind, name)


def test_an_unknown_name_gets_the_nearest_match_and_the_command_that_lists(own: Maker) -> None:
    own("collectors/mostly_sleeping.py")
    with pytest.raises(GcBarrierError) as caught:
        discovery.find("collectors", "mostly-slepping")
    assert str(caught.value) == (
        "no collector is called 'mostly-slepping'; did you mean 'mostly-sleeping'? "
        "`gcbarrier list collectors` shows all"
    )
    with pytest.raises(GcBarrierError, match=r"'qqqqqq'; `gcbarrier list"):
        discovery.find("collectors", "qqqqqq")


def test_an_unknown_kind_is_the_users_mistake_too() -> None:
    with pytest.raises(GcBarrierError, match="did you mean 'barriers'"):
        discovery.names("bariers")


def test_one_name_in_two_places_is_refused_naming_both(own: Maker, tmp_path: Path) -> None:
    first = own("collectors/same.py")
    second = own("collectors/same.py", root=tmp_path / "other")
    with pytest.raises(GcBarrierError, match="two collectors are called 'same'") as caught:
        discovery.find("collectors", "same")
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


def test_a_shipped_name_cannot_be_shadowed(own: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    shipped = own("collectors/shipped.py", root=package)
    monkeypatch.setenv(discovery.PATH_VARIABLE, "")
    monkeypatch.setattr(discovery, "_PACKAGE", package)
    assert discovery.find("collectors", "shipped") == shipped
    own("collectors/shipped.py")
    with pytest.raises(GcBarrierError, match="which comes with gcbarrier; rename yours"):
        discovery.find("collectors", "shipped")


def test_one_folder_reached_twice_is_not_two_places(own: Maker, tmp_path: Path) -> None:
    file = own("collectors/once.py")
    (tmp_path / "alias").symlink_to(tmp_path / "own")
    discovery.add_path(tmp_path / "alias")
    os.environ[discovery.PATH_VARIABLE] += f"{os.pathsep}{tmp_path / 'alias'}"
    assert discovery.find("collectors", "once") == file


def test_load_runs_a_file_once(own: Maker, tmp_path: Path) -> None:
    log = tmp_path / "log"
    own("experiments/counted.py", f"with open({str(log)!r}, 'a') as log:\n    log.write('x')\nclass Thing: pass\n")
    module = discovery.module("experiments", "counted")
    assert discovery.module("experiments", "counted") is module
    assert log.read_text() == "x"
    assert sys.modules[module.Thing.__module__] is module, "pickle and class decorators look it up there"


def test_two_files_of_one_name_are_two_modules(own: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own("experiments/twin.py", "WHICH = 1\n")
    assert discovery.module("experiments", "twin").WHICH == 1
    monkeypatch.setenv(discovery.PATH_VARIABLE, "")
    own("experiments/twin.py", "WHICH = 2\n", root=tmp_path / "other")
    assert discovery.module("experiments", "twin").WHICH == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ndef broken(:\n", r"line 2: SyntaxError"),
        ("\n\nraise KeyError('gone')\n", r"line 3: KeyError: 'gone'"),
        ("\nimport no_such_module\n", r"line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import json\n\njson.loads('{')\n", r"line 3: JSONDecodeError"),
    ],
)
def test_a_failing_file_is_named_with_its_line(own: Maker, text: str, said: str) -> None:
    file = own("experiments/failing.py", text)
    with pytest.raises(GcBarrierError, match=said) as caught:
        discovery.module("experiments", "failing")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    file.write_text("MENDED = True\n")
    assert discovery.module("experiments", "failing").MENDED, "a failure is not remembered"


def test_summary_reads_without_executing(own: Maker) -> None:
    own("collectors/armed.py", '"""What it does.\n\nDetails."""\nraise SystemExit\n')
    own("collectors/silent.py", "x = 1\n")
    own("collectors/garbled.py", "def (\n")
    assert discovery.summary("collectors", "armed") == "What it does."
    assert discovery.summary("collectors", "silent") == ""
    with pytest.raises(GcBarrierError, match=r"garbled\.py, line 1: SyntaxError"):
        discovery.summary("collectors", "garbled")


def test_a_child_process_searches_the_same_folders(own: Maker) -> None:
    own("collectors/inherited.py")
    ask = "from gcbarrier.plugins import discovery; print(*discovery.names('collectors'))"
    child = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert "inherited" in child.stdout.split()


def test_folders_that_cannot_be_searched_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GcBarrierError, match="is not a folder"):
        discovery.add_path(tmp_path / "nowhere")
    with pytest.raises(GcBarrierError, match="holds nothing to find"):
        discovery.add_path(tmp_path)
    colon = tmp_path / "a:b"
    (colon / "heaps").mkdir(parents=True)
    with pytest.raises(GcBarrierError, match="separates folders"):
        discovery.add_path(colon)
    assert discovery.paths() == []
    monkeypatch.setenv(discovery.PATH_VARIABLE, f"{tmp_path}{os.pathsep}{tmp_path / 'nowhere'}")
    with pytest.raises(GcBarrierError, match=r"GCBARRIER_PATH names .*nowhere"):
        discovery.names("heaps")


@pytest.mark.parametrize("kind", discovery.KINDS)
def test_everything_shipped_says_what_it_is(kind: str) -> None:
    for name in discovery.names(kind):
        assert discovery.summary(kind, name), f"{kind} {name} has no docstring"
