"""The words of reports: what a unit, an axis, a measure and a table say, and that every axis reads as what is on it."""

import re
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from textwrap import dedent
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from planned import GUEST, NATIVE, looks_run, told
from synthetic import make_manifest, make_outcome, make_outcomes, make_run

from gcbarrier import report
from gcbarrier import results as metrics
from gcbarrier.campaign import experiments as campaign
from gcbarrier.experiment import Plan, choose, product
from gcbarrier.model import Config, Finding, Machine, Outcome, Probe, Reading, Verification, converter, evolve
from gcbarrier.report import (
    BARRIER,
    BYTES,
    COUNT,
    INSTRUCTIONS,
    NS,
    PER_S,
    PERCENT,
    RATIO,
    SHARE,
    Across,
    Axis,
    Column,
    Comparison,
    Curves,
    Drawn,
    Flag,
    Grid,
    Lines,
    Measure,
    Names,
    Pauses,
    Report,
    Rows,
    Tails,
    Unit,
    reading,
    verification_table,
)
from gcbarrier.report.looks import barrier_look
from gcbarrier.report.units import DASH, ticks
from gcbarrier.results import Cell, spread
from gcbarrier.results.points import points
from gcbarrier.results.run import Run

MIB, GIB = 1 << 20, 1 << 30
RATE = Axis("stores per second", "heap_params.rate_per_s", PER_S, endless=0.0, short="stores/s")
REMARK = Measure("remark pause", NS, lambda cell: cell.medians("remark"), head="remark")
SHAPES = {
    "ns": r"0|[\d.]+ (ns|µs|ms|s)",
    "per second": r"[\d.,]+( [kM])?",
    "count": r"[\d.,]+( [kM])?",
    "bytes": r"[\d.]+ (B|KiB|MiB|GiB)",
    "ratio": r"[\d.,]+",
    "%": r"0|[\d.,]+ %",
    "share": r"[\d.]+ %",
    "instructions": r"[\d.,]+",
}
"""How a tick of each unit reads."""


def rated(barrier: str, rate: float = 1e4, collector: str = "mostly-concurrent", **fields: Any) -> Config:
    return Config(heap="graph_edits", barrier=barrier, collector=collector, heap_params={"rate_per_s": rate}, **fields)


def small_run(*configs: Config, invocations: int = 2, **manifest: Any) -> Run:
    return make_run(make_outcomes(configs, invocations=invocations), {**make_manifest("x"), **manifest})


def drawn(figure_of: Any, run: Run, **fields: Any) -> Figure:
    (figure,) = Report(title="Q?", figure=figure_of, table=Lines(REMARK), **fields).figures(run).values()
    FigureCanvasAgg(figure).draw()
    return figure


def said(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def keys(figure: Figure) -> list[str]:
    return [text.get_text() for key in figure.legends for text in key.get_texts()]


def lines(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.lines if not str(line.get_label()).startswith("_")}


def labels(axis: Any) -> list[str]:
    low, high = sorted(axis.get_view_interval())
    there = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False)
    return [text.get_text() for at, text in there if low <= at <= high and text.get_text()]


# Plans


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({"full": 1}, [1, 1, 1, 1]),
        ({"full": 1, "quick": 2}, [1, 2, 1, 2]),
        ({"full": 1, "emulated": 3}, [1, 1, 3, 3]),
        ({"full": 1, "quick": 2, "emulated": 3}, [1, 2, 3, 3]),
        ({"full": 1, "quick": 2, "emulated": 3, "emulated_quick": 4}, [1, 2, 3, 4]),
        ({"full": 1, "quick": 0, "emulated_quick": 4}, [1, 0, 1, 4]),
    ],
)
def test_the_nearest_that_is_given_is_chosen(given: dict[str, int], chosen: list[int]) -> None:
    machines = (NATIVE, NATIVE, GUEST, GUEST)
    assert [choose(m, quick)(**given) for m, quick in zip(machines, (False, True) * 2, strict=True)] == chosen


def test_a_product_has_every_combination_the_last_fastest() -> None:
    configs = product(
        heap="graph_edits",
        heap_bytes=[MIB, 2 * MIB],
        heap_params=lambda at: {"nodes": at["heap_bytes"] // MIB},
        pairs=[("none", "never"), ("cards", "mostly-concurrent", {"every_s": 0.5})],
    )
    assert [(one.heap_bytes, one.barrier, one.collector) for one in configs] == [
        *((MIB, "none", "never"), (MIB, "cards", "mostly-concurrent")),
        *((2 * MIB, "none", "never"), (2 * MIB, "cards", "mostly-concurrent")),
    ]
    assert [one.heap_params["nodes"] for one in configs] == [1, 1, 2, 2]
    assert [dict(one.collector_params) for one in configs[:2]] == [{}, {"every_s": 0.5}]


def test_the_example_of_the_docstring_is_whole() -> None:
    code = report.__doc__.partition("exports that::\n\n")[2].partition("\nKeys, captions")[0]
    script: dict[str, Any] = {}
    exec(dedent(code), script)
    plan = script["plan"](machine=NATIVE, quick=True)
    assert (len(plan.configs), plan.invocations) == (6, 1)
    run = make_run(make_outcomes(plan.configs), make_manifest("x"))
    assert [axes.get_label() for axes in script["figures"](run)["x-native"].axes] == [
        *("remark pause", "all stops of a cycle")
    ]
    assert "soft-dirty: longer than a millisecond from 10 k on" in told(script["table"](run))


# Units


@pytest.mark.parametrize("unit", [NS, PER_S, COUNT, BYTES, RATIO, PERCENT, SHARE, INSTRUCTIONS], ids=lambda u: u.name)
def test_a_unit_reads_the_same_in_tables_and_on_axes(unit: Unit) -> None:
    assert unit.words(float("nan")) == DASH
    for value in (1.0, 1024.0, 5e6):
        assert re.fullmatch(SHAPES[unit.name], unit.ticked(value))


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (2.1, 7.9, "log"),
        (11, 19, "log"),
        (900, 1100, "log"),
        (1, 9e6, "log"),
        (64 * MIB, 65 * MIB, "binary"),
        (0, 13, "linear"),
    ],
)
def test_no_axis_has_a_single_label_or_too_many(low: float, high: float, scale: str) -> None:
    for most in (4, 6):
        places = ticks(low, high, scale, most)
        assert 2 <= len(places) <= most
        assert all(low <= place <= high for place in places)


def test_tables_and_units_need_no_matplotlib() -> None:
    code = "import sys, gcbarrier.report.tables, gcbarrier.report.units; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Every axis of every experiment

# What each panel's axes are in, by its label; an axis with names on it has no unit.
UNITS: dict[str, dict[str, tuple[Unit | None, Unit | None]]] = {
    "pause_times": {
        "distribution": (NS, SHARE),
        "phases": (None, None),
        "throughput": (RATIO, None),
        "cpu": (RATIO, None),
        "faults": (COUNT, None),
    },
    "dirty_rate": {
        "remark pause": (None, NS),
        "rounds before it": (None, COUNT),
        "all stops of a cycle": (None, NS),
        "stores per second managed": (None, PER_S),
    },
    "heap_scaling": {"the whole remark": (BYTES, NS), "its collect": (BYTES, None), "its rescan": (BYTES, None)},
    "rescan_rounds": {"remark pause": (NS, None), "collector, CPU": (NS, None), "mutator, CPU": (NS, None)},
    "stalls": {"tail": (NS, SHARE)},
    "boehm": {
        "stopped in a cycle": (NS, None),
        "processor time": (NS, None),
        "marking": (NS, None),
        "an allocation": (BYTES, NS),
    },
}


@pytest.mark.parametrize("name", UNITS)
def test_every_axis_of_sessions_reads_as_its_unit(name: str) -> None:
    seen = set()
    for figure in campaign.script_of(name).figures(looks_run(name)).values():
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            (panel,) = (label for label in UNITS[name] if axes.get_label().startswith(label))
            seen.add(panel)
            for axis, unit in zip((axes.xaxis, axes.yaxis), UNITS[name][panel], strict=True):
                there = labels(axis)
                if unit is not None:
                    assert len(there) > 1, f"{axes.get_label()}: {there} says nothing"
                    assert all(re.fullmatch(SHAPES[unit.name], text) for text in there), (axes.get_label(), there)
    assert seen == set(UNITS[name])


def probed(name: str, machine: Machine) -> Run:
    """A run of an experiment of probes, with readings such as they give."""
    own = "instructions" if machine.accelerator == "tcg-icount" else "ns"
    read = [
        Reading(what=what, x=x, value=value, low=value / 1.1, high=value * 1.2, unit=unit or own)
        for what, x, value, unit in READ[name]
    ]
    planned = campaign.script_of(name).plan(machine=machine, quick=True)
    findings = [
        Finding(probe=probe, index=index, machine=machine.name, readings=tuple(read))
        for probe in planned.probes
        for index in range(2)
    ]
    manifest = make_manifest(name)
    manifest["machines"][machine.name] = {**manifest["machines"]["native"], "accelerator": machine.accelerator}
    return evolve(make_run([], manifest), findings=tuple(findings))


_BOTH = (("arm", 0.0), ("first-store", 0.0), ("collect", 1.0), ("collect", 100.0))
READ: dict[str, list[tuple[str, float, float, str]]] = {
    "barrier_costs": [
        *((what, 0.0, 300.0, "") for what in ("store", "first-store", "arm")),
        *(("collect", x, 1000 * x + 50, "") for x in (0.03, 1.0, 10.0, 100.0)),
    ],
    "crossover": [("store", float(10**power), 900 / 10**power + 2, "") for power in range(6)],
    "overhead": [
        *((prefix + what, x, 1000.0, "") for prefix in ("", "bare-") for what, x in _BOTH),
        *((f"added-{what}", x, 2.0, "%") for what, x in _BOTH),
    ],
    "marking": [
        ("plain", 0.0, 20.0, ""),
        *((what, x, 18.0, unit) for what, unit in (("marker", ""), ("quotient", "x")) for x in (1.0, 2.0)),
        ("rescan", 1000.0, 900.0, ""),
    ],
}
_SIGNED = r"0|[+-][\d.,]+ %"


@pytest.mark.parametrize("name", READ)
def test_every_axis_of_probes_reads_as_one_unit(name: str) -> None:
    for figure in campaign.script_of(name).figures(probed(name, NATIVE)).values():
        FigureCanvasAgg(figure).draw()
        times = 0
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                there = labels(axis)
                shapes = {shape for shape in (*SHAPES.values(), _SIGNED) if all(re.fullmatch(shape, t) for t in there)}
                names = any(re.match(r"[^\d+-]", text) for text in there)
                assert shapes or names, (axes.get_label(), there)
                times += bool(there) and SHAPES["ns"] in shapes
        assert times, "no axis is in ns, and all of them measure time"


# What is drawn


def test_two_collectors_over_one_barrier_are_told_apart() -> None:
    rates = (1e4, 1e5)
    run = small_run(*(rated("cards", rate, who) for rate in rates for who in ("mostly-concurrent", "generational")))
    figure = drawn(Curves(x=RATE, y=REMARK), run)
    (axes,) = figure.axes
    one, other = lines(axes).values()
    assert sorted(lines(axes)) == sorted(keys(figure)) == ["cards, generational", "cards, mostly-concurrent"]
    assert one.get_color() != other.get_color()
    assert one.get_marker() != other.get_marker()
    figure = drawn(Comparison(), run)
    colours = {
        line.get_color()
        for axes in figure.axes
        for label, line in lines(axes).items()
        if axes.get_label() == "distribution" and label.endswith(" remark")
    }
    assert len(colours) == 2
    assert keys(figure)[:2] == ["cards, generational", "cards, mostly-concurrent"]


def test_one_collector_is_not_named_for_each_barrier() -> None:
    assert keys(drawn(Curves(x=RATE, y=REMARK), small_run(rated("cards"), rated("none", collector="never")))) == [
        "none",
        "cards",
    ]


def test_a_barrier_keeps_its_look_whatever_its_company() -> None:
    def look(*barriers: str) -> tuple[Any, Any]:
        (axes,) = drawn(Curves(x=RATE, y=REMARK), small_run(*map(rated, barriers))).axes
        line = lines(axes)["mine"]
        return line.get_color(), line.get_marker()

    assert look("mine") == look("a-barrier", "mine") == look("none", "another", "cards", "mine", "zzz")
    assert barrier_look("mine").colour not in {barrier_look(name).colour for name in ("none", "cards", "soft-dirty")}


def test_without_an_end_lies_to_the_right_and_is_named() -> None:
    (axes,) = drawn(Curves(x=RATE, y=REMARK), small_run(rated("cards"), rated("cards", 1e5), rated("cards", 0.0))).axes
    assert labels(axes.xaxis) == ["10 k", "100 k", "no limit"]
    assert list(lines(axes)["cards"].get_xdata()) == [1e4, 1e5, 1e6]


def test_hollow_is_drawn_and_explained_only_where_it_is_true() -> None:
    run = small_run(rated("cards"), rated("cards", 1e5))
    fast = Flag("too fast", lambda cell: RATE.value(cell) > 1e4, why="it is faster than it should be.")
    never = Flag("too fast", lambda _: False, why="it is faster than it should be.")
    figure = drawn(Curves(x=RATE, y=REMARK, hollow=fast), run)
    hollow = [line for line in figure.axes[0].lines if line.get_label() == "_hollow"]
    assert [list(line.get_xdata()) for line in hollow] == [[1e5]]
    assert keys(figure) == ["cards", "hollow: too fast"]
    assert "Hollow: it is faster than it should be." in said(figure)
    figure = drawn(Curves(x=RATE, y=REMARK, hollow=never), run)
    assert keys(figure) == ["cards"]
    assert "Hollow" not in said(figure)


def test_nothing_at_all_has_a_place_on_a_logarithmic_axis() -> None:
    none = Measure("left", COUNT.log, lambda cell: 0.0 if RATE.value(cell) < 1e5 else 50.0)
    figure = drawn(Curves(x=RATE, y=none), small_run(rated("cards"), rated("cards", 1e5)))
    assert list(lines(figure.axes[0])["cards"].get_ydata()) == [0.5, 50]
    assert "left: 0 is drawn at 0.5" in said(figure)


def test_captions_say_what_bars_are_only_where_there_are_any() -> None:
    panel = Curves(x=RATE, y=REMARK)
    assert "from the least to the greatest invocation" in said(drawn(panel, small_run(rated("cards"))))
    alone = said(drawn(panel, small_run(rated("cards"), invocations=1)))
    assert "bars" not in alone
    assert "the only invocation of each" in alone


def test_rows_hold_a_mark_for_each_series_and_say_its_value() -> None:
    run = small_run(rated("cards"), rated("mprotect"), rated("cards", 1e5))
    rates = Names("rate", lambda cell: RATE.say(RATE.value(cell)))
    (axes,) = drawn(Rows(rows=rates, x=REMARK, words=True), run).axes
    assert labels(axes.yaxis) == ["10 k", "100 k"]
    found = metrics.cells(run.outcomes)
    marks = {(line.get_label(), round(line.get_ydata()[0])): line.get_xdata()[0] for line in axes.lines}
    for cell in found:
        row = 0 if RATE.value(cell) == 1e4 else 1
        assert marks[cell.config.barrier, row] == REMARK.value(cell).centre
        assert REMARK.say(cell) in [text.get_text() for text in axes.texts]
    heights = [line.get_ydata()[0] for line in axes.lines if line.get_label() in ("cards", "mprotect")]
    assert len(set(heights)) == 3, "two series of a row do not cover one another"


def test_a_grid_has_a_box_for_each_pair_in_its_verdicts_colour() -> None:
    rates = Names("rate", lambda cell: RATE.say(RATE.value(cell)))
    verdict = Grid(
        rows=rates,
        columns=BARRIER,
        words=lambda cell: cell.config.barrier,
        verdict=lambda cell: "fast" if RATE.value(cell) > 1e4 else "slow",
        colours={"slow": "#112233", "fast": "#445566", "never": "#778899"},
    )
    figure = drawn(verdict, small_run(rated("cards"), rated("none", 1e5)))
    boxes = {box.get_label(): box for box in figure.axes[0].patches}
    assert set(boxes) == {"10 k/cards", "100 k/none"}
    assert boxes["10 k/cards"].get_facecolor()[0] == pytest.approx(0x11 / 255)
    assert keys(figure) == ["slow", "fast", "never"]


def test_a_panel_may_be_any_function_of_axes_and_cells() -> None:
    seen: list[Sequence[Any]] = []

    def by_hand(axes: Axes, cells: Sequence[Any]) -> None:
        axes.plot([0, 1], [0, 1], label="mine")
        seen.append(cells)

    figure = drawn((Curves(x=RATE, y=REMARK), by_hand, Drawn(by_hand, width=1.0)), small_run(rated("cards")))
    assert [axes.get_label() for axes in figure.axes] == ["remark pause", "by_hand", "by_hand"]
    assert [cell.config.barrier for cell in seen[0]] == ["cards"]


def test_probes_points_are_cells_too() -> None:
    probe = Probe(function="f:f", barrier="cards")
    read = tuple(
        Reading(what="collect", x=x, value=1000.0 * x, low=900.0 * x, high=1200.0 * x, unit="instructions", samples=3)
        for x in (1.0, 10.0)
    )
    store = Reading(what="store", value=5, unit="instructions")
    finding = Finding(probe=probe, index=0, machine="native", readings=(*read, store))
    broken = Finding(probe=probe, index=1, machine="native", error="out of [luck]")
    run = evolve(make_run([], make_manifest("x")), findings=(finding, broken))
    collect = reading("collecting", "collect")
    share = Axis("pages written", "x", PERCENT.log)
    report = Report(
        title="Q?",
        figure=Curves(x=share, y=collect, band=True),
        table=(Lines(share, collect.ranged, keep=collect.value), Across(rows=BARRIER, columns=share, value=collect)),
    )
    (figure,) = report.figures(run).values()
    (axes,) = figure.axes
    assert list(lines(axes)["cards"].get_ydata()) == [1000, 10_000]
    assert axes.get_title(loc="left") == "collecting, instructions"
    assert labels(axes.xaxis) == ["1 %", "10 %"]
    table = told(report.table(run))
    assert f"1,000 instr. (900 instr. {DASH} 1,200 instr.)" in table
    assert re.search(r"barrier +0 % +1 % +10 %", table)
    assert "failed: native: f/cards (shmem) #1: out of [luck]" in table
    assert points(run, "native")


def test_one_word_of_a_key_stands_there_once() -> None:
    figure = drawn(
        (Curves(x=RATE, y=REMARK), Rows(rows=Names("", lambda _: "all"), x=REMARK)), small_run(rated("cards"))
    )
    assert keys(figure) == ["cards"]


def test_what_there_is_none_of_is_not_in_the_key() -> None:
    def words(invocations: int, preempted: bool) -> list[str]:
        outcomes = make_outcomes([rated("none", collector="stop-the-world")], invocations=invocations)
        outcomes = [
            evolve(one, pauses=tuple(evolve(pause, preempted=preempted) for pause in one.pauses)) for one in outcomes
        ]
        return keys(drawn(Comparison(), make_run(outcomes)))

    assert "thin: one invocation" in words(2, False)
    assert "thin: one invocation" not in words(1, False)
    assert "hollow: a thread was descheduled around it" in words(1, True)
    assert "hollow: a thread was descheduled around it" not in words(1, False)


def test_words_beside_bars_do_not_touch() -> None:
    # Remarks, rearm stops, what they are together, and stalls: four lines in a row.
    figure = drawn(Comparison(), small_run(rated("uffd-wp-pagemap"), rated("none", collector="stop-the-world")))
    renderer = FigureCanvasAgg(figure).get_renderer()
    (axes,) = (axes for axes in figure.axes if axes.get_label() == "phases")
    boxes = sorted((text.get_window_extent(renderer) for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == 5
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))


# The small print


def test_how_it_was_measured_is_said() -> None:
    plain, quick = (said(drawn(Comparison(), small_run(rated("cards"), quick=quick))) for quick in (False, True))
    assert "--quick" not in plain
    assert "measured with --quick" in quick
    whole = said(drawn(Comparison(), small_run(rated("cards", verify=True))))
    part = said(drawn(Comparison(), small_run(rated("cards", verify=True), rated("cards", 1e5))))
    assert "--verify" not in plain
    assert "· measured with --verify, which takes time" in whole
    assert "in part measured with --verify" in part


def test_what_was_swept_is_said_as_a_range() -> None:
    rates = [1e3, 1e4, 1e5, 1e6, 1e7]
    text = said(drawn(Comparison(), small_run(*(rated("cards", rate) for rate in rates), invocations=1)))
    assert "graph_edits rate_per_s 1,000 to 10,000,000 (5 values)" in text
    text = said(drawn(Comparison(), small_run(rated("cards", 1e5), rated("cards", 1e3), invocations=1)))
    assert "graph_edits rate_per_s 1,000, 100,000 ·" in text
    sizes = [rated("cards", heap_bytes=size * MIB) for size in (64, 128, 256, 512, 1024)]
    assert "heap 64 MiB to 1 GiB (5 values)" in said(drawn(Comparison(), small_run(*sizes, invocations=1)))


def test_what_was_left_out_and_what_is_lacking_is_said_in_figure_and_table() -> None:
    plan = converter.unstructure(Plan(left_out=("8 GiB, which did not fit into memory",)))
    run = small_run(rated("cards"), plans={"native": plan}, lacking={"soft-dirty": {"why": "", "remedy": ""}})
    text = said(drawn(Comparison(), run))
    table = told(Report(title="Q?", figure=Comparison(), table=Pauses()).table(run))
    for words in ("left out: 8 GiB, which did not fit into memory", "not to be had on this machine: soft-dirty"):
        assert words in text
        assert words in table


# Tables


def test_lines_have_a_row_for_each_cell_in_the_order_of_key_and_axis() -> None:
    run = small_run(rated("cards", 0.0), rated("cards", 1e5), rated("cards", 1e4), rated("none", 1e4, "never"))
    report = Report(
        title="Q?",
        figure=Comparison(),
        table=Lines(RATE, REMARK.ranged, Column(head="[n]", words=lambda cell: str(len(cell.good))), title="{heap}"),
    )
    table = told(report.table(run)).splitlines()
    assert table[0].strip() == "native · graph_edits"
    assert re.match(r"barrier +stores/s +remark +\[n\]", table[1])
    assert [row.split()[:2] for row in table[2:6]] == [["none", "10"], ["cards", "10"], ["100", "k"], ["no", "limit"]]
    assert re.search(rf"µs \([\d.]+ µs {DASH} [\d.]+ µs\)", table[3])


def test_across_has_a_column_for_each_value_and_what_is_said_of_a_row() -> None:
    run = small_run(rated("cards"), rated("cards", 1e5), rated("none", 1e5, "never"))
    table = Across(rows=BARRIER, columns=RATE, value=REMARK, last=[("cells", lambda cells: str(len(cells)))])
    rows = told(Report(title="Q?", figure=Comparison(), table=table).table(run)).splitlines()
    assert re.match(r"barrier +10 k stores/s +100 k stores/s +cells", rows[1])
    assert rows[2].split()[:2] == ["none", DASH]
    assert rows[3].split()[-1] == "2"


def test_a_column_may_compare_with_a_baseline_of_its_own_table() -> None:
    def ns(cell: Cell) -> float:
        return RATE.value(cell) * (1 if cell.config.barrier == "none" else 3)

    against = Measure("x", NS, ns).against(lambda cell: cell.config.barrier == "none", "/ none")
    run = small_run(*(rated(barrier, rate) for barrier in ("none", "cards") for rate in (1e4, 1e6)))
    rows = told(Report(title="Q?", figure=Comparison(), table=Lines(against, per=RATE)).table(run))
    assert rows.split().count("3.00") == 2


def test_sentences_are_filled_in_from_the_cells() -> None:
    late = Flag("late", lambda cell: RATE.value(cell) > 1e4)
    report = Report(
        title="Over {heap_bytes}, {heap_params.rate_per_s} a second.",
        figure=Comparison(),
        table=lambda machine, cells: [f"{machine}: {len(cells)} by hand"],
        closing=(late.first(RATE, "{barrier}: late from {x} on"), lambda _: ["one more", ""]),
    )
    run = small_run(rated("cards"), rated("cards", 1e5), rated("cards", 0.0), rated("none"))
    (figure,) = report.figures(run).values()
    assert figure.texts[0].get_text() == "Over 64 MiB, 0 or 10,000 or 100,000 a second. Machine: native"
    table = told(report.table(run))
    assert table.split("\n")[:3] == ["native: 4 by hand", "cards: late from 100 k on", "one more"]


def test_the_oracles_table_tells_collectors_apart() -> None:
    def verified(collector: str) -> Outcome:
        seen = Verification(
            cycles_checked=1,
            objects_checked=1,
            reported_granules=1,
            written_granules=1,
            false_dirty_granules=0,
            lost_granules=0,
            checksum_matches=True,
        )
        return evolve(make_outcome(rated("cards", collector=collector), 0), verification=seen)

    table = verification_table(make_run([verified("generational"), verified("mostly-concurrent")]))
    rows = [line.split() for line in told(table).splitlines()]
    assert "collector" in rows[1]
    assert [row[4:6] for row in rows[2:4]] == [["cards", "generational"], ["cards", "mostly-concurrent"]]


def test_cells_come_in_the_same_order_however_a_run_was_shuffled() -> None:
    configs = [rated(barrier, rate) for barrier in ("cards", "none") for rate in (1e6, 2e3, 1e5)]
    outcomes = make_outcomes([*configs, evolve(configs[0], heap_params={})], invocations=2)
    expected = [cell.config for cell in metrics.cells(outcomes)]
    assert [one.heap_params.get("rate_per_s") for one in expected] == [None, 2e3, 2e3, 1e5, 1e5, 1e6, 1e6]
    for seed in range(5):
        shuffled = Random(seed).sample(outcomes, len(outcomes))
        found = metrics.cells(shuffled)
        assert [cell.config for cell in found] == expected
        assert all([one.invocation.index for one in cell.outcomes] == [0, 1] for cell in found)


def test_a_report_of_nothing_says_so() -> None:
    report = Report(title="Q?", figure=(Curves(x=RATE, y=REMARK), Rows(rows=BARRIER, x=REMARK)), table=Lines(REMARK))
    assert "no invocation was recorded" in told(report.table(make_run([])))
    broken = make_run([evolve(make_outcome(rated("cards"), 0, error="out of [luck]"), pauses=())])
    assert report.figures(broken)
    assert "failed: native: graph_edits/cards/mostly-concurrent #0: out of [luck]" in told(report.table(broken))
    tails = Tails(of=lambda cell: metrics.histogram(cell.good), label="t", share="s")
    assert Report(title="Q?", figure=tails, table=Lines(REMARK)).figures(broken)
    assert not spread([])
