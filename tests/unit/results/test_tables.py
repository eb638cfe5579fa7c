"""The tables of a run: CSV files and arrays of the same columns."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_outcome, make_outcomes, write_run

from gcbarrier.model import Config, Finding, Measured, Note, Probe, Temper, evolve
from gcbarrier.results import pauses
from gcbarrier.results.run import load
from gcbarrier.results.tables import (
    MEASUREMENTS,
    NOTES,
    OF_FINDINGS,
    OF_OUTCOMES,
    PAUSES,
    STALLS,
    TALLIES,
    Table,
)
from gcbarrier.results.writer import RunWriter

CONFIG = Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent")


def test_the_csv_has_a_row_per_pause_and_the_promised_columns(tmp_path: Path) -> None:
    outcomes = make_outcomes([CONFIG, evolve(CONFIG, barrier="soft-dirty")], invocations=2)
    with (write_run(tmp_path / "x", outcomes) / "pauses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == PAUSES.names
    promised = (
        "machine, experiment, heap, heap_bytes, memory, barrier, collector, invocation, cycle, pause_ns, ttsp_ns, "
        "roots_ns, collect_ns, rescan_ns, mark_ns, resume_ns, dirty_granules, rounds, preempted"
    )
    assert ", ".join(PAUSES.names).startswith(promised)
    assert len(rows) == sum(len(outcome.pauses) for outcome in outcomes)
    first = outcomes[0].pauses[0]
    assert rows[0]["experiment"] == "pause_times"
    assert rows[0]["heap_bytes"] == str(CONFIG.heap_bytes)
    assert int(rows[0]["pause_ns"]) == first.pause_ns
    assert rows[0]["preempted"] == str(first.preempted)
    assert rows[0]["kind"] == first.kind


HEAD = {
    **dict.fromkeys(("machine", "experiment", "heap"), "U1"),
    "heap_bytes": "i8",
    **dict.fromkeys(("memory", "barrier", "collector"), "U1"),
    "invocation": "i8",
}
TAIL = {"failed": "?", "settings": "U1"}
PROMISED = {
    "pauses.csv": {
        **HEAD,
        **dict.fromkeys(("cycle", "pause_ns", "ttsp_ns", "roots_ns", "collect_ns", "rescan_ns", "mark_ns"), "i8"),
        **dict.fromkeys(("resume_ns", "dirty_granules", "rounds"), "i8"),
        "preempted": "?",
        "kind": "U1",
        "start_ns": "i8",
        "prototype": "?",
        **TAIL,
        "fell_back": "?",
        "busy": "U1",
        **dict.fromkeys(("others_cpu_share", "steal_share"), "f8"),
    },
    "stalls.csv": {
        **HEAD,
        **dict.fromkeys(("cycle", "mutator", "start_ns", "stall_ns", "request_bytes"), "i8"),
        **TAIL,
    },
    "operations.csv": {**HEAD, "phase": "U1", **dict.fromkeys(("low_ns", "high_ns", "count"), "i8"), **TAIL},
    "slow_operations.csv": {
        **HEAD,
        **dict.fromkeys(("mutator", "start_ns", "end_ns", "operation_ns"), "i8"),
        "phase": "U1",
        "preempted": "?",
        "blocked": "?",
        "during": "U1",
        **TAIL,
    },
    "notes.csv": {**HEAD, "cycle": "i8", "name": "U1", "value": "f8", **TAIL},
    "tallies.csv": {**HEAD, "name": "U1", "count": "i8", **TAIL},
    "measurements.csv": {
        **dict.fromkeys(("machine", "experiment", "barrier", "memory", "what"), "U1"),
        "x": "f8",
        "value": "f8",
        "unit": "U1",
        "invocation": "i8",
        "low": "f8",
        "high": "f8",
        "samples": "i8",
        "heap_bytes": "i8",
        "note": "U1",
    },
}
"""The columns that other people's scripts count on, in their order, with the types that their arrays have."""


@pytest.mark.parametrize("table", [*OF_OUTCOMES, *OF_FINDINGS], ids=lambda table: table.file)
def test_columns_keep_their_order_and_types(table: Table) -> None:
    assert table.array([]).dtype.descr == np.dtype(list(PROMISED[table.file].items())).descr
    assert table.names == tuple(PROMISED[table.file])


def test_an_array_holds_what_the_csv_does(tmp_path: Path) -> None:
    outcomes = make_outcomes([evolve(CONFIG, barrier="uffd-wp-pagemap", heap_params={"a": "x,y"})], invocations=2)
    outcomes[1] = evolve(outcomes[1], error="no")
    folder = write_run(tmp_path / "x", outcomes)
    for table in (PAUSES, STALLS):
        with (folder / table.file).open(newline="") as file:
            _, *rows = csv.reader(file)
        array = table.array(outcomes, "pause_times")
        assert rows
        assert [[str(value) for value in row] for row in array.tolist()] == rows
        assert set(array["failed"]) == {False, True}


def test_pauses_say_whether_the_machine_was_busy(tmp_path: Path) -> None:
    outcomes = make_outcomes([CONFIG], invocations=3)
    outcomes[1] = evolve(outcomes[1], temper=Temper(processors=2, wall_ns=1_000_000_000, others_ns=0, steal_ns=0))
    beside = Temper(processors=2, wall_ns=1_000_000_000, others_ns=1_000_000_000, steal_ns=200_000_000)
    outcomes[2] = evolve(outcomes[2], temper=beside)
    loaded = load(write_run(tmp_path / "x", outcomes))
    rows = pauses(loaded.outcomes)
    said = [rows[rows["invocation"] == index][0][["busy", "others_cpu_share", "steal_share"]] for index in range(3)]
    assert said[0].tolist()[0] == "unknown", "a run from before this was asked says nothing of it"
    assert np.isnan(said[0].tolist()[1:]).all()
    assert [each.tolist() for each in said[1:]] == [("no", 0.0, 0.0), ("yes", 0.5, 0.1)]


def test_what_was_counted_is_kept_with_the_run(tmp_path: Path) -> None:
    notes = (Note(cycle=1, name="helped", value=3), Note(cycle=2, name="helped", value=0.5))
    outcome = evolve(make_outcome(CONFIG, 0), notes=notes, tallies={"fallbacks: none": 7})
    folder = write_run(tmp_path / "x", [outcome, make_outcome(CONFIG, 1)])
    assert load(folder).outcomes[0] == outcome
    assert [type(note.value) for note in load(folder).outcomes[0].notes] == [int, float]
    with (folder / "notes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == NOTES.names
    told = [(row["barrier"], row["invocation"], row["cycle"], row["name"], row["value"]) for row in rows]
    assert told == [(CONFIG.barrier, "0", "1", "helped", "3"), (CONFIG.barrier, "0", "2", "helped", "0.5")]
    with (folder / "tallies.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == TALLIES.names
    assert (row["invocation"], row["name"], row["count"]) == ("0", "fallbacks: none", "7")


def test_a_run_without_notes_is_read_as_before(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "x", [make_outcome(CONFIG, 0)])
    record = json.loads((folder / "outcomes.jsonl").read_text())
    assert record.pop("notes") == []
    (folder / "outcomes.jsonl").write_text(json.dumps(record) + "\n")
    assert load(folder).outcomes == (make_outcome(CONFIG, 0),)


def test_a_table_is_written_where_it_has_something_to_say(tmp_path: Path) -> None:
    always = {"pauses.csv", "stalls.csv"}
    folder = write_run(tmp_path / "x", make_outcomes([CONFIG]))
    assert {path.name for path in folder.glob("*.csv")} == always
    # A probe that read nothing was one all the same.
    finding = Finding(probe=Probe(function="a.b:c", barrier="cards"), index=0, machine="native", error="no")
    with RunWriter(tmp_path / "y", {"experiment": "x"}) as writer:
        writer.add(Measured(record=finding))
        writer.commit()
    assert {path.name for path in (tmp_path / "y").glob("*.csv")} == {*always, MEASUREMENTS.file}
