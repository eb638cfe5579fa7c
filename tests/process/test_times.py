"""Operations timed in sessions: each once, in the phase that it ran in, and no sleep; bursts that are exact."""

from places import PLUGINS

from gcbarrier import measure
from gcbarrier.campaign import runner
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Config, Invocation
from gcbarrier.plugins import discovery
from gcbarrier.results import cause, histogram
from gcbarrier.session.ours import SessionJob, run

MIB = 1 << 20


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
            # A mutator that was not woken in time leaves fewer, and none leaves more; but the first remark also looks
            # at what the building has begun to fill.
            assert max(remarks[1:]) == 100, (barrier, mutators)


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
