"""The experiment goals: what it runs, how it judges, and that figure and table say the same."""

import pytest
from planned import GUEST, MACHINES, NATIVE, looks_measured, planned, told
from synthetic import make_manifest, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.model import Finding, Machine, Reading, evolve, to_json
from gcbarrier.results import spread
from gcbarrier.results.run import Run

SCRIPT = campaign.script_of("goals")


def goals_run(*, invocations: int = 2) -> Run:
    """Both machines, as if natively a remark took a fifth of what it takes under the scan, and marking an eighth of
    what it takes the Boehm collector.
    """
    outcomes = []
    for machine in (NATIVE, GUEST):
        for config in planned("goals", machine, quick=False).configs:
            for index in range(invocations):
                one = looks_measured(config, index, machine.name)
                factor = 1 if config.barrier == "uffd-wp-log" else 5
                times = {"collect_ns": 1000 * factor, "pause_ns": 9000 * factor}
                mark_ns = 8000 if config.collector == "bdwgc" else 1000
                pauses = [evolve(each, mark_ns=mark_ns, **times) for each in one.pauses]
                outcomes.append(evolve(one, pauses=tuple(pauses)))
    findings = [
        Finding(probe=probe, index=0, machine="native", readings=(Reading(what="first-store", value=value, unit="ns"),))
        for probe, value in zip(planned("goals", quick=False).probes, (1300.0, 1000.0), strict=True)
    ]
    run = make_run(outcomes, make_manifest("goals"))
    return evolve(run, findings=tuple(findings))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.accelerator)
@pytest.mark.parametrize("quick", [True, False])
def test_the_plan_can_be_run(machine: Machine, quick: bool) -> None:
    plan = planned("goals", machine, quick=quick)
    for config in plan.configs:
        settings.check(config)
    assert len({to_json(config) for config in plan.configs}) == len(plan.configs)
    assert plan.invocations >= (1 if quick and not machine.emulated else 5)


def test_a_goal_is_met_up_to_its_limit() -> None:
    most = SCRIPT.Goal(what="", limit=10, value=spread([9, 10, 90]), unit="ns")
    assert most.met
    assert not SCRIPT.Goal(what="", limit=9.9, value=spread([9, 10, 90]), unit="ns").met
    assert SCRIPT.Goal(what="", limit=10, value=spread([9, 10, 90]), at_least=True).met
    assert not SCRIPT.Goal(what="", limit=11, value=spread([9, 10, 90]), at_least=True).met
    assert not SCRIPT.Goal(what="", limit=10, value=spread([])).met, "what was not measured is not met"


def test_every_goal_is_judged() -> None:
    run = goals_run()
    found = {goal.what: goal for machine in run.machines for goal in SCRIPT.goals(run, machine)}
    assert len(found) == 6 + 2 + 6 + 1 + 1 + 1 + 1
    assert found["collect at 4 GiB, uffd-wp-async against uffd-wp-log"].value.centre == pytest.approx(5)
    assert not found["collect at 4 GiB, uffd-wp-async against uffd-wp-log"].met
    assert found["collect of 100 pages, 8 GiB against 64 MiB"].value.centre == pytest.approx(1)
    assert found["marking by one thread, Boehm's against ours"].value.centre == pytest.approx(8)
    remarks = [goal for what, goal in found.items() if what.startswith("remark at 1024 MiB")]
    assert [goal.value.centre for goal in remarks] == [9000] * 3
    assert [goal.limit for goal in remarks] == [20_000, 200_000, 1_000_000]
    assert all(goal.met for goal in remarks)
    assert found["a first store, logged against not"].value.centre == pytest.approx(1.3)
    said = told(SCRIPT.table(run))
    for what, goal in found.items():
        line = next(line for line in said.splitlines() if line.startswith(what))
        assert line.rstrip().endswith("met" if goal.met else "missed")


def test_the_figure_has_a_place_for_each_goal() -> None:
    run = goals_run()
    figures = SCRIPT.figures(run)
    assert list(figures) == ["goals-native", f"goals-{GUEST.name}"]
    for machine in run.machines:
        (axes,) = figures[f"goals-{machine}"].axes
        names = [text.get_text() for text in axes.get_yticklabels()]
        marks = [line for line in axes.lines if line.get_marker() == "o"]
        drawn = {names[round(line.get_ydata()[0])]: line.get_xdata()[0] for line in marks}
        judged = [goal for goal in SCRIPT.goals(run, machine) if goal.value]
        assert drawn == {goal.what: pytest.approx(goal.share(goal.value.centre)) for goal in judged}


def test_what_failed_is_named() -> None:
    run = goals_run(invocations=1)
    broken = evolve(run.outcomes[0], error="out of [luck]", pauses=())
    everything = make_run([broken, *run.outcomes[1:]], dict(run.manifest))
    assert "out of [luck]" in told(SCRIPT.table(everything))
    assert SCRIPT.figures(everything)


def test_the_verdict_counts_what_is_met_and_names_what_is_not() -> None:
    run = goals_run()
    native, lab = SCRIPT.verdict(run).splitlines()
    every = [goal for goal in SCRIPT.goals(run, "native") if goal.value]
    missed = [goal.what for goal in every if not goal.met]
    assert missed, "or this would show little"
    assert native.startswith(
        f"On native, {len(every) - len(missed)} of {len(every)} goals are met by their medians; missed: "
    )
    assert [name for name in missed if name in native] == missed
    assert lab.startswith("On lab-6.12.95-tcg, ")
