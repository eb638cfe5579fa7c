"""A sweep from the command line to flat rows, in real processes."""

import csv
import re
from pathlib import Path

import pytest

from gcbarrier import load
from gcbarrier.campaign import runner
from gcbarrier.campaign.plans import Plan
from gcbarrier.commands import main
from gcbarrier.model import converter

SMALL = ["heap_bytes=16MiB", "duration_s=0.05", "machine=native", "barrier=cards", "invocations=1", "seed=7"]


@pytest.fixture
def swept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    file = tmp_path / "sweep.toml"
    exclude = "".join(f"[[exclude]]\nmutators = 2\ngraph_edits.rate_per_s = {rate}\n" for rate in (1000, 4000))
    file.write_text(f"[grid]\ngraph_edits.rate_per_s = [1000, 2000, 4000]\n{exclude}")
    out = tmp_path / "swept"
    pairs = [part for pair in (*SMALL, "mutators=1,2") for part in ("--set", pair)]
    assert main(["run", "dirty_rate", "--quick", *pairs, "--sweep", str(file), "--out", str(out)]) == 0
    assert "native at mutators 2:" in capsys.readouterr().out
    return out


def test_a_sweep_is_run_ends_first_and_exported(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load(swept)
    plan = converter.structure(run.manifest["plans"]["native"], Plan)
    assert len(plan.configs) == 8
    # As it was measured, so it is planned: from the manifest alone.
    steps = runner.steps(plan, seed=7, accelerator="native")
    assert [outcome.invocation for outcome in run.outcomes] == [step.job.invocation for step in steps]
    first = [one.invocation.config for one in run.outcomes[:4]]
    assert {(one.heap_params["rate_per_s"], one.mutators) for one in first} == {(1000, 1), (4000, 1)}
    figures = {path.name for path in (swept / "figures").glob("*.svg")}
    assert figures == {"dirty_rate-native-mutators-1.svg", "dirty_rate-native-mutators-2.svg"}
    assert main(["export", str(swept), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    points = {(row["mutators"], row["heap_params.rate_per_s"], row["barrier"]) for row in rows}
    assert (len(rows), len(points)) == (8, 8)
    assert ("2", "4000.0", "cards") not in points


def test_a_mistake_in_a_file_ends_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text("[grid]\nmutator = [1, 2]\n")
    out = tmp_path / "swept"
    assert main(["run", "dirty_rate", "--sweep", str(file), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert re.search(r"sweep.toml, grid.mutator: 'mutator' can't be set; did you mean 'mutators'", said)
    assert said.count("\n") == 1
    assert not out.exists()


def test_a_sweep_is_no_part_of_what_is_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--resume", str(tmp_path), "--sweep", "sweep.toml"]) == 2
    assert "so --sweep can't be given with it" in capsys.readouterr().err
