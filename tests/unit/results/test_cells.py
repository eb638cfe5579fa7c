"""Numbers whose right value is known beforehand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import make_outcome, make_outcomes

from gcbarrier import results
from gcbarrier.model import Config, Outcome, Pause, evolve
from gcbarrier.results.tables import PAUSES

NONE = Config(heap="graph_edits", barrier="none", collector="stop-the-world")
ASYNC = Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent")


def pause(total: int, *, kind: str = "remark", cycle: int = 0, **phases: int) -> Pause:
    parts = {f"{phase}_ns": phases.get(phase, 0) for phase in results.PAUSE_PHASES}
    return Pause(
        cycle=cycle, kind=kind, start_ns=0, pause_ns=total, dirty_granules=0, rounds=0, preempted=False, **parts
    )


def outcome(config: Config, index: int, *pauses: Pause, **fields: int) -> Outcome:
    empty = evolve(make_outcome(config, index), pauses=pauses)
    return evolve(empty, **fields)


def test_pauses_are_the_columns_of_the_csv_with_types() -> None:
    outcomes = make_outcomes([NONE, ASYNC], invocations=2)
    table = results.pauses(outcomes)
    assert table.dtype.names == PAUSES.names
    assert table.shape == (sum(len(o.pauses) for o in outcomes),)
    assert table["pause_ns"].tolist() == [p.pause_ns for o in outcomes for p in o.pauses]
    assert table["preempted"].dtype == bool
    assert set(table["barrier"]) == {"none", "uffd-wp-async"}


def test_no_pauses_are_an_empty_array_with_the_columns() -> None:
    table = results.pauses([])
    assert table.shape == (0,)
    assert table.dtype.names == PAUSES.names
    assert results.phase_split(table).tolist() == [0.0] * 7


def test_phases_add_up_to_the_median_pause() -> None:
    split = results.phase_split(
        results.pauses([outcome(ASYNC, 0, *(pause(t, collect=t // 2, rescan=t // 4) for t in (400, 800, 100_000)))])
    )
    assert split.sum() == pytest.approx(800)
    # A quarter of each pause lies in no phase.
    assert dict(zip((*results.PAUSE_PHASES, "other"), split, strict=True))["other"] == pytest.approx(200, rel=0.01)


def test_the_split_of_two_pauses_has_both() -> None:
    split = results.phase_split(results.pauses([outcome(ASYNC, 0, pause(100, collect=100), pause(300, mark=300))]))
    assert split.sum() == pytest.approx(200)
    assert split[results.PAUSE_PHASES.index("collect")] == pytest.approx(50)
    assert split[results.PAUSE_PHASES.index("mark")] == pytest.approx(150)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50))
def test_the_tail_is_the_share_at_least_as_large(values: list[int]) -> None:
    ordered, share = results.tail(values)
    assert ordered.tolist() == sorted(values)
    assert share[0] == 1
    assert share[-1] == pytest.approx(1 / len(values))
    distinct = [i for i in range(len(values)) if i == 0 or ordered[i] != ordered[i - 1]]
    for i in distinct:
        assert share[i] == pytest.approx(sum(v >= ordered[i] for v in values) / len(values))


def test_percentiles_and_means_of_nothing_are_nan() -> None:
    assert math.isnan(results.percentile([], 50))
    assert math.isnan(results.geometric_mean([]))
    assert math.isnan(results.geometric_mean([1, 0]))
    assert results.percentile([1, 2, 3], 50) == 2
    assert results.geometric_mean([2, 8]) == pytest.approx(4)
    assert not results.spread([float("nan")])


def test_cells_hold_invocations_together_and_parameters_apart() -> None:
    other = evolve(ASYNC, heap_params={"a": 1, "b": 2})
    reordered = evolve(ASYNC, heap_params={"b": 2, "a": 1})
    outcomes = [*make_outcomes([NONE, ASYNC]), make_outcome(other, 0), make_outcome(reordered, 1)]
    assert [len(cell.outcomes) for cell in results.cells(outcomes)] == [3, 3, 2]
    first, second = results.workloads(outcomes)
    assert [cell.config.barrier for cell in first.cells] == ["none", "uffd-wp-async"]
    assert first.baseline is first.cells[0]
    assert second.baseline is None


def test_machines_are_never_in_one_workload() -> None:
    outcomes = make_outcomes([ASYNC]) + make_outcomes([ASYNC], machine="lab-6.12-tcg")
    assert [work.machine for work in results.workloads(outcomes)] == ["lab-6.12-tcg", "native"]


def test_medians_are_per_invocation_and_failed_ones_do_not_count() -> None:
    (cell,) = results.cells(
        [
            outcome(ASYNC, 0, pause(100), pause(200), pause(900), pause(5, kind="rearm")),
            outcome(ASYNC, 1, pause(400)),
            outcome(ASYNC, 2, pause(5, kind="rearm")),
            evolve(outcome(ASYNC, 3, pause(10**9)), error="lost"),
        ]
    )
    assert cell.medians("remark").each == (200, 400)
    assert cell.medians("remark").centre == 300
    assert cell.kinds == ("remark", "rearm")
    assert len(cell.pauses()) == 6


def test_a_cycle_stops_the_mutators_for_all_its_pauses_together() -> None:
    def rearm(total: int, cycle: int) -> Pause:
        return pause(total, kind="rearm", cycle=cycle)

    outcomes = [
        # Cycles have one number in every invocation, and pauses need not come in order.
        outcome(ASYNC, 0, rearm(1, 0), rearm(2, 0), pause(10, cycle=0), pause(40, cycle=1), rearm(60, 5), rearm(5, 1)),
        outcome(ASYNC, 1, pause(7, cycle=0)),
        outcome(ASYNC, 2),
        evolve(outcome(ASYNC, 3, pause(10**9)), error="lost"),
    ]
    stopped = results.stopped_per_cycle(results.pauses(outcomes[:2]))
    assert stopped.tolist() == [13, 45, 60, 7]
    (cell,) = results.cells(outcomes)
    assert cell.stopped().each == (45, 7)
    assert cell.stopped().centre == 26
    assert results.stopped_per_cycle(results.pauses([])).tolist() == []


def test_sums_of_long_pauses_are_exact() -> None:
    long = 2**53 + 1
    table = results.pauses([outcome(NONE, 0, pause(long), pause(2))])
    assert results.stopped_per_cycle(table).tolist() == [long + 2]


def test_throughput_is_relative_to_the_baseline() -> None:
    second = 10**9
    outcomes = [
        outcome(NONE, 0, operations=1000, wall_ns=second, mutator_cpu_ns=10_000),
        outcome(NONE, 1, operations=4000, wall_ns=second, mutator_cpu_ns=40_000),
        outcome(ASYNC, 0, operations=1000, wall_ns=second, mutator_cpu_ns=15_000, minor_faults=20),
    ]
    base, cell = results.cells(outcomes)
    assert results.relative(cell, base, results.operations_per_second).centre == pytest.approx(0.5)
    assert results.relative(cell, base, results.cpu_ns_per_operation).centre == pytest.approx(1.5)
    itself = results.relative(base, base, results.operations_per_second)
    assert itself.centre == pytest.approx(1)
    assert (itself.low, itself.high) == (pytest.approx(0.5), pytest.approx(2))
    assert results.faults_per_operation(outcomes[2]) == pytest.approx(0.02)
    assert not results.relative(cell, None, results.operations_per_second)
    assert not results.relative(
        *results.cells([outcomes[2], outcome(NONE, 0, wall_ns=0)]), results.operations_per_second
    )


def test_the_lower_bound_is_the_least_median_of_any_cell() -> None:
    dear = [outcome(NONE, at, operations=10, mutator_cpu_ns=cpu, collector_cpu_ns=5) for at, cpu in ((0, 90), (1, 500))]
    cheap = [outcome(ASYNC, at, operations=10, mutator_cpu_ns=100, collector_cpu_ns=300) for at in (0, 1, 2)]
    found = results.cells([*dear, *cheap])
    bound = results.lower_bound(found, results.cpu_ns_per_operation)
    assert bound.centre == 10, "a single lucky invocation is no bound"
    (cell,) = (one for one in found if one.config.barrier == "uffd-wp-async")
    assert results.over_bound(cell, bound, results.all_cpu_ns_per_operation).each == (4.0,) * 3
    assert not results.lower_bound([], results.cpu_ns_per_operation)
    assert not results.over_bound(cell, results.spread([]), results.cpu_ns_per_operation)


def test_stops_of_the_world_are_taken_out_of_wall_time_and_nothing_else_is() -> None:
    one = outcome(NONE, 0, pause(30), pause(20, cycle=1), operations=10, wall_ns=150)
    assert results.wall_ns_per_operation(one) == 15
    assert results.running_ns_per_operation(one) == 10


def test_an_invocation_without_operations_has_no_rate() -> None:
    idle = outcome(ASYNC, 0, operations=0, wall_ns=0)
    assert math.isnan(results.operations_per_second(idle))
    assert math.isnan(results.cpu_ns_per_operation(idle))
    assert math.isnan(results.all_cpu_ns_per_operation(idle))
    assert math.isnan(results.wall_ns_per_operation(idle))
    assert math.isnan(results.running_ns_per_operation(idle))
    assert np.isnan(results.faults_per_operation(idle))
