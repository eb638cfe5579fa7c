"""Do rescan rounds before the remark pay, and when should they end?

``graph_edits`` with nothing but random redirects over the whole heap, under ``mostly-concurrent`` with so many rounds
and no other end to them, then with each of its ends and options by itself: what the remark takes, and what it costs in
all, the collector's processor time per cycle and the mutator's per operation. An option that shortens the pause is
worth what it adds to these.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import fields
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier import collectors
from gcbarrier.experiment import Plan
from gcbarrier.model import Config, Machine, Scalar, format_bytes
from gcbarrier.plotting.curves import Looks, curve_keys, looks
from gcbarrier.plotting.layout import text_width
from gcbarrier.plotting.sheet import cost_axis, sheet
from gcbarrier.plotting.style import DASH, INK, RC, format_ns, format_number, sort_key, styled
from gcbarrier.results import Cell, Spread, cells, cpu_ns_per_operation, percentile, spread
from gcbarrier.results.store import Run

MIB = 1 << 20
COLLECTOR = "mostly-concurrent"
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "soft-dirty")
RATES, EMULATED_RATES = (1e5, 1e6), (1e4,)
_ALONE: Mapping[str, Scalar] = {"enough": 0, "shrink": 1.0, "help": 0, "stop_above": 0, "look": 0}
"""Rounds and nothing else."""
_HELPED: Mapping[str, Scalar] = {**_ALONE, "rounds": 16, "shrink": 0.5, "wait_ns": 0}
OPTIONS: Mapping[str, Mapping[str, Scalar]] = {
    **{f"{count} round{'s' * (count != 1)}": {**_ALONE, "rounds": count} for count in (0, 1, 2, 4, 8, 16)},
    **{f"enough {count}": {**_ALONE, "rounds": 16, "enough": count} for count in (16, 256, 4096)},
    **{f"shrink {share}": {**_ALONE, "rounds": 16, "shrink": share} for share in (0.5, 0.8, 0.9)},
    **{f"help {count}": {**_HELPED, "help": count} for count in (4, 16, 64)},
    **{f"help 16, wait {wait} µs": {**_HELPED, "help": 16, "wait_ns": 1000 * wait} for wait in (4, 16)},
    **{f"stop above {count}": {**_ALONE, "rounds": 4, "stop_above": count} for count in (16, 500)},
    **{f"look {count}": {**_ALONE, "rounds": 4, "look": count} for count in (64, 4096)},
    "the defaults": {},
}
"""What is compared, and the collector's parameters for it."""
SHORT = ("0 rounds", "4 rounds", "16 rounds", "stop above 16", "help 16", "help 16, wait 16 µs", "the defaults")
ONLY_REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every option that the collector has, at each rate under each barrier; emulated, the short list of them."""
    emulated = machine.emulated
    known = {field.name for field in fields(collectors.load(COLLECTOR).params)}
    chosen = {
        name: params
        for name, params in OPTIONS.items()
        if set(params) <= known and (name in SHORT or not (quick or emulated))
    }
    configs = [
        Config(
            heap="graph_edits",
            barrier=barrier,
            collector=COLLECTOR,
            heap_bytes=(32 if emulated else 128 if quick else 512) * MIB,
            heap_params={"rate_per_s": rate, **ONLY_REDIRECTS},
            collector_params={**params, "every_s": 0.05},
            duration_s=(1.5 if quick else 3.0) if emulated else (0.6 if quick else 3.0),
        )
        for rate in (EMULATED_RATES if emulated else RATES)
        for barrier in BARRIERS
        for params in chosen.values()
    ]
    return Plan(configs=tuple(configs), invocations=1 if quick else 3)


def option(cell: Cell) -> str:
    """The name of what a configuration tries; its parameters where they are none of ours."""
    params = {name: value for name, value in cell.config.collector_params.items() if name != "every_s"}
    named = (name for name, its in OPTIONS.items() if dict(its) == params)
    return next(named, ", ".join(f"{name} {value}" for name, value in params.items()))


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A table for each machine and rate, medians over the invocations'."""
    return Group(*(each for machine in run.machines for each in _tables(run, machine))) if run.machines else Text("")


def _pause(cell: Cell) -> Spread:
    return cell.medians("remark")


def _collector(cell: Cell) -> Spread:
    return spread([one.collector_cpu_ns / len(one.cycles) if one.cycles else float("nan") for one in cell.good])


def _mutator(cell: Cell) -> Spread:
    return spread([cpu_ns_per_operation(outcome) for outcome in cell.good])


def _rounds(cell: Cell) -> Spread:
    return spread([percentile([cycle.rounds for cycle in outcome.cycles], 50) for outcome in cell.good])


PAUSE = "remark pause"
MEASURES: Mapping[str, Callable[[Cell], Spread]] = {
    PAUSE: _pause,
    "collector, CPU per cycle": _collector,
    "mutator, CPU per store": _mutator,
}


def _rate(cell: Cell) -> float:
    return float(cell.config.heap_params.get("rate_per_s", 0.0))


def _options(found: Sequence[Cell]) -> list[str]:
    there = dict.fromkeys(option(cell) for cell in found)
    return [name for name in OPTIONS if name in there] + [name for name in there if name not in OPTIONS]


def _words(rate: float) -> str:
    return f"{format_number(rate)} stores/s" if rate else "no limit"


def _figure(run: Run, machine: str) -> Figure:
    found = cells(run.on(machine))
    chosen = looks(cell.config.barrier for cell in found)
    options = _options(found)
    rates = sorted({_rate(cell) for cell in found}, key=lambda rate: rate or float("inf"))
    size = format_bytes(max((cell.config.heap_bytes for cell in found), default=0))
    with styled():
        figure, panels = sheet(
            run,
            machine,
            f"Rounds before the remark, random stores over {size}.",
            left=text_width(options, RC["ytick.labelsize"]) + 0.12,
            widths=(1.9,) * (len(MEASURES) * max(len(rates), 1)),
            height=max(0.27 * len(options), 1.5),
            gap=0.25,
            handles=curve_keys(chosen),
            remarks=[
                "Points: medians over the invocations' medians; bars: from the least to the greatest invocation. "
                "“n rounds” have no other end; “enough” and “shrink” end 16 rounds at most, “help” comes where such "
                "shrink by less than half, “stop above” and “look” to 4 rounds. Such a stop is a pause besides, not in "
                "the remark's."
            ],
        )
        places = [(rate, title) for rate in rates for title in MEASURES]
        for at, (axes, (rate, title)) in enumerate(zip(panels, places, strict=False)):
            axes.set_label(f"{title} {rate:g}")
            mine = [cell for cell in found if _rate(cell) == rate]
            _draw_rows(axes, mine, options, chosen, MEASURES[title])
            _scale(axes, logarithmic=title == PAUSE)
            axes.set_yticks(range(len(options)), options if at == 0 else [""] * len(options))
            first = at % len(MEASURES) == 0
            axes.set_title(f"{_words(rate)}\n{title}" if first else title, loc="left", color=INK, fontsize=8)
    return figure


def _draw_rows(
    axes: Axes, found: Sequence[Cell], options: Sequence[str], chosen: Looks, value: Callable[[Cell], Spread]
) -> None:
    axes.set_ylim(len(options) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    names = list(chosen)
    for cell in found:
        one = value(cell)
        if not one:
            continue
        look: dict[str, Any] = dict(chosen[cell.config.barrier])
        shift = 0.5 * (names.index(cell.config.barrier) + 0.5) / len(names) - 0.25
        row = options.index(option(cell)) + shift
        axes.plot([one.low, one.high], [row, row], color=look["color"], linewidth=1, label="_range")
        axes.plot(one.centre, row, linestyle="none", label=cell.config.barrier, **look)


def _scale(axes: Axes, *, logarithmic: bool) -> None:
    """Pauses lie orders of magnitude apart, processor time does not."""
    if logarithmic:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        # At least one power of ten is in it, and labelled.
        axes.set_xlim(low / 2, high * 2)
        cost_axis(axes.xaxis, "ns")
    else:
        axes.set_xlim(0, axes.get_xlim()[1] * 1.1)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: format_ns(value)))
    axes.tick_params(axis="x", labelsize=6.5)
    axes.grid(axis="x")


def _tables(run: Run, machine: str) -> list[RenderableType]:
    found = cells(run.on(machine))
    parts: list[RenderableType] = []
    for rate in sorted({_rate(cell) for cell in found}, key=lambda rate: rate or float("inf")):
        lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        lines.add_column("barrier", no_wrap=True)
        lines.add_column("option", no_wrap=True)
        for head in (
            "remark",
            "least",
            "greatest",
            "all stops",
            "rescan",
            "rounds",
            "collector/cycle",
            "mutator/store",
            "cycles",
        ):
            lines.add_column(head, justify="right", no_wrap=True)
        mine = [cell for cell in found if _rate(cell) == rate]
        for name in sorted({cell.config.barrier for cell in mine}, key=sort_key):
            of_it = {option(cell): cell for cell in mine if cell.config.barrier == name}
            for row, each in enumerate(one for one in _options(mine) if one in of_it):
                cell, pause = of_it[each], _pause(of_it[each])
                lines.add_row(
                    name if row == 0 else "",
                    each,
                    *(format_ns(number) for number in (pause.centre, pause.low, pause.high, cell.stopped().centre)),
                    format_ns(cell.medians("remark", "rescan_ns").centre),
                    format_number(_rounds(cell).centre),
                    format_ns(_collector(cell).centre),
                    format_ns(_mutator(cell).centre),
                    str(sum(len(outcome.cycles) for outcome in cell.good)) or DASH,
                )
        size = format_bytes(max(cell.config.heap_bytes for cell in mine))
        parts += [Text(f"{machine} · {_words(rate)} · graph_edits, {size}, redirects only"), lines, Text()]
    parts += [
        Text(f"failed: {one.invocation.config.label} #{one.invocation.index}: {one.error}")
        for one in run.on(machine)
        if one.error
    ]
    return parts
