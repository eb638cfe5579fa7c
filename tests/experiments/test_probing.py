"""Experiments without sessions: their plans, what their probes bring back, and that it survives the run directory."""

import csv
from collections.abc import Callable
from math import inf
from pathlib import Path

import numpy as np
import pytest
from planned import told

from gcbarrier.bench.circumstances import page_barriers
from gcbarrier.bench.costs import is_software, measurable
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.campaign.plans import Plan
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Machine, converter, evolve, from_json, to_json
from gcbarrier.plugins import discovery
from gcbarrier.results.run import load

MIB = 1 << 20
EXPERIMENTS = ("accuracy", "barrier_costs", "crossover", "marking", "overhead", "soft_dirty")
WAYS = ("soft_dirty", "soft_dirty_time")
MACHINES = [
    Machine(name="native"),
    Machine(name="lab", accelerator="kvm"),
    Machine(name="lab", accelerator="tcg"),
    Machine(name="lab", accelerator="tcg-icount"),
]
NATIVE = ("machine=native",)


@pytest.fixture
def shrunk(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make an experiment's plan so small that it says nothing, and takes no time."""

    def shrink(name: str) -> None:
        script = campaign.script_of(name)
        plan = script.plan

        def small(*, machine: Machine, quick: bool) -> Plan:
            planned: Plan = plan(machine=machine, quick=quick)
            probes = []
            for each in planned.probes:
                arguments = dict(each.arguments)
                if "budget_s" in arguments:
                    arguments["budget_s"] = 0.001
                probes.append(evolve(each, heap_bytes=2 * MIB, arguments=arguments))
            return evolve(planned, probes=tuple(probes))

        monkeypatch.setattr(script, "plan", small)

    return shrink


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.accelerator)
@pytest.mark.parametrize("quick", [True, False])
def test_plans_hold_what_can_be_run_and_survive_the_manifest(name: str, machine: Machine, quick: bool) -> None:
    plan = campaign.script_of(name).plan(machine=machine, quick=quick)
    assert plan.probes
    assert not plan.configs
    assert discovery.summary("experiments", name).endswith("?")
    for each in plan.probes:
        module, _, function = each.function.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))
        assert each.barrier in discovery.names("barriers")
    assert from_json(to_json(plan), Plan) == plan
    assert converter.structure(converter.unstructure(plan), Plan) == plan


@pytest.mark.parametrize("machine", MACHINES[:3], ids=lambda machine: machine.accelerator)
@pytest.mark.parametrize("quick", [True, False])
def test_tracking_plans_arrays_and_programs(machine: Machine, quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    script = campaign.script_of("tracking")
    plan = script.plan(machine=machine, quick=quick)
    assert discovery.summary("experiments", "tracking").endswith("?")
    assert {each.barrier for each in plan.probes} == set(page_barriers())
    assert {each.arguments["random"] for each in plan.probes} == {True, False}
    assert {config.barrier for config in plan.configs} == {"none", *page_barriers()}
    for config in plan.configs:
        settings.check(config)
    assert from_json(to_json(plan), Plan) == plan
    monkeypatch.setattr(script.corpus, "names", lambda: ("app", "server"))
    programs = {
        str(config.heap_params.get("recording", config.heap))
        for config in script.plan(machine=machine, quick=quick).configs
    }
    assert programs == {"gcbench", "app", "server"}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.accelerator)
def test_both_ways_are_counted_and_timed_alike(machine: Machine) -> None:
    counted, timed = (campaign.script_of(name).plan(machine=machine, quick=False) for name in WAYS)
    assert (counted.counted, timed.counted) == (True, False)
    assert counted.probes == timed.probes
    assert discovery.summary("experiments", WAYS[1]).endswith("?")


def test_what_is_compared_is_found_by_what_it_promises() -> None:
    assert {"none", "uffd-wp-async", "uffd-wp-pagemap", "soft-dirty", "cards"} <= set(measurable())
    assert measurable()[0] == "none"
    assert {"uffd-wp-async", "soft-dirty"} <= set(page_barriers())
    assert not {name for name in page_barriers() if is_software(name)} | ({"none"} & set(page_barriers()))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_from_the_plan_to_the_figure_and_back(name: str, shrunk, tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    shrunk(name)
    fewer = {"crossover": ["barrier=uffd-wp-async,cards"], "soft_dirty": ["barrier=uffd-wp-async", "memory=shmem"]}
    chosen = settings.read([*NATIVE, "invocations=2", *fewer.get(name, ["barrier=uffd-wp-async"])])
    run = campaign.run(name, out=tmp_path / "run", quick=True, settings=chosen)
    assert not campaign.failures(run)
    assert run.machines == ("native",)
    assert not run.outcomes
    measured = run.measurements
    assert len(measured)
    assert set(measured["invocation"]) == {0, 1}
    assert (measured["low"] <= measured["high"]).all()
    with (tmp_path / "run" / "measurements.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["what"] for row in rows] == list(measured["what"])
    assert np.allclose([float(row["value"]) for row in rows], measured["value"])
    again = load(tmp_path / "run")
    assert again.findings == run.findings
    assert converter.structure(again.manifest["plans"]["native"], Plan).probes
    script = campaign.script_of(name)
    assert list(script.figures(again)) == [f"{name}-native"]
    assert script.table(again)


def test_a_crossing_is_where_the_fault_has_paid() -> None:
    crossing = campaign.script_of("crossover").crossing
    software = {1.0: 2.0, 10.0: 2.0, 100.0: 2.0, 1000.0: 2.0}
    assert crossing({rate: 1 + 100 / rate for rate in software}, software) == pytest.approx(100, rel=0.35)
    assert crossing(dict.fromkeys(software, 1.0), software) == 0
    assert crossing(dict.fromkeys(software, 3.0), software) == inf


def test_settings_reach_probes(shrunk) -> None:
    shrunk("barrier_costs")
    plan = campaign.script_of("barrier_costs").plan(machine=MACHINES[0], quick=True)
    chosen = settings.read(["barrier=cards", "cards.card_bytes=128", "heap_bytes=8MiB", "invocations=4"])
    changed = chosen.apply(plan, verify=False)
    assert [each.barrier for each in changed.probes] == ["none", "cards"], "the baseline stays"
    assert changed.probes[1].barrier_params == {"card_bytes": 128}
    assert {each.heap_bytes for each in changed.probes} == {8 * MIB}
    assert (changed.invocations, changed.counted) == (4, True)
    with pytest.raises(GcBarrierError, match="gcbench is not part of this plan"):
        settings.read(["gcbench.long_lived_depth=3"]).apply(plan, verify=False)


def test_where_nothing_can_be_compared_the_figure_says_so(
    tmp_path: Path, shrunk: Callable[[str], None], recwarn: pytest.WarningsRecorder
) -> None:
    shrunk("overhead")
    chosen = settings.read(["barrier=none", "machine=native"])
    run = campaign.run("overhead", out=tmp_path / "run", quick=True, settings=chosen)
    script = campaign.script_of("overhead")
    (figure,) = script.figures(run).values()
    figure.canvas.draw()
    assert any("nothing to compare" in text.get_text() for text in figure.texts)
    assert "nothing to compare" in told(script.table(run))
    assert not [str(each.message) for each in recwarn]
