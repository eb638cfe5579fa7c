"""Operations' times: the histogram's buckets, what is put together, why it was slow, and that it is kept."""

import csv
from pathlib import Path

import numpy as np
import pytest

from gcbarrier.core import times
from gcbarrier.core.events import EVENT, Kind
from gcbarrier.model import Config, Invocation, Measured, OperationTimes, Outcome, SlowOperation, from_json, to_json
from gcbarrier.results import cause, causes, histogram
from gcbarrier.results.run import load
from gcbarrier.results.tables import OPERATIONS, SLOW_OPERATIONS
from gcbarrier.results.writer import RunWriter

MIB = 1 << 20
CONFIG = Config(heap="graph_edits", barrier="none", collector="never", heap_bytes=16 * MIB)


def outcome(*found: OperationTimes, slow: tuple[SlowOperation, ...] = ()) -> Outcome:
    invocation = Invocation(config=CONFIG, index=0, seed=0)
    return Outcome(invocation=invocation, machine="native", operation_times=found, slow_operations=slow)


def slow_one(**fields) -> SlowOperation:
    return SlowOperation(**{"mutator": 0, "start_ns": 0, "end_ns": 9, "operation_ns": 9, "phase": "mark", **fields})


def test_histograms_of_invocations_and_phases_are_put_together() -> None:
    one = OperationTimes(phase="mark", low_ns=(10, 20), high_ns=(11, 21), counts=(5, 1))
    other = OperationTimes(phase="arm", low_ns=(20, 30), high_ns=(21, 31), counts=(2, 1))
    merged = histogram([outcome(one, other), outcome(one)])
    assert (merged.low_ns.tolist(), merged.counts.tolist()) == ([10, 20, 30], [10, 4, 1])
    assert histogram([outcome(one, other)], ("arm",)).counts.tolist() == [2, 1]
    assert histogram([outcome(one, other)], ("pause",)).total == 0
    assert np.isnan(histogram([]).percentile(50))
    # 14 of 15 did not take longer than 20 ns.
    assert merged.percentile(100 * 14 / 15) == 20
    assert merged.percentile(100 * 14 / 15 + 0.1) == 30


def test_a_slow_operation_has_the_events_that_overlap_it() -> None:
    slow = np.zeros(2, times.SLOW)
    slow["start_ns"], slow["end_ns"], slow["took_ns"], slow["phase"] = (100, 500), (200, 900), (100, 400), (2, 7)
    slow["mutator"], slow["preempted"], slow["blocked"] = (0, 1), (0, 2), (1, 0)
    seen = np.zeros(6, EVENT)
    seen["kind"] = [Kind.ARM, Kind.PAUSE, Kind.COLLECT, Kind.MARK, Kind.STALL, Kind.STALL]
    seen["start_ns"] = [50, 850, 200, 899, 600, 600]
    seen["end_ns"] = [101, 1000, 500, 950, 700, 700]
    seen["thread"] = [0, 0, 0, 0, 1, 2]
    longest, other = times.slow_operations(slow, seen)
    assert (longest.operation_ns, longest.phase, longest.mutator) == (400, "pause", 1)
    assert set(longest.during) == {"pause", "mark", "stall"}
    assert (longest.preempted, longest.blocked) == (True, False)
    # It touches the collect and does not overlap it.
    assert other.during == ("arm",)
    assert cause(other) == "waited in the kernel while arming"
    # The stall is mutator 1's own.
    assert cause(longest) == "wait for memory"
    alone = times.slow_operations(slow, seen[seen["thread"] != 2])
    assert "stall" not in alone[0].during


@pytest.mark.parametrize(
    ("met", "why"),
    [
        ({"during": ("pause", "arm"), "preempted": True}, "pause"),
        ({"during": ("arm",), "preempted": True}, "descheduled"),
        ({"during": ("collect",), "blocked": True}, "waited in the kernel while collecting"),
        ({"during": ("mark",), "blocked": True}, "waited in the kernel"),
        ({"during": ("arm", "mark")}, "while arming"),
        ({"during": ("mark",)}, "unexplained"),
    ],
)
def test_causes_are_told_by_what_was_met(met: dict, why: str) -> None:
    one = slow_one(**met)
    assert cause(one) == why
    assert causes([outcome(slow=(one,))], 9) == {why: 1}
    assert not causes([outcome(slow=(one,))], 10)
    assert not causes([outcome(slow=(one,))], 9, ("arm",))


def test_times_are_kept_with_the_run(tmp_path: Path) -> None:
    one = OperationTimes(phase="mark", low_ns=(10, 20), high_ns=(11, 21), counts=(5, 1))
    with RunWriter(tmp_path / "run", {"experiment": "stalls"}) as writer:
        writer.add(Measured(record=outcome(one, slow=(slow_one(during=("arm", "mark"), blocked=True),))))
        writer.commit()
    assert load(tmp_path / "run").outcomes == (outcome(one, slow=(slow_one(during=("arm", "mark"), blocked=True),)),)
    assert from_json(to_json(outcome(one)), Outcome) == outcome(one)
    with (tmp_path / "run" / "operations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == OPERATIONS.names
    assert [(row["phase"], row["low_ns"], row["count"]) for row in rows] == [("mark", "10", "5"), ("mark", "20", "1")]
    with (tmp_path / "run" / "slow_operations.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == SLOW_OPERATIONS.names
    assert (row["during"], row["blocked"], row["preempted"]) == ("arm mark", "True", "False")
    with RunWriter(tmp_path / "other", {"experiment": "stalls"}) as writer:
        writer.add(Measured(record=outcome()))
        writer.commit()
    assert not (tmp_path / "other" / "operations.csv").exists()
