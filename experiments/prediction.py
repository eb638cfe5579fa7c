"""How far off is the formula that says beforehand what a barrier will cost?

Constants are measured by probes in the same run, of each barrier by itself; the formula
(:mod:`gcbarrier.costs.formula`) puts them together with what a program does, and the same program then runs under each
barrier. Three numbers of each are compared: the mutators' processor time for an operation, over that without a barrier;
the collector's for a cycle; and the remark, of those pauses around which no thread lost its processor. What mutators
spin while the world is stopped, most of all without a barrier, is in none of them.

What a program does is never seen under the barrier that is predicted. Its pace, its marking and the sweeping are those
of ``stop-the-world`` without a barrier; how many pages it writes within how long comes of ``trace`` from the recording
alone, of ``bursts`` from its parameter, and of the others from ``uffd-wp-pagemap``, the **reference**, at three lengths
of a cycle; it is not predicted itself. References stored for an operation follow from the parameters.

For a program that is tracked, Bitchebe and Tchana's formula of OoH (SC 2022) is said to be right to 96 and 99 %: that
is of the whole time, and so is the column ``of the whole`` here. What the barrier adds is the harder question.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, frozen
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gcbarrier.campaign.calibration import handshakes, of_run, probes
from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.costs.awake import Awake
from gcbarrier.costs.awake import awake as awake_in
from gcbarrier.costs.constants import Constants
from gcbarrier.costs.curves import Curve, curve
from gcbarrier.costs.described import Described, described, period_of, written_under
from gcbarrier.costs.formula import ROUNDS
from gcbarrier.costs.judged import COLLECTOR, MUTATORS, REMARK, Compared, Off, errors, judged
from gcbarrier.costs.traces import program
from gcbarrier.graphs import graphfile
from gcbarrier.model import PAGE_BYTES, Config, Machine, evolve
from gcbarrier.page_traces import corpus, pagesfile
from gcbarrier.plugins import discovery
from gcbarrier.report import BARRIER, PERCENT, Across, Column, Lines, Names, Report
from gcbarrier.report.axes import scale
from gcbarrier.report.grammar import bracketed
from gcbarrier.report.looks import barrier_look
from gcbarrier.report.panels import Drawn, View, style_of
from gcbarrier.report.style import FAINT, TITLE
from gcbarrier.report.units import DASH, NS, RATIO, Unit
from gcbarrier.results import Cell, Spread, Workload, workloads
from gcbarrier.results.run import Run
from gcbarrier.session.program import resolved

MIB = 1 << 20
STOPPED = ("none", "stop-the-world")
REFERENCE = "uffd-wp-pagemap"
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "mprotect", "cards", "cards-conditional", "log")
EVERY_S = 0.1
LENGTHS = (EVERY_S / 5, EVERY_S, 4 * EVERY_S)
"""Of what lies between two cycles under the reference."""
PROGRAMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("graph_edits", {"rate_per_s": 1e5}),
    ("graph_edits", {"rate_per_s": 0.0}),
    ("gcbench", {}),
    ("requests", {}),
    ("allocate", {}),
    ("snapshot", {"rate_per_s": 1e5}),
)
BURSTS = ("bursts", {"pages": 1000})


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every program without a barrier, under the reference and under each barrier; and the probes."""
    at = choose(machine, quick)
    common: dict[str, Any] = {
        "heap_bytes": at(full=128, quick=64, emulated=32) * MIB,
        "duration_s": at(full=2.0, quick=0.8, emulated=3.0),
    }
    often = {"every_s": EVERY_S}
    pairs = [(*STOPPED, often), *((barrier, "mostly-concurrent", often) for barrier in BARRIERS)]
    reference = [(REFERENCE, "mostly-concurrent", {"every_s": every}) for every in LENGTHS]
    configs: list[Config] = []
    for heap, params in (*PROGRAMS, *_recorded()):
        told = heap == "trace"
        configs += product(
            heap=heap, heap_params=params, pairs=pairs if told else [*pairs, *reference], **_sized(heap, params, common)
        )
    at_once = {"every_s": EVERY_S / 5, "rounds": 0}
    configs += product(
        heap=BURSTS[0],
        heap_params=BURSTS[1],
        pairs=[
            (*STOPPED, {"every_s": EVERY_S / 5}),
            *((barrier, "mostly-concurrent", at_once) for barrier in BARRIERS),
        ],
        **common,
    )
    return Plan(
        configs=(*configs, handshakes(duration_s=at(full=0.5, quick=0.2))),
        probes=probes(names=(*BARRIERS, REFERENCE), budget_s=at(full=0.03, quick=0.005, emulated=0.005)),
        invocations=at(full=5, quick=1, emulated=2, emulated_quick=1),
    )


def _recorded() -> list[tuple[str, dict[str, Any]]]:
    """Each recording that comes along, where the heap that replays one is here."""
    if "trace" not in discovery.names("heaps"):
        return []
    return [("trace", {"recording": name}) for name in corpus.names()]


def _sized(heap: str, params: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """A recording gets a heap that all of its pages fit into, up to four times the others'."""
    if heap != "trace":
        return dict(common)
    pages = len(pagesfile.read(corpus.find(params["recording"])).main.pages)
    wanted = -(-2 * pages * PAGE_BYTES // MIB) * MIB + 16 * MIB
    return {**common, "heap_bytes": min(max(wanted, 32 * MIB), 4 * common["heap_bytes"])}


def compared(run: Run, machine: str) -> Sequence[Compared]:
    """Everything that was predicted and measured on a machine; none where there are no probes to predict from."""
    if not run.found(machine) or not run.on(machine):
        return []
    constants = of_run(run, machine)
    awake = awake_in(run, machine)
    return [one for work in workloads(run.on(machine)) for one in _of(work, constants, awake)]


def _of(work: Workload, constants: Constants, awake: Awake) -> Iterator[Compared]:
    plain = next((cell for cell in work.cells if cell.config.barrier == "none" and cell.good), None)
    about = _described(work, plain, constants, awake) if plain is not None else None
    if plain is None or about is None:
        return
    known = {one.name for one in constants.barriers}
    for cell in work.cells:
        if cell.config.barrier in known - {REFERENCE} and cell.good:
            said = about.predicted(cell.config.barrier, constants)
            # What the mutators of bursts do between two cycles is wait for the next.
            busy = cell.config.heap != BURSTS[0]
            yield from judged(cell, plain, about, said, program=program_name(cell), busy=busy)


def program_name(cell: Any) -> str:
    """Heap, and what tells two of one apart."""
    config = cell.config
    rate = config.heap_params.get("rate_per_s")
    more = config.heap_params.get("recording") or ("" if rate is None else f"{rate:,.0f}/s" if rate else "unpaced")
    return f"{config.heap} {more}".strip()


def _described(work: Workload, plain: Cell, constants: Constants, awake: Awake) -> Described | None:
    config = plain.config
    references = [cell for cell in work.cells if cell.config.barrier == REFERENCE and cell.good]
    every_s = float(config.collector_params["every_s"])
    marking_ns = plain.medians("full", "mark_ns").centre
    period_ns, rounds = every_s * 1e9 + marking_ns, ROUNDS
    paced = config.heap == "trace" or bool(config.heap_params.get("rate_per_s"))
    written: Curve | None
    if config.heap == "trace":
        written = _replayed(config)
    elif config.heap == "bursts":
        pages = float(config.heap_params["pages"])
        written, rounds = curve(np.array([1.0, 1e12]), np.array([pages, pages])), 0
    else:
        first_ns = constants.of(REFERENCE).first_store.value
        written = written_under(references, plain, first_ns=first_ns, paced=paced)
        same = [cell for cell in references if float(cell.config.collector_params["every_s"]) == every_s]
        period_ns = period_of(same[0]) if same else period_ns
    if written is None or period_ns != period_ns:
        return None
    return described(
        plain,
        period_ns,
        written,
        stores_per_operation=stores_per_operation(config),
        paced=paced,
        rounds=rounds,
        awake=awake,
    )


def _replayed(config: Config) -> Curve:
    """From the recording alone: as it was recorded, whatever that had slowed it."""
    params = resolved(config)
    seen = program(pagesfile.read(corpus.find(str(config.heap_params["recording"]))))
    written = seen.written.times(1 / float(seen.stretch[0]))
    return evolve(written, pages=written.pages * params.scale, clock=1.0)


def stores_per_operation(config: Config) -> float:
    """References that an operation stores on average, from its heap's parameters."""
    return _STORES[config.heap](asdict(resolved(config)))


def _edits(p: Mapping[str, Any], leaf: float, fresh: float) -> float:
    """The mix of ``heaps/_edits``: a copy has its references stored, and a fresh object, which continues a list but for
    one in eight; the ring holds it."""
    redirects = 1 - p["move_share"] - p["replace_share"]
    garbage = p["garbage_per_edit"] * (fresh + 7 / 8 + 1)
    return float(redirects + 2 * p["move_share"] + p["replace_share"] * (leaf + 1) + garbage)


@cache
def _degrees(path: str) -> tuple[float, float]:
    """References of a movable and of a fresh object of a graph, on average."""
    heap = discovery.module("heaps", "snapshot")
    shipped = discovery.find("heaps", "snapshot").with_name("typescript.graph.npz")
    plan = heap.plan_of(graphfile.read(Path(path) if path else shipped))
    degrees = np.diff(plan.starts)
    small = plan.sizes_bytes <= heap.SMALL_BYTES
    return float(degrees[plan.movable].mean()), float(degrees[1:][small[1:]].mean())


def _trees(p: Mapping[str, Any]) -> float:
    """Every node but the root is stored once, whichever end its tree is built from; all depths have as many nodes."""
    depths = np.arange(p["min_depth"], p["max_depth"] + 1, 2)
    return float(p["nodes_per_operation"] * (1 - np.mean(1 / (2.0 ** (depths + 1) - 1))))


_STORES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "graph_edits": lambda p: _edits(p, p["references"], p["references"]),
    "snapshot": lambda p: _edits(p, *_degrees(p["graph"])),
    "gcbench": _trees,
    "requests": lambda p: 2 * p["objects"] - 1 + p["reads"] + p["update_share"] + 3,
    "bursts": lambda _: 1.0,
    "allocate": lambda _: 0.0,
    "trace": lambda p: (
        p["stores_per_page"] * (p["reference_share"] + p["garbage_per_store"] * (p["references"] + 7 / 8 + 1))
    ),
}


@frozen
class Scatter(Drawn):
    """A panel by hand whose marks are the barriers'."""

    def handles(self, view: View) -> Sequence[Any]:
        """A sample of each."""
        names = dict.fromkeys(one.barrier for one in view.cells if isinstance(one, Compared))
        return [Line2D([], [], label=name, **style_of(barrier_look(name), joined=False)) for name in names]


def _scatter(what: str, unit: Unit) -> Scatter:
    """Measured over predicted, and the line on which they would be the same."""

    def draw(axes: Axes, found: Sequence[Any]) -> None:
        mine = [one for one in found if isinstance(one, Compared) and one.what == what and one.measured]
        axes.set_title(TITLES[what], loc="left", fontsize=TITLE)
        for one in mine:
            x, y, look = _place(one.predicted), _place(one.measured), barrier_look(one.barrier)
            axes.errorbar(
                x[1], y[1], xerr=[[x[1] - x[0]], [x[2] - x[1]]], yerr=[[y[1] - y[0]], [y[2] - y[1]]],
                color=look.colour, marker=look.marker, markersize=4.5, elinewidth=0.7, linestyle="none",
                label=one.program,
            )  # fmt: skip
        ends = [each for one in mine for each in (*_place(one.predicted), *_place(one.measured))]
        for which in "xy":
            scale(axes, which, unit, ends, most=4)
        if ends:
            line = [min(ends), max(ends)]
            axes.plot(line, line, color=FAINT, linewidth=0.8, zorder=1)
        axes.set_xlabel("predicted")
        axes.set_ylabel("measured")
        axes.grid()

    draw.__name__ = what
    return Scatter(draw, width=2.7, left=0.75, least_height=2.7)


def _place(value: Spread) -> tuple[float, float, float]:
    """Rounding may leave the ends of what is one number on its wrong side."""
    return min(value.low, value.centre), value.centre, max(value.centre, value.high)


TITLES = {
    MUTATORS: "mutators' processor time,\ntimes that without a barrier",
    COLLECTOR: "collector's processor time for a cycle",
    REMARK: "remark pause",
}


def everything(run: Run, machine: str) -> list[Any]:
    """What was compared, and how far off it is."""
    found = compared(run, machine)
    return [*found, *errors(found)]


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda one: isinstance(one, kind)


WHAT = Names("", "what", order=(MUTATORS, COLLECTOR, REMARK))
PROGRAM = Names("program", "program")


def _error(head: str, number: Callable[[Off], Spread]) -> Column:
    """Its interval is over programs, where all others' are over invocations."""
    return Column(head=head, words=lambda one: bracketed(number(one), PERCENT.words) if number(one) else DASH)


WHOLE = _error("median absolute error of the whole", lambda one: one.whole)
ADDED = _error("of what the barrier adds", lambda one: one.added)
BIAS = _error("of the whole, with its sign", lambda one: one.bias)
HELD = Column(head="within the interval", words=lambda one: PERCENT.words(100 * one.held, 2))

OVER = (
    "In brackets: the interval of the median over programs (their range where they are fewer than five); of all "
    "barriers, of each program's median. Last: how much of what was measured lies within the interval that was "
    "predicted, of which 95 % should."
)


def _pair(one: Any) -> str:
    words = RATIO.words if one.what == MUTATORS else NS.words
    return f"{words(one.predicted.centre, 3)} / {words(one.measured.centre, 3)}" if one.measured else ""


def worst(found: Sequence[Any]) -> Iterator[str]:
    """Of each number, where the formula is furthest off."""
    for what in (MUTATORS, COLLECTOR, REMARK):
        mine = [one for one in found if isinstance(one, Compared) and one.what == what and one.measured]
        mine = [one for one in mine if one.off == one.off]
        if mine:
            one = max(mine, key=lambda each: abs(np.log(max(each.predicted.centre / each.measured.centre, 1e-9))))
            said, seen = _pair(one).split(" / ")
            yield f"{what}: furthest off is {one.program} under {one.barrier}: predicted {said}, measured {seen}."


REPORT = Report(
    title="What a barrier costs: predicted from constants, and measured.",
    figure=[[_scatter(MUTATORS, RATIO), _scatter(COLLECTOR, NS), _scatter(REMARK, NS)]],
    table=[
        Lines(WHAT, WHOLE, ADDED, BIAS, HELD, keep=_is(Off), after=OVER),
        Across(
            rows=PROGRAM, columns=BARRIER, value=Column(head="", words=_pair), per=WHAT,
            title="predicted / measured", keep=_is(Compared),
        ),
    ],
    remarks=(
        f"The description of a program is from its parameters, its recording, or the reference {REFERENCE}. Not in the "
        "formula: memory that marking and scanning drive out of the mutators' caches, what re-arming flushes of their "
        "TLBs, objects that are allocated during a cycle, and other threads on the same processors.",
        worst,
    ),
    cells=everything,
)  # fmt: skip
figures, table = REPORT.figures, REPORT.table
