"""A package that was built and lies somewhere else, without a checkout, has all that belongs to it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import CHECKOUT

from gcbarrier.plugins import discovery

FOLDERS = ("gcbarrier", "heaps", "experiments")
Python = Callable[..., str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel would put among other people's packages."""
    root = tmp_path_factory.mktemp("install")
    source, target = root / "source", root / "site"
    for name in FOLDERS:
        shutil.copytree(CHECKOUT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    build = [sys.executable, "-W", "ignore", "-c", "from setuptools import setup; setup()"]
    subprocess.run(
        [*build, "-q", "build_py", "--build-lib", str(target)], cwd=source, check=True, capture_output=True, text=True
    )
    shutil.rmtree(source)
    return target


@pytest.fixture
def python(built: Path, tmp_path: Path) -> Python:
    """``python("-c", "...")`` in a folder of its own, with the built package and what it needs."""

    def run(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(built), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert not done.returncode, done.stderr
        return done.stdout

    return run


def test_every_file_of_a_heap_and_an_experiment_is_in_it(built: Path) -> None:
    for name in FOLDERS[1:]:
        wanted = {path for path in (CHECKOUT / name).rglob("*") if path.is_file() and path.suffix != ".pyc"}
        found = {path for path in (built / "gcbarrier" / name).rglob("*") if path.is_file()}
        assert {path.relative_to(CHECKOUT) for path in wanted} == {
            path.relative_to(built / "gcbarrier") for path in found
        }
    assert sorted(path.name for path in built.iterdir()) == ["gcbarrier"], "nothing beside the package"


@pytest.mark.parametrize("kind", discovery.KINDS)
def test_from_any_folder_it_lists_what_the_checkout_has(kind: str, built: Path, python: Python) -> None:
    entries = json.loads(python("-m", "gcbarrier", "list", kind, "--json"))
    assert [entry["name"] for entry in entries] == discovery.names(kind)
    assert all(Path(entry["file"]).is_relative_to(built) for entry in entries)


def test_a_file_in_it_is_one_module(python: Python) -> None:
    ask = (
        "import gcbarrier.experiments.pause_times as experiment, gcbarrier.heaps.bursts.heap as heap\n"
        "from gcbarrier.plugins.discovery import module\n"
        "print(module('experiments', 'pause_times') is experiment, module('heaps', 'bursts') is heap)"
    )
    assert python("-c", ask) == "True True\n"


def test_a_page_has_its_style_and_script(python: Python) -> None:
    ask = "from gcbarrier.report.html.page import page; text = page([]); print('--paper' in text, 'viewBox' in text)"
    assert python("-c", ask) == "True True\n"


def test_the_guest_gets_the_package_alone(built: Path, python: Python) -> None:
    ask = "from gcbarrier.machines.lab import overlay; print(overlay.package_folder(), overlay.checkout_folders())"
    assert python("-c", ask) == f"{built / 'gcbarrier'} []\n"


def test_a_name_that_is_taken_is_said_to_be_ours(built: Path, python: Python, tmp_path: Path) -> None:
    own = tmp_path / "own" / "heaps" / "bursts"
    own.mkdir(parents=True)
    (own / "heap.py").touch()
    ask = (
        "from gcbarrier import GcBarrierError\nfrom gcbarrier.plugins import discovery\n"
        f"discovery.add_path({str(tmp_path / 'own')!r})\n"
        "try:\n    discovery.find('heaps', 'bursts')\nexcept GcBarrierError as problem:\n    print(problem)"
    )
    theirs = built / "gcbarrier" / "heaps" / "bursts" / "heap.py"
    assert python("-c", ask) == (
        f"two heaps are called 'bursts': {own / 'heap.py'} and {theirs}, which comes with gcbarrier; rename yours\n"
    )
