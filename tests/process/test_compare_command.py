"""``gcbarrier compare`` and ``summary`` as a user, or somebody's CI, types them."""

import json
from pathlib import Path

import pytest
from attrs import evolve
from synthetic import make_outcome, write_run

from gcbarrier.commands import main
from gcbarrier.model import Config

NONE = Config(heap="gcbench", barrier="none", collector="stop-the-world")
LOG = Config(heap="gcbench", barrier="uffd-wp-log", collector="mostly-concurrent")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """``before``, ``same`` as it, ``slower`` by a third under the log, ``few`` of that; ``other`` is of another."""
    for name, run, slower, n in (
        ("before", 0, 1.0, 5),
        ("same", 1, 1.0, 5),
        ("slower", 2, 1.33, 5),
        ("few", 3, 1.33, 2),
    ):
        outcomes = []
        for config in (NONE, LOG):
            for index in range(n):
                one = make_outcome(config, index)
                wobble = (1 + 0.004 * ((index * 3 + run) % 5)) * (slower if config == LOG else 1)
                invocation = evolve(one.invocation, seed=100 * run + index)
                outcomes.append(evolve(one, mutator_cpu_ns=int(300 * one.operations * wobble), invocation=invocation))
        write_run(tmp_path / name, outcomes)
    write_run(tmp_path / "other", [make_outcome(NONE, 0)], experiment="goals")
    return tmp_path


def test_worse_than_allowed_is_status_1_and_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, slower = str(runs / "before"), str(runs / "slower")
    assert main(["compare", before, slower, "--fail-above", "5%"]) == 1
    out = capsys.readouterr().out
    assert "worse by more than 5 %: gcbench 64 MiB uffd-wp-log mostly-concurrent: mutators' CPU per operation" in out
    assert main(["compare", before, slower, "--fail-above", "50%"]) == 0
    assert main(["compare", before, slower]) == 0, "nobody asked"
    assert main(["compare", before, slower, "--fail-above", "5%", "--measure", "remark"]) == 0


def test_alike_and_untold_is_status_0(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs / "before"), str(runs / "same"), "--fail-above", "0"]) == 0
    assert "0 are worse and 0 better" in capsys.readouterr().out
    assert main(["compare", str(runs / "before"), str(runs / "few"), "--fail-above", "0"]) == 0
    assert "Nothing can be told: fewer than 5 invocations" in capsys.readouterr().out


def test_a_share_without_a_sign_is_not_guessed_at(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs / "before"), str(runs / "slower"), "--fail-above", "5"]) == 2
    assert "5 could be 5 % or 500 %: write the sign" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["before", "other"],
        ["before", "before"],
        ["before"],
        ["before", "nowhere"],
        ["before", "same", "--by", "colour"],
        ["before", "same", "--baseline", "none"],
        ["before", "same", "--measure", "nothing"],
        ["before", "same", "--fail-above", "much"],
        ["before", "same", "--json", "nowhere/x.json"],
    ],
    ids=" ".join,
)
def test_bad_input_is_status_2_and_a_sentence(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(runs)
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gcbarrier: ")
    assert captured.err.count("\n") == 1


def test_figure_and_json_are_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(runs / "figures"), "--json", str(runs / "compared.json")]
    assert main(["compare", str(runs / "before"), str(runs / "slower"), "--fail-above", "5%", *out]) == 1
    named = [runs / "figures" / f"compare-pause_times-native.{ending}" for ending in ("png", "svg")]
    assert all(path.stat().st_size > 10_000 for path in named)
    assert {str(path) for path in named} <= set(capsys.readouterr().out.splitlines())
    told = json.loads((runs / "compared.json").read_text())
    failed = [told["ratios"][at] for at in told["failed_above"]]
    assert {(one["measure"], one["verdict"], one["config_b"]["barrier"]) for one in failed} == {
        (measure, "worse", "uffd-wp-log") for measure in ("cpu", "all-cpu")
    }
    assert all(one["ratio"]["low"] > 1.05 for one in failed)


def test_the_barriers_of_one_run_are_drawn(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs / "before"), "--by", "barrier", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["what"] for one in told["ratios"]} == {
        "gcbench 64 MiB none → uffd-wp-log stop-the-world → mostly-concurrent"
    }
    assert main(["compare", str(runs / "before"), "--by", "barrier", "--out", str(runs / "by")]) == 0
    assert len(list((runs / "by").iterdir())) == 2


def test_a_summary_is_written_and_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = runs / "summaries" / "b" / "pause_times.json"
    assert main(["summary", str(runs / "slower"), "--out", str(summary)]) == 0
    assert capsys.readouterr().out == f"{summary}\n"
    assert main(["compare", str(runs / "before"), str(summary), "--fail-above", "5%"]) == 1
    (summary.parents[1] / "tables.toml").write_text(
        '[[table]]\nname = "x"\nexperiment = "pause_times"\n'
        'row = [{ title = "cost", measure = "cpu", of = { barrier = "uffd-wp-log" } }]\n'
    )
    text = runs / "TEXT.md"
    text.write_text("<!-- numbers x -->\n<!-- end of numbers -->\n")
    asked = ["summary", "--readme", str(text), "--summaries", str(summary.parents[1])]
    assert main(asked) == 0
    assert "| cost | 400 ns |" in text.read_text()
    capsys.readouterr()
    assert main(asked) == 0
    assert "is as its summaries are" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["before"], ["--out", "x.json"], ["--readme", "nowhere.md"]], ids=str)
def test_a_summary_of_nothing_is_a_sentence(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(runs)
    assert main(["summary", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_where_nothing_can_be_written_it_says_so(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs / "before"), str(runs / "slower"), "--json", str(runs)]) == 2
    assert main(["summary", str(runs / "before"), "--out", str(runs)]) == 2
    assert capsys.readouterr().err.count("can't be written: Is a directory; name another") == 2
