"""What the README tells a reader to type works as it stands there."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import CHECKOUT

from gcbarrier import load, measure
from gcbarrier.model import Config
from gcbarrier.plugins import discovery

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def files() -> dict[str, str]:
    """The files that the README spells out."""
    return dict(re.findall(r"<!-- file (\S+) -->\n```\w+\n(.*?)```", README, re.DOTALL))


def written(folder: Path) -> None:
    """All of them, in a folder of one's own."""
    for name, text in files().items():
        target = folder / name
        target.parent.mkdir(exist_ok=True, parents=True)
        target.write_text(text)


@pytest.mark.parametrize("barrier", ["mine", "seed"])
def test_the_barriers_in_the_readme_are_right(barrier: str, tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    written(tmp_path)
    discovery.add_path(tmp_path)
    (outcome,) = measure(
        Config(
            heap="graph_edits",
            heap_params={"rate_per_s": 0},
            barrier=barrier,
            collector="mostly-concurrent",
            heap_bytes=16 << 20,
            duration_s=0.4,
            verify=True,
        )
    )
    assert outcome.error == ""
    assert outcome.verification is not None
    assert outcome.verification.lost_granules == 0
    assert outcome.pauses
    assert all(pause.prototype == (barrier == "seed") for pause in outcome.pauses)


def test_a_folder_of_ones_own_runs_as_it_says(
    tmp_path: Path, needs, gcbarrier: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    written(tmp_path)
    (line,) = re.findall(r"^gcbarrier (--path \. run sizes .*--out .*)$", README, re.MULTILINE)
    done = gcbarrier(*shlex.split(line), "--set", "duration_s=0.2", cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    run = load(tmp_path / "runs" / "sizes")
    assert {each.invocation.config.heap_params["object_bytes"] for each in run.outcomes} == {32, 256, 4096}
    assert all(each.pauses and each.verification for each in run.outcomes)
    assert list((tmp_path / "runs" / "sizes" / "figures").glob("*.png"))


def test_what_was_measured_without_an_experiment_is_a_run_too(
    tmp_path: Path, needs, gcbarrier: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    written(tmp_path)
    subprocess.run([sys.executable, "slots.py"], cwd=tmp_path, check=True, timeout=300)
    assert [each.error for each in load(tmp_path / "runs" / "slots").outcomes] == ["", ""]
    done = gcbarrier("plot", "runs/slots", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "uffd-wp-async" in done.stdout


@pytest.mark.parametrize("kind", discovery.KINDS)
def test_everything_there_is_to_choose_is_named(kind: str) -> None:
    for name in discovery.names(kind):
        assert f"`{name}`" in README, f"the README does not name the {kind[:-1]} {name}"


def test_pictures_and_lines_are_there() -> None:
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (CHECKOUT / picture).stat().st_size > 10_000, picture
    for marker in ("<!-- main line -->", "<!-- test line -->"):
        assert README.count(marker) == 1
        line = README.split(marker)[1].split("```")[1].removeprefix("sh\n")
        assert line.count("\n") == 1, "one line to copy"
