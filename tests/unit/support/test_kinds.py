"""A test's folder is its marker, and a test in no such folder is an error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kinds import kind, known_kinds
from places import CHECKOUT, SUPPORT, TESTS

KINDS = ["unit", "native"]
SUITE = """\
import pytest

@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.whole)])
def test_something(number):
    pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of its own with this one's mechanism, and two tests in each of two folders, native first."""
    markers = "".join(f"  {name}\n" for name in (*KINDS, "whole"))
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\naddopts = --strict-markers --import-mode=importlib\npythonpath = support\nmarkers =\n{markers}"
    )
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text(
        "from kinds import pytest_addoption, pytest_collection_modifyitems, pytest_terminal_summary\n"
    )
    (tmp_path / "support").mkdir()
    (tmp_path / "support" / "kinds.py").write_text((SUPPORT / "kinds.py").read_text(encoding="utf-8"))
    (tmp_path / "support" / "places.py").write_text(f"from pathlib import Path\nTESTS = Path({str(tests)!r})\n")
    for folder in KINDS:
        (tests / folder / "room").mkdir(parents=True)
        (tests / folder / "room" / "test_it.py").write_text(SUITE)
    return tmp_path


def run(suite: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", *options]
    settings = {"capture_output": True, "text": True, "timeout": 60, "check": False}
    return subprocess.run(command, cwd=suite, env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, **settings)


def collected(suite: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run(suite, "--collect-only", *options)


def names(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.replace("/room/test_it.py::test_something", "") for line in done.stdout.splitlines() if "::" in line]


def test_the_folder_sets_the_marker_and_quick_ones_come_first(suite: Path) -> None:
    assert names(collected(suite)) == ["tests/unit[1]", "tests/native[1]"]
    assert names(collected(suite, "-m", "native")) == ["tests/native[1]"]
    assert names(collected(suite, "--whole", "-m", "unit")) == ["tests/unit[1]", "tests/unit[2]"]


def test_time_is_told_by_folder(suite: Path) -> None:
    assert "took 0 s in unit/, 0 s in native/\n" in run(suite).stdout


@pytest.mark.parametrize("place", ["tests/elsewhere", "tests"])
def test_a_folder_without_a_marker_is_an_error(suite: Path, place: str) -> None:
    (suite / place).mkdir(exist_ok=True)
    (suite / place / "test_lost.py").write_text(SUITE)
    done = collected(suite)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{place}/test_lost.py is in no folder that sets a marker (unit, native)" in done.stderr


def test_every_folder_of_this_suite_is_known(pytestconfig: pytest.Config) -> None:
    kinds = known_kinds(pytestconfig.getini("markers"))
    files = list(TESTS.rglob("test_*.py"))
    assert {kind(file, kinds) for file in files} == set(kinds)
    readme = (TESTS / "README.md").read_text(encoding="utf-8")
    assert [name for name in kinds if f"`{name}/`" not in readme] == []
    assert "tests/README.md" in (CHECKOUT / "README.md").read_text(encoding="utf-8")
