"""What the README tells a reader to type works as it stands there."""

import re
from pathlib import Path

import pytest
from places import CHECKOUT

from gcbarrier import measure
from gcbarrier.model import Config
from gcbarrier.plugins import discovery

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def files() -> dict[str, str]:
    """The files that the README spells out."""
    return dict(re.findall(r"<!-- file (\S+) -->\n```\w+\n(.*?)```", README, re.DOTALL))


@pytest.mark.parametrize("barrier", ["mine", "seed"])
def test_the_barriers_in_the_readme_are_right(barrier: str, tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    assert set(files()) == {"barriers/mine.py", "barriers/mine.c", "barriers/seed.py"}
    for name, text in files().items():
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
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
