"""What does a mutator see that no collector calls a pause?

Each store of ``graph_edits`` is timed, to the 99.99th percentile and beyond, while a cycle is under way: arming,
scanning and re-arming run beside the mutator, take its faults and the locks that these need. The baseline is the same
program over no barrier and no collector at all (``never``). What the mutator sleeps of its own will is left out.

The aim is a 99.99th percentile of at most ``AIM`` times the baseline's. The table says in which phase of the collector
the operations above a barrier's own were done, and what the slowest had met: a pause, being descheduled, a wait
in the kernel, arming or collecting; what had met nothing was a page fault, an interrupt, or the machine's own absence,
of which the baseline has its share.
"""

from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.experiment import Plan
from gcbarrier.model import Config, Machine, Outcome, format_bytes
from gcbarrier.plotting.curves import Looks, curve_keys, looks
from gcbarrier.plotting.sheet import sheet
from gcbarrier.plotting.style import DASH, INK, format_ns, format_number, format_ratio, sort_key, styled, time_axis
from gcbarrier.results import IN_CYCLE, Cell, Histogram, Spread, causes, cells, histogram, spread
from gcbarrier.results.store import Run

MIB = 1 << 20
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "uffd-wp-pagemap", "mprotect", "cards", "soft-dirty")
RATES, QUICK, EMULATED = (1e5, 0.0), (0.0,), (0.0,)
ONLY_REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}
AIM = 3.0
PERCENTILES = (50, 99, 99.9, 99.99)


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every barrier and the baseline; stores at a rate, and as fast as the mutator can."""
    emulated = machine.emulated
    pairs = [("none", "never", {}), *((name, "mostly-concurrent", {"every_s": 0.02}) for name in BARRIERS)]
    configs = [
        Config(
            heap="graph_edits",
            barrier=barrier,
            collector=collector,
            heap_bytes=(32 if emulated else 64 if quick else 256) * MIB,
            heap_params={"rate_per_s": rate, **ONLY_REDIRECTS},
            collector_params=params,
            duration_s=(2.0 if quick else 5.0) if emulated else (1.5 if quick else 5.0),
            timed=True,
        )
        for rate in (EMULATED if emulated else QUICK if quick else RATES)
        for barrier, collector, params in pairs
    ]
    return Plan(configs=tuple(configs), invocations=1 if quick else 3)


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A table for each machine and rate: percentiles, how they compare, and what the slowest had met."""
    return Group(*(each for machine in run.machines for each in _tables(run, machine))) if run.machines else Text("")


def is_baseline(cell: Cell) -> bool:
    """Whether no cycle is ever due."""
    return cell.config.collector == "never"


def seen(cell: Cell, outcomes: Sequence[Outcome] | None = None) -> Histogram:
    """The operations that count: those while a cycle was under way; the baseline's are all in none."""
    chosen = cell.good if outcomes is None else outcomes
    return histogram(chosen, ("no cycle",) if is_baseline(cell) else IN_CYCLE)


def each_percentile(cell: Cell, q: float) -> Spread:
    """One per invocation."""
    return spread([seen(cell, [outcome]).percentile(q) for outcome in cell.good])


def _rate(cell: Cell) -> float:
    return float(cell.config.heap_params.get("rate_per_s", 0.0))


def _rates(found: Sequence[Cell]) -> list[float]:
    return sorted({_rate(cell) for cell in found}, key=lambda rate: rate or float("inf"))


def _of(found: Sequence[Cell], rate: float) -> list[Cell]:
    return sorted((cell for cell in found if _rate(cell) == rate), key=lambda cell: sort_key(cell.config.barrier))


def _words(rate: float) -> str:
    return f"{format_number(rate)} stores/s" if rate else "as fast as it can"


def _figure(run: Run, machine: str) -> Figure:
    found = cells(run.on(machine))
    chosen = looks(cell.config.barrier for cell in found)
    rates = _rates(found)
    size = format_bytes(max((cell.config.heap_bytes for cell in found), default=0))
    with styled():
        figure, panels = sheet(
            run,
            machine,
            f"How long a store takes while a cycle is under way, random ones over {size}.",
            left=0.85,
            widths=(5.2,) * max(len(rates), 1),
            height=3.6,
            gap=0.4,
            handles=curve_keys(chosen),
            remarks=[
                "All invocations together. Markers: the 99.99th percentile. “none”: no barrier and no collector at "
                f"all. {_stamped(run.on(machine))}"
            ],
        )
        for at, (axes, rate) in enumerate(zip(panels, rates, strict=False)):
            axes.set_label(f"tail {rate:g}")
            axes.set_title(_words(rate), loc="left", color=INK)
            _draw_tails(axes, _of(found, rate), chosen)
            if at == 0:
                axes.set_ylabel("share of the stores that took so long or longer")
            else:
                axes.tick_params(labelleft=False)
        # One scale, which is named once.
        least = min(axes.get_ylim()[0] for axes in panels)
        for axes in panels:
            axes.set_ylim(least, 1.5)
    return figure


def _draw_tails(axes: Axes, found: Sequence[Cell], chosen: Looks) -> None:
    least = 1.0
    for cell in found:
        times = seen(cell)
        if not times.total:
            continue
        look = chosen[cell.config.barrier]
        took, share = times.tail()
        least = min(least, float(share[-1]))
        # A bucket of a nanosecond or none at all has no place on a logarithmic axis.
        axes.step(took.clip(1.0), share, where="post", color=look["color"], linewidth=1.2, label=cell.config.barrier)
        marked = {**look, "linestyle": "none", "label": "_p99.99"}
        axes.plot(times.percentile(99.99), 1e-4, zorder=5, **marked)
    time_axis(axes)
    axes.set_yscale("log")
    axes.set_ylim(min(least / 2, 5e-5), 1.5)
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: _share(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("time of an operation")
    axes.grid()


def _share(value: float) -> str:
    return f"{100 * value:.10f}".rstrip("0").rstrip(".") + " %"


def _stamped(outcomes: Sequence[Outcome]) -> str:
    costs = [float(one.facts["timing_cost_ns"]) for one in outcomes if "timing_cost_ns" in one.facts]
    return f"Timing an operation adds {format_ns(sorted(costs)[len(costs) // 2])} to it." if costs else ""


def _tables(run: Run, machine: str) -> list[RenderableType]:
    found = cells(run.on(machine))
    parts: list[RenderableType] = []
    for rate in _rates(found):
        mine = _of(found, rate)
        size = format_bytes(max(cell.config.heap_bytes for cell in mine))
        parts += [Text(f"{machine} · {_words(rate)} · graph_edits, {size}, redirects only"), _percentiles(mine)]
        parts += [Text(line) for line in _why(mine)]
        parts.append(Text())
    parts += [Text(_stamped(run.on(machine)))]
    parts += [
        Text(f"failed: {one.invocation.config.label} #{one.invocation.index}: {one.error}")
        for one in run.on(machine)
        if one.error
    ]
    return parts


def _percentiles(mine: Sequence[Cell]) -> Table:
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column("barrier", no_wrap=True)
    heads = [f"{q}th".replace("50th", "median") for q in PERCENTILES]
    for head in ("operations", *heads, "least", "greatest", "slowest", "99.99th / baseline", f"aim {AIM:g}"):
        lines.add_column(head, justify="right", no_wrap=True)
    baseline = next((each_percentile(cell, 99.99).centre for cell in mine if is_baseline(cell)), float("nan"))
    for cell in mine:
        last = each_percentile(cell, 99.99)
        ratio = last.centre / baseline
        verdict = "" if is_baseline(cell) or ratio != ratio else "met" if ratio <= AIM else "missed"
        lines.add_row(
            cell.config.barrier,
            format_number(seen(cell).total, 4),
            *(format_ns(each_percentile(cell, q).centre) for q in PERCENTILES),
            format_ns(last.low),
            format_ns(last.high),
            format_ns(seen(cell).percentile(100)),
            DASH if ratio != ratio else format_ratio(ratio),
            verdict,
        )
    return lines


def _why(mine: Sequence[Cell]) -> list[str]:
    """Of the operations above the 99.99th percentile: the phases, and what those that were kept had met."""
    said = []
    for cell in mine:
        least = seen(cell).percentile(99.99)
        phases = ("no cycle",) if is_baseline(cell) else IN_CYCLE
        where: Counter[str] = Counter()
        for outcome in cell.good:
            for times in outcome.operation_times:
                if times.phase in phases:
                    where[times.phase] += sum(
                        count for low, count in zip(times.low_ns, times.counts, strict=True) if low >= least
                    )
        met = causes(cell.good, least, phases)
        if where.total():
            said.append(
                f"{cell.config.barrier}: above {format_ns(least)} {_counts(where)}; the slowest met: {_counts(met)}"
            )
    return said


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common() if count) or DASH
