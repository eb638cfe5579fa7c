"""What reports draw: marks and their looks, keys and captions, and the small print."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from drawn import RATE, REMARK, drawn, keys, labels, lines, rated, said, small_run
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from planned import told
from synthetic import make_manifest, make_outcomes, make_run

from gcbarrier import results
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Finding, Probe, Reading, converter, evolve
from gcbarrier.report import (
    BARRIER,
    COUNT,
    NS,
    PERCENT,
    Across,
    Axis,
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
    reading,
)
from gcbarrier.report.looks import barrier_look
from gcbarrier.report.units import DASH, RATIO
from gcbarrier.results import spread
from gcbarrier.results.points import points

MIB = 1 << 20

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
    none = Measure("page left", COUNT.log, lambda cell: 0.0 if RATE.value(cell) < 1e5 else 50.0)
    figure = drawn(Curves(x=RATE, y=none), small_run(rated("cards"), rated("cards", 1e5)))
    assert list(lines(figure.axes[0])["cards"].get_ydata()) == [0.5, 50]
    assert "No page left at all is drawn at 0.5." in said(figure)


def test_less_than_a_nanosecond_is_drawn_where_it_is() -> None:
    short = Measure("store", NS, lambda cell: 0.2 if RATE.value(cell) < 1e5 else 0.4)
    figure = drawn(Curves(x=RATE, y=short), small_run(rated("cards"), rated("cards", 1e5)))
    assert list(lines(figure.axes[0])["cards"].get_ydata()) == [0.2, 0.4]
    assert all(text.endswith(" ns") for text in labels(figure.axes[0].yaxis))
    assert "is drawn at" not in said(figure)


def test_captions_say_what_bars_are_only_where_there_are_any() -> None:
    panel = Curves(x=RATE, y=REMARK)
    assert "bars: ranges of 2 invocations." in said(drawn(panel, small_run(rated("cards"))))
    assert "bars: 95 % bootstrap intervals over 6 invocations." in said(
        drawn(panel, small_run(rated("cards"), invocations=6))
    )
    alone = said(drawn(panel, small_run(rated("cards"), invocations=1)))
    assert "bars" not in alone
    assert "the only invocation of each" in alone


@pytest.mark.parametrize(("why", "ended"), [("narrow", "and no more"), ("budget", "and did not get there")])
def test_the_small_print_says_that_a_width_decided_how_many(why: str, ended: str) -> None:
    plain = small_run(rated("cards"))
    added = evolve(plain, manifest={**plain.manifest, "until": {"native": {"wanted": 0.05, "why": why}}})
    words = "invocations were added until intervals were within ±5 %, "
    assert f"{words}{ended}" in said(drawn(Curves(x=RATE, y=REMARK), added))
    assert words not in said(drawn(Curves(x=RATE, y=REMARK), plain))


def test_captions_say_of_ratios_that_they_are_geometric_means():
    dear = Measure("dear", RATIO, lambda _: spread([1.0, 2], ratio=True))
    assert "medians, of ratios geometric means; bars" in said(drawn(Curves(x=RATE, y=dear), small_run(rated("cards"))))
    assert "geometric" not in said(drawn(Curves(x=RATE, y=REMARK), small_run(rated("cards"))))


def test_rows_hold_a_mark_for_each_series_and_say_its_value() -> None:
    run = small_run(rated("cards"), rated("mprotect"), rated("cards", 1e5))
    rates = Names("rate", lambda cell: RATE.say(RATE.value(cell)))
    (axes,) = drawn(Rows(rows=rates, x=REMARK, words=True), run).axes
    assert labels(axes.yaxis) == ["10 k", "100 k"]
    found = results.cells(run.outcomes)
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


def test_panels_may_stand_in_rows() -> None:
    run = small_run(rated("cards"), rated("none", collector="never"))
    stops = Measure("all stops", NS, lambda cell: cell.stopped())
    one = Curves(x=RATE, y=(REMARK, stops), width=2.0, tall=2.0)
    figure = drawn([[one], [Curves(x=RATE, y=stops, width=2.0, tall=1.0)]], run)
    first, second, below = figure.axes
    assert [axes.get_label() for axes in figure.axes] == [REMARK.title, "all stops", "all stops"]
    assert first.get_position().y0 == second.get_position().y0 > below.get_position().y1
    assert first.get_position().x0 == below.get_position().x0 < second.get_position().x0
    assert keys(figure) == ["none", "cards"], "each once"
    alone = drawn(one, run)
    assert alone.get_size_inches()[0] == figure.get_size_inches()[0]
    assert alone.get_size_inches()[1] < figure.get_size_inches()[1]


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
