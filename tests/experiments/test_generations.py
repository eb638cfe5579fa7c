"""The experiment on generations: plans that can be run, and what is made of cycles, pauses and notes."""

import math

import pytest
from planned import GUEST, MACHINES, NATIVE, looks_measured, planned, told
from synthetic import make_manifest, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Config, Machine, Note, Outcome, evolve, from_json, to_json
from gcbarrier.results.run import Run

NAME = "generations"
COUNTS = {
    "full cycle": (1, 0, 0),
    "young bytes": (1000, 3000),
    "survived bytes": (100, 300),
    "old objects scanned": (600, 200),
    "old-to-young references": (40, 10),
}


def invocation(config: Config, index: int = 0, machine: str = "native") -> Outcome:
    """Three cycles, the first of them full; the second has been stopped twice."""
    outcome = looks_measured(config, index, machine)
    if config.collector != "generational":
        return outcome
    kinds = ((1, "remark", 900), (2, "rearm", 50), (2, "minor", 70), (3, "minor", 80))
    like = outcome.pauses[0]
    pauses = tuple(evolve(like, cycle=cycle, kind=kind, pause_ns=took) for cycle, kind, took in kinds)
    notes = tuple(
        Note(cycle=cycle, name=name, value=value)
        for name, values in COUNTS.items()
        for cycle, value in enumerate(values, start=4 - len(values))
    )
    return evolve(outcome, pauses=pauses, notes=notes)


def run(*machines: Machine) -> Run:
    outcomes = [invocation(config, 0, each.name) for each in machines for config in planned(NAME, each).configs]
    return make_run(outcomes, {**make_manifest(NAME), "quick": True})


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.accelerator)
@pytest.mark.parametrize("quick", [True, False])
def test_plans_hold_what_can_be_run_and_survive_the_manifest(machine: Machine, quick: bool) -> None:
    plan = planned(NAME, machine, quick=quick)
    for config in plan.configs:
        settings.check(config)
    assert len({to_json(config) for config in plan.configs}) == len(plan.configs)
    assert from_json(to_json(plan), Plan) == plan
    assert {"uffd-wp-log", "soft-dirty", "cards", "none"} <= {config.barrier for config in plan.configs}
    assert {128, 512, 4096} <= {config.barrier_params.get("card_bytes") for config in plan.configs}
    if machine.emulated:
        assert max(config.heap_bytes for config in plan.configs) <= 16 << 20


def test_there_are_three_figures_for_each_machine_and_the_numbers_of_all() -> None:
    script, measured = campaign.script_of(NAME), run(NATIVE, GUEST)
    parts = ("gcbench", "graph_edits", "pollution")
    assert set(script.figures(measured)) == {f"{NAME}-{part}-{m.name}" for part in parts for m in (NATIVE, GUEST)}
    said = told(script.table(measured))
    for name in ("stop-the-world", "bdwgc", "cards, 128 B", "cards, 4 KiB", "uffd-wp-log", "soft-dirty"):
        assert name in said


def test_what_is_read_of_an_invocation() -> None:
    script = campaign.script_of(NAME)
    config = next(each for each in planned(NAME).configs if each.collector == "generational")
    outcome = invocation(config)
    assert script.minor_stops(outcome) == [50 + 70, 80]
    assert script.noted(outcome, "full cycle") == 1
    pollution = script.figures(run(NATIVE))[f"{NAME}-pollution-native"]
    scanned = [line for axes in pollution.axes for line in axes.lines if axes.get_label().startswith("old objects")]
    assert scanned
    assert {float(y) for line in scanned for y in line.get_ydata()} == {800 / 50}
    nothing = evolve(outcome, notes=())
    assert math.isnan(script._share("survived bytes", "young bytes")(nothing))


def test_each_panel_of_pollution_varies_one_thing() -> None:
    pollution = campaign.script_of(NAME).figures(run(NATIVE))[f"{NAME}-pollution-native"]
    for axes in pollution.axes:
        for line in axes.lines:
            assert len(set(line.get_xdata())) == len(line.get_xdata()) > 1


def test_the_barrier_of_the_others_is_in_the_table_alone() -> None:
    figure = campaign.script_of(NAME).figures(run(NATIVE))[f"{NAME}-gcbench-native"]
    names = {line.get_label() for axes in figure.axes for line in axes.lines if not line.get_label().startswith("_")}
    assert names == {"cards", "uffd-wp-log", "soft-dirty"}
