"""The script that records the corpus says what it would install, and installs nothing unasked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from corpus_script import CORPUS, recipes


def run(*arguments: str, path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(CORPUS / "make.py"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": str(path)},
        check=False,
    )


def test_nothing_is_installed_unasked(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for name in ("apt-get", "sudo", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
        (tmp_path / name).chmod(0o755)
    refused = run("--scratch", str(tmp_path / "scratch"), path=tmp_path)
    assert refused.returncode == 2
    assert "would be installed system-wide: nodejs, openjdk-17-jdk-headless, python3, redis-tools" in refused.stdout
    assert "apt-get install --yes --no-install-recommends nodejs" in refused.stdout
    assert "Nothing was installed" in refused.stdout
    assert not ran.exists()
    assert not (tmp_path / "scratch").exists()


def test_only_what_is_asked_for_is_needed(tmp_path: Path) -> None:
    refused = run("--only", "redis", "--scratch", str(tmp_path / "scratch"), path=tmp_path)
    assert "system-wide: python3, redis-tools\n" in refused.stdout


@pytest.mark.parametrize("name", recipes().RECIPES)
def test_what_a_recipe_runs_is_there(name: str) -> None:
    recipe = recipes().RECIPES[name]
    programs = [word for word in (*recipe.command, *recipe.client) if word.endswith(".py")]
    assert all((CORPUS / "programs" / program).is_file() for program in programs)
    assert recipe.command[0] in recipe.needs or recipe.command[0].startswith("./")


SERVED = """
from pathlib import Path
import make
from recipes import Recipe
recipe = Recipe(command=["sleep", "600"], client=["sh", "-c", "exit 3"], needs={}, version=[])
here = Path()
with make._client(recipe, here) as client:
    make._run(recipe.command, recipe, here, client)
"""


def test_a_server_that_nobody_loads_any_more_is_ended(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SERVED],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CORPUS)},
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "what loads it ended with status 3; is another server at its socket?\n"
