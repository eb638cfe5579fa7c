"""What is optional and not here leaves its part out, and run, figure and table say so."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from places import PLUGINS
from planned import NATIVE, planned
from rich.console import Console
from synthetic import make_manifest, make_outcomes, make_run

from gcbarrier import collectors, report
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.lacking import absent_collectors, equipped
from gcbarrier.campaign.places import Place, this_machine
from gcbarrier.campaign.settings import Settings, read
from gcbarrier.campaign.watching import UNWATCHED, Watch
from gcbarrier.errors import Unavailable
from gcbarrier.model import Machine
from gcbarrier.plugins import discovery
from gcbarrier.report.footer import footer
from gcbarrier.results.run import Run

REMEDY = "have root run `apt install libgc-dev`"
EXPERIMENT = '''"""Ours, and another beside it."""

from gcbarrier import Config, Plan

def plan(*, machine, quick):
    shared = {"heap": "ring", "barrier": "none", "heap_bytes": 8 << 20, "duration_s": 0.1}
    pairs = [Config(collector=name, **shared) for name in ("stop-the-world", "bdwgc")]
    return Plan(configs=pairs, invocations=1, essential=ESSENTIAL)

def figures(run):
    return {}

def table(run):
    return ""
'''


@pytest.fixture(autouse=True)
def _hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the distribution's package is not installed."""
    monkeypatch.setattr("gcbarrier.collectors.bdwgc._LIBRARY", "libgc-that-is-not-here.so.1")


@pytest.fixture
def beside(tmp_path: Path) -> Callable[..., Run]:
    """``beside("machine=native", essential=())``: run an experiment of which one half can't be had."""

    def run(*pairs: str, essential: tuple[str, ...] = ()) -> Run:
        file = tmp_path / "own" / "experiments" / "beside.py"
        file.parent.mkdir(parents=True)
        file.write_text(EXPERIMENT.replace("ESSENTIAL", repr(essential)))
        discovery.add_path(tmp_path / "own")
        discovery.add_path(PLUGINS)
        watch = Watch(left_out=lambda machine, name, why: told.append((machine, name, why.remedy)))
        return campaign.run("beside", out=tmp_path / "run", settings=read(["machine=native", *pairs]), watch=watch)

    told: list[tuple[str, str, str]] = []
    run.told = told
    return run


def words(renderable: object) -> str:
    console = Console(file=StringIO(), width=300)
    console.print(renderable)
    return console.file.getvalue()


def test_the_rest_is_run_and_what_was_left_out_is_said(beside: Callable[..., Run]) -> None:
    run = beside()
    assert [each.invocation.config.collector for each in run.outcomes] == ["stop-the-world"]
    assert not campaign.failures(run)
    assert beside.told == [("native", "bdwgc", REMEDY)], "whoever watches the run"
    assert f"left out, not to be had: bdwgc ({REMEDY})" in footer(run, "native", 500), "the figure"
    said = words(report.left_out_lines(run))
    assert said.startswith("left out on native: the collector bdwgc is not available here: the Boehm collector's"), said
    assert f"({REMEDY})" in said


@pytest.mark.parametrize("asked", ["named", "essential"])
def test_what_was_asked_for_or_leaves_nothing_ends_in_a_sentence(
    asked: str, beside: Callable[..., Run], tmp_path: Path
) -> None:
    pairs, essential = (["collector=bdwgc"], ()) if asked == "named" else ([], ("bdwgc",))
    with pytest.raises(Unavailable, match=r"the collector bdwgc is not available here: .* \(have root run"):
        beside(*pairs, essential=essential)
    assert not (tmp_path / "run").exists()


def test_goals_are_judged_without_the_boehm_collector_and_its_own_experiment_is_not_begun(tmp_path: Path) -> None:
    plan = planned("goals", quick=False)
    with this_machine() as place:
        left, absent = equipped(plan, place, Settings(), UNWATCHED)
    assert [config.collector for config in plan.configs].count("bdwgc") == 3
    assert left.configs == tuple(config for config in plan.configs if config.collector != "bdwgc")
    assert (left.probes, list(absent)) == (plan.probes, ["bdwgc"])
    with pytest.raises(Unavailable, match=r"\(have root run `apt install libgc-dev`\)"):
        campaign.run("boehm", out=tmp_path / "run", quick=True)
    assert list(tmp_path.iterdir()) == []


class Guest(Executor):
    """Another machine, which lacks what this one has."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ARG002
        answer: Future[Any] = Future()
        answer.set_result({name: Unavailable(f"the collector {name}", "not there", "go home") for name in args[0]})
        return answer


def test_the_machine_that_runs_it_is_asked_too(needs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    needs("bdwgc")
    plan = planned("goals", quick=False)
    with this_machine() as place:
        assert absent_collectors(plan, place) == {}
    guest = Place(machine=Machine(name="lab", accelerator="kvm"), executor=Guest())
    assert [str(problem) for problem in absent_collectors(plan, guest).values()] == [
        "the collector bdwgc is not available here: not there (go home)"
    ]


def test_what_another_machine_of_the_run_had_is_not_left_out() -> None:
    told = {"what": "the barrier uffd-wp-async", "why": "of its age", "remedy": "boot another"}
    manifest = make_manifest()
    manifest["machines"]["native"]["lacking"] = {"uffd-wp-async": told, "bdwgc": {**told, "remedy": ""}}
    manifest["lacking"] = {"uffd-wp-async": told}
    configs = planned("pause_times", quick=True).configs
    run = make_run(make_outcomes(configs, invocations=1, machine=NATIVE.name), manifest)
    assert list(run.left_out("native")) == ["bdwgc"]
    said = footer(run, "native", 500)
    assert "not to be had on this machine: uffd-wp-async" in said
    assert "left out, not to be had: bdwgc" in said
    assert report.left_out_lines(make_run(run.outcomes)) is None, "nothing was, or an old run does not tell"


def test_only_what_lacks_something_is_lacking() -> None:
    assert list(collectors.lacking(["stop-the-world", "bdwgc", "never"])) == ["bdwgc"]
