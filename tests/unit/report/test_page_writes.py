"""Recordings of page writes as they are drawn and told: what is where, and what of nothing."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from drawn import keys, said
from made_up import PAGES, SLOWDOWNS, overview
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from gcbarrier.page_traces.overview import Overview
from gcbarrier.page_traces.records import Mapping
from gcbarrier.report.page_writes.figure import format_bytes_of, page_figure
from gcbarrier.report.page_writes.placing import Region, labelled, raster, regions, short
from gcbarrier.report.page_writes.table import markdown, page_table, process_table, small_print
from gcbarrier.report.units import DASH, TIMES

OWN = overview(PAGES, slowdowns=SLOWDOWNS, facts={"kernel": "6.18", "processor": "quick"}, notes=("One got away.",))
OTHER = overview([[5], [5, 6]] * 30, name="other", facts={"kernel": "6.18", "processor": "slow"})
NOTHING = overview([[], [], []], name="nothing")


@cache
def drawn(*every: Overview) -> Figure:
    figure = page_figure(every)
    FigureCanvasAgg(figure).draw()
    return figure


def panel(figure: Figure, label: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_label() == label]
    return found


def test_pages_are_parted_by_what_they_belong_to() -> None:
    assert regions(OWN) == [Region("[heap]", 0, 3), Region("libc.so.6", 3, 2)]
    assert [short(name) for name in ("", "[stack]", "/usr/bin/python3.11")] == ["anonymous", "[stack]", "python3.11"]


def test_a_place_is_called_after_what_was_there_longest() -> None:
    mappings = (
        Mapping(start=0, end=1 << 20, name="/long", since=2),
        Mapping(start=0, end=1 << 20, name="/short", until=2),
    )
    for order in (mappings, mappings[::-1]):
        trace = evolve(OWN.trace, mappings=order)
        assert [region.name for region in regions(evolve(OWN, trace=trace))] == ["long", "anonymous"]


def test_regions_without_room_for_a_name_have_none() -> None:
    found = [Region("a", 0, 10), Region("b", 10, 1), Region("a", 11, 10), Region("c", 21, 5)]
    assert labelled(found, 2) == [Region("a", 0, 21), Region("c", 21, 5)]
    assert labelled(found, 6) == [Region("a", 0, 21)]
    apart = [Region("a", 0, 10), Region("b", 10, 4), Region("c", 14, 4), Region("a", 18, 10)]
    assert labelled(apart, 6) == [Region("a", 0, 10), Region("a", 18, 10)], "too much lies between"


def test_with_room_for_all_each_write_is_a_spot() -> None:
    spots = raster(OWN, 100, 1000)
    numbers = [1, 2, 3, 600, 601]
    assert spots.tolist() == [[float(page in tick) for tick in PAGES] for page in numbers]


def test_where_there_is_less_room_spots_are_shares() -> None:
    spots = raster(OWN, 2, 4)
    assert spots.shape == (2, 4)
    written = sum(map(len, PAGES))
    # Rows of 3 pages and of 2, columns of 10 ticks.
    assert (spots * np.array([[3], [2]]) * 10).sum() == pytest.approx(written)


def test_a_long_tick_takes_its_time_and_a_gap_is_no_tick() -> None:
    own = overview([[1], [2], [1], []])
    long = evolve(own.trace, begin_ns=np.array([0, 10, 70, 80]), end_ns=np.array([10, 70, 80, 80]))
    assert raster(evolve(own, trace=long), 8, 4).tolist() == [[0.5, 0, 0, 0.5], [0.5, 1, 1, 0]]
    gap = evolve(own.trace, begin_ns=np.array([0, 1, 90, 95]), end_ns=np.array([1, 2, 95, 100]))
    spots = raster(evolve(own, trace=gap), 8, 4)
    assert spots[:, [0, 3]].tolist() == [[0.5, 0.5], [0.5, 0]]
    assert np.isnan(spots[:, [1, 2]]).all()


def test_of_nothing_there_is_no_map() -> None:
    assert raster(NOTHING, 10, 10).size == 0
    assert raster(overview([]), 10, 10).size == 0


def test_a_program_alone_has_a_map_over_its_panels() -> None:
    figure = drawn(OWN)
    (image,) = panel(figure, "map program").images
    assert image.get_extent() == [0, OWN.trace.duration_ns, 0, 5]
    assert panel(figure, "map program").get_title(loc="left") == "program: 5 pages (20 KiB) in 400 ms"
    assert [text.get_text() for text in panel(figure, "map program").texts] == ["[heap]", "libc.so.6"]
    assert len(figure.axes) == 6
    assert "Pages that program wrote, in ticks of 10 ms" in said(figure)
    assert "kernel 6.18 · processor quick · recorded by uffd-wp-async" in said(figure)
    assert "program: program --fast · asked for 10 ms · One got away." in said(figure)
    assert keys(figure)[-2:] == ["time from start to end", "processor time"]


def test_each_curve_says_what_the_numbers_say() -> None:
    figure = drawn(OWN)

    def curve(label: str) -> Any:
        (line,) = [line for line in panel(figure, f"{label} program").lines if line.get_label() == "program"]
        return line.get_xydata()

    pages = curve("pages written in a tick")
    assert (pages[0].tolist(), pages[-1].tolist()) == ([0.5, 1 / 40], [3.0, 1.0])
    again = curve("since the write before")
    assert again[0].tolist() == pytest.approx([10e6, OWN.rewrites.within(1)])
    assert again[-1][1] == pytest.approx(OWN.rewrites.within(40))
    most = curve("most written pages")
    assert most[-1].tolist() == pytest.approx([1, 1])
    assert len(most) == 5
    distinct = curve("interval")
    assert distinct[:, 0].tolist() == [10e6, 20e6, 40e6, 80e6]
    assert distinct[:, 1].tolist() == OWN.working_set.tolist()


def test_slow_downs_are_dots_for_repetitions() -> None:
    axes = panel(drawn(OWN), "armed every program")
    dots = [line.get_ydata().tolist() for line in axes.lines if line.get_label() == "_program"]
    assert dots == [list(values) for each in OWN.slowdowns for values in (each.wall, each.cpu)]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["never", "10 ms"]


def test_of_several_each_has_a_row_with_the_others_behind_it() -> None:
    figure = drawn(OWN, OTHER, NOTHING)
    assert len(figure.axes) == 18
    axes = panel(figure, "interval other")
    assert [line.get_label() for line in axes.lines] == ["_behind", "_behind", "other"]
    assert panel(figure, "interval program").get_xlim() == axes.get_xlim()
    assert "this program" in keys(figure)
    assert said(figure).count("kernel 6.18") == 2, "NOTHING has other facts: none is said for all"
    assert [text.get_text() for text in panel(figure, "map nothing").texts] == ["nothing written"]
    assert [text.get_text() for text in panel(figure, "armed every other").texts] == ["not measured"]


def test_what_is_said_of_all_is_said_once() -> None:
    assert small_print([OWN, OTHER], 200).splitlines() == [
        "kernel 6.18 · recorded by uffd-wp-async",
        "program: program --fast · asked for 10 ms · processor quick · One got away.",
        "other: program --fast · asked for 10 ms · processor slow",
    ]


LONG = overview(
    [[page, page + 1, 700 * page] for page in range(1, 200)] * 3, name="a program of a long name", every_ns=17_000_000
)


@pytest.mark.parametrize("every", [(OWN,), (LONG,), (OWN, OTHER, LONG), (NOTHING,), (overview([]),)])
def test_all_words_are_on_the_figure_and_on_no_other_words(every: tuple[Overview, ...]) -> None:
    figure = drawn(*every)
    words = [text for axes in figure.axes for text in (*axes.texts, axes._left_title)]  # type: ignore[attr-defined]
    for text in (*words, *figure.texts):
        box = text.get_window_extent()
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
        assert inside or not text.get_text(), text.get_text()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        there = [name.get_window_extent() for at, name in ticks if low <= at <= high and name.get_text()]
        assert all(one.x1 < other.x0 for one, other in pairwise(there)), axes.get_label()


def told(table: Any) -> list[str]:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_numbers_in_a_table() -> None:
    lines = told(page_table([OWN, OTHER, NOTHING]))
    assert lines[0] == "program other nothing"
    assert "watched for 400 ms 600 ms 30 ms" in lines
    assert "pages written 5 2 0" in lines
    assert "written within 10 ms 2 2 0" in lines
    assert f"written within 100 ms 5 2 {DASH}" in lines
    assert f"time when armed every 10 ms {TIMES} 1.29 {DASH} {DASH}" in lines
    assert f"processor time when armed every 10 ms {TIMES} 1.28 {DASH} {DASH}" in lines
    assert any(line.startswith("writes to pages of the tick before 38.8 % ") for line in lines)


def test_the_same_numbers_for_a_text() -> None:
    head, rule, *rows = markdown([OWN, OTHER]).splitlines()
    assert (head, rule) == ("|  | program | other |", "| --- | ---: | ---: |")
    assert rows[3] == "| pages written | 5 | 2 |"
    assert len(rows) == len(told(page_table([OWN, OTHER]))) - 1


def test_processes_are_listed_with_their_numbers() -> None:
    lines = told(process_table(OWN.recording))
    assert lines[1].startswith("0 start")
    assert lines[1].endswith("40 5 80 program --fast")


@pytest.mark.parametrize(
    ("pages", "words"), [(0, "0 B"), (1, "4 KiB"), (300, "1.17 MiB"), (12_500, "48.8 MiB"), (300_000, "1.14 GiB")]
)
def test_sizes_have_three_digits(pages: int, words: str) -> None:
    assert format_bytes_of(overview([list(range(pages))])) == words
