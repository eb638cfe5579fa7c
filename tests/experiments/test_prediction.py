"""Predicted beside measured: what is planned, what programs are taken to do, and how errors are reckoned."""

import re
from pathlib import Path

import numpy as np
import pytest
from constants import barrier, machine
from places import PLUGINS
from planned import MACHINES, NATIVE, planned, told
from synthetic import make_manifest, make_outcome, make_run

from gcbarrier import measure
from gcbarrier.bench.costs import is_software
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.campaign.calibration import of_run
from gcbarrier.campaign.matching import check
from gcbarrier.costs.awake import Awake
from gcbarrier.costs.described import described, written_under
from gcbarrier.costs.judged import ALL, COLLECTOR, MUTATORS, REMARK, Compared, errors, judged
from gcbarrier.model import Config, Cycle, Finding, Machine, Outcome, Pause, Probe, Reading, evolve
from gcbarrier.plugins import discovery
from gcbarrier.results import Spread, cells, spread
from gcbarrier.results.run import Run

MIB, MS = 1 << 20, 1e6
SCRIPT = campaign.script_of("prediction")


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.accelerator)
@pytest.mark.parametrize("quick", [True, False])
def test_every_program_runs_without_a_barrier_and_under_each_but_none_is_described_by_itself(
    machine: Machine, quick: bool
) -> None:
    plan = planned("prediction", machine, quick=quick)
    for config in plan.configs:
        check(config)
    programs = {(config.heap, str(config.heap_params)) for config in plan.configs}
    assert {"graph_edits", "gcbench", "requests", "bursts", "allocate", "snapshot"} <= {heap for heap, _ in programs}
    for heap, params in programs:
        mine = {one.barrier for one in plan.configs if (one.heap, str(one.heap_params)) == (heap, params)}
        assert "none" in mine
        assert mine == {"none"} or set(SCRIPT.BARRIERS) <= mine
        assert (SCRIPT.REFERENCE in mine) == (heap not in ("bursts", "trace") and len(mine) > 1)
    assert SCRIPT.REFERENCE not in SCRIPT.BARRIERS
    assert {probe.barrier for probe in plan.probes} == {"none", SCRIPT.REFERENCE, *SCRIPT.BARRIERS}


@pytest.mark.parametrize(
    ("heap", "params", "operations"),
    [
        ("graph_edits", {"rate_per_s": 0.0}, 20_000),
        ("graph_edits", {"rate_per_s": 0.0, "garbage_per_edit": 0.5, "replace_share": 0.3, "references": 6}, 20_000),
        ("gcbench", {}, 500),
        ("requests", {"reads": 20}, 2000),
        ("allocate", {}, 50),
        ("snapshot", {"rate_per_s": 0.0}, 20_000),
    ],
)
def test_programs_store_as_many_references_as_they_are_taken_to(
    heap: str, params: dict[str, float], operations: int
) -> None:
    """Counted by a barrier that does nothing else, in two runs: what building the heap stores is in both."""
    discovery.add_path(PLUGINS)
    config = Config(
        heap=heap,
        heap_params=params,
        barrier="counting",
        collector="stop-the-world",
        heap_bytes=64 * MIB,
        duration_s=60.0,
    )
    outcomes = [measure(evolve(config, operations=count), seed=1)[0] for count in (operations, 3 * operations)]
    assert not any(outcome.error for outcome in outcomes)
    few, many = (outcome.tallies["stores"] for outcome in outcomes)
    counted = (many - few) / (outcomes[1].operations - outcomes[0].operations)
    assert SCRIPT.stores_per_operation(config) == pytest.approx(counted, rel=0.03, abs=0.01)


CONFIG = Config(heap="graph_edits", barrier="none", collector="stop-the-world", heap_params={"rate_per_s": 1e5})
PAUSE = {"cycle": 1, "start_ns": 0, "roots_ns": 0, "collect_ns": 0, "rescan_ns": 0, "resume_ns": 0, "rounds": 1}


def session(config: Config, index: int, **fields: float) -> Outcome:
    """Of a second, 10 cycles of 20 ms, 100,000 operations of which each takes 1 µs."""
    kind = "full" if config.barrier == "none" else "remark"
    pause = Pause(
        kind=kind, pause_ns=int(fields.get("pause_ns", 5000)), ttsp_ns=1000, mark_ns=10_000_000, dirty_granules=0,
        preempted=False, **PAUSE,
    )  # fmt: skip
    cycles = tuple(
        Cycle(
            cycle=at, cause="time", start_ns=0, duration_ns=20_000_000, rounds=1, marked_objects=1,
            mark_ns=10_000_000, live_bytes=1, round_dirty=(int(fields.get("found", 0)),),
        )
        for at in range(10)
    )  # fmt: skip
    return evolve(
        make_outcome(config, index),
        pauses=(pause,),
        cycles=cycles,
        wall_ns=1_000_000_000,
        operations=100_000,
        mutator_cpu_ns=int(100_000 * fields.get("cpu_ns", 1000)),
        collector_cpu_ns=int(10 * fields.get("collector_ns", 12 * MS)),
        minor_faults=int(10 * fields.get("faults", 0)),
    )


def under(name: str, every_s: float = 0.1) -> Config:
    return evolve(CONFIG, barrier=name, collector="mostly-concurrent", collector_params={"every_s": every_s})


def test_windows_under_the_reference_are_its_marking_and_the_rest_of_a_cycle() -> None:
    (plain,) = cells([session(CONFIG, index) for index in range(2)])
    (reference,) = cells([session(under("uffd-wp-pagemap"), index, found=500, faults=2500) for index in range(2)])
    written = written_under([reference], plain, first_ns=1000, paced=True)
    assert written is not None
    assert written.windows_ns == pytest.approx([10 * MS, 80 * MS])
    assert written.pages[0] == pytest.approx([500, 2000])
    unpaced = written_under([reference], plain, first_ns=1000, paced=False)
    assert unpaced is not None
    # In 10 ms of marking half a millisecond was lost to 500 faults.
    assert unpaced.windows_ns[0] == pytest.approx(9.5 * MS)


def test_errors_are_of_the_whole_and_of_what_a_barrier_adds() -> None:
    (plain,) = cells([session(CONFIG, index) for index in range(2)])
    (reference,) = cells([session(under("uffd-wp-pagemap"), index, found=500, faults=2500) for index in range(2)])
    written = written_under([reference], plain, first_ns=1000, paced=True)
    assert written is not None
    about = described(plain, 100 * MS, written, stores_per_operation=1, paced=True, rounds=0, awake=Awake({}))
    assert about is not None
    assert about.collector_ns == pytest.approx(12 * MS)
    one = barrier("b", first_store=1000, last=(5000.0, 0.0, 0.0))
    said = about.predicted("b", machine(one))
    # Of all that goes by between two remarks a tenth is the mutators', and so many faults of a µs.
    assert said.program_ns[0] == pytest.approx(100 * MS - said.remark_ns[0])
    added = said.faults[0] * 1000 / (said.program_ns[0] / 10)
    assert said.mutator_share[0] == pytest.approx(added, rel=1e-3)
    measured = [session(under("uffd-wp-async"), index, cpu_ns=1000 * (1 + added / 2)) for index in range(2)]
    (cell,) = cells(measured)
    found = {each.what: each for each in judged(cell, plain, about, said, program="p")}
    assert set(found) == {MUTATORS, COLLECTOR, REMARK}
    assert found[MUTATORS].off == pytest.approx(100 * ((1 + added) / (1 + added / 2) - 1), rel=1e-3)
    assert found[MUTATORS].added_off == pytest.approx(100, rel=1e-3)
    assert np.isnan(found[COLLECTOR].added_off), "it adds nothing that was measured"
    assert found[REMARK].added_off == found[REMARK].off
    off = {(each.what, each.barrier): each for each in errors(list(found.values()))}
    assert off[MUTATORS, ALL].whole.centre == pytest.approx(abs(found[MUTATORS].off))
    idle = {each.what for each in judged(cell, plain, about, said, program="p", busy=False)}
    assert idle == {COLLECTOR, REMARK}


def test_of_all_barriers_each_program_counts_once_and_intervals_are_counted_that_hold() -> None:
    """One program under many barriers, off by 10 % under each, and four under one, off by 50 %."""

    def one(program: str, barrier: str, predicted: float) -> Compared:
        said = Spread(centre=predicted, low=predicted - 20, high=predicted + 20, each=(), kind="interval")
        seen = spread([100.0])
        return Compared(what=REMARK, program=program, barrier=barrier, predicted=said, measured=seen, baseline=0.0)

    many = [one("p", f"b{at}", 110.0) for at in range(20)]
    few = [one(f"p{at}", "b0", 150.0) for at in range(4)]
    off = {each.barrier: each for each in errors([*many, *few])}
    assert off[ALL].whole.centre == pytest.approx(50)
    assert len(off[ALL].whole.each) == 5
    assert off[ALL].held == pytest.approx(20 / 24)
    assert off["b1"].held == 1


def finding(probe: Probe, index: int) -> Finding:
    """What probes bring back, made up."""
    if probe.function.endswith("marking"):
        readings = [
            Reading(what="rescan", x=1000, value=900, unit="ns"),
            Reading(what="marker", x=1, value=25, unit="ns"),
        ]
    else:
        pages = probe.heap_bytes / 4096
        software = is_software(probe.barrier)
        plain = probe.barrier == "none"
        readings = [
            Reading(what="store", value=0.5 + 0.3 * software + 0.01 * index, unit="ns"),
            Reading(what="first-store", value=3 if plain else 20 if software else 1200 + index, unit="ns"),
        ]
        readings += [
            Reading(what=what, x=x, value=100 + pages + 30 * x / 100 * pages, unit="ns")
            for what in ("collect", "collect-last", "arm-again")
            for x in (0.1, 3.0, 100.0)
            if not plain
        ]
    return Finding(probe=probe, index=index, machine="native", readings=tuple(readings))


def made_up() -> Run:
    """A run as it is planned, of which nothing was measured."""
    plan = planned("prediction", NATIVE)
    outcomes = [
        session(config, index, found=500 * (config.barrier != "none"), faults=2500 * (config.barrier != "none"))
        for config in plan.configs
        for index in range(2)
    ]
    run = make_run(outcomes, make_manifest("prediction"))
    return evolve(run, findings=tuple(finding(probe, index) for probe in plan.probes for index in range(2)))


def test_the_figure_has_a_point_for_each_program_under_each_barrier_and_the_table_its_numbers() -> None:
    run = made_up()
    assert of_run(run).lacking == ()
    (figure,) = SCRIPT.figures(run).values()
    drawn = {axes.get_label(): axes for axes in figure.axes}
    assert list(drawn) == [MUTATORS, COLLECTOR, REMARK]
    programs = {SCRIPT.program_name(cell) for cell in cells(run.outcomes) if cell.config.barrier in SCRIPT.BARRIERS}
    for what, axes in drawn.items():
        marks = [each for each in axes.containers if each.get_label()]
        wanted = programs - {"bursts"} if what == MUTATORS else programs
        assert len(marks) == len(wanted) * len(SCRIPT.BARRIERS)
    text = told(SCRIPT.table(run))
    assert "median absolute error of the whole" in text
    assert "within the interval" in text
    for name in (*programs, *SCRIPT.BARRIERS, ALL):
        assert name in text
    assert re.search(r"remark: furthest off is .* predicted .* measured", text)
    assert SCRIPT.REFERENCE in text


def test_a_run_without_probes_is_shown_without_errors() -> None:
    run = evolve(made_up(), findings=())
    assert SCRIPT.compared(run, "native") == []
    assert SCRIPT.figures(run)


def test_from_the_plan_to_the_table(tmp_path: Path, needs, monkeypatch: pytest.MonkeyPatch) -> None:
    """One program, one barrier, measured."""
    needs("async-uffd-wp", "pagemap-scan")
    monkeypatch.setattr(SCRIPT, "PROGRAMS", SCRIPT.PROGRAMS[:1])
    monkeypatch.setattr(SCRIPT, "BARRIERS", ("uffd-wp-async", "cards"))
    monkeypatch.setattr(SCRIPT, "_recorded", list)
    chosen = settings.read(["machine=native", "heap_bytes=16MiB", "duration_s=0.3", "seed=1"])
    run = campaign.run("prediction", out=tmp_path / "run", quick=True, settings=chosen)
    assert not campaign.failures(run)
    found = SCRIPT.compared(run, "native")
    assert {(one.what, one.barrier) for one in found} >= {
        (what, name) for what in (MUTATORS, COLLECTOR, REMARK) for name in ("uffd-wp-async", "cards")
    }
    assert all(one.predicted.centre > 0 for one in found)
