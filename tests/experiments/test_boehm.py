"""The experiment boehm: what it compares, and that every number reaches figure and table."""

from io import StringIO

import pytest
from rich.console import Console
from synthetic import make_outcome, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.settings import check
from gcbarrier.model import Machine, Outcome, Pause, evolve, from_json, to_json
from gcbarrier.report.units import TIMES
from gcbarrier.results import cells
from gcbarrier.results.run import Run

NATIVE = Machine(name="native")
WHO = {"mostly-concurrent": 1, "stop-the-world": 1, "bdwgc": 10}
"""What each takes in these outcomes, in units of something."""


def pause(kind: str, length_ns: int, cycle: int = 1) -> Pause:
    parts = dict.fromkeys(
        ("ttsp_ns", "roots_ns", "collect_ns", "rescan_ns", "resume_ns", "dirty_granules", "rounds"), 0
    )
    return Pause(
        cycle=cycle, kind=kind, start_ns=1, pause_ns=length_ns, mark_ns=length_ns // 2, preempted=False, **parts
    )


def outcome(config, index: int) -> Outcome:
    unit = WHO[config.collector]
    kind = "remark" if "hot_share" in config.heap_params else "full"
    # All stops of a cycle count; a full collection among the generational ones is none to compare.
    kinds = [pause(kind, 1_000_000 * unit)]
    if kind == "remark":
        kinds = [pause("rearm", 400_000 * unit), pause(kind, 600_000 * unit), pause("full", 7_000_000_000, cycle=2)]
    return evolve(
        make_outcome(config, index),
        pauses=tuple(kinds),
        operations=1_000_000,
        mutator_cpu_ns=30_000_000 * unit,
        collector_cpu_ns=10_000_000 * unit,
        facts={"bdwgc": "8.2.2", "incremental": 1, "vdb": "mprotect"},
    )


@pytest.fixture
def script():
    return campaign.script_of("boehm")


@pytest.fixture
def run(script) -> Run:
    plan = script.plan(machine=NATIVE, quick=False)
    return make_run([outcome(config, index) for index in range(2) for config in plan.configs])


@pytest.mark.parametrize("quick", [True, False])
def test_both_have_the_same_memory_and_program(script, quick: bool, needs) -> None:
    needs("bdwgc")
    plan = script.plan(machine=NATIVE, quick=quick)
    programs: dict[tuple, set[str]] = {}
    for config in plan.configs:
        check(config)
        key = (config.heap, config.heap_bytes, config.mutators, tuple(sorted(config.heap_params.items())))
        programs.setdefault(key, set()).add("Boehm" if config.collector == "bdwgc" else "ours")
    assert all(both == {"Boehm", "ours"} for both in programs.values())
    assert plan.invocations == (1 if quick else 5)
    assert from_json(to_json(plan), Plan) == plan
    assert not script.plan(machine=Machine(name="lab", accelerator="tcg"), quick=quick).configs


MEASURES = {"STOPPED": 4, "REMARK": 4, "CPU": 4, "MARKING": 2, "ALLOCATION": 10}
"""And how many comparisons each has."""


def compared(script, run: Run, measure: str) -> dict[str, list[float]]:
    """Of each collector its numbers in one comparison."""
    found: dict[str, list[float]] = {}
    for cell in cells(run.outcomes):
        if value := getattr(script, measure).value(cell):
            found.setdefault(script.who(cell), []).append(value.centre)
    return found


def test_every_comparison_has_its_ratio(script, run: Run) -> None:
    for name, count in MEASURES.items():
        by = compared(script, run, name)
        assert len(by["gcbarrier"]) == len(by["Boehm"]) == count
        assert by["Boehm"] == pytest.approx([10 * ours for ours in by["gcbarrier"]])
        assert (set(by) == set(script.LOOKS)) == (name == "MARKING")
    assert compared(script, run, "CPU")["gcbarrier"] == pytest.approx([40] * 4)
    assert set(compared(script, run, "STOPPED")["gcbarrier"]) == {1_000_000}
    assert set(compared(script, run, "REMARK")["gcbarrier"]) == {600_000}
    sizes = (1 << 22, 1 << 24)
    assert sorted(compared(script, run, "MARKING")["gcbarrier"]) == sorted(500_000 / size for size in sizes)
    assert compared(script, run, "ALLOCATION")["gcbarrier"] == pytest.approx([0.03] * 10)


def test_failed_invocations_count_nowhere_and_are_named(script, run: Run) -> None:
    bad = make_run([evolve(one, error="it broke") if one.invocation.index == 1 else one for one in run.outcomes])
    values = [getattr(script, name).value(cell) for name in MEASURES for cell in cells(bad.outcomes)]
    assert {len(value.each) for value in values if value} == {1}
    assert "it broke" in shown(script, bad)


def shown(script, run: Run) -> str:
    console = Console(file=StringIO(), width=200)
    console.print(script.table(run))
    return console.file.getvalue()


def test_figure_and_table_hold_every_comparison(script, run: Run) -> None:
    (figure,) = script.figures(run).values()
    words = " ".join(text.get_text() for axes in figure.axes for text in (*axes.texts, *axes.get_yticklabels()))
    table = shown(script, run)
    for cell in cells(run.outcomes):
        for names in (script.EDITS, script.LIVE):
            assert names.name(cell) in table
            assert names.name(cell) in words
        assert script.SIZES.name(cell) in table
    assert sum(line.rstrip().endswith(" 10") for line in table.splitlines()) == sum(MEASURES.values())
    assert words.count(f" (10 {TIMES})") == 4 + 4 + 2 * 2
    allocated = [line for line in figure.axes[3].lines if not line.get_label().startswith("_")]
    assert len(allocated) == 4, "two collectors, with gaps and without"
    small = " ".join(text.get_text() for text in figure.texts)
    assert "Boehm 8.2.2, generational over mprotect" in small


def test_nothing_measured_draws_empty_panels(script) -> None:
    run = make_run([])
    assert script.figures(run) == {}
    failed = make_run(
        [evolve(outcome(script.plan(machine=NATIVE, quick=True).configs[0], 0), error="no", pauses=(), operations=0)]
    )
    assert list(script.figures(failed)) == ["pause_times-native"]
