"""The experiments that are curves of windows and percentiles: plans that can be run, figures and tables."""

import pytest
from planned import GUEST, MACHINES, NATIVE, looks_run, planned, told
from synthetic import make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.model import Machine, evolve, to_json
from gcbarrier.plugins import discovery

EXPERIMENTS = ("utilisation", "latency")


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.accelerator)
@pytest.mark.parametrize("quick", [True, False])
def test_plans_hold_what_can_be_run(name: str, machine: Machine, quick: bool) -> None:
    plan = planned(name, machine, quick=quick)
    assert discovery.summary("experiments", name).endswith("?")
    for config in plan.configs:
        settings.check(config)
        # Each is kept.
        assert not config.timed or 0 < config.operations * config.mutators <= 1 << 20
    assert len({to_json(config) for config in plan.configs}) == len(plan.configs)
    assert {"none", "uffd-wp-log"} <= {config.barrier for config in plan.configs}


def test_a_quick_look_at_utilisation_wants_no_lab() -> None:
    quick, full = ({config.barrier for config in planned("utilisation", quick=each).configs} for each in (True, False))
    assert full - quick == {"soft-dirty"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_there_is_a_figure_and_a_table_for_each_machine(name: str) -> None:
    run = looks_run(name, (NATIVE, GUEST))
    script = campaign.script_of(name)
    assert list(script.figures(run)) == [f"{name}-native", f"{name}-{GUEST.name}"]
    said = told(script.table(run))
    for machine in (NATIVE, GUEST):
        assert machine.name in said
    for barrier in {config.barrier for config in planned(name).configs}:
        assert barrier in said


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_failed_is_named_and_not_drawn(name: str) -> None:
    run = looks_run(name)
    broken = evolve(run.outcomes[-1], error="out of [luck]", pauses=(), cycles=(), operation_times=())
    script = campaign.script_of(name)
    for outcomes in ([*run.outcomes[:-1], broken], [broken]):
        one = make_run(outcomes, dict(run.manifest))
        assert script.figures(one)
        assert "out of [luck]" in told(script.table(one))


def test_the_speed_stands_beside_both_ways_of_counting() -> None:
    said = told(campaign.script_of("utilisation").table(looks_run("utilisation")))
    for head in ("MMU 1 ms, pauses", "MMU 1 ms, all", "lost: helping", "lost: faults", "speed / none"):
        assert head in said


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_verdict_has_a_sentence_for_each_workload_and_machine(name: str) -> None:
    script = campaign.script_of(name)
    alone, both = (script.verdict(looks_run(name, machines)).splitlines() for machines in ((NATIVE,), (NATIVE, GUEST)))
    heaps = {config.heap for config in planned(name).configs}
    assert len(alone) == len(heaps)
    assert len(both) == 2 * len(heaps)
    for line in alone:
        assert "uffd-wp-log" in line
        assert " on native" not in line
    assert sum(" on native" in line for line in both) == len(heaps)
