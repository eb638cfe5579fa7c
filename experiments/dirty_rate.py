"""How fast may mutators write before a remark is all rescanning, and rounds before it no longer help?

``graph_edits`` with nothing but random redirects over the whole heap: each store most likely hits a page that was
clean, so the rate of stores is that of pages dirtied until the heap has no clean pages left. Drawn against it are the
remark pause, the rounds before it, what the last round left to the remark, and what the mutator managed.

A cycle stops converging where its dirty set no longer shrinks: a round, or the remark, finds more than ``SHRUNK`` of
what the one before found, and more than ``ENOUGH`` granules. Where more than half of a configuration's cycles do, its
points are hollow.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.experiment import Plan
from gcbarrier.model import Config, Machine, Outcome, format_bytes
from gcbarrier.plotting.curves import Place, curve_keys, draw_curve, looks
from gcbarrier.plotting.sheet import cost_axis, sheet
from gcbarrier.plotting.style import DASH, INK, format_ns, format_number, sort_key, styled
from gcbarrier.results import Cell, Spread, cells, operations_per_second, percentile, spread
from gcbarrier.results.store import Run

MIB = 1 << 20
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "uffd-wp-pagemap", "mprotect", "cards", "soft-dirty")
NATIVE = (1e3, 1e4, 1e5, 3e5, 1e6, 0.0)
QUICK = (1e4, 1e5, 0.0)
EMULATED, EMULATED_QUICK = (1e3, 1e4, 3e4, 0.0), (1e3, 0.0)
ONLY_REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}
SHRUNK, ENOUGH = 0.9, 16
"""Smaller sets than that need not shrink: they are rescanned in microseconds."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every rate under every barrier; ``none`` at the same rates is what the mutator manages undisturbed."""
    emulated = machine.emulated
    rates = (EMULATED_QUICK if quick else EMULATED) if emulated else (QUICK if quick else NATIVE)
    heap_bytes = (32 if emulated else 256 if quick else 1024) * MIB
    pairs = [("none", "never", {})]
    pairs += [(barrier, "mostly-concurrent", {"every_s": 0.05}) for barrier in BARRIERS]
    configs = [
        Config(
            heap="graph_edits",
            barrier=barrier,
            collector=collector,
            heap_bytes=heap_bytes,
            heap_params={"rate_per_s": rate, **ONLY_REDIRECTS},
            collector_params=params,
            duration_s=(1.5 if quick else 4.0) if emulated else (0.7 if quick else 4.0),
        )
        for rate in rates
        for barrier, collector, params in pairs
    ]
    return Plan(configs=tuple(configs), invocations=1 if quick else 3)


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


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A table for each machine, a row for each barrier and rate; medians over the invocations'."""
    return Group(*(each for machine in run.machines for each in _tables(run, machine))) if run.machines else Text("")


def _rate(cell: Cell) -> float:
    return float(cell.config.heap_params.get("rate_per_s", 0.0))


def _rounds(cell: Cell) -> Spread:
    return spread([percentile([cycle.rounds for cycle in outcome.cycles], 50) for outcome in cell.good])


def _left(cell: Cell) -> Spread:
    return cell.medians("remark", "dirty_granules")


def _managed(cell: Cell) -> Spread:
    return spread([operations_per_second(outcome) for outcome in cell.good])


def _pause(cell: Cell) -> Spread:
    return cell.medians("remark")


PANELS = {
    "remark pause": _pause,
    "rounds before it": _rounds,
    "all stops of a cycle": Cell.stopped,
    "stores per second managed": _managed,
}


def _names(found: Sequence[Cell]) -> list[str]:
    return sorted({cell.config.barrier for cell in found}, key=sort_key)


def _figure(run: Run, machine: str) -> Figure:
    found = cells(run.on(machine))
    chosen = looks(_names(found))
    rates = sorted({_rate(cell) for cell in found if _rate(cell)})
    size = format_bytes(max((cell.config.heap_bytes for cell in found), default=0))
    hollow = Line2D([], [], color=INK, marker="o", markerfacecolor="white", markersize=5.5, linestyle="none")
    hollow.set_label("hollow: the dirty set no longer shrinks")
    with styled():
        figure, panels = sheet(
            run,
            machine,
            f"Random stores per second over {size}.",
            left=0.55,
            widths=(2.8,) * len(PANELS),
            height=3.2,
            gap=0.6,
            handles=[*curve_keys(chosen), hollow],
            remarks=[
                "Points: medians over the invocations' medians; bars: from the least to the greatest invocation. "
                f"Hollow: in most cycles a round or the remark found more than {ENOUGH} granules and over "
                f"{100 * SHRUNK:.0f} % of what the one before had found. No granule at all is drawn at a half."
            ],
        )
        for axes, (title, value) in zip(panels, PANELS.items(), strict=True):
            axes.set_label(title)
            for name in _names(found):
                mine = [cell for cell in found if cell.config.barrier == name]
                places = [
                    Place(x=_x(_rate(cell), rates), y=_drawn(title, value(cell)), hollow=stays_behind(cell))
                    for cell in mine
                ]
                draw_curve(axes, name, places, chosen[name])
            axes.set_title(title, loc="left", color=INK)
            _axes(axes, title, rates, unlimited=any(not _rate(cell) for cell in found))
    return figure


def _drawn(title: str, value: Spread) -> Spread:
    """No granule at all has a place on a logarithmic axis, below the first."""
    if "granules" not in title:
        return value
    low, centre, high = (max(each, 0.5) for each in (value.low, value.centre, value.high))
    return Spread(centre=centre, low=low, high=high, each=value.each)


def _x(rate: float, rates: Sequence[float]) -> float:
    """Where a rate is drawn: as fast as it can lies to the right of all others."""
    return rate or 10 * max(rates, default=1.0)


def _axes(axes: Axes, title: str, rates: Sequence[float], *, unlimited: bool) -> None:
    axes.set_xscale("log")
    places = [rate for rate in rates if f"{rate:.0e}".startswith("1")] + [_x(0.0, rates)] * unlimited
    words = [_short(place) for place in places[: len(places) - unlimited]] + ["no limit"] * unlimited
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter(words))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("stores per second asked for")
    if title == "remark pause":
        axes.set_yscale("log")
        cost_axis(axes.yaxis, "ns")
    elif "rounds" in title:
        axes.set_ylim(0, None)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(base=10, numticks=12))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: "0" if value < 1 else _short(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid()


def _short(count: float) -> str:
    for unit, size in ((" M", 1e6), (" k", 1e3)):
        if count >= size:
            return f"{format_number(count / size)}{unit}"
    return format_number(count)


def _tables(run: Run, machine: str) -> list[RenderableType]:
    found = cells(run.on(machine))
    size = format_bytes(max((cell.config.heap_bytes for cell in found), default=0))
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    heads = (
        "remark",
        "least",
        "greatest",
        "all stops",
        "collect",
        "rescan",
        "rounds",
        "left to it",
        "managed/s",
        "converges",
    )
    lines.add_column("barrier", no_wrap=True)
    for head in ("stores/s", *heads):
        lines.add_column(head, justify="right", no_wrap=True)
    for name in _names(found):
        mine = sorted((c for c in found if c.config.barrier == name), key=lambda c: _rate(c) or float("inf"))
        for row, cell in enumerate(mine):
            pause = _pause(cell)
            cycles = [each for outcome in cell.good for each in converges(outcome)]
            lines.add_row(
                name if row == 0 else "",
                _short(_rate(cell)) if _rate(cell) else "no limit",
                *(format_ns(value) for value in (pause.centre, pause.low, pause.high, cell.stopped().centre)),
                *(format_ns(cell.medians("remark", f"{phase}_ns").centre) for phase in ("collect", "rescan")),
                format_number(_rounds(cell).centre),
                format_number(_left(cell).centre),
                format_number(_managed(cell).centre),
                f"{sum(cycles)} of {len(cycles)}" if cycles else DASH,
            )
    stops = [
        Text(f"{name}: no longer converges from {_short(least) if least < float('inf') else 'no limit'} on")
        for name in _names(found)
        if (least := _stops(found, name)) is not None
    ]
    failed = [
        Text(f"failed: {one.invocation.config.label} #{one.invocation.index}: {one.error}")
        for one in run.on(machine)
        if one.error
    ]
    return [Text(f"{machine} · graph_edits, {size}, redirects only"), lines, *stops, *failed, Text()]


def _stops(found: Sequence[Cell], name: str) -> float | None:
    """The least rate at which a barrier's cycles stop converging; None: at none."""
    mine = [cell for cell in found if cell.config.barrier == name and stays_behind(cell)]
    return min((_rate(cell) or float("inf") for cell in mine), default=None)
