"""Figures: what is on the axes is what was measured, and the words say so."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from synthetic import make_outcome, make_outcomes, make_run

from gcbarrier import results
from gcbarrier.model import Config, Outcome, evolve
from gcbarrier.report import Comparison, Pauses, Report
from gcbarrier.report.looks import barrier_look, sort_key
from gcbarrier.report.units import DASH, TIMES, format_ns
from gcbarrier.results import Cell
from gcbarrier.results.run import Run

LAB = "lab-6.12.95-tcg"
PANELS = ["distribution", "phases", "throughput", "cpu", "all-cpu", "faults"]


def config(heap: str, barrier: str, **fields: object) -> Config:
    collector = "stop-the-world" if barrier == "none" else "mostly-concurrent"
    return Config(**{"heap": heap, "barrier": barrier, "collector": collector, **fields})


def native() -> list[Outcome]:
    """Four barriers, one of them a newcomer with a long name, and one invocation that failed."""
    barriers = ("uffd-wp-pagemap", "brand-new-card-table", "none", "uffd-wp-async")
    outcomes = make_outcomes([config("graph_edits", barrier) for barrier in barriers])
    failed = evolve(outcomes[0], error="killed by signal 11; $HOME and $x [bold]\nmore words", pauses=())
    return [failed, *outcomes[1:]]


def lab() -> list[Outcome]:
    """One invocation each: a single pause and no baseline, no pauses at all, and a heap where all failed."""
    return [
        make_outcome(config("gcbench", "soft-dirty"), 0, machine=LAB, cycles=1),
        make_outcome(config("quiet", "uffd-wp-async"), 0, machine=LAB, cycles=0),
        make_outcome(config("quiet", "none"), 0, machine=LAB, cycles=0),
        make_outcome(config("wrecked", "soft-dirty"), 0, machine=LAB, error="the guest did not come up"),
    ]


@pytest.fixture(scope="module")
def run() -> Run:
    single = lab()
    remark = tuple(pause for pause in single[0].pauses if pause.kind == "remark")
    return make_run([*native(), evolve(single[0], pauses=remark), *single[1:]])


@pytest.fixture(scope="module")
def figures(run: Run) -> dict[str, Figure]:
    return Report(title="How long do pauses get?", figure=Comparison(), table=Pauses()).figures(run)


@pytest.fixture(scope="module")
def figure(figures: dict[str, Figure]) -> Figure:
    return figures["pause_times-native"]


def compared(outcomes: Sequence[Outcome], manifest: dict[str, object] | None = None) -> Figure:
    (drawn,) = Report(title="Q?", figure=Comparison(), table=Pauses()).figures(make_run(outcomes, manifest)).values()
    return drawn


def panels(figure: Figure, name: str) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() == name]


def panel(figure: Figure, name: str) -> Axes:
    (axes,) = panels(figure, name)
    return axes


def lines(axes: Axes, ending: str = "") -> dict[str, Line2D]:
    """The labelled lines by their label."""
    return {str(line.get_label()): line for line in axes.lines if str(line.get_label()).endswith(ending)}


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
    return "\n".join(found)


def cells(run: Run, machine: str = "native") -> Iterator[tuple[Cell, str]]:
    return ((cell, kind) for cell in results.cells(run.on(machine)) for kind in cell.kinds)


def test_there_is_one_figure_for_each_machine(figures: dict[str, Figure]) -> None:
    assert list(figures) == ["pause_times-native", f"pause_times-{LAB}"]
    assert [axes.get_label() for axes in figures["pause_times-native"].axes] == PANELS
    assert [axes.get_label() for axes in figures[f"pause_times-{LAB}"].axes] == PANELS * 3


def test_machines_are_never_mixed(run: Run, figures: dict[str, Figure]) -> None:
    for machine in ("native", LAB):
        drawn: list[float] = []
        for axes in panels(figures[f"pause_times-{machine}"], "distribution"):
            for line in [*lines(axes, " preempted").values(), *lines(axes, " undisturbed").values()]:
                drawn.extend(line.get_xdata())
        assert sorted(drawn) == sorted(pause.pause_ns for one in run.on(machine) for pause in one.pauses)
        assert drawn


def test_the_curve_is_the_share_of_pauses_at_least_as_long(run: Run, figure: Figure) -> None:
    drawn = lines(panel(figure, "distribution"))
    for cell, kind in cells(run):
        line = drawn[f"{cell.label} {kind}"]
        values = np.array([p.pause_ns for one in cell.good for p in one.pauses if p.kind == kind])
        assert list(line.get_xdata()) == sorted(values)
        assert line.get_ydata() == pytest.approx([(values >= x).mean() for x in line.get_xdata()])
        # Between two pauses the share is that of the longer one, which stands at the right end of its step.
        assert line.get_drawstyle() == "steps-pre"
    scales = panel(figure, "distribution")
    assert (scales.get_xscale(), scales.get_yscale()) == ("log", "log")


def test_every_pause_has_a_marker_and_a_hollow_one_where_a_thread_was_descheduled(run: Run, figure: Figure) -> None:
    drawn = lines(panel(figure, "distribution"))
    hollow_ones = 0
    for cell, kind in cells(run):
        pauses = [pause for one in cell.good for pause in one.pauses if pause.kind == kind]
        curve = dict(zip(*drawn[f"{cell.label} {kind}"].get_data(), strict=True))
        for ending, preempted in (("preempted", True), ("undisturbed", False)):
            line = drawn[f"{cell.label} {kind} {ending}"]
            assert sorted(line.get_xdata()) == sorted(p.pause_ns for p in pauses if p.preempted == preempted)
            assert all(curve[x] == y for x, y in zip(*line.get_data(), strict=True))
            assert (to_rgb(line.get_markerfacecolor()) == (1, 1, 1)) == preempted
            assert line.get_marker() != "None"
        hollow_ones += len(drawn[f"{cell.label} {kind} preempted"].get_xdata())
    assert hollow_ones == sum(pause.preempted for one in run.on("native") for pause in one.pauses) > 0


def test_each_invocation_has_a_thin_line(run: Run, figure: Figure) -> None:
    thin = [line for line in panel(figure, "distribution").lines if line.get_linewidth() == 0.5]
    expected = [
        sorted(pause.pause_ns for pause in one.pauses if pause.kind == kind)
        for cell, kind in cells(run)
        for one in cell.good
    ]
    assert sorted(list(line.get_xdata()) for line in thin) == sorted(values for values in expected if values)


def test_all_that_was_measured_lies_within_the_axes(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        for axes in figure.axes:
            for line in lines(axes, "").values():
                if not line.get_label().startswith("_"):
                    (low, high), (one, other) = axes.get_xlim(), axes.get_ylim()
                    assert all(low <= x <= high for x in line.get_xdata())
                    assert all(min(one, other) <= y <= max(one, other) for y in line.get_ydata())


def test_rows_share_the_time_axis() -> None:
    outcomes = [make_outcome(config(heap, "none"), 0, cycles=3) for heap in ("snapshot", "graph_edits")]
    first, second = panels(compared(outcomes), "distribution")
    assert first.get_xlim() == second.get_xlim()


def test_phases_add_up_and_are_those_of_the_run(run: Run, figure: Figure) -> None:
    axes = panel(figure, "phases")
    for cell, kind in cells(run):
        bars = [box for box in axes.containers if box.get_label().startswith(f"{cell.label} {kind} ")]
        assert [box.get_label().rsplit(" ", 1)[1] for box in bars] == [*results.PAUSE_PHASES, "other"]
        widths = [box.patches[0].get_width() for box in bars]
        assert sum(widths) == pytest.approx(100)
        split = results.phase_split(cell.pauses(kind))
        assert widths == pytest.approx(list(100 * split / split.sum()))
        lefts = [box.patches[0].get_x() for box in bars]
        assert lefts == pytest.approx([0, *np.cumsum(widths)[:-1]])


def test_the_words_beside_the_phases_are_medians_ranges_and_counts(run: Run, figure: Figure) -> None:
    said = [text.get_text() for text in panel(figure, "phases").texts]
    for cell, kind in cells(run):
        medians = [np.median([p.pause_ns for p in one.pauses if p.kind == kind]) for one in cell.good]
        low, centre, high = (format_ns(value) for value in (min(medians), np.median(medians), max(medians)))
        count = sum(pause.kind == kind for one in cell.good for pause in one.pauses)
        assert f"{kind} {centre}  [{low} {DASH} {high}]  n = {count}" in said
    (pagemap,) = (cell for cell in results.cells(run.on("native")) if cell.config.barrier == "uffd-wp-pagemap")
    assert f"stopped {format_ns(pagemap.stopped().centre)} per cycle" in said
    assert sum(text.startswith("stopped ") for text in said) == 1, "elsewhere it would repeat the median"


def test_cost_is_a_dot_per_invocation_relative_to_nones_of_the_same_seed(run: Run, figure: Figure) -> None:
    def ratios(cost: str, cell: Cell) -> list[float]:
        value = {
            "throughput": lambda one: one.operations / one.wall_ns,
            "cpu": lambda one: one.mutator_cpu_ns / one.operations,
            "all-cpu": lambda one: (one.mutator_cpu_ns + one.collector_cpu_ns) / one.operations,
        }[cost]
        base = {one.invocation.seed: value(one) for one in run.on("native") if one.invocation.config.barrier == "none"}
        # Over the mean where a partner lacks; and none over its own, or each would be 1.
        if cell.config.barrier == "none" or len(cell.good) < len(base):
            base = dict.fromkeys(base, np.prod(list(base.values())) ** (1 / len(base)))
        return [value(one) / base[one.invocation.seed] for one in cell.good]

    for cost in ("throughput", "cpu", "all-cpu"):
        axes = panel(figure, cost)
        for cell in results.cells(run.on("native")):
            expected = ratios(cost, cell)
            assert list(lines(axes)[cell.label].get_xdata()) == pytest.approx(expected)
            centre = np.prod(expected) ** (1 / len(expected))
            assert f"{centre:.2f}{TIMES}" in [text.get_text() for text in axes.texts]
    faults = lines(panel(figure, "faults"))
    for cell in results.cells(run.on("native")):
        expected = [1000 * one.minor_faults / one.operations for one in cell.good]
        assert list(faults[cell.label].get_xdata()) == pytest.approx(expected)


def test_a_barrier_stands_in_one_row_of_all_panels_and_has_one_colour(run: Run, figure: Figure) -> None:
    order = [tick.get_text().split("\n")[0] for tick in panel(figure, "phases").get_yticklabels()]
    assert order == ["none", "uffd-wp-async", "uffd-wp-pagemap", "brand-new-card-table"]
    colours = {barrier: barrier_look(barrier).colour for barrier in order}
    for cell, kind in cells(run):
        row = order.index(cell.config.barrier)
        assert lines(panel(figure, "distribution"))[f"{cell.label} {kind}"].get_color() == colours[cell.config.barrier]
        for name in ("throughput", "cpu", "all-cpu", "faults"):
            dots = lines(panel(figure, name))[cell.label]
            assert set(dots.get_ydata()) == {row}
            assert dots.get_color() == colours[cell.config.barrier]
    (key, *_) = figure.legends
    assert [text.get_text() for text in key.get_texts()] == order


def test_a_figure_names_what_a_reader_must_know(run: Run, figures: dict[str, Figure]) -> None:
    said = texts(figures["pause_times-native"])
    native = [one for one in run.on("native") if not one.error]
    pauses = [pause for one in native for pause in one.pauses]
    for fact in (
        "How long do pauses get? Machine: native",
        f"machine native · kernel 6.18.5 · accelerator native · CPU 2 {TIMES} Intel Xeon Processor @ 2.60GHz",
        "THP madvise, for shmem never",
        "memory shmem",
        "heap 64 MiB",
        f"{len(pauses)} pauses ({sum(pause.preempted for pause in pauses)} with a thread descheduled)",
        f"of 11 invocations, 2{DASH}3 per configuration",
        "pause_times, 2025-03-04",
    ):
        assert fact in said.replace("\n", " ")
    assert "emulated" not in said


def test_an_emulated_machine_says_so_in_the_title(figures: dict[str, Figure]) -> None:
    said = texts(figures[f"pause_times-{LAB}"])
    assert f"Machine: {LAB} (emulated: read the shape, not the time)" in said
    assert "accelerator tcg · hypervisor QEMU" in said


def test_failed_invocations_are_named_with_dollar_signs_as_they_are(figures: dict[str, Figure]) -> None:
    said = texts(figures["pause_times-native"])
    expected = "graph_edits/uffd-wp-pagemap/mostly-concurrent #0: killed by signal 11; $HOME and $x [bold]"
    assert f"1 failed and not drawn: {expected}" in said
    assert not any(text.get_parse_math() for text in figures["pause_times-native"].texts)
    assert "wrecked/soft-dirty/mostly-concurrent #0: the guest did" in texts(figures[f"pause_times-{LAB}"])


def test_what_is_missing_is_said_in_its_place(figures: dict[str, Figure]) -> None:
    single, quiet, wrecked = (
        dict(zip(PANELS, figures[f"pause_times-{LAB}"].axes[start : start + 6], strict=True)) for start in (0, 6, 12)
    )

    def said(axes: Axes) -> list[str]:
        return [text.get_text() for text in axes.texts]

    assert said(single["throughput"]) == said(single["cpu"]) == said(single["all-cpu"]) == ["no baseline\n(none)"]
    assert said(quiet["distribution"]) == ["no pauses recorded"]
    assert said(quiet["phases"]) == ["no pauses recorded"] * 2
    assert said(wrecked["phases"]) == ["failed: see below"]
    assert said(wrecked["faults"]) == ["no operations"]


def test_a_single_pause_has_a_decade_around_it(figures: dict[str, Figure], run: Run) -> None:
    (axes, *_) = panels(figures[f"pause_times-{LAB}"], "distribution")
    (pause,) = run.on(LAB)[0].pauses
    low, high = axes.get_xlim()
    assert low < pause.pause_ns < high
    assert high / low > 10
    shown = [text for at, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True) if low <= at <= high]
    assert len([text for text in shown if text.get_text()]) > 1


def test_facts_that_the_manifest_lacks_are_not_made_up() -> None:
    said = texts(compared([make_outcome(config("gcbench", "none"), 0, cycles=1)], {"experiment": "x"}))
    assert "kernel not recorded · accelerator not recorded · CPU not recorded" in said
    assert "x, date not recorded" in said


def test_ratios_far_apart_get_a_logarithmic_axis_and_near_ones_keep_theirs() -> None:
    slow = make_outcome(config("gcbench", "uffd-wp-async"), 0, cycles=0)
    slow = evolve(slow, operations=slow.operations // 1000)
    base = make_outcome(config("gcbench", "none"), 0, cycles=0)
    figure = compared([base, slow])
    assert panel(figure, "throughput").get_xscale() == "log"
    assert lines(panel(figure, "throughput"))["gcbench/none/stop-the-world"].get_xdata() == pytest.approx([1.0])


def test_nothing_overlaps_or_is_cut_off(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        renderer = FigureCanvasAgg(figure).get_renderer()
        whole = figure.bbox
        boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
        boxes += [key.get_window_extent(renderer) for key in figure.legends]
        boxes += [text.get_window_extent(renderer) for text in figure.texts if text.get_text()]
        for index, box in enumerate(boxes):
            assert whole.x0 <= box.x0
            assert box.x1 <= whole.x1
            assert whole.y0 <= box.y0
            assert box.y1 <= whole.y1
            for other in boxes[:index]:
                across = min(box.x1, other.x1) - max(box.x0, other.x0)
                along = min(box.y1, other.y1) - max(box.y0, other.y0)
                assert across <= 1 or along <= 1, (box, other)


def test_known_barriers_keep_their_colours_and_newcomers_differ() -> None:
    names = ["x", "none", "z", "soft-dirty", "y"]
    colours = {name: barrier_look(name).colour for name in names}
    assert (colours["none"], colours["soft-dirty"]) == ("#555555", "#009E73"), "readers have learned them"
    assert len(set(colours.values())) == 5
    assert sorted(names, key=sort_key) == ["none", "soft-dirty", "x", "y", "z"]
