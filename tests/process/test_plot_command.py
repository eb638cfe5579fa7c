"""``gcbarrier plot``: figures and numbers out of run directories, and one sentence for every mistake."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import CHECKOUT
from synthetic import make_outcome, make_outcomes, write_run

from gcbarrier.commands import main
from gcbarrier.model import Config, evolve
from gcbarrier.report.footer import footer
from gcbarrier.results.run import Run, load

NONE = Config(heap="gcbench", barrier="none", collector="stop-the-world")
ASYNC = Config(heap="gcbench", barrier="uffd-wp-async", collector="mostly-concurrent")
LAB = "lab-6.12.95-tcg"

SCRIPT = '''"""What does a test need?"""

from matplotlib.figure import Figure
from rich.text import Text


def plan(**_asked):
    raise AssertionError("nothing is to be run")


def figures(run):
    return {f"{run.experiment}-{machine}": Figure(figsize=(1, 1)) for machine in run.machines}


def table(run):
    return Text(f"{len(run.outcomes)} outcomes")
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder with one experiment, ``mine``, that is quick to draw."""
    script = tmp_path / "own" / "experiments" / "mine.py"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    return tmp_path / "own"


@pytest.fixture
def mine(tmp_path: Path, own: Path) -> Path:
    """A run of the experiment ``mine``."""
    assert own
    return write_run(tmp_path / "runs" / "mine-1", make_outcomes([NONE, ASYNC], invocations=2, cycles=2), b"", "mine")


def tree(folder: Path) -> dict[str, bytes]:
    """Everything below ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The sentence that ``plot`` answers with; nothing may be printed besides."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gcbarrier: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err.removeprefix("gcbarrier: ").rstrip("\n")


def test_the_figures_of_a_run_are_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = write_run(tmp_path / "x", make_outcomes([NONE, ASYNC], invocations=2, cycles=4))
    before = tree(target)
    assert main(["plot", str(target)]) == 0
    lines = capsys.readouterr().out.splitlines()
    written = [f"figures/pause_times-native.{ending}" for ending in ("png", "svg")]
    assert lines[-2:] == [str(target / name) for name in written]
    assert lines[0] == "native · gcbench, 64 MiB"
    assert lines[2].split()[:4] == ["none", "stop-the-world", "full", "8"]
    assert lines[3].split()[:4] == ["uffd-wp-async", "mostly-concurrent", "remark", "8"]
    after = tree(target)
    assert sorted(after) == sorted([*before, *written])
    assert {name: after[name] for name in before} == before
    # The second time over the first ones, and the same.
    assert main(["plot", str(target)]) == 0
    assert tree(target)[written[1]] == after[written[1]]


def test_figures_go_where_they_are_told(own: Path, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    before = tree(mine)
    assert main(["--path", str(own), "plot", str(mine), "--out", str(tmp_path / "a" / "b")]) == 0
    assert tree(mine) == before
    assert sorted(tree(tmp_path / "a")) == ["b/mine-native.png", "b/mine-native.svg"]
    assert capsys.readouterr().out.splitlines() == [
        "4 outcomes",
        *(str(tmp_path / "a" / "b" / f"mine-native.{ending}") for ending in ("png", "svg")),
    ]


def test_several_runs_share_a_figure_for_each_machine(
    own: Path, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = make_outcomes([NONE], invocations=3, machine=LAB, cycles=1)
    other = write_run(tmp_path / "runs" / "mine-2", outcomes, b"", "mine")
    out = tmp_path / "figures"
    assert main(["--path", str(own), "plot", str(mine), str(other), "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("7 outcomes\n")
    assert sorted(tree(out)) == sorted(f"mine-{name}.{end}" for name in ("native", LAB) for end in ("png", "svg"))


def test_several_runs_need_a_folder_of_their_own(
    own: Path, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_run(tmp_path / "runs" / "mine-2", [make_outcome(NONE, 0)], b"", "mine")
    before = tree(tmp_path)
    said = refused(capsys, "--path", own, "plot", mine, other)
    assert said == "figures of 2 runs belong to none of them: name a folder with --out"
    assert tree(tmp_path) == before


def test_a_run_named_twice_would_count_twice(
    own: Path, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "again").symlink_to(mine)
    said = refused(capsys, "--path", own, "plot", mine, tmp_path / "again", "--out", tmp_path / "out")
    assert said == f"{tmp_path / 'again'} is the same run as {mine}: its samples would count twice; name it once"
    assert not (tmp_path / "out").exists()


def test_runs_of_different_experiments_share_nothing(
    own: Path, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_run(tmp_path / "runs" / "other", [make_outcome(NONE, 0)])
    said = refused(capsys, "--path", own, "plot", mine, other, "--out", tmp_path / "out")
    assert f"{mine} holds mine and {other} holds pause_times: only runs of one experiment" in said
    assert not (tmp_path / "out").exists()


def _other_kernel(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["machines"]["native"]["kernel"]["release"] = "5.0"
    (run / "manifest.json").write_text(json.dumps(manifest))


def test_two_machines_of_one_name_are_drawn_apart_and_side_by_side(
    own: Path, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(mine, tmp_path / "runs" / "other"))
    _other_kernel(other)
    assert main(["--path", str(own), "plot", str(mine), str(other), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
        "mine-machines.png",
        "mine-native-2.png",
        "mine-native.png",
    ]
    assert "on 2 machines: native, native-2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, "is no run directory: there is no such directory; name one that `gcbarrier run` wrote"),
        (lambda run: (run / "manifest.json").unlink(), "is no run directory: it has no manifest.json"),
        (lambda run: (run / "manifest.json").write_text("{"), "manifest.json can't be read"),
        (lambda run: (run / "outcomes.jsonl").unlink(), "outcomes.jsonl can't be read"),
        (
            lambda run: (run / "outcomes.jsonl").write_text((run / "outcomes.jsonl").read_text()[:-50]),
            "outcomes.jsonl, line 4: that is no Outcome record",
        ),
    ],
)
def test_a_damaged_run_is_one_sentence(
    own: Path, mine: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], said: str
) -> None:
    spoil(mine)
    before = tree(mine)
    assert said in refused(capsys, "--path", own, "plot", mine)
    assert tree(mine) == before


def test_an_experiment_that_is_gone_is_named_with_the_remedy(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "plot", mine)
    assert said == (
        f"{mine} was measured by the experiment 'mine', which isn't here any more: put mine.py back into experiments/, "
        "or name with --path the folder whose experiments/ has it"
    )
    assert not (mine / "figures").exists()


def test_an_experiment_that_was_renamed_is_hinted_at(own: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "experiments" / "mine.py").rename(own / "experiments" / "mines.py")
    assert "which isn't here any more: did you mean 'mines'? put" in refused(capsys, "--path", own, "plot", mine)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def figures(:\n", "the experiment 'mine' can't be used"),
        (SCRIPT.partition("def table")[0], "mine.py has no function table(run): an experiment needs one to be drawn"),
        ("figures = None\n", "mine.py has no function figures(run)"),
    ],
)
def test_a_script_that_cannot_draw_is_one_sentence(
    own: Path, mine: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (own / "experiments" / "mine.py").write_text(text)
    assert said in refused(capsys, "--path", own, "plot", mine)
    assert not (mine / "figures").exists()


def test_a_file_in_the_way_is_one_sentence(own: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "--path", own, "plot", mine, "--out", mine / "manifest.json")
    assert said.startswith(f"the figures can't be written to {mine / 'manifest.json'}: ")
    assert said.endswith("choose a folder you can write to with --out")


def test_a_script_that_fails_leaves_nothing(own: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "experiments" / "mine.py").write_text(SCRIPT.replace("    return Text(", "    raise KeyError("))
    before = tree(mine)
    said = refused(capsys, "--path", own, "plot", mine)
    assert "the experiment 'mine' can't be used" in said
    assert "KeyError" in said
    assert tree(mine) == before


def test_failed_invocations_and_none_at_all_are_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = write_run(tmp_path / "failed", [evolve(make_outcome(ASYNC, 0, error="it hung"), operations=0)])
    assert main(["plot", str(failed)]) == 0
    assert "failed: native: gcbench/uffd-wp-async/mostly-concurrent #0: it hung" in capsys.readouterr().out
    empty = write_run(tmp_path / "empty", [])
    before = tree(empty)
    assert main(["plot", str(empty)]) == 0
    assert capsys.readouterr().out == "no invocation was recorded\n"
    assert tree(empty) == before


def test_a_notebooks_window_system_is_not_needed_to_draw(own: Path, tmp_path: Path, gcbarrier) -> None:
    mine = write_run(tmp_path / "run", make_outcomes([NONE], invocations=1, cycles=1), experiment="mine")
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    done = gcbarrier("--path", str(own), "plot", str(mine), env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "run" / "figures").iterdir()) == [
        "mine-native.png",
        "mine-native.svg",
    ]


def test_whose_window_system_is_there_keeps_it() -> None:
    ask = "import gcbarrier.report, os, matplotlib as m; print(os.environ['MPLBACKEND'], m.get_backend())"
    environment = os.environ | {"MPLBACKEND": "svg"}
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=False, env=environment, cwd=CHECKOUT
    )
    assert (done.returncode, done.stdout) == (0, "svg svg\n"), done.stderr


def _planned(run: Path, *, configs: int, probes: int, invocations: int) -> None:
    """Give the manifest a plan, as :func:`gcbarrier.campaign.experiments.run` records it."""
    manifest = json.loads((run / "manifest.json").read_text())
    plan = {"configs": [{}] * configs, "probes": [{}] * probes, "invocations": invocations, "counted": False}
    (run / "manifest.json").write_text(json.dumps({**manifest, "plans": {"native": plan}}))


def _small_print(run: Run) -> str:
    return footer(run, "native", 1000)


def test_what_is_missing_of_the_plan_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = write_run(tmp_path / "x", make_outcomes([NONE, ASYNC], invocations=2, cycles=4))
    _planned(target, configs=2, probes=0, invocations=2)
    assert main(["plot", str(target)]) == 0
    assert "are missing from" not in capsys.readouterr().out + _small_print(load(target))

    lines = (target / "outcomes.jsonl").read_text().splitlines(keepends=True)
    (target / "outcomes.jsonl").write_text("".join(lines[:3]))
    said = "1 of 4 outcomes are missing from the run directory: what is shown rests on the others"
    assert main(["plot", str(target)]) == 0
    assert f"native: {said}\n" in capsys.readouterr().out
    assert _small_print(load(target)).endswith(f"\n{said}")

    _planned(target, configs=2, probes=3, invocations=2)
    assert main(["plot", str(target)]) == 0
    assert "native: 1 of 4 outcomes and 6 of 6 findings are missing" in capsys.readouterr().out

    (target / "outcomes.jsonl").write_text("")
    assert main(["plot", str(target)]) == 0
    assert "native: 4 of 4 outcomes and 6 of 6 findings are missing" in capsys.readouterr().out


def test_what_is_missing_of_one_of_several_runs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, missing in (("a", 0), ("b", 1)):
        target = write_run(tmp_path / name, make_outcomes([NONE, ASYNC], invocations=2, cycles=4)[missing:])
        _planned(target, configs=2, probes=0, invocations=2)
        manifest = json.loads((target / "manifest.json").read_text())
        (target / "manifest.json").write_text(json.dumps({**manifest, "seed": missing}))
    assert main(["plot", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")]) == 0
    assert "native: 1 of 8 outcomes are missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    "plans", [None, [], "none", {"native": 7}, {"native": {}}, {"native": {"configs": 3, "invocations": "many"}}]
)
def test_a_run_whose_plan_is_not_known_misses_nothing(
    tmp_path: Path, plans: object, capsys: pytest.CaptureFixture[str]
) -> None:
    target = write_run(tmp_path / "x", make_outcomes([NONE, ASYNC], invocations=1, cycles=4))
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps({**manifest, "plans": plans, "runs": 5}))
    assert main(["plot", str(target)]) == 0
    assert "are missing from" not in capsys.readouterr().out


@pytest.mark.parametrize(("names", "shown"), [(3, True), (41, False)])
def test_what_was_counted_does_not_push_the_pauses_off_the_screen(
    names: int, shown: bool, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tallies = {f"things {number}": number + 1 for number in range(names)}
    outcomes = [evolve(outcome, tallies=tallies) for outcome in make_outcomes([ASYNC], invocations=2, cycles=2)]
    run = write_run(tmp_path / "run", outcomes, b"", "mine")
    assert main(["--path", str(own), "plot", str(run)]) == 0
    said = capsys.readouterr().out
    assert ("things 2" in said) == shown
    assert ("41 numbers were counted beside the pauses: they are in tallies.csv" in said) != shown
