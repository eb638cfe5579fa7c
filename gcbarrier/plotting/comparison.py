"""The figure that compares barriers: pauses, what they are made of, what mutators paid; a row for each workload."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gcbarrier.metrics import (
    Cell,
    Workload,
    cpu_ns_per_operation,
    faults_per_operation,
    operations_per_second,
    relative,
    spread,
    workloads,
)
from gcbarrier.model import format_bytes
from gcbarrier.plotting.bars import draw_cost, draw_phases
from gcbarrier.plotting.distribution import draw_distribution
from gcbarrier.plotting.footer import footer
from gcbarrier.plotting.style import (
    FAINT,
    INK,
    LINES,
    MARKERS,
    PHASE_COLOURS,
    PHASE_NAMES,
    TIMES,
    barrier_colours,
    sort_key,
    styled,
)
from gcbarrier.store import Run

_WIDTH, _HEAD = 13.5, 0.75  # inches


def comparisons(run: Run, title: str) -> dict[str, Figure]:
    """:func:`comparison` for each machine of ``run``, by ``<experiment>-<machine>``."""
    return {f"{run.experiment}-{machine}": comparison(run, machine, title) for machine in run.machines}


def comparison(run: Run, machine: str, title: str) -> Figure:
    """What ``run`` measured on one machine; ``title`` is what the figure answers.

    A row for each workload (heap, size, parameters), with the whole pause distributions, the phases of the median
    pause, throughput and processor time against ``none``, and faults. Failed invocations are named at the foot.
    """
    outcomes = run.on(machine)
    works = [evolve(work, cells=_ordered(work.cells)) for work in workloads(outcomes)]
    colours = barrier_colours(outcome.invocation.config.barrier for outcome in outcomes)
    heights = [0.9 + 0.42 * max(len(work.cells), 3) for work in works] or [2.0]
    with styled():
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, hspace=0.04)
        figure = Figure(figsize=(_WIDTH, _HEAD + 0.6 + sum(heights)), layout=layout)
        grid = figure.add_gridspec(
            1 + len(heights), 5, width_ratios=(3.1, 3.9, 1.15, 1.15, 1.15), height_ratios=[_HEAD, *heights]
        )
        facts = run.facts(machine)
        _draw_head(figure.add_subplot(grid[0, :]), f"{title} {_place(machine, facts)}", works, colours)
        for row, work in enumerate(works, start=1):
            _draw_workload([figure.add_subplot(grid[row, column]) for column in range(5)], work, works, colours)
        figure.supxlabel(footer(run, machine), x=0.008, ha="left", fontsize=6.8, color=FAINT)
    return figure


def _place(machine: str, facts: Mapping[str, Any]) -> str:
    # The one thing that must not be missed about an emulated machine.
    emulated = " (emulated: read the shape, not the time)" if facts.get("accelerator") == "tcg" else ""
    return f"Machine: {machine}{emulated}"


def _ordered(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple(sorted(cells, key=lambda cell: (sort_key(cell.config.barrier), cell.config.collector)))


def _draw_workload(row: Sequence[Axes], work: Workload, works: Sequence[Workload], colours: Mapping[str, str]) -> None:
    distribution, phases, throughput, cpu, faults = row
    draw_distribution(distribution, work.cells, colours)
    distribution.set_xlabel("pause, from the request to the last mutator running")
    distribution.set_title(_describe(work, works), loc="left", fontweight="bold", color=INK)
    draw_phases(phases, work.cells, colours)
    for axes, cost, label in (
        (throughput, operations_per_second, "throughput\nrelative to none"),
        (cpu, cpu_ns_per_operation, "CPU per operation\nrelative to none"),
    ):
        draw_cost(
            axes,
            work.cells,
            colours,
            cost=partial(relative, baseline=work.baseline, cost=cost),
            label=label,
            form=lambda value: f"{value:.2f}{TIMES}",
            reference=1.0,
        )
    draw_cost(
        faults,
        work.cells,
        colours,
        cost=lambda cell: spread([1000 * faults_per_operation(outcome) for outcome in cell.good]),
        label="minor faults per\n1000 operations",
        form=lambda value: f"{value:.3g}",
        reference=None,
    )


def _describe(work: Workload, works: Sequence[Workload]) -> str:
    """Heap and size, and more only where that does not tell two rows apart."""
    config = work.config
    text = f"{config.heap}, {format_bytes(config.heap_bytes)}"
    if config.mutators > 1:
        text += f", {config.mutators} mutators"
    same = [one.config for one in works if one.config.heap == config.heap]
    if len({one.duration_s for one in same}) > 1:
        text += f", {config.duration_s:g} s"
    if len({one.verify for one in same}) > 1 and config.verify:
        text += ", verified"
    keys = sorted({key for one in same for key in one.heap_params})
    differing = [key for key in keys if len({one.heap_params.get(key) for one in same}) > 1]
    return text + "".join(f", {key} {config.heap_params.get(key, 'default')}" for key in differing)


def _draw_head(axes: Axes, title: str, works: Sequence[Workload], colours: Mapping[str, str]) -> None:
    """Title and keys, in axes of their own so that they take part in the layout."""
    axes.set_axis_off()
    axes.text(0, 1, title, transform=axes.transAxes, ha="left", va="top", fontsize=11, color=INK)
    kinds = sorted({kind for work in works for cell in work.cells for kind in cell.kinds})
    marks: list[Any] = [Line2D([], [], color=colour, linewidth=2.2, label=name) for name, colour in colours.items()]
    for kind in kinds:
        line, marker = LINES.get(kind, "-"), MARKERS.get(kind, "D")
        marks.append(Line2D([], [], color=INK, linestyle=line, marker=marker, markersize=4, linewidth=1, label=kind))
    if kinds:
        hollow = Line2D([], [], color=INK, marker="o", markersize=4, linestyle="none", markerfacecolor="white")
        hollow.set_label("hollow: a thread was descheduled in it")
        marks += [hollow, Line2D([], [], color=INK, linewidth=0.5, alpha=0.6, label="thin: one invocation")]
    phases = [Patch(color=colour, label=PHASE_NAMES.get(name, name)) for name, colour in PHASE_COLOURS.items()]
    for y, handles, width in ((0.36, marks, 2.2), (0.0, phases if kinds else [], 1.0)):
        key = Legend(
            axes,
            handles,
            [handle.get_label() for handle in handles],
            loc="lower left",
            bbox_to_anchor=(0, y),
            ncols=max(len(handles), 1),
            handlelength=width,
            columnspacing=1.4,
            borderaxespad=0,
            borderpad=0,
        )
        key.set_in_layout(False)
        axes.add_artist(key)


__all__ = ["comparison", "comparisons"]
