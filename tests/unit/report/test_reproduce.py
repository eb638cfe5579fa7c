"""How a page says to measure it again: what it prints is what was asked for."""

import shlex
from typing import Any

import pytest

from gcbarrier.campaign import settings
from gcbarrier.model import converter
from gcbarrier.report.html.reproduce import commands

PLANS: dict[str, Any] = {"native": {"configs": [], "probes": [], "invocations": 3}}


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        ["barrier=cards,uffd-wp-log", "heap=gcbench", "seed=7", "invocations=5", "machine=native"],
        ["heap=2x,4x", "duration_s=0.5", "heap_bytes=1GiB", "graph_edits.rate_per_s=0", "cards.card_bytes=512"],
    ],
)
def test_an_older_run_is_asked_for_with_the_same_settings(pairs: list[str]) -> None:
    asked = settings.read(pairs)
    manifest = {
        "experiment": "pause_times",
        "quick": True,
        "verify": False,
        "seed": 7,
        "settings": converter.unstructure(asked),
        "plans": PLANS,
    }
    (line,) = commands(manifest, "runs/mine")
    program, verb, name, quick, *rest = shlex.split(line)
    assert (program, verb, name, quick) == ("gcbarrier", "run", "pause_times", "--quick")
    assert set(rest[::2]) <= {"--set"}
    assert settings.read(rest[1::2]) == settings.read([*pairs, *(["seed=7"] if "seed=7" not in pairs else [])])


def test_a_run_that_knows_its_plan_is_run_from_there() -> None:
    line = ["gcbarrier", "run", "pause_times", "--quick", "--out", "runs/my run", "--set", "heap=gcbench"]
    manifest = {"experiment": "pause_times", "seed": 7, "plans": PLANS, "request": {}, "command_line": line}
    whole, here, words = commands(manifest, "runs/my run")
    assert whole.startswith("gcbarrier run --from manifest.json ")
    assert shlex.split(here) == ["gcbarrier", "run", "--from", "runs/my run"]
    assert shlex.split(words) == [
        "gcbarrier",
        "run",
        "pause_times",
        "--quick",
        "--set",
        "heap=gcbench",
        "--set",
        "seed=7",
    ]


def test_what_was_measured_from_python_has_no_such_line() -> None:
    assert not list(commands({"experiment": "pause_times"}, "runs/mine"))
