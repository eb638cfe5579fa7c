"""Experiments without sessions: their plans, what their probes bring back, and that it survives the run directory."""

import csv
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gcbarrier.bench import probes as bench
from gcbarrier.bench.circumstances import CIRCUMSTANCES, page_barriers
from gcbarrier.bench.costs import is_software, measurable
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.errors import GcBarrierError
from gcbarrier.experiment import Plan
from gcbarrier.model import Finding, Machine, Measured, Probe, Reading, converter, evolve, from_json, to_json
from gcbarrier.plugins import discovery
from gcbarrier.results import store
from gcbarrier.results.points import points

MIB = 1 << 20
EXPERIMENTS = ("accuracy", "barrier_costs", "crossover", "marking", "overhead")
MACHINES = [
    Machine(name="native"),
    Machine(name="lab", accelerator="kvm"),
    Machine(name="lab", accelerator="tcg"),
    Machine(name="lab", accelerator="tcg-icount"),
]
NATIVE = ("machine=native",)


def probe(function: str, barrier: str, **arguments: Any) -> Probe:
    return Probe(function=f"gcbarrier.bench.{function}", barrier=barrier, heap_bytes=MIB, arguments=arguments)


def found(function: str, barrier: str, **arguments: Any) -> dict[tuple[str, float], Reading]:
    """What a probe reads, in this process."""
    finding = bench.run(bench.job(probe(function, barrier, **arguments), index=0))
    assert finding.error == ""
    return {(reading.what, reading.x): reading for reading in finding.readings}


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


def test_what_is_compared_is_found_by_what_it_promises() -> None:
    assert {"none", "uffd-wp-async", "uffd-wp-pagemap", "soft-dirty", "cards"} <= set(measurable())
    assert measurable()[0] == "none"
    assert {"uffd-wp-async", "soft-dirty"} <= set(page_barriers())
    assert not {name for name in page_barriers() if is_software(name)} | ({"none"} & set(page_barriers()))


def test_every_cost_is_there_and_every_collect_is_exact(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    for name in ("uffd-wp-async", "cards"):
        read = found("costs:operations", name, densities="1 10 100", budget_s=0.001)
        assert [what for what, _ in read] == ["first-store", "store", "arm", *["collect"] * 3]
        assert all(reading.value > 0 and reading.unit == "ns" for reading in read.values())
        assert all(reading.low <= reading.value <= reading.high for reading in read.values())
        notes = [reading.note for (what, _), reading in read.items() if what == "collect"]
        assert notes == ["3 of 3 pages", "26 of 26 pages", "256 of 256 pages"]
    assert set(found("costs:operations", "none", densities="1", budget_s=0.001)) == {("first-store", 0), ("store", 0)}


def test_rates_are_those_asked_for(needs) -> None:
    needs("async-uffd-wp")
    read = found("costs:store_rates", "uffd-wp-async", rates="1 10000", budget_s=0.001, most_stores=1 << 15)
    # A fault against ten thousand plain stores: three orders of magnitude, whatever else goes on.
    assert read["store", 1].value > read["store", 10000].value


def test_the_framework_is_measured_against_bare_calls_turn_by_turn(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    read = found("costs:framework", "uffd-wp-async", densities="0 100", budget_s=0.001)
    for what, share in (("arm", 0), ("first-store", 0), ("collect", 0), ("collect", 100)):
        counts = {read[prefix + what, share].samples for prefix in ("", "bare-", "added-")}
        assert len(counts) == 1, "each turn has both"
        assert read[f"added-{what}", share].unit == "%"
    other = bench.run(bench.job(probe("costs:framework", "none", densities="0", budget_s=0.001), index=0))
    assert "only uffd-wp-async" in other.error


def test_however_many_mark_they_reach_what_the_plain_loop_reaches() -> None:
    # The probe compares the counts, and fails where they differ.
    graph = evolve(probe("marker:marking", "none", markers="1 2 5", pages="100", rounds=3), heap_bytes=64 * MIB)
    finding = bench.run(bench.job(graph, index=0))
    assert finding.error == ""
    read = {(reading.what, reading.x): reading for reading in finding.readings}
    assert set(read) == {("plain", 0), ("rescan", 100), *((w, x) for w in ("marker", "quotient") for x in (1, 2, 5))}
    assert all(reading.samples == 3 and reading.low <= reading.value <= reading.high for reading in read.values())
    assert bench.run(bench.job(evolve(graph, arguments={**graph.arguments, "markers": "9"}), index=0)).error == (
        "1 to 8 markers can mark, not 9"
    )


def test_async_write_protection_is_exact_or_refuses(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    read = found("circumstances:accuracy", "uffd-wp-async")
    counts = {what: int(reading.value) for (what, _), reading in read.items()}
    assert {what.partition("/")[0] for what in counts} == set(CIRCUMSTANCES)
    for name in (
        "plain write",
        "neighbour merges",
        "MADV_DONTNEED",
        "fork",
        "read-only and back",
        "written by read(2)",
    ):
        assert (counts[f"{name}/false"], counts[f"{name}/lost"]) == (0, 0), name
        assert counts[f"{name}/reported"] == counts[f"{name}/expected"] > 0
    assert counts["another mapping writes/lost"] == 1
    refused = [reading.note for (what, _), reading in read.items() if what == "mremap moves it/refused"]
    assert refused == ["PAGEMAP_SCAN failed: Operation not permitted"]


def test_what_goes_wrong_in_a_probe_is_its_finding(needs) -> None:
    needs("async-uffd-wp")
    gone = bench.run(bench.job(probe("costs:nothing", "none"), index=3))
    assert (gone.error, gone.index) == ("there is no function nothing in gcbarrier.bench.costs", 3)
    with pytest.raises(ValueError, match="must match regex"):
        Probe(function="costs", barrier="none")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_from_the_plan_to_the_figure_and_back(name: str, shrunk, tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    shrunk(name)
    chosen = settings.read([*NATIVE, "invocations=2", "barrier=uffd-wp-async" + ",cards" * (name == "crossover")])
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
    again = store.load(tmp_path / "run")
    assert again.findings == run.findings
    assert converter.structure(again.manifest["plans"]["native"], Plan).probes
    script = campaign.script_of(name)
    assert list(script.figures(again)) == [f"{name}-native"]
    assert script.table(again)


def test_a_directory_without_probes_has_no_measurements(tmp_path: Path) -> None:
    with store.RunWriter(tmp_path / "old") as writer:
        writer.commit({"experiment": "x"})
    run = store.load(tmp_path / "old")
    assert run.findings == ()
    assert not (tmp_path / "old" / "measurements.csv").exists()
    assert run.measurements.shape == (0,)
    assert run.measurements.dtype.names == store.MEASUREMENT_COLUMNS


def test_readings_are_put_together_over_the_invocations(tmp_path: Path) -> None:
    one = probe("costs:operations", "cards")
    with store.RunWriter(tmp_path / "run") as writer:
        for index, value in enumerate((10.0, 12.0, 11.0)):
            reading = Reading(what="store", value=value, unit="ns", low=value - 1, high=value + 2, samples=5)
            finding = Finding(probe=one, index=index, machine="native", readings=(reading,))
            writer.add(Measured(record=finding))
        writer.commit({"experiment": "barrier_costs"})
    (point,) = points(store.load(tmp_path / "run"), "native")
    assert point.value.each == (10, 12, 11)
    assert (point.value.centre, point.low, point.high) == (11, 9, 14)
    assert point.disagreement == pytest.approx(0.2)


def test_runs_are_united_with_their_findings_apart(tmp_path: Path) -> None:
    runs = []
    for seed in (1, 2):
        with store.RunWriter(tmp_path / str(seed)) as writer:
            for index in range(2):
                reading = Reading(what="store", value=seed, unit="ns")
                finding = Finding(probe=probe("f:f", "none"), index=index, machine="native", readings=(reading,))
                writer.add(Measured(record=finding))
            writer.commit({"experiment": "barrier_costs", "seed": seed})
        runs.append(store.load(tmp_path / str(seed)))
    united = store.unite(runs).measurements
    assert united[["invocation", "value"]].tolist() == [(0, 1), (1, 1), (2, 2), (3, 2)]


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


def test_in_the_lab_soft_dirty_reports_falsely_and_loses(tmp_path: Path, needs) -> None:
    needs("lab")
    chosen = settings.read(["machine=lab", "barrier=soft-dirty,uffd-wp-async"])
    run = campaign.run("accuracy", out=tmp_path / "run", quick=True, settings=chosen)
    assert not campaign.failures(run)
    table = run.measurements[run.measurements["memory"] == "shmem"]
    counts = {(str(row["barrier"]), str(row["what"])): int(row["value"]) for row in table}
    assert counts["soft-dirty", "plain write/false"] == 0
    assert counts["soft-dirty", "neighbour merges/false"] == 62
    assert counts["soft-dirty", "MADV_DONTNEED/lost"] == 8
    assert counts["uffd-wp-async", "neighbour merges/false"] == counts["uffd-wp-async", "MADV_DONTNEED/lost"] == 0


def test_where_nothing_can_be_compared_the_figure_says_so(
    tmp_path: Path, shrunk: Callable[[str], None], recwarn: pytest.WarningsRecorder
) -> None:
    shrunk("overhead")
    chosen = settings.read(["barrier=none", "machine=native"])
    run = campaign.run("overhead", out=tmp_path / "run", quick=True, settings=chosen)
    (figure,) = campaign.script_of("overhead").figures(run).values()
    figure.canvas.draw()
    told = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any("nothing to compare" in text for text in told)
    assert not [str(each.message) for each in recwarn]
