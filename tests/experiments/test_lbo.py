"""What collectors cost over the lower bound: the plan's programs, the bound, and what is said of it."""

from collections.abc import Iterable

import pytest
from planned import GUEST, MACHINES, NATIVE, looks_measured, planned, told
from synthetic import make_manifest, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.matching import check
from gcbarrier.campaign.minheap import program_of
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Config, Machine, Outcome, Pause, converter, evolve, from_json, to_json
from gcbarrier.report.units import TIMES
from gcbarrier.results.run import Run
from gcbarrier.session import program as programs

MIB = 1 << 20
PROGRAMS = {"gcbench", "graph_edits", "snapshot", "requests"}


def sized(config: Config) -> Config:
    """As it is when the smallest heap, of 20 MiB, has been found."""
    size = int(config.heap_times * 20) * MIB
    return evolve(config, heap_params=programs.fixed(config).heap_params, heap_bytes=size, minheap_bytes=20 * MIB)


def a_pause(pause_ns: int) -> Pause:
    rest = dict.fromkeys(("roots_ns", "collect_ns", "rescan_ns", "mark_ns", "resume_ns"), 0)
    return Pause(
        cycle=1,
        kind="full",
        start_ns=0,
        pause_ns=pause_ns,
        ttsp_ns=0,
        dirty_granules=0,
        rounds=0,
        preempted=False,
        **rest,
    )


def cost(config: Config, *, mutators: int, collector: int, wall: int, stopped: int, index: int = 0) -> Outcome:
    """In ns for each of a thousand operations."""
    return evolve(
        looks_measured(config, index),
        operations=1000,
        mutator_cpu_ns=1000 * mutators,
        collector_cpu_ns=1000 * collector,
        wall_ns=1000 * wall,
        pauses=(a_pause(1000 * stopped),),
    )


def run_of(outcomes: Iterable[Outcome]) -> Run:
    return make_run(list(outcomes), {**make_manifest("lbo"), "quick": True})


def planned_run(machines: Iterable[Machine] = (NATIVE,)) -> Run:
    found = [
        looks_measured(sized(config), index, machine.name)
        for machine in machines
        for config in planned("lbo", machine).configs
        for index in range(2)
    ]
    # It ran for longer than it was stopped.
    return run_of(evolve(one, wall_ns=one.wall_ns + sum(pause.pause_ns for pause in one.pauses)) for one in found)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.accelerator)
@pytest.mark.parametrize("quick", [True, False])
def test_each_program_does_the_same_under_all_and_in_every_heap(machine: Machine, quick: bool) -> None:
    plan = planned("lbo", machine, quick=quick)
    assert from_json(to_json(plan), Plan) == plan
    assert len({to_json(config) for config in plan.configs}) == len(plan.configs)
    assert {config.heap for config in plan.configs} == PROGRAMS
    for config in plan.configs:
        check(config)
    # One for each heap: what is live and what is done does not depend on anything that is compared.
    alike = {to_json(evolve(program_of(config), duration_s=1.0)) for config in plan.configs}
    assert len(alike) == len(PROGRAMS)
    assert all(config.operations > 0 for config in plan.configs)
    compared = {(config.heap, config.barrier, config.collector, config.heap_times) for config in plan.configs}
    pairs, times = {each[1:3] for each in compared}, {each[3] for each in compared}
    assert len(compared) == len(PROGRAMS) * len(pairs) * len(times)
    assert pairs >= {
        ("none", "stop-the-world"),
        ("satb", "snapshot-concurrent"),
        *((barrier, "mostly-concurrent") for barrier in ("cards", "uffd-wp-log", "uffd-wp-async")),
        ("none", "bdwgc"),
    }
    if not quick and machine == NATIVE:
        assert (min(times), max(times)) == (1.25, 6.0)


def test_the_generational_collector_is_in_it() -> None:
    pairs = {(config.barrier, config.collector) for config in planned("lbo").configs}
    assert pairs >= {(barrier, "generational") for barrier in ("uffd-wp-log", "cards")}


def test_the_bound_is_the_least_of_all_without_what_is_attributed_to_collection() -> None:
    script = campaign.script_of("lbo")
    base = [config for config in planned("lbo").configs if config.heap == "gcbench"]
    stopped, cards = (next(one for one in base if one.barrier == barrier) for barrier in ("none", "cards"))
    tight, roomy = (evolve(sized(stopped), heap_times=times, heap_bytes=int(20 * times) * MIB) for times in (1.25, 6.0))
    found = script.billed(
        run_of(
            [
                cost(tight, mutators=110, collector=200, wall=330, stopped=180),
                cost(tight, mutators=120, collector=240, wall=360, stopped=180, index=1),
                cost(roomy, mutators=100, collector=20, wall=125, stopped=20),
                # The least wall time is another's: this one has the collector beside it.
                cost(sized(cards), mutators=150, collector=60, wall=90, stopped=0),
                # Another program's bound is its own.
                cost(sized(planned("lbo").configs[-1]), mutators=1, collector=0, wall=1, stopped=0),
            ]
        ),
        "native",
    )
    by = {(one.config.heap, one.config.barrier, one.config.heap_times): one for one in found}
    one = by["gcbench", "none", 1.25]
    assert (one.processor_bound_ns, one.wall_bound_ns) == (100, 90)
    assert one.processor.each == pytest.approx((3.1, 3.6))
    assert one.mutators.each == pytest.approx((1.1, 1.2))
    assert one.wall.each == pytest.approx((330 / 90, 4.0))
    assert by["gcbench", "none", 6.0].processor.centre == pytest.approx(1.2)
    other = by["gcbench", "cards", cards.heap_times]
    assert (other.processor.centre, other.wall.centre) == (pytest.approx(2.1), 1.0)
    assert by[planned("lbo").configs[-1].heap, "none", planned("lbo").configs[-1].heap_times].processor.centre == 1.0
    said = told(script.table(run_of(outcome for one in found for outcome in one.cell.outcomes)))
    assert "gcbench: the smallest heap is 20 MiB; 1 is 100 ns of processor time and 90 ns of wall time" in said
    assert f"(stop-the-world at 6{TIMES}, cards at {cards.heap_times:g}{TIMES})" in said


def test_there_is_a_figure_and_a_table_for_each_machine() -> None:
    run = planned_run((NATIVE, GUEST))
    script = campaign.script_of("lbo")
    figures = script.figures(run)
    assert list(figures) == ["lbo-native", f"lbo-{GUEST.name}"]
    labels = [axes.get_label() for axes in figures["lbo-native"].axes]
    for what in (f"processor time, {TIMES} the lower bound", f"wall time, {TIMES} the lower bound"):
        assert [label for label in labels if label.startswith(what)] == [
            f"{what} {heap}" for heap in ("gcbench", "graph_edits", "snapshot", "requests")
        ]
    assert {"median request", "99.99th percentile"} <= set(labels)
    said = told(script.table(run))
    for word in ("native", GUEST.name, "stop-the-world", "satb", "cards", "uffd-wp-log", "Boehm, generational"):
        assert word in said


def test_what_failed_has_no_bill_and_is_named() -> None:
    run = planned_run()
    outcomes = [
        evolve(one, error="out of [memory]", operations=0, pauses=())
        if (one.invocation.config.collector, one.invocation.config.heap_times) == ("bdwgc", 1.25)
        else one
        for one in run.outcomes
    ]
    script = campaign.script_of("lbo")
    broken = run_of(outcomes)
    assert "out of [memory]" in told(script.table(broken))
    assert script.figures(broken)
    without = [one for one in script.billed(broken, "native") if not one.processor]
    assert {(one.config.collector, one.config.heap_times) for one in without} == {("bdwgc", 1.25)}
    nothing = run_of(evolve(one, error="no", operations=0, pauses=()) for one in run.outcomes)
    assert script.figures(nothing)
    assert "failed: native" in told(script.table(nothing))


def test_the_manifest_keeps_what_one_times_is() -> None:
    config = sized(planned("lbo").configs[0])
    kept = converter.structure(converter.unstructure(Plan(configs=(config,))), Plan)
    assert kept.configs[0].minheap_bytes == 20 * MIB
