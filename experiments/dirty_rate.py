"""How fast may mutators write before a remark is all rescanning, and rounds before it no longer help?

``graph_edits`` with nothing but random redirects over the whole heap: each store most likely hits a page that was
clean, so the rate of stores is that of pages dirtied until the heap has no clean pages left. Drawn against it are the
remark pause, the rounds before it, all stops of a cycle, and what the mutator managed.

A cycle stops converging where its dirty set no longer shrinks: a round, or the remark, finds more than ``SHRUNK`` of
what the one before found, and more than ``ENOUGH`` granules. Where more than half of a configuration's cycles do, its
points are hollow.
"""

from collections import Counter
from itertools import pairwise

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Machine, Outcome
from gcbarrier.report import COUNT, NS, PER_S, Axis, Column, Curves, Flag, Lines, Measure, Report
from gcbarrier.report.units import DASH
from gcbarrier.results import Cell, operations_per_second

MIB = 1 << 20
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "uffd-wp-pagemap", "mprotect", "cards", "soft-dirty")
NATIVE, QUICK = (1e3, 1e4, 1e5, 3e5, 1e6, 0.0), (1e4, 1e5, 0.0)
EMULATED, EMULATED_QUICK = (1e3, 1e4, 3e4, 0.0), (1e3, 0.0)
ONLY_REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}
SHRUNK, ENOUGH = 0.9, 16
"""Smaller sets than that need not shrink: they are rescanned in microseconds."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every rate under every barrier; ``none`` at the same rates is what the mutator manages undisturbed."""
    at = choose(machine, quick)
    rates = at(full=NATIVE, quick=QUICK, emulated=EMULATED, emulated_quick=EMULATED_QUICK)
    configs = product(
        heap="graph_edits",
        heap_bytes=at(full=1024 * MIB, quick=256 * MIB, emulated=32 * MIB),
        heap_params=[{"rate_per_s": rate, **ONLY_REDIRECTS} for rate in rates],
        pairs=[("none", "never"), *((barrier, "mostly-concurrent", {"every_s": 0.05}) for barrier in BARRIERS)],
        duration_s=at(full=4.0, quick=0.7, emulated=4.0, emulated_quick=1.5),
    )
    return Plan(configs=configs, invocations=at(full=3, quick=1))


def converges(outcome: Outcome) -> list[bool]:
    """Of each cycle whether its dirty set shrank to the end."""
    remarks = {pause.cycle: pause.dirty_granules for pause in outcome.pauses if pause.kind == "remark"}
    stops = Counter(pause.cycle for pause in outcome.pauses if pause.kind == "rearm")
    return [
        # Stopped for one of several rounds, an atomic barrier's mutators did not converge with it.
        not 0 < stops[cycle.cycle] < len(cycle.round_dirty)
        and all(found <= max(ENOUGH, SHRUNK * before) for before, found in pairwise((*cycle.round_dirty, left)))
        for cycle in outcome.cycles
        if (left := remarks.get(cycle.cycle)) is not None
    ]


def stays_behind(cell: Cell) -> bool:
    """Whether more than half of the cycles do not converge."""
    every = [each for outcome in cell.good for each in converges(outcome)]
    return sum(every) < len(every) / 2


def _converging(cell: Cell) -> str:
    every = [each for outcome in cell.good for each in converges(outcome)]
    return f"{sum(every)} of {len(every)}" if every else DASH


RATE = Axis("stores per second asked for", "heap_params.rate_per_s", PER_S, endless=0.0, short="stores/s")
REMARK = Measure("remark pause", NS, lambda cell: cell.medians("remark"), head="remark")
ROUNDS = Measure("rounds before it", COUNT, lambda cell: cell.cycles(lambda cycle: cycle.rounds), head="rounds")
STOPS = Measure("all stops of a cycle", NS, Cell.stopped, head="all stops")
MANAGED = Measure("stores per second managed", PER_S, lambda cell: cell.each(operations_per_second), head="managed/s")
COLLECT, RESCAN = (
    Measure(each, NS, lambda cell, of=f"{each}_ns": cell.medians("remark", of)) for each in ("collect", "rescan")
)
LEFT = Measure("left to it", COUNT, lambda cell: cell.medians("remark", "dirty_granules"))
BEHIND = Flag(
    "the dirty set no longer shrinks",
    stays_behind,
    why=f"in most cycles a round or the remark found more than {ENOUGH} granules and over {100 * SHRUNK:.0f} % of what "
    "the one before had found.",
)
REPORT = Report(
    title="Random stores per second over {heap_bytes}.",
    figure=Curves(x=RATE, y=(REMARK, ROUNDS, STOPS, MANAGED), hollow=BEHIND),
    table=Lines(
        *(
            RATE,
            REMARK.ranged,
            STOPS,
            COLLECT,
            RESCAN,
            ROUNDS,
            LEFT,
            MANAGED,
            Column(head="converges", words=_converging),
        ),
        title="{heap}, {heap_bytes}, redirects only",
    ),
    closing=BEHIND.first(RATE, "{barrier}: no longer converges from {x} on"),
)
figures, table = REPORT.figures, REPORT.table
