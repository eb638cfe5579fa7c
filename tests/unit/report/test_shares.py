"""What is swept beside an experiment's own axes: no two cells that differ share a spot, a row or a name."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType
from synthetic import make_manifest, make_outcomes, make_run

from gcbarrier.campaign import settings
from gcbarrier.campaign.plans import Plan, product
from gcbarrier.model import Config, Finding, Outcome, Probe, Reading, converter, evolve
from gcbarrier.report import (
    BARRIER,
    NS,
    PER_S,
    Across,
    Axis,
    Comparison,
    Curves,
    Lines,
    Measure,
    Pauses,
    Report,
    counted_table,
)
from gcbarrier.report.differing import labels
from gcbarrier.report.grammar import reading
from gcbarrier.report.report import failures
from gcbarrier.results import Cell
from gcbarrier.results.lost import lost
from gcbarrier.results.points import points
from gcbarrier.results.run import Run

MIB = 1 << 20
RATE = Axis("stores per second", "heap_params.rate_per_s", PER_S, short="stores/s")
REMARK = Measure("remark", NS, lambda cell: cell.medians("remark"))
REPORT = Report(title="Stores.", figure=Curves(x=RATE, y=REMARK), table=Lines(RATE, REMARK))
COMPARISON = Report(title="Pauses.", figure=Comparison(), table=Pauses())
PLAN = Plan(
    configs=product(
        heap="graph_edits",
        heap_params=[{"rate_per_s": rate} for rate in (1e3, 1e4)],
        pairs=[("none", "stop-the-world"), ("uffd-wp-async", "mostly-concurrent"), ("cards", "mostly-concurrent")],
    ),
    invocations=2,
)


def swept(*pairs: str, plan: Plan = PLAN, error: str = "") -> Run:
    read = settings.read(pairs)
    plan = read.apply(plan)
    outcomes: Sequence[Outcome] = make_outcomes(plan.configs, invocations=plan.invocations)
    if error:
        outcomes = [evolve(one, error=error) for one in outcomes]
    manifest = {
        **make_manifest(),
        "settings": converter.unstructure(read),
        "plans": {"native": converter.unstructure(plan)},
    }
    return make_run(outcomes, manifest)


def printed(what: RenderableType | None) -> str:
    text = StringIO()
    Console(file=text, width=200).print(what)
    return text.getvalue()


def drawn(run: Run) -> dict[str, list[tuple[str, list[float]]]]:
    """Of each figure, each curve's name and its x."""
    return {
        name: [
            (line.get_label(), list(line.get_xdata()))
            for axes in figure.axes
            for line in axes.lines
            if not str(line.get_label()).startswith("_")
        ]
        for name, figure in REPORT.figures(run).items()
    }


def test_what_the_experiment_itself_varies_stays_in_one_figure() -> None:
    found = drawn(swept("graph_edits.rate_per_s=100,1000,10000"))
    assert list(found) == ["pause_times-native"]
    assert all(x == [100, 1000, 10000] for _, x in found["pause_times-native"])


@pytest.mark.parametrize(
    ("pairs", "names"),
    [
        (("mutators=1,2",), ("mutators 1", "mutators 2")),
        (("heap_bytes=64MiB,128MiB",), ("heap 64 MiB", "heap 128 MiB")),
        (("mostly-concurrent.rounds=0,4",), ("mostly-concurrent.rounds 0", "mostly-concurrent.rounds 4")),
        (("graph_edits.live_share=0.1,0.25",), ("graph_edits.live_share 0.1", "graph_edits.live_share 0.25")),
        (("duration_s=1,2", "mutators=3"), ("duration_s 1", "duration_s 2")),
        (("pin=none,together",), ("pin none", "pin together")),
        (("cards.card_bytes=128,512",), ("cards.card_bytes 128 B", "cards.card_bytes 512 B")),
    ],
)
def test_what_the_figure_has_no_room_for_gets_figures_of_its_own(
    pairs: tuple[str, ...], names: tuple[str, ...]
) -> None:
    run = swept(*pairs)
    found = drawn(run)
    assert list(found) == [f"pause_times-native-{name}" for name in names]
    for curves in found.values():
        # The baseline has no remark; the others have one point a rate, and no curve goes back.
        assert {name for name, _ in curves} >= {"uffd-wp-async", "cards"}
        assert all(x == [1e3, 1e4] for _, x in curves)
    table = printed(REPORT.table(run))
    assert [f"native at {name}:" in table for name in names] == [True, True]
    # Each time: its baseline, and the two barriers, at two rates.
    assert table.count("1 k") == 6


def test_a_grid_of_what_is_not_shown_has_a_figure_for_each_point() -> None:
    assert list(drawn(swept("mutators=1,2", "duration_s=1,2,3"))) == [
        f"pause_times-native-mutators {mutators}, duration_s {seconds}" for mutators in (1, 2) for seconds in (1, 2, 3)
    ]


def test_a_panel_hides_nothing_of_what_it_has_no_number_of() -> None:
    """The baseline has no remark: that the panel of remarks can't tell its heaps apart does not matter."""
    run = swept("heap_bytes=64MiB,128MiB", plan=Plan(configs=PLAN.configs[:1]))
    size = Axis("heap", "heap_bytes")
    shown = Curves(x=size, y=Measure("stops", NS, Cell.stopped))
    both = Report(title="Both.", figure=(shown, Curves(x=RATE, y=REMARK)), table=Lines(size))
    assert list(both.figures(run)) == ["pause_times-native"]
    hidden = Report(
        title="Hidden.", figure=(shown, Curves(x=RATE, y=Measure("s", NS, Cell.stopped))), table=Lines(size)
    )
    assert len(hidden.figures(run)) == 2


def test_runs_that_were_set_to_different_values_are_told_apart_when_they_are_united() -> None:
    one, two = swept("mutators=1"), swept("mutators=2")
    united = evolve(
        one,
        manifest={**one.manifest, "runs": [dict(one.manifest), dict(two.manifest)]},
        outcomes=(*one.outcomes, *two.outcomes),
        event_files=(*one.event_files, *two.event_files),
    )
    assert len(REPORT.figures(united)) == 2
    assert len(REPORT.figures(one)) == 1


@pytest.mark.parametrize("settings", [None, [], {"params": [1], "fields": 3, "points": {"a": 1}, "grid": None}])
def test_a_manifest_that_somebody_else_wrote_sweeps_nothing(settings: Any) -> None:
    run = swept("mutators=1,2")
    assert len(REPORT.figures(evolve(run, manifest={**make_manifest(), "settings": settings}))) == 1


def test_a_share_misses_nothing_that_was_planned_of_others() -> None:
    run = swept("mutators=1,2")
    for figure in REPORT.figures(run).values():
        said = " ".join(text.get_text() for text in figure.texts)
        assert "missing" not in said
        assert "12 invocations" in said
    assert not lost(run, "native")
    less = evolve(run, outcomes=run.outcomes[1:], event_files=run.event_files[1:])
    missing = ["1 of 12 outcomes" in " ".join(t.get_text() for t in f.texts) for f in REPORT.figures(less).values()]
    assert sorted(missing) == [False, True]


def test_a_comparison_has_a_row_for_each_workload_and_pair_and_names_them_all_differently() -> None:
    run = swept(
        *("mutators=1,2", "mostly-concurrent.rounds=0,4", "operations=1000,2000"),
        plan=Plan(configs=PLAN.configs[3:], invocations=1),
    )
    (figure,) = COMPARISON.figures(run).values()
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_label() == "distribution"]
    assert len(titles) == len(set(titles)) == 4
    assert "graph_edits, 64 MiB, 2 mutators, 1,000 operations" in titles
    for axes in figure.axes:
        if axes.get_label() == "phases":
            rows = [label.get_text() for label in axes.get_yticklabels()]
            assert len(rows) == len(set(rows)) == 5
    table = printed(COMPARISON.table(run))
    headings = [line for line in table.splitlines() if line.startswith("native · ")]
    assert len(headings) == len(set(headings)) == 4
    assert "mostly-concurrent, rounds 4" in table


def test_probes_of_other_parameters_are_other_points() -> None:
    read = settings.read(["cards.card_bytes=128,512"])
    probes = read.apply(
        Plan(probes=(Probe(function="a:b", barrier="cards"), Probe(function="a:b", barrier="none")))
    ).probes
    findings = tuple(
        Finding(
            probe=probe,
            index=0,
            machine="native",
            readings=(Reading(what="store", value=float(probe.barrier_params.get("card_bytes", 1)), unit="ns"),),
        )
        for probe in probes
    )
    run = evolve(make_run([], {**make_manifest(), "settings": converter.unstructure(read)}), findings=findings)
    assert {point.value.centre for point in points(run, "native")} == {1, 128, 512}
    store = reading("store", "store")
    report = Report(title="Stores.", figure=Curves(x=Axis("heap", "heap_bytes"), y=store), table=Lines(store))
    table = printed(report.table(run))
    assert ["128 ns" in table, "512 ns" in table, table.count("none")] == [True, True, 2]
    assert list(report.figures(run)) == [f"pause_times-native-cards.card_bytes {size} B" for size in (128, 512)]


def test_records_of_an_experiments_own_are_made_of_each_share() -> None:
    """What they sum up must not be of cells that differ."""

    class Summed:
        def __init__(self, found: Sequence[Cell]) -> None:
            self.barrier, self.count = "all", len(found)

    report = Report(
        title="Sums.",
        figure=Curves(x=Axis("cells", "count"), y=REMARK),
        table=Across(rows=BARRIER, columns=Axis("cells", "count"), value=Measure("cells", NS, lambda one: one.count)),
        cells=lambda run, machine: [Summed(_cells(run, machine))],
    )
    table = printed(report.table(swept("mutators=1,2")))
    assert table.count("native at mutators") == 2
    assert table.count("6 ns") == 2
    assert "12 ns" not in table


def _cells(run: Run, machine: str) -> Sequence[Any]:
    from gcbarrier.results import cells

    return cells(run.on(machine))


def test_failures_and_counts_of_different_cells_have_different_names() -> None:
    run = swept("mutators=1,2", error="it broke")
    said = list(failures(run, "native"))
    assert len(said) == len(set(said)) == 24
    assert "failed: native: graph_edits/cards/mostly-concurrent (2 mutators, rate_per_s 1,000) #0: it broke" in said
    run = swept("mutators=1,2", "duration_s=1,2")
    tallied = evolve(run, outcomes=tuple(evolve(one, tallies={"seen": at}) for at, one in enumerate(run.outcomes, 1)))
    counted = printed(counted_table(tallied))
    for mutators in ("1 mutator", "2 mutators"):
        for seconds in (1, 2):
            assert f"graph_edits, 64 MiB, {mutators}, {seconds} s (rate_per_s=1000.0)" in counted


def test_labels_say_no_more_than_it_takes() -> None:
    one = Config(heap="graph_edits", barrier="cards", collector="mostly-concurrent")
    assert labels([one, one]) == {one: "graph_edits/cards/mostly-concurrent"}
    other = evolve(one, heap_bytes=128 * MIB, heap_params={"rate_per_s": 0.1})
    third = evolve(one, heap="gcbench", mutators=4)
    assert list(labels([one, other, third]).values()) == [
        "graph_edits/cards/mostly-concurrent (64 MiB, rate_per_s default)",
        "graph_edits/cards/mostly-concurrent (128 MiB, rate_per_s 0.1)",
        "gcbench/cards/mostly-concurrent",
    ]


def test_names_of_figures_become_names_of_files(tmp_path: Path) -> None:
    from gcbarrier.report import save

    written = save(REPORT.figures(swept("mostly-concurrent.rounds=0,4")), tmp_path)
    assert {path.name for path in written} >= {
        "pause_times-native-mostly-concurrent.rounds-0.png",
        "pause_times-native-mostly-concurrent.rounds-4.png",
    }
