"""What does the framework add to the system calls it makes?

``uffd-wp-async`` through the framework, and the same system calls by a bare C loop, taking turns in one process on the
same memory: arming, the first store to a page, collecting and re-arming with 0, 1, 10 and 100 % of the pages written.
Each turn gives a ratio; what is drawn is their median. The aim is 5 % at most. Only this barrier has its system calls
written out, so there is no other in it.
"""

from collections.abc import Sequence
from typing import Any

from gcbarrier.campaign.plans import Plan, choose
from gcbarrier.model import Machine, Probe
from gcbarrier.report import BYTES, Across, Axis, Column, Look, Measure, Names, Report, Rows, Unit, point_spread
from gcbarrier.report.looks import barrier_look
from gcbarrier.report.units import DASH, format_number
from gcbarrier.results.points import Point

MIB = 1 << 20
BARRIER = "uffd-wp-async"
DENSITIES = "0 1 10 100"
AIM = 5.0
"""Per cent."""
OURS, BARE, ADDED = "through the framework", "bare system calls", "added"
LOOKS = {OURS: barrier_look(BARRIER), BARE: Look(colour="#999999")}
OPERATIONS = {"arm": "arm", "first-store": "first store, each", "collect": "collect, {:g} % written"}
CHANGE = Unit("%", lambda value, _=1: f"{value:+.1f} %", scale="linear", tick=lambda value: f"{value:+g} %")


def plan(*, machine: Machine, quick: bool) -> Plan:
    """64 MiB and, where there is time for it, 1 GiB."""
    at = choose(machine, quick)
    arguments: dict[str, Any] = {
        "densities": DENSITIES,
        "budget_s": at(full=4.0, quick=0.3),
        "least": at(full=15, quick=7),
    }
    small: tuple[int, ...] = (64,)
    probes = [
        Probe(function="gcbarrier.bench.costs:framework", barrier=BARRIER, heap_bytes=size * MIB, arguments=arguments)
        for size in at(full=(64, 1024), quick=small, emulated=small)
    ]
    return Plan(probes=probes, invocations=at(full=3, quick=1))


def _operation(point: Point) -> str:
    return OPERATIONS[point.what.removeprefix("bare-").removeprefix("added-")].format(point.x)


def _way(point: Point) -> str:
    """Which of the three readings of an operation it is."""
    return BARE if point.what.startswith("bare-") else ADDED if point.what.startswith("added-") else OURS


def _words(point: Point) -> str:
    return (TAKEN if TAKEN.value(point) else MORE).say(point)


def _half(found: Sequence[Point]) -> str:
    return next((f"{one.low:+.1f} … {one.high:+.1f} %" for one in found if _way(one) == ADDED), DASH)


def _turns(found: Sequence[Point]) -> str:
    return format_number(sum(one.samples for one in found if _way(one) == OURS))


TAKEN = Measure("what they take", None, lambda point: None if _way(point) == ADDED else point_spread(point))
MORE = Measure(
    f"added by the framework; the aim: at most {AIM:g} %",
    CHANGE,
    lambda point: point_spread(point) if _way(point) == ADDED else None,
)
SIZE = Axis("tracked", "heap_bytes", BYTES)
OPERATION = Names(
    "operation",
    _operation,
    order=[
        *(OPERATIONS["arm"], OPERATIONS["first-store"]),
        *(OPERATIONS["collect"].format(float(each)) for each in DENSITIES.split()),
    ],
)
REPORT = Report(
    title=f"What the framework adds to the system calls of {BARRIER}.",
    figure=(
        Rows(rows=OPERATION, x=TAKEN, per=SIZE, width=2.8, row=0.32),
        Rows(
            rows=OPERATION,
            x=MORE,
            per=SIZE,
            words=True,
            limit=AIM,
            each=True,
            labels=False,
            most_ticks=8,
            width=3.2,
            row=0.32,
        ),
    ),
    table=Across(
        rows=OPERATION,
        columns=Names("", _way, order=(OURS, BARE, ADDED)),
        value=Column(head="", words=_words),
        last=[("middle half", _half), ("turns", _turns)],
        per=SIZE,
    ),
    remarks=lambda found: (
        "What is added: each turn's two measurements as a ratio; the median of these, and the middle half of them."
        if found
        else "There is nothing to compare: no invocation measured it both ways."
    ),
    by=Names("", lambda point: BARE if _way(point) == BARE else OURS, order=(OURS, BARE), looks=LOOKS),
)
figures, table = REPORT.figures, REPORT.table
