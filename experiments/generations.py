"""What do minor collections cost over dirty pages and over cards, and how much is scanned in vain for each reference?

Old objects stay marked (``generational``), and what the barrier reports is the remembered set. Two questions:

- **cost**: minor pauses, processor time and survival, over nurseries of several sizes: GCBench, and a graph that is
  edited as fast as it can be. Solid: marking while mutators run; dashed: with the world stopped. Against it the same
  without a barrier and without generations (``stop-the-world``), and the Boehm collector's generational mode.
- **pollution**: the old objects that are scanned for each reference from an old to a young object that is found, by
  page and by card, against the size of the objects, the share of the heap that lives (where there is little room, the
  young are allocated between the old, on pages that are then dirty for the wrong reason), and the share of the pages
  that is written. Each edit puts a new leaf into an old tree and drops four objects, with the world stopped to mark.

The cost of recorded programs, replayed as fast as can be: ``--set heap=trace --set trace.recording=cpython,node``.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import evolve, frozen
from matplotlib.figure import Figure
from rich.console import Group, RenderableType

from gcbarrier.campaign.plans import At, Plan, choose, product
from gcbarrier.model import Config, Machine, Outcome, format_bytes
from gcbarrier.report import BYTES, COUNT, NS, PERCENT, RATIO, Axis, Curves, Lines, Look, Measure, Names, Report, Unit
from gcbarrier.report.looks import barrier_look
from gcbarrier.report.panels import View
from gcbarrier.report.sheets import Sheet
from gcbarrier.report.units import DASH, format_ratio
from gcbarrier.results import Cell, Spread, cells, percentile, relative
from gcbarrier.results.run import Run

MIB = 1 << 20
CARDS = (128, 512, 4096)
"""Bytes of a card; with 512 the barrier has its default."""
PAGES = ("uffd-wp-log", "uffd-wp-async", "soft-dirty")
TREE = {
    "move_share": 0.0,
    "replace_share": 1.0,
    "garbage_per_edit": 4.0,
    "ring": 16,
    "references": 2,
    "rate_per_s": 0.0,
}
USUAL = {"object_bytes": 64, "live_share": 0.4, "hot_share": 1.0}
"""What is polluted where it is not varied."""
_AS_FAST: dict[str, dict[str, Any]] = {"graph_edits": {"rate_per_s": 0.0}, "trace": {"pace": 0.0}}
"""As fast as it can be."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Nurseries of each heap, then what pollution depends on."""
    at = choose(machine, quick)
    return Plan(
        configs=(*_nurseries(at, "gcbench", "graph_edits"), *_polluted(at)),
        invocations=at(full=3, quick=1, emulated=1),
        spare=tuple(_nurseries(at, "trace")),
    )


def _over(at: At, *params: dict[str, Any]) -> list[tuple[Any, ...]]:
    barriers = at(full=("cards", "log", *PAGES), quick=("cards", "uffd-wp-log", "soft-dirty"))
    return [(barrier, "generational", each) for barrier in barriers for each in params]


def _nurseries(at: At, *heaps: str) -> Iterable[Config]:
    sizes = at(full=(2, 4, 8, 16, 32), quick=(1, 4), emulated=(1, 4))
    each = [
        {"nursery_bytes": size * MIB, "concurrent": concurrent}
        for size in sizes
        for concurrent in at(full=(True, False), quick=(True,))
    ]
    return product(
        heap=heaps,
        heap_bytes=at(full=128, quick=32, emulated=16) * MIB,
        heap_params=lambda point: _AS_FAST.get(point["heap"], {}),
        duration_s=at(full=2.0, quick=0.7),
        pairs=[("none", "stop-the-world"), ("none", "bdwgc", {"mark_stack": 1 << 20}), *_over(at, *each)],
    )


def _polluted(at: At) -> Iterable[Config]:
    heap_bytes = at(full=64, quick=16, emulated=8) * MIB
    stopped = {"concurrent": False, "nursery_bytes": heap_bytes // 16}
    varied: list[dict[str, Any]] = [
        *({"object_bytes": size} for size in at(full=(32, 64, 128, 256, 512, 1024, 2048), quick=(32, 64, 512))),
        *({"live_share": share} for share in at(full=(0.2, 0.3, 0.5, 0.6, 0.7), quick=(0.2, 0.6))),
        *({"hot_share": share} for share in at(full=(0.01, 0.03, 0.1, 0.3), quick=(0.01, 0.1))),
    ]
    cards = product(
        barrier="cards",
        barrier_params=[{"card_bytes": size} for size in CARDS],
        **_editing(heap_bytes, varied, stopped, at),
    )
    others = product(
        barrier=at(full=("log", *PAGES), quick=("uffd-wp-log", "soft-dirty")),
        **_editing(heap_bytes, varied, stopped, at),
    )
    return (*cards, *others)


def _editing(heap_bytes: int, varied: Sequence[dict[str, Any]], params: dict[str, Any], at: At) -> dict[str, Any]:
    return {
        "heap": "graph_edits",
        "heap_bytes": heap_bytes,
        "heap_params": [{**TREE, **USUAL, **each} for each in varied],
        "collector": "generational",
        "collector_params": params,
        "duration_s": at(full=1.5, quick=0.3, emulated=1.5),
    }


@frozen(kw_only=True, eq=False)
class Beside:
    """A configuration, and the one without barrier and generations that it is compared with."""

    cell: Cell
    baseline: Cell | None

    @property
    def config(self) -> Config:
        """Its own."""
        return self.cell.config


def _pollutes(config: Config) -> bool:
    return "garbage_per_edit" in config.heap_params


def _of_nurseries(heap: str) -> Callable[[Run, str], Sequence[Beside]]:
    def found(run: Run, machine: str) -> Sequence[Beside]:
        mine = [c for c in cells(run.on(machine)) if c.config.heap == heap and not _pollutes(c.config)]
        plain = next((c for c in mine if c.config.collector == "stop-the-world" and c.good), None)
        return [Beside(cell=cell, baseline=plain) for cell in mine]

    return found


def _of_pollution(run: Run, machine: str) -> Sequence[Beside]:
    return [Beside(cell=cell, baseline=None) for cell in cells(run.on(machine)) if _pollutes(cell.config)]


def noted(outcome: Outcome, name: str) -> float:
    """The sum over the cycles of what ``generational`` notes of a minor one."""
    return float(sum(note.value for note in outcome.notes if note.name == name))


def minor_stops(outcome: Outcome) -> list[int]:
    """Of each minor cycle what all of its pauses take together, in ns."""
    minor = {pause.cycle: 0 for pause in outcome.pauses if pause.kind == "minor"}
    for pause in outcome.pauses:
        if pause.cycle in minor:
            minor[pause.cycle] += pause.pause_ns
    return list(minor.values())


def together(outcome: Outcome) -> float:
    """Processor time of mutators and collector for each operation, in ns."""
    spent = outcome.mutator_cpu_ns + outcome.collector_cpu_ns
    return spent / outcome.operations if outcome.operations else float("nan")


def mutators(outcome: Outcome) -> float:
    """Processor time of the mutators alone."""
    return outcome.mutator_cpu_ns / outcome.operations if outcome.operations else float("nan")


def _share(part: str, whole: str) -> Callable[[Outcome], float]:
    def share(outcome: Outcome) -> float:
        return noted(outcome, part) / of if (of := noted(outcome, whole)) else float("nan")

    return share


def who(one: Beside) -> str:
    """The barrier, with the size of its cards where that is varied; or the other collector."""
    config = one.config
    if config.collector != "generational":
        return config.collector
    if config.barrier != "cards" or not _pollutes(config):
        return config.barrier
    return f"cards, {format_bytes(int(config.barrier_params['card_bytes']))}"


def _card_looks() -> dict[str, Look]:
    colours = dict(zip(CARDS, ("#E9B8D4", "#CC79A7", "#7A3560"), strict=True))
    return {
        f"cards, {format_bytes(size)}": Look(colour=colour, marker=marker)
        for (size, colour), marker in zip(colours.items(), "<P>", strict=True)
    }


def _each(title: str, unit: Unit, number: Callable[[Outcome], float], head: str = "") -> Measure:
    return Measure(title, unit, lambda one: one.cell.each(number) if _minor(one) else None, head=head)


def _minor(one: Beside) -> bool:
    return one.config.collector == "generational"


def _paid(title: str, cost: Callable[[Outcome], float], head: str) -> Measure:
    return Measure(title, RATIO, lambda one: relative(one.cell, one.baseline, cost), head=head)


BARRIERS = ("cards", "log", *PAGES)
WHO = Names(
    "barrier",
    who,
    order=("stop-the-world", "bdwgc", *_card_looks(), *BARRIERS),
    looks={**{each: barrier_look(each) for each in BARRIERS}, **_card_looks()},
)
NURSERY = Axis("nursery", "collector_params.nursery_bytes", BYTES, endless=0.0, unlimited=DASH)
MARKS = Names(
    "marking",
    lambda one: "concurrent" if one.config.collector_params.get("concurrent") else "stopped",
    order=("concurrent", "stopped"),
)
MEDIAN = _each("stopped in a minor cycle", NS, lambda one: percentile(minor_stops(one), 50), head="minor")
LONGEST = _each("the same, 99th percentile", NS, lambda one: percentile(minor_stops(one), 99), head="99th")
SURVIVAL = _each(
    "of the young survives", PERCENT, lambda one: 100 * _share("survived bytes", "young bytes")(one), head="survives"
)
FULL = _each("full cycles", COUNT, lambda one: noted(one, "full cycle"))
CYCLES = _each("cycles", COUNT, lambda one: len(one.cycles))
MUTATORS = _paid("mutators", mutators, "mutators")
TOGETHER = _paid("mutators and collector together,\nagainst stop-the-world without a barrier", together, "together")


@frozen
class Minor:
    """What has minor cycles and a nursery: the others are in the table."""

    panel: Curves

    def figure(self, view: View, title: str, remarks: Sequence[str]) -> Figure:
        """Of one machine."""
        mine = [one for one in view.cells if _minor(one)]
        return Sheet([[self.panel]]).figure(evolve(view, cells=mine), title, remarks)


def _boehm(found: Sequence[Beside]) -> str:
    other = next((one for one in found if one.config.collector == "bdwgc" and TOGETHER.value(one)), None)
    if other is None:
        return ""
    ratio = format_ratio(TOGETHER.value(other).centre)
    return f"The Boehm collector's generational mode costs {ratio} times as much as stop-the-world, together."


def _nursery_report(heap: str) -> Report:
    return Report(
        title=f"Minor collections of {heap}, {{heap_bytes}}.",
        figure=Minor(Curves(x=NURSERY, y=(MEDIAN, LONGEST, TOGETHER, SURVIVAL), dashed=MARKS, width=2.9)),
        table=Lines(
            *(NURSERY, MARKS, MEDIAN.ranged, LONGEST.ranged, MUTATORS, TOGETHER.ranged, SURVIVAL, FULL, CYCLES),
            title="{heap}, {heap_bytes}",
        ),
        remarks=_boehm,
        by=WHO,
        cells=_of_nurseries(heap),
    )


VARIED = {
    "object_bytes": Axis("bytes of an object", "heap_params.object_bytes", BYTES),
    "live_share": Axis("% of the heap that lives", lambda one: 100 * one.config.heap_params["live_share"], PERCENT),
    "hot_share": Axis(
        "% of the pages that is written", lambda one: 100 * one.config.heap_params["hot_share"], COUNT.log
    ),
}


def _where_varied(measure: Measure, name: str) -> Measure:
    """Where all but ``name`` is as usual."""

    def of(one: Beside) -> Spread | None:
        usual = all(one.config.heap_params[other] == USUAL[other] for other in USUAL if other != name)
        return measure.value(one) if usual else None

    return Measure(measure.title, measure.unit, of)


SCANNED = _each(
    "old objects scanned for each\nreference to a young one",
    COUNT.log,
    _share("old objects scanned", "old-to-young references"),
    head="scanned for each",
)
COST = _each("processor time of an edit,\nmutator and collector", NS, together, head="together")
OBJECTS = _each("old objects scanned", COUNT, lambda one: noted(one, "old objects scanned"))
FOUND = _each("references found", COUNT, lambda one: noted(one, "old-to-young references"))
POLLUTION = Report(
    title="What is scanned in vain: graph_edits, {heap_bytes}, a nursery of {collector_params.nursery_bytes}.",
    figure=[
        [Curves(x=axis, y=_where_varied(measure, name), width=2.9) for name, axis in VARIED.items()]
        for measure in (SCANNED, COST)
    ],
    table=Lines(*VARIED.values(), SCANNED.ranged, COST.ranged, OBJECTS, FOUND, FULL, CYCLES, title="pollution"),
    by=WHO,
    cells=_of_pollution,
)
REPORTS = {
    **{heap: _nursery_report(heap) for heap in ("gcbench", "graph_edits", "trace")},
    "pollution": POLLUTION,
}


def reports(run: Run) -> dict[str, Report]:
    """Those that have something of this run to show."""
    return {
        part: report for part, report in REPORTS.items() if any(report.cells(run, machine) for machine in run.machines)
    }


def figures(run: Run) -> dict[str, Figure]:
    """One for each heap, and pollution."""
    return {
        f"{run.experiment}-{part}{name.removeprefix(run.experiment)}": figure
        for part, report in reports(run).items()
        for name, figure in report.figures(run).items()
    }


def table(run: Run) -> RenderableType:
    """The numbers of all."""
    return Group(*(report.table(run) for report in reports(run).values()))
