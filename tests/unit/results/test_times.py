"""Operations' times: the histogram's buckets, what is put together, why it was slow, and that it is kept."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import PLUGINS

from gcbarrier import measure
from gcbarrier.campaign import runner
from gcbarrier.core import build, times
from gcbarrier.core.events import EVENT, Kind
from gcbarrier.core.library import open_core
from gcbarrier.experiment import Plan
from gcbarrier.model import (
    PHASES,
    Config,
    Invocation,
    Measured,
    OperationTimes,
    Outcome,
    SlowOperation,
    from_json,
    to_json,
)
from gcbarrier.plugins import discovery
from gcbarrier.results import IN_CYCLE, cause, causes, histogram, store
from gcbarrier.session.ours import SessionJob, run

MIB = 1 << 20
CONFIG = Config(heap="graph_edits", barrier="none", collector="never", heap_bytes=16 * MIB)


@pytest.fixture(scope="module")
def core():
    return open_core(build.core())


def outcome(*found: OperationTimes, slow: tuple[SlowOperation, ...] = ()) -> Outcome:
    invocation = Invocation(config=CONFIG, index=0, seed=0)
    return Outcome(invocation=invocation, machine="native", operation_times=found, slow_operations=slow)


def slow_one(**fields) -> SlowOperation:
    return SlowOperation(**{"mutator": 0, "start_ns": 0, "end_ns": 9, "operation_ns": 9, "phase": "mark", **fields})


def test_python_and_c_agree_on_phases_and_buckets(core) -> None:
    assert core.lib.gcb_time_phases() == len(PHASES)
    assert set(IN_CYCLE) == set(PHASES) - {"no cycle"}
    assert times.SLOW.itemsize == core.ffi.sizeof("gcb_slow_operation")
    names = [name for name, _ in core.ffi.typeof("gcb_slow_operation").fields]
    assert tuple(names) == times.SLOW.names
    assert [core.ffi.offsetof("gcb_slow_operation", name) for name in names] == [
        times.SLOW.fields[name][1] for name in names
    ]


def test_buckets_follow_each_other_without_gaps(core) -> None:
    low, high = times.bucket_bounds(np.arange(core.lib.gcb_time_buckets()))
    assert low[0] == 0
    assert (low[1:] == high[:-1]).all()
    # A 64th of the lower bound, and a nanosecond where that is less than one.
    assert ((high - low) <= np.maximum(low / 64, 1)).all()
    assert high[-1] > 60_000_000_000


@given(st.integers(0, 68_000_000_000))
def test_every_time_is_in_its_bucket(core, ns: int) -> None:
    low, high = times.bucket_bounds(np.array([core.lib.gcb_time_bucket(ns)]))
    assert low[0] <= ns < high[0]


def test_what_takes_too_long_is_in_the_last_bucket(core) -> None:
    assert core.lib.gcb_time_bucket((1 << 64) - 1) == core.lib.gcb_time_buckets() - 1


def test_percentiles_are_those_of_the_operations_within_a_bucket(core) -> None:
    rng = np.random.default_rng(1)
    took = rng.lognormal(8, 1.5, 50_000).astype(np.int64)
    counts = np.zeros((len(PHASES), core.lib.gcb_time_buckets()), np.int64)
    for index, ns in enumerate(took):
        counts[index % 2, core.lib.gcb_time_bucket(int(ns))] += 1
    found = times.histograms(counts)
    assert [one.phase for one in found] == list(PHASES[:2])
    merged = histogram([outcome(*found)])
    assert merged.total == len(took)
    for q in (0, 50, 99, 99.99, 100):
        exact = np.sort(took)[max(int(np.ceil(q / 100 * len(took) - 1e-6)), 1) - 1]
        assert merged.percentile(q) == pytest.approx(exact, rel=1 / 64)
    middle, share = merged.tail()
    assert share[0] == 1
    assert share[-1] == pytest.approx(merged.counts[-1] / len(took))
    assert (np.diff(middle) > 0).all()


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
    with store.RunWriter(tmp_path / "run") as writer:
        writer.add(Measured(record=outcome(one, slow=(slow_one(during=("arm", "mark"), blocked=True),))))
        writer.commit({"experiment": "stalls"})
    assert store.load(tmp_path / "run").outcomes == (
        outcome(one, slow=(slow_one(during=("arm", "mark"), blocked=True),)),
    )
    assert from_json(to_json(outcome(one)), Outcome) == outcome(one)
    with (tmp_path / "run" / "operations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == store.OPERATION_COLUMNS
    assert [(row["phase"], row["low_ns"], row["count"]) for row in rows] == [("mark", "10", "5"), ("mark", "20", "1")]
    with (tmp_path / "run" / "slow_operations.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == store.SLOW_COLUMNS
    assert (row["during"], row["blocked"], row["preempted"]) == ("arm mark", "True", "False")
    with store.RunWriter(tmp_path / "other") as writer:
        writer.add(Measured(record=outcome()))
        writer.commit({"experiment": "stalls"})
    assert not (tmp_path / "other" / "operations.csv").exists()


def test_every_operation_is_timed_once_and_sleep_is_not() -> None:
    """Each operation burns 3 ms, however long that takes, and sleeps until its 10 ms are over."""
    discovery.add_path(PLUGINS)
    config = Config(heap="sleepers", barrier="none", collector="never", heap_bytes=MIB, duration_s=0.3, timed=True)
    (found,) = measure(config)
    assert found.error == ""
    assert histogram([found]).total == found.operations > 3
    assert {one.phase for one in found.operation_times} == {"no cycle"}
    # Nothing is quicker than what it burns.
    assert int(histogram([found]).high_ns[0]) > 3_000_000
    assert len(found.slow_operations) == found.operations
    slept = [one.end_ns - one.start_ns - one.operation_ns for one in found.slow_operations]
    assert min(slept) >= 0
    assert max(slept) > 1_000_000
    assert found.slow_operations[0].operation_ns == max(one.operation_ns for one in found.slow_operations)
    assert found.facts["timing_cost_ns"] > 0


def test_phases_of_a_cycle_are_seen(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    config = Config(
        heap="graph_edits",
        barrier="uffd-wp-async",
        collector="mostly-concurrent",
        collector_params={"every_s": 0.01},
        heap_params={"rate_per_s": 0},
        heap_bytes=64 * MIB,
        mutators=2,
        timed=True,
    )
    (found,) = measure(config)
    assert found.error == ""
    assert histogram([found]).total == found.operations
    assert {"no cycle", "mark", "pause"} <= {one.phase for one in found.operation_times}
    # A mutator is held up in each pause, whose operation is at least as long as what is left of it.
    assert histogram([found], ("pause",)).total >= len(found.pauses)
    assert {cause(one) for one in found.slow_operations} & {"pause"}


def test_without_a_wish_nothing_is_timed() -> None:
    (found,) = measure(
        Config(heap="graph_edits", barrier="none", collector="never", heap_bytes=16 * MIB, duration_s=0.1)
    )
    assert found.error == ""
    assert found.operation_times == found.slow_operations == ()
    assert found.cycles == found.pauses == ()


def test_verified_runs_can_be_timed_as_well(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    config = Config(
        heap="bursts",
        barrier="uffd-wp-async",
        collector="mostly-concurrent",
        collector_params={"every_s": 0.01},
        heap_bytes=16 * MIB,
        duration_s=0.3,
        verify=True,
        timed=True,
    )
    (found,) = measure(config)
    assert found.error == ""
    assert found.verification is not None
    assert histogram([found]).total == found.operations > 0


def test_bursts_dirty_exactly_as_many_pages(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    for barrier in ("uffd-wp-async", "uffd-wp-log", "cards"):
        for mutators in (1, 3):
            config = Config(
                heap="bursts",
                barrier=barrier,
                collector="mostly-concurrent",
                mutators=mutators,
                heap_params={"pages": 100},
                collector_params={"rounds": 0, "every_s": 0.02},
                heap_bytes=64 * MIB,
            )
            (found,) = measure(config)
            assert found.error == ""
            remarks = [pause.dirty_granules for pause in found.pauses if pause.kind == "remark"]
            # A mutator that was not woken in time leaves fewer, and none leaves more.
            assert max(remarks) == 100, (barrier, mutators)


def test_bursts_are_a_function_of_seed_and_number_alone() -> None:
    """Without a collector, and whatever the pace: the same operations, the same heap."""
    config = Config(heap="bursts", barrier="none", collector="stop-the-world", heap_bytes=16 * MIB, mutators=2)
    (step,) = runner.steps(Plan(configs=(config,), invocations=1), seed=3, accelerator="native")
    sums = []
    for seed, operations in ((3, 5000), (3, 5000), (4, 5000), (3, 4999)):
        invocation = Invocation(config=config, index=0, seed=seed, operations=operations)
        found = run(SessionJob(invocation=invocation, barrier=step.job.barrier, program=step.job.program)).record
        assert (found.error, found.operations) == ("", 2 * operations)
        sums.append(found.checksum)
    assert sums[0] == sums[1]
    assert len(set(sums)) == 3
