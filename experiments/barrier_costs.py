"""What do a store, the first store to a page, arming and collecting cost under each barrier?

Each barrier by itself, without a heap's cycle: page-table barriers and software ones side by side, with ``none`` as the
plain store. Natively in nanoseconds; and in the lab, whose guest counts them, in instructions, which repeat from boot
to boot where emulated times would not. Collecting re-arms what it reports; it is measured from a hundredth of a per
cent of the pages to all of them, each written once. Left out are prototypes, whose time is Python's, and ``fork-cow``,
whose collect is a forked child's whole marking.
"""

from typing import Any

from attrs import evolve

from gcbarrier.bench.costs import measurable
from gcbarrier.campaign.plans import Plan, choose
from gcbarrier.model import Machine, Probe
from gcbarrier.report import (
    BARRIER,
    PERCENT,
    Across,
    Axis,
    Curves,
    Measure,
    Names,
    Report,
    Rows,
    agreement,
    point_spread,
    reading,
)
from gcbarrier.results.points import Point

MIB = 1 << 20
QUICK = "0.03 1 10 100"
FULL = "0.01 0.03 0.1 0.3 1 3 10 30 100"
TABLED = (0.01, 0.1, 1, 10, 100)
"""Of the shares those near these are in the table."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier that is here and can be measured by itself; the emulated memory is smaller."""
    at = choose(machine, quick)
    arguments: dict[str, Any] = {
        "densities": at(full=FULL, quick=QUICK),
        "budget_s": at(full=0.15, quick=0.02, emulated=0.005),
    }
    if machine.emulated:
        # What repeats need not be repeated often.
        arguments["least"] = 3
    heap_bytes = at(full=64, quick=16, emulated=16, emulated_quick=4) * MIB
    probes = [
        Probe(function="gcbarrier.bench.costs:operations", barrier=name, heap_bytes=heap_bytes, arguments=arguments)
        for name in measurable()
    ]
    # Two boots, or nobody would know whether counts repeat.
    return Plan(probes=probes, invocations=at(full=3, quick=1, emulated=2), counted=True)


def _operation(point: Point) -> str:
    """The column it is in."""
    if point.what != "collect":
        return point.what.replace("-", " ")
    tabled = any(abs(point.x / each - 1) < 0.6 for each in TABLED)
    return f"collect {PERCENT.words(point.x, 2)}" if tabled else ""


# Rounded: of so many pages no hundredth of a per cent is exact.
SHARE = Axis(
    "share of the pages that were written, once each", "x", evolve(PERCENT.log, tick=lambda x: PERCENT.words(x, 2))
)
STORE = reading("a store", "store")
FIRST_STORE = reading("the first store to a page\nsince it was armed", "first-store")
ARM = reading("arming all of it", "arm")
COLLECT = reading("collecting and arming again", "collect")
REPORT = Report(
    title="What a barrier costs by itself, over {heap_bytes}.",
    figure=(
        Rows(rows=BARRIER, x=(STORE, FIRST_STORE, ARM), words=True),
        Curves(x=SHARE, y=COLLECT, band=True, width=4.0),
    ),
    table=Across(
        rows=BARRIER,
        columns=Names("operation", _operation, order=("store", "first store", "arm")),
        value=Measure("cost", None, point_spread),
        title="{heap_bytes}",
    ),
    remarks=agreement,
)
figures, table = REPORT.figures, REPORT.table
