"""How do pauses, marking and allocation compare with the Boehm collector's, under the same mutators?

Three comparisons, each in memory of the same size for both, over the same programs:

- pauses: a graph of 256 MiB in a heap of 768 MiB, an operation is one store to a page of the 1 or 10 % that are hot and
  one allocation; as fast as it can be, and held to a million operations per second. Against it the Boehm collector's
  generational mode, whose dirty bits are its own. Both begin a cycle after about the same allocation. What counts is
  for how long all stops of a cycle together stop the mutator; the Boehm collector's full collections are left out.
- marking: with the world stopped, 64-byte objects with 4 references in a random graph, 256 MiB and 1 GiB; one marking
  thread each, and two. The Boehm collector's mark stack is made large beforehand: it would overflow else.
- allocation: nothing but that, beside live objects that take a quarter of the heap and lie close together or with gaps
  between them. What collections take is not counted; what sweeping takes on the way to an object is.
"""

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.experiment import Plan
from gcbarrier.metrics import Cell, Spread, cells, spread
from gcbarrier.model import Config, Machine, Outcome, format_bytes
from gcbarrier.report.sheet import sheet
from gcbarrier.report.style import FAINT, INK, RC, SMALL, TIMES, format_ns, format_ratio, styled, time_axis
from gcbarrier.store import Run

MIB = 1 << 20
OBJECT_BYTES = 64
BATCH = 1000
OURS, OURS_TWO, BOEHM, TWO = "gcbarrier", "gcbarrier, 2 markers", "Boehm", "Boehm, 2 markers"
COLOURS = {OURS: "#0072B2", OURS_TWO: "#56B4E9", BOEHM: "#D55E00", TWO: "#CC79A7"}
MARKS = {OURS: "o", OURS_TWO: "D", BOEHM: "s", TWO: "^"}
COMPARED = {BOEHM: OURS, TWO: OURS_TWO}
RATES = {1_000_000.0: "1 million/s", 0.0: "unlimited"}
_ENTRIES = 1 << 12
"""Of a mark stack for each MiB of the graph: a half of its objects may be on it."""


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Nothing for an emulated machine: the library is not in the lab's guest."""
    configs = [*_pauses(quick), *_marking(quick), *_allocation(quick)]
    return Plan(configs=() if machine.emulated else tuple(configs), invocations=1 if quick else 5)


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """The figures' numbers and the remark by itself, with the range over the invocations."""
    return Group(*(each for machine in run.machines for each in _tables(run, machine))) if run.machines else Text("")


# The plan


def _pauses(quick: bool) -> list[Config]:
    live = (32 if quick else 256) * MIB
    found = []
    for hot in (0.01, 0.1):
        for rate in RATES:
            edits = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 1.0}
            shared: dict[str, Any] = {
                "heap": "graph_edits",
                "heap_bytes": 3 * live,
                "heap_params": {"nodes": live // OBJECT_BYTES, "hot_share": hot, "rate_per_s": rate, **edits},
                "duration_s": 1.0 if quick else 6.0 if rate else 4.0,
            }
            # Generational, it collects after a third of what lives; that is a sixth of what is free.
            found.append(
                Config(
                    barrier="uffd-wp-log",
                    collector="mostly-concurrent",
                    collector_params={"trigger": 0.17},
                    **shared,
                )
            )
            found.append(Config(barrier="none", collector="bdwgc", collector_params=_boehm(live), **shared))
    return found


def _marking(quick: bool) -> list[Config]:
    found = []
    for live in (32 * MIB,) if quick else (256 * MIB, 1024 * MIB):
        shared: dict[str, Any] = {
            "barrier": "none",
            "heap": "graph_edits",
            "heap_bytes": 2 * live,
            "heap_params": {"nodes": live // OBJECT_BYTES, "rate_per_s": 1000.0},
            "duration_s": 0.5 if quick else 2.5 if live == 256 * MIB else 5.0,
        }
        for markers in (1, 2):
            ours = {"every_s": 0.05, "markers": markers}
            found.append(Config(collector="stop-the-world", collector_params=ours, **shared))
            params = {**_boehm(live), "incremental": False, "markers": markers, "every_s": 0.05}
            found.append(Config(collector="bdwgc", collector_params=params, **shared))
    return found


def _allocation(quick: bool) -> list[Config]:
    found = []
    for gap in (0, 1):
        for size in (16, 64, 256) if quick else (16, 32, 64, 128, 256):
            shared: dict[str, Any] = {
                "barrier": "none",
                "heap": "allocate",
                "heap_bytes": (64 if quick else 256) * MIB,
                "heap_params": {"object_bytes": size, "gap": gap, "batch": BATCH},
                "duration_s": 0.3 if quick else 0.6,
            }
            found.append(Config(collector="stop-the-world", collector_params={"trigger": 0.9}, **shared))
            found.append(Config(collector="bdwgc", collector_params={"incremental": False}, **shared))
    return found


def _boehm(live: int) -> dict[str, Any]:
    return {"mark_stack": live // MIB * _ENTRIES * 2}


# What was measured


@frozen(kw_only=True)
class Row:
    """One comparison: a number per invocation of each collector."""

    what: str
    """``pause``, ``remark``, ``cpu``, ``mark`` or ``allocate``."""
    name: str
    x: float
    by: dict[str, Spread]

    def ratio(self, who: str = BOEHM) -> float:
        """Of the Boehm collector's median over ours with as many markers; nan where one lacks."""
        ours = COMPARED[who]
        return self.by[who].centre / self.by[ours].centre if who in self.by and ours in self.by else float("nan")


def who(config: Config) -> str:
    """Whose collector it is, and with how many markers if that is not one."""
    two = config.collector_params.get("markers") == 2
    if config.collector != "bdwgc":
        return OURS_TWO if two else OURS
    return TWO if two else BOEHM


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """All comparisons that these invocations allow."""
    found: dict[tuple[str, str, float], dict[str, Spread]] = {}
    for cell in cells(outcomes):
        for what, name, x, value in _numbers(cell):
            if not value:
                continue
            found.setdefault((what, name, x), {})[who(cell.config)] = value
    return [Row(what=what, name=name, x=x, by=by) for (what, name, x), by in sorted(found.items())]


def _numbers(cell: Cell) -> list[tuple[str, str, float, Spread]]:
    config, given = cell.config, cell.config.heap_params
    if config.heap == "allocate":
        gap, size = int(given["gap"]), float(given["object_bytes"])
        name = "gaps between the live objects" if gap else "live objects close together"
        return [("allocate", name, size, _each(cell, lambda one: one.mutator_cpu_ns / (one.operations * BATCH)))]
    if config.heap != "graph_edits" or "nodes" not in given:
        return []
    nodes, rate = int(given["nodes"]), float(given["rate_per_s"])
    size = format_bytes(nodes * OBJECT_BYTES)
    if "hot_share" not in given:
        return [("mark", size, nodes, _each(cell, lambda one: _median(_spent(one, "full", "mark_ns")) / nodes))]
    name = f"{100 * float(given['hot_share']):g} % hot, {RATES.get(rate, f'{rate:,.0f}/s')}"
    return [
        ("pause", name, rate, _each(cell, lambda one: _median(_stopped(one)))),
        ("remark", name, rate, _each(cell, lambda one: _median(_spent(one, "remark", "pause_ns")))),
        ("cpu", name, rate, _each(cell, lambda one: (one.mutator_cpu_ns + one.collector_cpu_ns) / one.operations)),
    ]


def _each(cell: Cell, number: Any) -> Spread:
    return spread([number(one) for one in cell.good if one.operations])


def _spent(outcome: Outcome, kind: str, column: str) -> list[int]:
    return [getattr(pause, column) for pause in outcome.pauses if pause.kind == kind]


def _stopped(outcome: Outcome) -> list[int]:
    """All stops of each cycle together; of one that looked at everything, none."""
    found: dict[int, int] = {}
    for pause in outcome.pauses:
        found[pause.cycle] = found.get(pause.cycle, 0) + pause.pause_ns
    whole = {pause.cycle for pause in outcome.pauses if pause.kind == "full"}
    return [spent for cycle, spent in found.items() if cycle not in whole]


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")


# The figure

_TITLES = {
    "pause": "stopped in a cycle",
    "remark": "of that, the remark",
    "cpu": "processor time per operation,\nmutator and collector together",
    "mark": "marking, per object",
    "allocate": "an allocation, without what collections take",
}


def _figure(run: Run, machine: str) -> Figure:
    found = rows(run.on(machine))
    by = {what: [row for row in found if row.what == what] for what in _TITLES}
    shown = [name for name in COLOURS if any(name in row.by for row in found)]
    with styled():
        figure, panels = sheet(
            run,
            machine,
            "The same mutators under the Boehm collector.",
            left=1.55,
            widths=(3.0, 1.9, 1.9, 2.7),
            height=2.2,
            gap=0.95,
            right=0.95,
            handles=[
                Line2D([], [], color=COLOURS[name], marker=MARKS[name], markersize=4, linewidth=1, label=name)
                for name in shown
            ],
            remarks=[
                "Points: medians over the invocations (of each one's median cycle, or its mean cost); whiskers: from "
                "the least to the greatest invocation. Beside them: how many times ours the Boehm collector's is.",
                f"{_about(run.on(machine))} One mutator. Its pauses, as its own events tell them, are the stops "
                "alone: what a mutator waits before and after one, while it prepares and sweeps, is not in them.",
            ],
        )
        for axes, what in zip(panels[:3], ("pause", "cpu", "mark"), strict=True):
            _draw_rows(axes, by[what])
            axes.set_title(_title(what, found), loc="left", color=INK, fontsize=RC["axes.labelsize"])
        panels[1].set_yticklabels([])
        _draw_sizes(panels[3], by["allocate"])
    return figure


def _title(what: str, found: Sequence[Row]) -> str:
    sizes = [row.x * OBJECT_BYTES for row in found if row.what == "mark"]
    live = format_bytes(int(min(sizes))) if sizes else ""
    return f"{_TITLES[what]}, {live} live" if what == "pause" and live else _TITLES[what]


def _about(outcomes: Sequence[Outcome]) -> str:
    facts = next((one.facts for one in outcomes if "bdwgc" in one.facts and one.facts.get("incremental")), {})
    return f"Boehm {facts.get('bdwgc', '')}, generational over {facts.get('vdb', 'nothing')} where pauses are compared."


def _draw_rows(axes: Axes, found: Sequence[Row]) -> None:
    axes.set_ylim(max(len(found), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), [row.name for row in found])
    axes.tick_params(axis="y", length=0)
    for index, row in enumerate(found):
        for place, (name, value) in enumerate(sorted(row.by.items(), key=lambda item: list(COLOURS).index(item[0]))):
            at = index + 0.2 * (place - (len(row.by) - 1) / 2)
            axes.plot([value.low, value.high], [at, at], color=COLOURS[name], linewidth=1)
            axes.plot(value.centre, at, MARKS[name], color=COLOURS[name], markersize=4.5, label=f"{row.name} {name}")
            ratio = "" if name not in COMPARED else f"  ({format_ratio(row.ratio(name))} {TIMES})"
            _word(axes, max(value.high, value.centre), at, f"{format_ns(value.centre)}{ratio}")
    if found:
        time_axis(axes)
        values = [edge for row in found for value in row.by.values() for edge in (value.low, value.high)]
        low, high = min(values), max(values)
        # Room for the words on the right, and a decade at least.
        axes.set_xlim(low / 1.6, max(high * 1.3, low * 10))
    axes.grid(axis="x")


def _word(axes: Axes, x: float, y: float, text: str, up: float = 0) -> None:
    axes.annotate(
        text,
        (x, y),
        xytext=(5, up),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=INK,
        annotation_clip=False,
    )


def _draw_sizes(axes: Axes, found: Sequence[Row]) -> None:
    for name, line in (("live objects close together", "-"), ("gaps between the live objects", (0, (4, 2)))):
        mine = sorted((row for row in found if row.name == name), key=lambda row: row.x)
        for whose in (OURS, BOEHM):
            points = [(row.x, row.by[whose]) for row in mine if whose in row.by]
            if not points:
                continue
            x = [size for size, _ in points]
            y = [value.centre for _, value in points]
            reach = [
                [value.centre - value.low for _, value in points],
                [value.high - value.centre for _, value in points],
            ]
            axes.errorbar(
                x,
                y,
                yerr=reach,
                color=COLOURS[whose],
                linestyle=line,
                marker=MARKS[whose],
                markersize=3.5,
                linewidth=1.1,
                elinewidth=0.8,
                label=f"{whose}, {name}",
            )
            # Two curves may end at one point.
            highest = max(row.by[whose].centre for row in found if row.x == x[-1] and whose in row.by)
            _word(axes, x[-1], y[-1], "gaps" if "gaps" in name else "close", up=4 if y[-1] == highest else -4)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g} B"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: format_ns(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(_TITLES["allocate"], loc="left", color=INK, fontsize=RC["axes.labelsize"])
    axes.set_xlabel("bytes of an object", color=FAINT)
    axes.grid()


# The table


def _tables(run: Run, machine: str) -> list[RenderableType]:
    found = rows(run.on(machine))
    parts: list[RenderableType] = [Text(machine)]
    for what, title in _TITLES.items():
        mine = [row for row in found if row.what == what]
        if not mine:
            continue
        names = [name for name in COLOURS if any(name in row.by for row in mine)]
        lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        lines.add_column(title.replace("\n", " ") if what != "pause" else _title(what, found), no_wrap=True)
        for name in names:
            lines.add_column(name, justify="right", no_wrap=True)
            if name in COMPARED:
                lines.add_column(f"{TIMES} ours", justify="right", no_wrap=True)
        for row in mine:
            line = [f"{row.name}, {row.x:g} B" if what == "allocate" else row.name]
            for name in names:
                line.append(_range(row.by.get(name)))
                if name in COMPARED:
                    ratio = row.ratio(name)
                    line.append("" if isnan(ratio) else format_ratio(ratio))
            lines.add_row(*line)
        parts += [lines, Text()]
    parts += [Text(f"failed: {one.invocation.config.label}: {one.error}") for one in run.on(machine) if one.error]
    return parts


def _range(value: Spread | None) -> str:
    if value is None or not value:
        return "\N{EN DASH}"
    return f"{format_ns(value.centre)} ({format_ns(value.low)} … {format_ns(value.high)})"
