"""What can be shown of any run, whatever its experiment looks at: how utilised mutators were, how long operations took.

``gcbarrier plot RUN --figure NAME`` draws these; the experiments of the same names show nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf, isinf
from typing import TypeVar

from gcbarrier.errors import GcBarrierError
from gcbarrier.report.grammar import Column, Measure
from gcbarrier.report.panels.latency import Latency
from gcbarrier.report.panels.utilisation import WORKLOAD, Utilisation, relative_speed
from gcbarrier.report.report import Report
from gcbarrier.report.tables import Lines
from gcbarrier.report.units import DASH, NS, SHARE, format_ns, format_number, format_ratio
from gcbarrier.results import Cell, Spread, spread
from gcbarrier.results.latency import Served, served
from gcbarrier.results.mutators import LOSSES, Lost, Watched, watched
from gcbarrier.results.run import Run
from gcbarrier.results.utilisation import worst

AnyCell = TypeVar("AnyCell", bound=Cell)

MMU_WINDOWS_NS = (1e6, 1e7, 1e8)
"""Of the table."""
METERED_NS = (0.0, 1e7, inf)
"""Windows of metered latency; 0: simple latency."""


def _mmu(window_ns: float, *, classic: bool) -> Measure:
    def least(one: Lost) -> float:
        return float(worst((one.classic,) if classic else one.whole, window_ns)[0])

    counted = "pauses" if classic else "all"
    return Measure(f"MMU {format_ns(window_ns)}, {counted}", SHARE.linear, _of_each(least), digits=2)


def _of_each(number: Callable[[Lost], float]) -> Callable[[Watched], Spread]:
    return lambda cell: spread([number(one) for one in cell.lost])


def _lost_to(what: str) -> Measure:
    return Measure(f"lost: {what}", SHARE.linear, _of_each(lambda one: one.share(what)), digits=2)


def _speed(cell: Cell, found: Sequence[Cell]) -> str:
    speed = relative_speed(cell, found)
    return format_ratio(speed.centre) if speed else DASH


UTILISATION = Report(
    title="What mutators have of every window of time.",
    figure=Utilisation(),
    table=Lines(
        *(_mmu(window, classic=classic) for window in MMU_WINDOWS_NS for classic in (True, False)),
        *(_lost_to(what) for what in LOSSES),
        Column(head="speed / none", among=_speed, number=lambda cell, found: relative_speed(cell, found).centre),
        per=WORKLOAD,
    ),
    cells=watched,
)
"""MMU, BMU and percentile utilisation curves, by pauses only and by all that was lost."""


def _percentile(q: float, window_ns: float) -> Measure:
    kind = "metered, run" if isinf(window_ns) else f"metered, {format_ns(window_ns)}" if window_ns else "simple"

    def of(cell: Served) -> Spread:
        return spread([float(cell.percentiles(at, q, window_ns)[0]) for at in range(len(cell.good))])

    return Measure(f"{q:g}th, {kind}", NS, of)


def _operations(cell: Cell) -> int:
    return sum(outcome.operations for outcome in cell.good)


def _count(cell: Cell) -> str:
    return format_number(_operations(cell), 4)


LATENCY = Report(
    title="How long operations take, and how long one waits for them.",
    figure=Latency(windows_ns=METERED_NS),
    table=Lines(
        Column(head="operations", words=_count, number=lambda cell, _: float(_operations(cell))),
        _percentile(50, 0.0),
        *(_percentile(q, window) for q in (99, 99.99) for window in METERED_NS),
        per=WORKLOAD,
    ),
    cells=served,
)
"""Simple and metered latency, of what was run ``timed``."""


def utilisation_verdict(run: Run) -> str:
    """What the worst 10 ms of each workload leave under each barrier, in both ways of counting; a line for each."""
    classic, whole = (_mmu(1e7, classic=each) for each in (True, False))
    return "\n".join(
        f"In the worst 10 ms of {name}{_on(run, machine)}, mutators have, by pauses only and by all that they lost: "
        + "; ".join(f"{_named(cell)} {classic.say(cell)} and {whole.say(cell)}" for cell in found if cell.lost)
        + "."
        for machine, name, found in _workloads(run, watched)
    )


def latency_verdict(run: Run) -> str:
    """The 99.99th percentile of each workload under each barrier, simple and metered; a line for each."""
    simple, metered = (_percentile(99.99, window) for window in (0.0, inf))
    return "\n".join(
        f"99.99 % of the operations of {name}{_on(run, machine)} took at most, and were waited for at most: "
        + "; ".join(f"{_named(cell)} {simple.say(cell)} and {metered.say(cell)}" for cell in found if cell.good)
        + "."
        for machine, name, found in _workloads(run, served)
    )


def _workloads(
    run: Run, cells_of: Callable[[Run, str], Sequence[AnyCell]]
) -> Iterator[tuple[str, str, Sequence[AnyCell]]]:
    for machine in run.machines:
        for name, found in WORKLOAD.groups(cells_of(run, machine)):
            yield machine, name, found


def _on(run: Run, machine: str) -> str:
    return f" on {machine}" if len(run.machines) > 1 else ""


def _named(cell: Cell) -> str:
    return (
        f"{cell.config.barrier} under {cell.config.collector}" if cell.config.barrier == "none" else cell.config.barrier
    )


FIGURES: Mapping[str, Report] = {"latency": LATENCY, "utilisation": UTILISATION}


def figure_of(run: Run, name: str) -> Report:
    """The report of that name. Raises GcBarrierError where ``run`` has nothing for it."""
    if name == "latency" and not any(outcome.operation_times for outcome in run.outcomes):
        raise GcBarrierError(
            f"{run.directory} has no operations' times: run it with --set timed=true to draw their latency"
        )
    if not run.outcomes:
        raise GcBarrierError(f"{run.directory} has no sessions, whose {name} could be drawn")
    return FIGURES[name]


__all__ = ["FIGURES", "LATENCY", "UTILISATION", "figure_of", "latency_verdict", "utilisation_verdict"]
