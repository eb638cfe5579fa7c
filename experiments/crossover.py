"""From how many stores to a page on does a page-table barrier cost its mutator less than a software one?

A page-table barrier takes a fault at the first store to a page in a cycle and nothing after it; a software barrier
takes a few instructions at every store. So the barrier is armed, some pages get 1 to 100,000 stores each, and the time
per store is drawn against that. Where two curves cross the barriers cost their mutators the same. What the collector
pays for arming and collecting is not in it: ``barrier_costs`` has that. In the lab instructions are counted. Left out
are prototypes, whose time is Python's, and ``fork-cow``, which reports nothing.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, log
from typing import Any

from attrs import frozen
from matplotlib.axes import Axes

from gcbarrier.bench.costs import is_software, measurable
from gcbarrier.campaign.plans import Plan, choose
from gcbarrier.model import Machine, Probe
from gcbarrier.report import (
    BARRIER,
    COUNT,
    Across,
    Axis,
    Column,
    Curves,
    Flag,
    Measure,
    Names,
    Report,
    Rows,
    agreement,
    point_spread,
)
from gcbarrier.report.style import INK
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

MIB = 1 << 20
QUICK = "1 10 100 1000 10000 100000"
FULL = "1 3 10 30 100 300 1000 3000 10000 30000 100000"


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier that is here and can be measured by itself."""
    at = choose(machine, quick)
    arguments: dict[str, Any] = {
        "rates": at(full=FULL, quick=QUICK),
        "budget_s": at(full=0.15, quick=0.02, emulated=0.005),
        # A few million instructions a section: emulated, that is long enough to wait for.
        "most_stores": at(full=1 << 20, emulated=1 << 17),
    }
    probes = [
        Probe(function="gcbarrier.bench.costs:store_rates", barrier=name, heap_bytes=4 * MIB, arguments=arguments)
        for name in measurable()
    ]
    return Plan(probes=probes, invocations=at(full=3, quick=1, emulated=2), counted=True)


def crossing(page: Mapping[float, float], software: Mapping[float, float]) -> float:
    """The stores per page from which on the page barrier costs less; interpolated between what was measured.

    Both map stores per page to the cost of one. 0 where the page barrier never cost more, infinity where it still does
    at the last rate.
    """
    over = [(rate, log(page[rate] / software[rate])) for rate in sorted(page) if rate in software]
    last = max((index for index, (_, excess) in enumerate(over) if excess > 0), default=None)
    if last is None:
        return 0.0
    if last == len(over) - 1:
        return float("inf")
    (left, above), (right, below) = over[last], over[last + 1]
    share = above / (above - below)
    return exp(log(left) + share * (log(right) - log(left)))


@frozen(kw_only=True)
class Crossing:
    """Where a page barrier begins to cost less than a software one."""

    page: str
    barrier: str
    """The software one, whose colour it gets."""
    rate: float
    measured: tuple[float, float]
    """The least and the greatest rate."""


def crossings(found: Sequence[Point]) -> list[Crossing]:
    """Of every page barrier with every software one."""
    curves = _curves(found)
    return [
        Crossing(page=page, barrier=other, rate=crossing(curve, curves[other]), measured=(min(curve), max(curve)))
        for page, curve in curves.items()
        for other in curves
        if is_software(other) and page != "none" and not is_software(page)
    ]


def _curves(found: Sequence[Point]) -> dict[str, dict[float, float]]:
    return {name: {point.x: point.value.centre for point in mine} for name, mine in BARRIER.groups(found)}


def _everything(run: Run, machine: str) -> list[Point | Crossing]:
    found = points(run, machine)
    return [*found, *crossings(found)]


def _at(curve: Mapping[float, float], rate: float) -> float:
    """The curve between its points, as straight as it is drawn."""
    for (left, low), (right, high) in pairwise(sorted(curve.items())):
        if left <= rate <= right:
            return exp(log(low) + (log(high) - log(low)) * log(rate / left) / log(right / left))
    return float("nan")


def _draw_crosses(axes: Axes, found: Sequence[Point]) -> None:
    curves = _curves(found)
    for one in crossings(found):
        if not _beyond(one):
            at = _at(curves[one.barrier], one.rate)
            axes.plot(one.rate, at, "x", color=INK, markersize=5, mew=1.1, zorder=5, label="_crossing")


def _beyond(one: Point | Crossing) -> bool:
    return isinstance(one, Crossing) and not 0 < one.rate < float("inf")


def _place(one: Point | Crossing) -> float | None:
    """Within what was measured."""
    return min(max(one.rate, one.measured[0]), one.measured[1]) if isinstance(one, Crossing) else None


def say(rate: float) -> str:
    """A crossing in words."""
    if rate == 0:
        return "always cheaper"
    # Two digits: between measured rates it is a straight line on logarithmic paper.
    return "not up to 100,000" if rate == float("inf") else f"{float(f'{rate:.2g}'):,.0f}"


def _cost(one: Point | Crossing) -> Any:
    return point_spread(one) if isinstance(one, Point) else None


STORES = Axis("stores to each page since it was armed", "x", COUNT.log)
COST = Measure("cost of a store, the fault included", None, _cost)
FROM = Measure("page barrier cheaper from here on", COUNT.log, _place)
BEYOND = Flag("beyond what was measured", _beyond)
KIND = Names(
    "",
    lambda one: "software barriers" if is_software(one.barrier) else "page barriers and none",
    order=("page barriers and none", "software barriers"),
)
REPORT = Report(
    title="From how many stores to a page on is a fault the cheaper barrier?",
    figure=(
        Curves(x=STORES, y=COST, band=True, dashed=KIND, over=_draw_crosses, width=5.4),
        Rows(
            rows=Names("", lambda one: f"{one.page} / {one.barrier}" if isinstance(one, Crossing) else ""),
            x=FROM,
            words=lambda _, one, __: say(one.rate),
            hollow=BEYOND,
            width=2.8,
            row=0.2,
        ),
    ),
    table=(
        Across(
            rows=BARRIER,
            columns=STORES,
            value=COST,
            title="a store, by the stores to each page",
            keep=lambda one: isinstance(one, Point),
        ),
        Across(
            rows=Names("page barrier", "page"),
            columns=BARRIER,
            value=Column(head="from", words=lambda one: say(one.rate)),
            title="the stores to each page from which on it is cheaper than",
            keep=lambda one: isinstance(one, Crossing),
        ),
    ),
    remarks=(
        "Where two cross (crosses in the figure) is interpolated between what was measured.",
        lambda found: agreement([one for one in found if isinstance(one, Point)]),
    ),
    cells=_everything,
)
figures, table = REPORT.figures, REPORT.table
