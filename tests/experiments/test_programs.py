"""Recorded programs: what is planned of them, what they are compared with, and what is said of page barriers."""

from pathlib import Path

import pytest
import recorded
from planned import GUEST, NATIVE, looks_measured, planned, told
from synthetic import make_manifest, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.campaign.matching import check
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Config, Machine, Outcome, evolve
from gcbarrier.results.run import Run

PROGRAMS = campaign.script_of("programs")


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    return [recorded.program(tmp_path / f"{name}.pages", pages=pages) for name, pages in (("a", 1000), ("b", 3000))]


def asked_for(name: str, recordings: list[Path], machine: Machine = NATIVE, *, quick: bool = True) -> Plan:
    pairs = ["heap=trace"] * (name != "programs") + [f"trace.recording={','.join(map(str, recordings))}"]
    return settings.read(pairs).apply(planned(name, machine, quick=quick))


def run_of(configs: list[Config], mutators_ns: dict[str, int], invocations: int = 5) -> Run:
    """Each page costs mutators so many ns over a barrier; 100 over others. Invocations differ by 1 %."""

    def of(config: Config, index: int) -> Outcome:
        outcome = looks_measured(config, index)
        each = mutators_ns.get(config.barrier, 100) * (100 + index) // 100
        return evolve(outcome, operations=1000, mutator_cpu_ns=1000 * each, wall_ns=10_000_000)

    outcomes = [of(config, index) for config in configs for index in range(invocations)]
    return make_run(outcomes, {**make_manifest("programs"), "quick": True})


@pytest.mark.parametrize(("machine", "quick"), [(NATIVE, True), (NATIVE, False), (GUEST, True)])
@pytest.mark.parametrize("name", ["programs", "pause_times", "generations", "lbo"])
def test_every_recording_runs_over_every_pair(name: str, machine: Machine, quick: bool, recordings: list[Path]) -> None:
    plan = asked_for(name, recordings, machine, quick=quick)
    by = {path: [c for c in plan.configs if c.heap_params["recording"] == str(path)] for path in recordings}
    assert {config.heap for config in plan.configs} == {"trace"}
    one, other = by.values()
    assert [(c.barrier, c.collector) for c in one] == [(c.barrier, c.collector) for c in other]
    assert {"none", "uffd-wp-log"} <= {config.barrier for config in one}
    for config in plan.configs:
        check(config)
    assert not plan.spare


@pytest.mark.parametrize("name", ["pause_times", "generations", "lbo"])
def test_recordings_are_only_run_where_they_are_asked_for(name: str) -> None:
    plan = settings.read([]).apply(planned(name))
    assert "trace" not in {config.heap for config in plan.configs}


def test_as_much_is_allocated_whatever_the_stores(recordings: list[Path]) -> None:
    each = {tuple(sorted(c.heap_params.items())) for c in asked_for("programs", recordings).configs}
    found = [dict(params) for params in each]
    assert {params["stores_per_page"] for params in found} == set(PROGRAMS.STORES)
    assert {params["stores_per_page"] * params["garbage_per_store"] for params in found} == {1.0}


def test_it_is_beside_none_and_beside_what_the_program_took(recordings: list[Path]) -> None:
    configs = list(asked_for("programs", recordings[:1]).configs)
    run = run_of(configs, {"uffd-wp-log": 300, "none": 100})
    found = {(one.config.barrier, PROGRAMS._stores(one.config)): one for one in PROGRAMS.billed(run, "native")}
    log = found["uffd-wp-log", 1]
    assert PROGRAMS.MUTATORS.value(log).centre == pytest.approx(3)
    # Of a tick of 10 ms the program took half: 5 ms for 143 pages. 200 ns more, and the median invocation's 2 %.
    assert PROGRAMS.TAX.value(log).centre == pytest.approx(100 * 204 / (5e6 / 143), rel=0.01)
    assert PROGRAMS.TAX.value(found["none", 1]).centre == 0
    # 1,000 pages in 10 ms, and 143 were due.
    assert PROGRAMS.PACE.value(log).centre == pytest.approx(100 * 1000 / 143, rel=0.01)
    recordings[0].unlink()
    PROGRAMS._recorded.cache_clear()
    (gone, *_) = PROGRAMS.billed(run, "native")
    assert not PROGRAMS.TAX.value(gone), "a run can be looked at without its recording"
    assert PROGRAMS.MUTATORS.value(gone)


def test_the_verdict_says_what_this_runs_intervals_say(recordings: list[Path]) -> None:
    configs = list(asked_for("programs", recordings).configs)
    dear = PROGRAMS.verdict(run_of(configs, {"uffd-wp-log": 300, "cards": 90})).splitlines()
    assert [line.partition(":")[0] for line in dear] == [
        f"{name}, {stores}" for name in "ab" for stores in ("1 store a page", "100 stores a page")
    ]
    assert all("costs mutators more than cards (" in line for line in dear)
    cheap = PROGRAMS.verdict(run_of(configs, {"mprotect": 50}))
    assert cheap.count(": mprotect costs mutators less than ") == 4
    equal = PROGRAMS.verdict(run_of(configs, {}))
    assert equal.count("neither less nor more for certain than") == 4
    alone = PROGRAMS.verdict(run_of(configs, {"mprotect": 50}, invocations=1))
    assert alone.count("neither less nor more for certain than") == 4, "one invocation tells nothing"


def test_there_is_a_row_for_each_program_and_a_table(recordings: list[Path]) -> None:
    run = run_of(list(asked_for("programs", recordings).configs), {})
    (figure,) = PROGRAMS.figures(run).values()
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["a, 1 store a page", "a, 100 stores a page", "b, 1 store a page", "b, 100 stores a page"]
    words = told(PROGRAMS.table(run))
    assert words.count("uffd-wp-async") == 4
    for head in ("remark", "mutators", "with the collector", "of the program's own", "99.99th", "of the mean rate"):
        assert head in words


def test_minor_collections_have_a_figure_for_each_recording(recordings: list[Path]) -> None:
    configs = asked_for("generations", recordings).configs
    outcomes = [looks_measured(config, index) for config in configs for index in range(2)]
    swept = {"grid": {"trace.recording": [str(path) for path in recordings]}}
    run = make_run(outcomes, {**make_manifest("generations"), "quick": True, "settings": swept})
    figures = campaign.script_of("generations").figures(run)
    assert len(figures) == 2
    assert all(name.startswith("generations-trace-native") for name in figures)


def test_the_bill_has_a_bound_for_each_recording(recordings: list[Path]) -> None:
    lbo = campaign.script_of("lbo")
    configs = asked_for("lbo", recordings).configs
    outcomes = [looks_measured(config, index) for config in configs for index in range(2)]
    run = make_run(outcomes, {**make_manifest("lbo"), "quick": True})
    assert lbo.PROGRAM.ordered(lbo.billed(run, "native")) == ["trace of a", "trace of b"]
    (figure,) = lbo.figures(run).values()
    assert len(figure.axes) == 4, "of each the two bills, and no panel for requests, which are not there"
    assert "how long a request takes" not in told(lbo.table(run))
