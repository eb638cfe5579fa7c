"""Does the remark pause grow with the heap where the same number of pages is written in each cycle?

``bursts`` writes ``PAGES`` pages of each cycle, at random over the whole heap, and the remark comes without a round
before it: so its collect finds exactly these, in 64 MiB as in 16 GiB. What grows with the heap is what a barrier looks
at beside them. Natively up to 16 GiB as far as memory allows; in the lab, where soft-dirty is, up to 1 GiB.

So that building and marking stay short, the live share falls with the size: 64 MiB of objects from 256 MiB on, but at
least one object on each page, which makes 256 MiB at 16 GiB. The remark does not depend on it. Pauses whose collect
found another number of pages are left out and counted: there the mutator was not woken before marking was over.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.errors import GcBarrierError
from gcbarrier.experiment import Plan
from gcbarrier.machines.host import fits
from gcbarrier.model import Config, Machine, format_bytes
from gcbarrier.plotting.curves import Place, curve_keys, draw_curve, looks
from gcbarrier.plotting.sheet import cost_axis, sheet
from gcbarrier.plotting.style import DASH, INK, format_ns, format_number, format_ratio, sort_key, styled
from gcbarrier.results import Cell, Spread, cells, percentile, spread
from gcbarrier.results.store import Run

MIB, GIB = 1 << 20, 1 << 30
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "uffd-wp-pagemap", "mprotect", "cards", "soft-dirty")
PAGES = 100
NATIVE = tuple((64 << step) * MIB for step in range(9))
QUICK = (64 * MIB, 256 * MIB, GIB)
EMULATED, EMULATED_QUICK = (64 * MIB, 256 * MIB, GIB), (64 * MIB, 256 * MIB)
LIVE_BYTES = 64 * MIB
PANELS = {"pause_ns": "the whole remark", "collect_ns": "its collect", "rescan_ns": "its rescan"}


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Every size that fits, under every barrier."""
    configs = [
        Config(
            heap="bursts",
            barrier=barrier,
            collector="mostly-concurrent",
            heap_bytes=size,
            heap_params={"pages": PAGES, "live_share": live_share(size)},
            collector_params={"rounds": 0, "every_s": 0.02},
            duration_s=_duration_s(size, quick=quick, emulated=machine.emulated),
        )
        for size in wanted(emulated=machine.emulated, quick=quick)
        if machine.name != "native" or _fits(size)
        for barrier in BARRIERS
    ]
    return Plan(configs=tuple(configs), invocations=1 if quick else 3 if machine.emulated else 5)


def wanted(*, emulated: bool, quick: bool) -> tuple[int, ...]:
    """The sizes that would be measured if memory had no end."""
    if emulated:
        return EMULATED_QUICK if quick else EMULATED
    return QUICK if quick else NATIVE


def live_share(size: int) -> float:
    """Of a heap of ``size`` bytes."""
    return min(0.25, max(LIVE_BYTES / size, 1 / 64))


def _duration_s(size: int, *, quick: bool, emulated: bool) -> float:
    """Long enough for some ten cycles, which take longer the larger the heap is."""
    least = 0.5 if quick else 1.0
    return (4 if emulated else 1) * (least + (0.25 if quick else 0.3) * size / GIB)


def _fits(size: int) -> bool:
    try:
        fits(size)
    except GcBarrierError:
        return False
    return True


def left_out(run: Run, machine: str) -> list[int]:
    """The sizes that memory did not allow on this machine."""
    settings = run.manifest.get("settings")
    if isinstance(settings, dict) and "heap_bytes" in settings.get("fields", {}):
        return []
    emulated = str(run.facts(machine).get("accelerator", "")).startswith("tcg")
    there = {outcome.invocation.config.heap_bytes for outcome in run.on(machine)}
    return [size for size in wanted(emulated=emulated, quick=bool(run.manifest.get("quick"))) if size not in there]


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A table for each machine, medians over the invocations' medians."""
    return Group(*(each for machine in run.machines for each in _tables(run, machine))) if run.machines else Text("")


def times(cell: Cell, column: str) -> Spread:
    """The median of each invocation's remarks that found what was written, and nothing else."""
    remarks = cell.pauses("remark")
    remarks = remarks[remarks["dirty_granules"] == _pages(cell)]
    return spread([percentile(remarks[column][remarks["invocation"] == one.invocation.index], 50) for one in cell.good])


def _pages(cell: Cell) -> int:
    return int(cell.config.heap_params.get("pages", PAGES))


def _other(found: Sequence[Cell]) -> tuple[int, int]:
    """Remarks that found another number of pages than were to be written, and all remarks."""
    counts = [(int((cell.pauses("remark")["dirty_granules"] != _pages(cell)).sum()), cell) for cell in found]
    return sum(count for count, _ in counts), sum(len(cell.pauses("remark")) for _, cell in counts)


def _remarks(run: Run, machine: str, found: Sequence[Cell]) -> list[str]:
    other, every = _other(found)
    said = [
        "Points: medians over the invocations' medians; bars: from the least to the greatest invocation. "
        f"{other} of {every} remarks found another number of pages than were written and are left out."
    ]
    if missing := left_out(run, machine):
        said.append(f"Left out, for they did not fit into memory: {', '.join(map(format_bytes, missing))}.")
    return said


def _by_barrier(found: Sequence[Cell]) -> dict[str, list[Cell]]:
    names = sorted({cell.config.barrier for cell in found}, key=sort_key)
    return {
        name: sorted((c for c in found if c.config.barrier == name), key=lambda c: c.config.heap_bytes)
        for name in names
    }


def _figure(run: Run, machine: str) -> Figure:
    found = cells(run.on(machine))
    chosen = looks(cell.config.barrier for cell in found)
    pages = sorted({_pages(cell) for cell in found})
    with styled():
        figure, panels = sheet(
            run,
            machine,
            f"Remarks against heap size, {' or '.join(map(format_number, pages))} pages written per cycle.",
            left=0.55,
            widths=(3.1,) * len(PANELS),
            height=3.4,
            gap=0.3,
            handles=curve_keys(chosen),
            remarks=_remarks(run, machine, found),
        )
        for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
            axes.set_label(column)
            for name, mine in _by_barrier(found).items():
                places = [Place(x=cell.config.heap_bytes, y=times(cell, column)) for cell in mine]
                draw_curve(axes, name, places, chosen[name])
            axes.set_title(title, loc="left", color=INK)
            _size_axis(axes, sorted({cell.config.heap_bytes for cell in found}))
        _same_limits(panels)
    return figure


def _size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    cost_axis(axes.yaxis, "ns")
    step = -(-len(sizes) // 5)
    axes.set_xticks(sizes[::step])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: format_bytes(int(value))))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("heap")
    axes.grid()


def _same_limits(panels: Sequence[Axes]) -> None:
    """The panels show times of the same pauses: one scale, named once."""
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)


def _tables(run: Run, machine: str) -> list[RenderableType]:
    found = cells(run.on(machine))
    sizes = sorted({cell.config.heap_bytes for cell in found})
    parts: list[RenderableType] = []
    for column in ("pause_ns", "collect_ns"):
        lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        lines.add_column(f"{machine}: {PANELS[column]}", no_wrap=True)
        for size in sizes:
            lines.add_column(format_bytes(size), justify="right", no_wrap=True)
        lines.add_column("largest / smallest", justify="right", no_wrap=True)
        for name, mine in _by_barrier(found).items():
            by = {cell.config.heap_bytes: times(cell, column) for cell in mine}
            ends = [by[size] for size in sizes if by.get(size)]
            growth = format_ratio(ends[-1].centre / ends[0].centre) if len(ends) > 1 else DASH
            lines.add_row(name, *(_said(by.get(size)) for size in sizes), growth)
        parts += [lines, Text()]
    parts += [Text(line) for line in _remarks(run, machine, found)]
    parts += _goals(found)
    parts += [
        Text(f"failed: {one.invocation.config.label} #{one.invocation.index}: {one.error}")
        for one in run.on(machine)
        if one.error
    ]
    return [*parts, Text()]


def _said(value: Spread | None) -> str:
    if not value:
        return DASH
    if len(value.each) < 2:
        return format_ns(value.centre)
    return f"{format_ns(value.centre)} ({format_ns(value.low, 2)}{DASH}{format_ns(value.high, 2)})"


def _goals(found: Sequence[Cell]) -> list[Text]:
    """What the log is to do, where it was measured."""
    by = {(cell.config.barrier, cell.config.heap_bytes): times(cell, "collect_ns") for cell in found}
    pairs = (
        ("uffd-wp-log: collect at 8 GiB over that at 64 MiB", ("uffd-wp-log", 8 * GIB), ("uffd-wp-log", 64 * MIB)),
        ("collect at 4 GiB: uffd-wp-async over uffd-wp-log", ("uffd-wp-async", 4 * GIB), ("uffd-wp-log", 4 * GIB)),
        ("collect at 1 GiB: soft-dirty over uffd-wp-log", ("soft-dirty", GIB), ("uffd-wp-log", GIB)),
    )
    return [
        Text(f"{name}: {format_ratio(by[one].centre / by[other].centre)}")
        for name, one, other in pairs
        if by.get(one) and by.get(other)
    ]
