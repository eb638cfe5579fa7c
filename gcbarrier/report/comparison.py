"""The figure that compares barriers: pauses, what they are made of, what mutators paid; a row for each workload."""

from collections.abc import Mapping, Sequence
from functools import partial

from attrs import evolve, frozen
from matplotlib.figure import Figure

from gcbarrier.report import keys
from gcbarrier.report.bars import Colour, draw_cost, draw_phases, row_labels, rows_height, words
from gcbarrier.report.differing import workload_words
from gcbarrier.report.distribution import draw_distribution, time_limits
from gcbarrier.report.grammar import PAIR, Measure
from gcbarrier.report.layout import place, spot, text_width
from gcbarrier.report.looks import sort_key
from gcbarrier.report.page import MARGIN, page
from gcbarrier.report.panels import View
from gcbarrier.report.shown import spans
from gcbarrier.report.style import INK, RC, SMALL
from gcbarrier.report.units import COUNT, RATIO, TIMES
from gcbarrier.results import (
    Cell,
    Workload,
    all_cpu_ns_per_operation,
    cpu_ns_per_operation,
    faults_per_operation,
    operations_per_second,
    relative,
    workloads,
)

# Inches.
_GAP = 0.28
_Y_LABEL, _DISTRIBUTION, _BARS, _COST = 0.62, 4.3, 1.9, 1.3
_HEADINGS, _ROW_TITLE, _ROW_FOOT, _X_LABEL = 0.36, 0.24, 0.36, 0.2


@frozen
class Comparison:
    """What sessions measured on one machine, as a whole figure.

    A row for each workload (heap, size, parameters), with the whole pause distributions, the phases of the median
    pause, and their bill: throughput against ``none``, the mutators' processor time and that of the mutators and the
    collector together, and faults. What all rows measure in the same unit has the
    same axis in all rows. Failed invocations are named at the foot.

    The panels' labels are ``distribution``, ``phases``, ``throughput``, ``cpu``, ``all-cpu`` and ``faults``
    (``get_label()``).
    """

    def figure(self, view: View, title: str, remarks: Sequence[str]) -> Figure:
        """The figure of one machine."""
        works = [evolve(work, cells=_ordered(work.cells)) for work in workloads(view.run.on(view.machine))]
        return _Drawing(works=works, view=view, title=title, remarks=remarks).figure()


def _ordered(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple(sorted(cells, key=lambda cell: (sort_key(cell.config.barrier), cell.config.collector)))


@frozen(kw_only=True)
class _Drawing:
    """One figure on its way: first how large everything is, then everything in its place."""

    works: Sequence[Workload]
    view: View
    title: str
    remarks: Sequence[str]

    @property
    def _cells(self) -> list[Cell]:
        return [cell for work in self.works for cell in work.cells]

    @property
    def _colours(self) -> Mapping[str, str]:
        return {name: look.colour for name, look in PAIR.look(self._cells).items()}

    @property
    def _colour(self) -> Colour:
        names, colours = PAIR.names(self._cells), self._colours
        return lambda cell: colours[names[id(cell)]]

    def figure(self) -> Figure:
        lefts, width = self._columns()
        heights = [rows_height(work.cells) for work in self.works]
        figure, top = page(
            self.view.run,
            self.view.machine,
            self.title,
            width=width,
            height=_HEADINGS + sum(heights) + (_ROW_TITLE + _ROW_FOOT) * len(heights) + _X_LABEL,
            handles=[keys.barrier_keys(self._colours), keys.pause_keys(self._cells), keys.phase_keys(self._cells)],
            remarks=[*self.remarks, *self._lines()],
        )
        top += _HEADINGS
        for left, words_above in zip(lefts, self._heads(), strict=True):
            # Bottom-aligned: those of one line stand where the others' last line does.
            where = spot(figure, left, top + 0.06)
            figure.text(*where, words_above, ha="left", va="bottom", fontsize=RC["axes.labelsize"], color=INK)
        for work, height in zip(self.works, heights, strict=True):
            self._draw_work(figure, work, lefts, top + _ROW_TITLE, height)
            top += _ROW_TITLE + height + _ROW_FOOT
        return figure

    def _lines(self) -> list[str]:
        """What is drawn over the dots of the bill."""
        bills = (relative(cell, work.baseline, cost) for work in self.works for cell in work.cells for cost in _COSTED)
        said = spans([*bills, *map(_FAULTS.value, self._cells)])
        return [f"Lines over the invocations' dots, of ratios and faults: {said}."] if said else []

    def _heads(self) -> list[str]:
        """What stands above each column of panels."""
        said = spans(cell.medians(kind) for cell in self._cells for kind in cell.kinds)
        first, phases, *others = _HEADS
        return [first, f"{phases}\n[{said}]" if said else phases, *others]

    def _columns(self) -> tuple[list[float], float]:
        """Where each of the panels begins, and the width of the figure."""
        names = text_width(
            (line for work in self.works for label in row_labels(work.cells) for line in label.split("\n")),
            RC["ytick.labelsize"],
        )
        said = text_width((text for cell in self._cells for text in words(cell)), SMALL)
        first = MARGIN + _Y_LABEL
        second = first + _DISTRIBUTION + _GAP + names
        third = second + _BARS + 0.12 + said + _GAP
        lefts = [first, second, *(third + (_COST + _GAP) * column for column in range(_COSTS))]
        return lefts, lefts[-1] + _COST + _GAP

    def _draw_work(self, figure: Figure, work: Workload, lefts: Sequence[float], top: float, height: float) -> None:
        panels = {}
        for name, left, width in zip(_PANELS, lefts, (_DISTRIBUTION, _BARS, *[_COST] * _COSTS), strict=True):
            panels[name] = place(figure, left, top, width, height)
            panels[name].set_label(name)
        draw_distribution(panels["distribution"], work.cells, self._colour, time_limits(self._cells))
        panels["distribution"].set_title(_describe(work, self.works), loc="left", fontweight="bold", color=INK)
        if work is self.works[-1]:
            panels["distribution"].set_xlabel("pause, from the request to the last mutator running")
        draw_phases(panels["phases"], work.cells, self._colour)
        for name, cost in _RATIOS.items():
            ratios = [relative(cell, one.baseline, cost) for one in self.works for cell in one.cells]
            against = Measure(name, RATIO, partial(relative, baseline=work.baseline, cost=cost))
            shared = [each for one in ratios if one for each in (*one.each, one.low, one.high)]
            draw_cost(panels[name], work.cells, self._colour, against, shared)
        draw_cost(panels["faults"], work.cells, self._colour, _FAULTS)


_PANELS = ("distribution", "phases", "throughput", "cpu", "all-cpu", "faults")
_COSTS = len(_PANELS) - 2
_HEADS = (
    "",  # its axes are labelled
    "the median pause and its phases",
    f"throughput, stops\nincluded, {TIMES} none's",
    f"CPU per operation,\nmutators, {TIMES} none's",
    "the whole bill: with\nthe collector's CPU",
    "minor faults per\n1000 operations",
)
_RATIOS = {
    "throughput": operations_per_second,
    "cpu": cpu_ns_per_operation,
    "all-cpu": all_cpu_ns_per_operation,
}
_COSTED = tuple(_RATIOS.values())


_FAULTS = Measure("faults", COUNT, lambda cell: cell.each(lambda outcome: 1000 * faults_per_operation(outcome)))


def _describe(work: Workload, works: Sequence[Workload]) -> str:
    """Heap and size, and more only where that does not tell two rows apart."""
    config = work.config
    told = workload_words(config, [one.config for one in works])
    several = [f"{config.mutators} mutators"] if config.mutators > 1 else []
    return ", ".join(dict.fromkeys([config.heap, config.size, *several, *told]))


__all__ = ["Comparison"]
