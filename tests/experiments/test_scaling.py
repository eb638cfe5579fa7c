"""The experiments on sessions: plans that can be run, figures and tables from what looks like a run."""

import numpy as np
import pytest
from planned import GUEST, MACHINES, NATIVE, looks_measured, looks_run, planned, told
from synthetic import make_manifest, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import (
    PHASES,
    Machine,
    Outcome,
    converter,
    evolve,
    from_json,
    to_json,
)
from gcbarrier.plugins import discovery
from gcbarrier.results import cells

EXPERIMENTS = ("heap_scaling", "dirty_rate", "rescan_rounds", "stalls")
MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.accelerator)
@pytest.mark.parametrize("quick", [True, False])
def test_plans_hold_what_can_be_run_and_survive_the_manifest(name: str, machine: Machine, quick: bool) -> None:
    plan = planned(name, machine, quick=quick)
    assert plan.configs
    assert discovery.summary("experiments", name).endswith("?")
    for config in plan.configs:
        settings.check(config)
    assert len({to_json(config) for config in plan.configs}) == len(plan.configs)
    assert {"uffd-wp-log", "soft-dirty"} <= {config.barrier for config in plan.configs}
    assert from_json(to_json(plan), Plan) == plan
    assert converter.structure(converter.unstructure(plan), Plan) == plan


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_there_is_a_figure_and_a_table_for_each_machine(name: str) -> None:
    run = looks_run(name, (NATIVE, GUEST))
    script = campaign.script_of(name)
    figures = script.figures(run)
    assert list(figures) == [f"{name}-native", f"{name}-{GUEST.name}"]
    said = told(script.table(run))
    for machine in (NATIVE, GUEST):
        assert machine.name in said
    for barrier in {config.barrier for config in planned(name).configs}:
        assert barrier in said


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_failed_is_named_and_not_drawn(name: str) -> None:
    run = looks_run(name)
    broken = evolve(run.outcomes[-1], error="out of [luck]", pauses=(), cycles=(), operation_times=())
    everything = make_run([*run.outcomes[:-1], broken], dict(run.manifest))
    script = campaign.script_of(name)
    assert "out of [luck]" in told(script.table(everything))
    assert script.figures(everything)
    nothing = make_run([evolve(broken, invocation=evolve(broken.invocation, index=9))], dict(run.manifest))
    assert script.figures(nothing)
    assert "out of [luck]" in told(script.table(nothing))


def test_sizes_that_do_not_fit_are_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    script = campaign.script_of("heap_scaling")
    monkeypatch.setattr("gcbarrier.machines.host.available_bytes", lambda: 400 * MIB)
    plan = script.plan(machine=NATIVE, quick=True)
    assert {config.heap_bytes for config in plan.configs} == {64 * MIB, 256 * MIB}
    assert plan.left_out == ("1 GiB, which did not fit into memory",)
    manifest = {**make_manifest("heap_scaling"), "plans": {"native": converter.unstructure(plan)}}
    run = make_run([looks_measured(c, 0) for c in plan.configs], manifest)
    assert "left out: 1 GiB, which did not fit into memory" in told(script.table(run))
    (figure,) = script.figures(run).values()
    assert any("left out: 1 GiB, which did not fit into" in text.get_text().replace("\n", " ") for text in figure.texts)
    chosen = make_run(run.outcomes, {**manifest, "settings": {"fields": {"heap_bytes": 64 * MIB}}})
    assert "left out: 1 GiB" not in told(script.table(chosen)), "the sizes are the user's"


def test_heap_scaling_leaves_out_what_found_other_pages() -> None:
    script = campaign.script_of("heap_scaling")
    config = next(config for config in planned("heap_scaling").configs if config.barrier == "uffd-wp-log")
    outcome = looks_measured(config, 0)
    slow = evolve(outcome.pauses[0], dirty_granules=0, collect_ns=1 << 40)
    (cell,) = cells([evolve(outcome, pauses=(*outcome.pauses, slow, slow, *(slow,) * len(outcome.pauses)))])
    expected = np.median([pause.collect_ns for pause in outcome.pauses if pause.kind == "remark"])
    assert script.times(cell, "collect_ns").centre == expected
    assert f"{len(outcome.pauses) + 2} of {2 * len(outcome.pauses) + 2} remarks found another" in told(
        script.table(make_run(cell.outcomes, make_manifest("heap_scaling")))
    )


def test_a_dirty_set_that_no_longer_shrinks_is_told_from_one_that_does() -> None:
    script = campaign.script_of("dirty_rate")
    config = next(config for config in planned("dirty_rate").configs if config.barrier == "uffd-wp-async")
    outcome = looks_measured(config, 0)

    def with_left(pages: int) -> Outcome:
        return evolve(outcome, pauses=tuple(evolve(pause, dirty_granules=pages) for pause in outcome.pauses))

    # The last round found 100.
    assert all(script.converges(with_left(90)))
    stopped = with_left(0)
    once = evolve(stopped.pauses[0], kind="rearm", cycle=stopped.cycles[0].cycle)
    assert not script.converges(evolve(stopped, pauses=(*stopped.pauses, once)))[0], "stopping is no converging"
    assert script.converges(evolve(stopped, pauses=(*stopped.pauses, once, once)))[0], "unless every round needs it"
    assert not any(script.converges(with_left(91)))
    small = tuple(evolve(cycle, round_dirty=(900, 10)) for cycle in outcome.cycles)
    assert all(script.converges(evolve(with_left(16), cycles=small)))
    assert not any(script.converges(evolve(with_left(17), cycles=small)))
    stuck = tuple(evolve(cycle, round_dirty=(900, 899, 100)) for cycle in outcome.cycles)
    assert not any(script.converges(evolve(with_left(0), cycles=stuck)))
    (behind,) = cells([with_left(91)])
    (ahead,) = cells([with_left(90)])
    assert script.stays_behind(behind)
    assert not script.stays_behind(ahead)
    assert "uffd-wp-async: no longer converges from" in told(
        script.table(make_run(behind.outcomes, make_manifest("dirty_rate")))
    )


def test_options_are_named_by_their_parameters() -> None:
    script = campaign.script_of("rescan_rounds")
    run = looks_run("rescan_rounds")
    named = {script.option(cell) for cell in cells(run.outcomes)}
    assert set(script.SHORT) == named
    (other,) = cells([looks_measured(evolve(planned("rescan_rounds").configs[0], collector_params={"rounds": 3}), 0)])
    assert script.option(other) == "rounds 3"


def test_stalls_counts_what_is_seen_in_cycles_and_says_why() -> None:
    script = campaign.script_of("stalls")
    run = looks_run("stalls", invocations=1)
    found = {cell.config.barrier: cell for cell in cells(run.outcomes)}
    each = 90_000 + 900 + 3
    assert script.seen(found["none"]).total == each
    assert script.seen(found["uffd-wp-async"]).total == each * (len(PHASES) - 1)
    rare = [evolve(one, counts=(90_000_000, 900, 3)) for one in run.outcomes[0].operation_times]
    wide = evolve(planned("stalls", quick=False).configs[0], heap_params={"rate_per_s": 1e5})
    other = evolve(looks_measured(wide, 0), operation_times=tuple(rare))
    (figure,) = script.figures(make_run([*run.outcomes, other], dict(run.manifest))).values()
    panels = [axes for axes in figure.axes if axes.get_label().startswith("tail")]
    # Only the first has its scale written beside it.
    assert len(panels) == 2
    assert panels[0].get_ylim() == panels[1].get_ylim()
    said = told(script.table(run))
    assert "waited in the kernel while arming 1" in said
    assert "met" in said
    silent = make_run([evolve(one, operation_times=()) for one in run.outcomes], dict(run.manifest))
    assert script.figures(silent)
    assert told(script.table(silent))
