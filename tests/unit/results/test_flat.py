"""Flat columns, and what they are exported as: read again by other programs' readers."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
import pytest
from synthetic import make_outcome, make_outcomes, make_run, write_run

from gcbarrier.commands import main
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Cycle, Finding, Note, Outcome, Probe, Reading, evolve
from gcbarrier.results import flat, pyperf
from gcbarrier.results.run import Run

MIB = 1 << 20


def config(barrier: str = "uffd-wp-async", **fields: Any) -> Config:
    collector = "stop-the-world" if barrier == "none" else "mostly-concurrent"
    return Config(heap="graph_edits", barrier=barrier, collector=collector, **fields)


CONFIGS = (
    config("none", heap_params={"rate_per_s": 1000}),
    config(heap_params={"rate_per_s": 0.5}, collector_params={"rounds": 2, "helped": True}),
    config("soft-dirty", mutators=2, heap_bytes=128 * MIB, heap_params={"rate_per_s": 1000, "graph": 'a,"b'}),
)


def outcomes() -> list[Outcome]:
    found = make_outcomes(CONFIGS, invocations=2)
    found.append(make_outcome(CONFIGS[0], 2, error="it ended\nbadly, with a comma"))
    cycle = Cycle(
        cycle=3, cause="forced", start_ns=1, duration_ns=5, rounds=2, marked_objects=7, mark_ns=3, live_bytes=9
    )
    notes = (Note(cycle=3, name="scanned", value=4), Note(cycle=4, name="scanned", value=5.5))
    found[1] = evolve(found[1], cycles=(evolve(cycle, round_dirty=(4, 2)),), notes=notes, facts={"fault_cost_ns": 700})
    return found


@pytest.fixture
def run() -> Run:
    return make_run(outcomes())


def test_a_row_per_invocation_with_a_column_per_parameter(run: Run) -> None:
    columns = flat.table([run])
    assert {len(values) for values in columns.values()} == {7}
    assert list(columns)[:3] == ["run", "experiment", "machine"]
    assert columns["heap_params.rate_per_s"] == [1000.0, 0.5, 1000.0] * 2 + [1000.0]
    assert {type(value) for value in columns["heap_params.rate_per_s"]} == {float}
    assert columns["heap_params.graph"] == [None, None, 'a,"b'] * 2 + [None]
    assert columns["collector_params.rounds"] == [None, 2, None] * 2 + [None]
    assert columns["collector_params.helped"] == [None, True, None] * 2 + [None]
    assert columns["heap_bytes"][2] == 128 * MIB
    # Zeros that stand for "not set" are none.
    assert {name: set(columns[name]) for name in ("operations_asked", "heap_times", "minheap_bytes")} == {
        "operations_asked": {None},
        "heap_times": {None},
        "minheap_bytes": {None},
    }
    assert columns["mutators"][:3] == [1, 1, 2]
    assert columns["invocation"] == [0, 0, 0, 1, 1, 1, 2]
    assert columns["seed"][-1] == 1002
    assert columns["failed"] == [False] * 6 + [True]
    assert columns["error"] == [None] * 6 + ["it ended\nbadly, with a comma"]


def test_numbers_of_an_invocation_are_those_of_its_pauses(run: Run) -> None:
    columns = flat.table([run])
    for at, outcome in enumerate(run.outcomes):
        took = sorted(pause.pause_ns for pause in outcome.pauses)
        assert columns["pauses"][at] == len(took)
        assert columns["stopped_ns"][at] == sum(took)
        assert columns["pause_max_ns"][at] == (took[-1] if took else None)
        remarks = [pause.pause_ns for pause in outcome.pauses if pause.kind == "remark"]
        assert columns["remark.pause_max_ns"][at] == (max(remarks) if remarks else None)
        expected = outcome.mutator_cpu_ns / outcome.operations
        assert columns["cpu_per_operation_ns"][at] == pytest.approx(expected)
    assert columns["facts.fault_cost_ns"] == [None, 700, *[None] * 5]
    assert columns["notes.scanned.median"] == [None, 4.75, *[None] * 5]


def test_a_row_per_pause_and_per_cycle(run: Run) -> None:
    pauses = flat.table([run], "pause")
    assert pauses["pause_ns"] == [pause.pause_ns for one in run.outcomes for pause in one.pauses]
    assert set(pauses["kind"]) == {"full", "remark", "rearm"}
    assert set(pauses["collector_params.rounds"]) == {None, 2}
    cycles = flat.table([run], "cycle")
    assert (cycles["round_dirty_granules"], cycles["live_bytes"], cycles["notes.scanned"]) == ([6], [9], [4])
    with pytest.raises(GcBarrierError, match="no rows per 'paus'; did you mean 'pause'"):
        flat.table([run], "paus")


def test_a_row_per_reading_of_a_probe(run: Run) -> None:
    probe = Probe(function="a:b", barrier="cards", barrier_params={"card_bytes": 128}, arguments={"sample": 3})
    reading = Reading(what="store", value=1.5, unit="ns", low=1.0)
    finding = Finding(probe=probe, index=0, machine="native", readings=(reading, evolve(reading, low=None)))
    columns = flat.table([evolve(run, findings=(finding,))], "reading")
    assert columns["barrier_params.card_bytes"] == [128, 128]
    assert columns["arguments.sample"] == [3, 3]
    assert (columns["value"], columns["low"], columns["note"]) == ([1.5, 1.5], [1.0, None], [None, None])


def test_parameters_that_are_numbers_here_and_words_there_are_words() -> None:
    configs = [config(heap_params={"mode": mode}) for mode in (1, True, "x", 2.5)]
    assert flat.table([make_run(make_outcomes(configs, invocations=1))])["heap_params.mode"] == [
        "1",
        "true",
        "x",
        "2.5",
    ]


def test_no_column_takes_the_place_of_another(run: Run) -> None:
    plain: set[str] = set()
    for per in ("invocation", "pause", "cycle"):
        columns = flat.table([run], per)
        assert not [name for name in columns if name.startswith(f"{per}.")], "two columns have one name"
        plain |= set(columns)
    assert {"machine", "seed", "kind", "cause"} <= plain


def test_runs_of_one_name_are_told_apart(run: Run) -> None:
    other = evolve(run, directory=Path("elsewhere/synthetic"))
    assert set(flat.table([run, other])["run"]) == {"runs/synthetic", "elsewhere/synthetic"}
    assert set(flat.table([run])["run"]) == {"synthetic"}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return write_run(tmp_path / "kept", outcomes())


def exported(kept: Path, *arguments: str, ending: str) -> Path:
    out = kept.with_name(f"out.{ending}")
    assert main(["export", str(kept), *arguments, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("per", ["invocation", "pause", "cycle"])
def test_every_format_has_the_same_rows_and_types(kept: Path, per: str) -> None:
    parquet = pyarrow.parquet.read_table(exported(kept, "--per", per, ending="parquet"))
    expected = flat.table([evolve(make_run(outcomes()), directory=kept)], per)
    assert parquet.to_pydict() == expected
    rows = json.loads(exported(kept, "--per", per, ending="json").read_text())
    assert rows == [dict(zip(expected, row, strict=True)) for row in zip(*expected.values(), strict=True)]
    read = pyarrow.csv.read_csv(
        exported(kept, "--per", per, ending="csv"),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=parquet.schema, strings_can_be_null=True),
    )
    assert read.to_pydict() == expected


def test_parquet_has_types_nulls_units_and_the_manifest(kept: Path) -> None:
    schema = pyarrow.parquet.read_schema(exported(kept, ending="parquet"))
    types = {name: str(schema.field(name).type) for name in schema.names}
    wanted = {"failed": "bool", "mutators": "int64", "duration_s": "double", "heap": "string", "error": "string"}
    assert wanted.items() <= types.items()
    # Without a value too, so that files of several runs go together.
    assert (types["heap_times"], types["minheap_bytes"], types["operations_asked"]) == ("double", "int64", "int64")
    assert schema.field("pause_max_ns").metadata == {b"unit": b"ns"}
    assert schema.field("heap").metadata is None
    (manifest,) = json.loads(schema.metadata[b"gcbarrier"])
    assert manifest["experiment"] == "pause_times"


def test_without_pyarrow_one_sentence_says_how_to_get_it(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["export", str(kept), "--parquet", "--out", str(kept.with_name("x.parquet"))]) == 2
    assert "pip install 'gcbarrier[parquet]'" in capsys.readouterr().err
    assert not kept.with_name("x.parquet").exists()


def test_csv_goes_to_standard_output_with_truths_that_readers_know(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(kept), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines(keepends=True)))
    assert [row["failed"] for row in rows] == ["false"] * 6 + ["true"]
    assert [row["collector_params.rounds"] for row in rows[:3]] == ["", "2", ""]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say which format: --csv, --parquet, --json, --pyperf"),
        (("--parquet",), "Parquet is no text: name a file with --out"),
        (("--csv", "--per", "reading"), "nothing to export: no reading was recorded"),
        (("--csv", "--measure", "pauses"), "--measure is for --pyperf"),
        (("--pyperf",), "name it with --measure, one of wall_ns, "),
        (("--pyperf", "--measure", "pause_medan_ns"), "did you mean 'pause_median_ns'"),
        (("--pyperf", "--measure", "operations_per_s"), "no number is called that"),
        (("--pyperf", "--measure", "stalls", "--per", "pause"), "leave --per out"),
        (("--pyperf", "--measure", "metadata_bytes"), "no invocation that ended well has a metadata_bytes above 0"),
        (("--csv", "--out", "/nowhere/at/all.csv"), "/nowhere/at/all.csv can't be written: No such file or directory"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    kept: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert main(["export", str(kept), *arguments]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert not told.out


def test_pyperf_compares_two_suites(kept: Path, tmp_path: Path) -> None:
    slower = [evolve(one, mutator_cpu_ns=3 * one.mutator_cpu_ns) for one in outcomes() if one.pauses]
    write_run(tmp_path / "slower", [one for one in slower if one.invocation.config.barrier != "none"])
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    for folder, file in ((kept, before), (tmp_path / "slower", after)):
        measured = ["--pyperf", "--measure", "cpu_per_operation_ns"]
        assert main(["export", str(folder), *measured, "--out", str(file)]) == 0
    told = subprocess.run(
        [sys.executable, "-m", "pyperf", "compare_to", str(before), str(after)], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    assert "3.00x slower" in told.stdout
    assert "graph_edits(rate_per_s=0.5)/uffd-wp-async/mostly-concurrent(helped=True, rounds=2) 64 MiB" in told.stdout
    assert "mutators=2" in told.stdout


def test_a_pyperf_suite_has_a_benchmark_per_configuration_and_a_run_per_good_invocation(run: Run) -> None:
    found = json.loads(pyperf.suite([run], "pause_median_ns"))["benchmarks"]
    assert len(found) == len({one["metadata"]["name"] for one in found}) == len(CONFIGS)
    assert [len(one["runs"]) for one in found] == [2, 2, 2]
    assert {one["metadata"]["unit"] for one in found} == {"second"}
    times = [value for one in found for each in one["runs"] for value in each["values"]]
    assert sorted(times) == pytest.approx(
        sorted(value / 1e9 for value, failed in zip(*_of(run), strict=True) if not failed)
    )


def _of(run: Run) -> tuple[list[Any], list[Any]]:
    columns = flat.table([run])
    return columns["pause_median_ns"], columns["failed"]
