"""Which pages does each page barrier report falsely, and which does it lose, when mappings change?

What "a more accurate soft-dirty" means, as a picture. 64 pages are tracked and armed, one or a few are written, then
something happens to the mapping: a neighbour is mapped that the kernel merges with it, ``mremap`` moves or grows it,
half of it is mapped anew, its page-table entries are dropped, the process forks ... Another page is written, and the
barrier is asked. A page
that it reports and nobody wrote costs time; one that it does not report though it was written would cost the heap its
life. A barrier may also refuse to answer, or crash, which is neither.

The barriers are the page barriers that are here, by what they promise; software barriers, prototypes and ``fork-cow``
watch stores or nothing and not mappings, and are left out.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.bench.circumstances import CIRCUMSTANCES, GROWN, PAGES, page_barriers
from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Machine, Probe
from gcbarrier.report.layout import text_width
from gcbarrier.report.looks import sort_key
from gcbarrier.report.sheet import sheet
from gcbarrier.report.style import DASH, INK, RC, styled
from gcbarrier.results.points import points
from gcbarrier.results.run import Run

MIB = 1 << 20
EXACT, FALSE, LOST, REFUSED = "#DDEFE5", "#F6D9A8", "#E8867C", "#E4E4E4"
_CELL_WIDTH, _CELL_HEIGHT = 0.98, 0.42


def plan(*, machine: Machine, quick: bool) -> Plan:  # noqa: ARG001 - counts are the same anywhere
    """Every page barrier on shared and on private memory."""
    probes = [
        Probe(
            function="gcbarrier.bench.circumstances:accuracy",
            barrier=name,
            memory=memory,
            heap_bytes=MIB,
            estimate_s=0.2,
        )
        for name in page_barriers()
        for memory in ("shmem", "anonymous")
    ]
    # Counts, not samples: more than twice would say nothing new.
    return Plan(probes=tuple(probes), invocations=1 if quick else 2)


class Cell:
    """What a barrier answered in one circumstance: the worst of the invocations."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.refused = ""

    @property
    def colour(self) -> str:
        """Of its verdict."""
        if self.refused:
            return REFUSED
        return LOST if self.counts.get("lost") else FALSE if self.counts.get("false") else EXACT

    @property
    def words(self) -> str:
        """Its verdict, on up to two lines."""
        if self.refused:
            return "crashes" if "crashed" in self.refused else "refuses"
        said = [f"{self.counts[kind]} {kind}" for kind in ("false", "lost") if self.counts.get(kind)]
        return "\n".join(said) or "exact"


Grid = dict[tuple[str, str], Cell]
"""By circumstance and barrier."""


def grid(run: Run, machine: str, memory: str) -> Grid:
    """What was found on one machine and kind of memory."""
    cells: Grid = {}
    for point in points(run, machine):
        if point.memory != memory:
            continue
        circumstance, _, what = point.what.partition("/")
        cell = cells.setdefault((circumstance, point.barrier), Cell())
        if what == "refused":
            cell.refused = point.notes[0] if point.notes else "it gave no reason"
        else:
            cell.counts[what] = max(cell.counts.get(what, 0), int(point.value.high))
    return cells


def figures(run: Run) -> dict[str, Figure]:
    """One figure for each machine."""
    return {f"{run.experiment}-{machine}": _figure(run, machine) for machine in run.machines}


def table(run: Run) -> RenderableType:
    """A grid for each machine and kind of memory, in pages."""
    parts: list[RenderableType] = []
    for machine in run.machines:
        for memory in _memories(run, machine):
            parts += [_table(machine, memory, grid(run, machine, memory)), Text()]
        parts += [
            Text(f"failed: {one.probe.label} ({one.probe.memory}) #{one.index}: {one.error}")
            for one in run.found(machine)
            if one.error
        ]
    return Group(*parts)


def _memories(run: Run, machine: str) -> list[str]:
    return sorted({point.memory for point in points(run, machine)}, key=lambda memory: (memory != "shmem", memory))


def _barriers(cells: Mapping[tuple[str, str], Cell]) -> list[str]:
    return sorted({barrier for _, barrier in cells}, key=sort_key)


def _circumstances(cells: Mapping[tuple[str, str], Cell]) -> list[str]:
    known = list(CIRCUMSTANCES)
    there = {circumstance for circumstance, _ in cells}
    return [name for name in known if name in there] + sorted(there - set(known))


def _expected(cells: Mapping[tuple[str, str], Cell], circumstance: str) -> str:
    counts = {cell.counts["expected"] for (name, _), cell in cells.items() if name == circumstance and cell.counts}
    return ", ".join(str(count) for count in sorted(counts)) or DASH


def _figure(run: Run, machine: str) -> Figure:
    memories = _memories(run, machine)
    grids = [grid(run, machine, memory) for memory in memories]
    names = [name for name in CIRCUMSTANCES if any(name in _circumstances(cells) for cells in grids)]
    columns = [_barriers(cells) for cells in grids]
    with styled():
        figure, panels = sheet(
            run,
            machine,
            "What page barriers report when mappings change.",
            left=text_width([f"{name}  (of 0 written)" for name in names], RC["ytick.labelsize"]) + 0.15,
            widths=[_CELL_WIDTH * max(len(each), 1) for each in columns],
            height=_CELL_HEIGHT * max(len(names), 1),
            gap=0.3,
            handles=[
                Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor="white", label=label)
                for label, colour in (
                    ("exact", EXACT),
                    ("false: pages reported and not written", FALSE),
                    ("lost: pages written and not reported", LOST),
                    ("refuses or crashes: no answer, and no silence", REFUSED),
                )
            ],
            remarks=[
                f"Pages, of {PAGES} tracked ({GROWN} once grown, the new ones never written). What another mapping "
                "writes is lost by all, as it must be: page tables are per mapping. So a collector writes unseen.",
                *_reasons(grids),
            ],
        )
        for axes, memory, cells, barriers in zip(panels, memories, grids, columns, strict=True):
            axes.set_label(memory)
            _draw_grid(axes, cells, names, barriers)
            axes.text(0, -0.62, memory, ha="left", va="bottom", fontweight="bold", color=INK)
        if panels:
            everything = {key: cell for cells in reversed(grids) for key, cell in cells.items()}
            labels = [f"{name}  (of {_expected(everything, name)} written)" for name in names]
            panels[0].set_yticks([row + 0.5 for row in range(len(names))], labels)
    return figure


def _draw_grid(
    axes: Axes, cells: Mapping[tuple[str, str], Cell], names: Sequence[str], barriers: Sequence[str]
) -> None:
    axes.set_xlim(0, max(len(barriers), 1))
    axes.set_ylim(max(len(names), 1), 0)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.set_xticks([column + 0.5 for column in range(len(barriers))], barriers)
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    for row, name in enumerate(names):
        for column, barrier in enumerate(barriers):
            if (cell := cells.get((name, barrier))) is None:
                continue
            box = Rectangle((column, row), 1, 1, facecolor=cell.colour, edgecolor="white", linewidth=1.5)
            box.set_label(f"{name}/{barrier}")
            axes.add_patch(box)
            axes.text(column + 0.5, row + 0.5, cell.words, ha="center", va="center", fontsize=7, color=INK)


def _reasons(grids: Sequence[Mapping[tuple[str, str], Cell]]) -> list[str]:
    found: dict[str, list[str]] = {}
    for cells in grids:
        for (circumstance, barrier), cell in cells.items():
            if cell.refused:
                what = f"{barrier} ({circumstance})"
                if what not in found.setdefault(cell.refused, []):
                    found[cell.refused].append(what)
    return [f"“{reason}”: {', '.join(whats)}." for reason, whats in found.items()]


def _table(machine: str, memory: str, cells: Mapping[tuple[str, str], Cell]) -> Table:
    lines = Table(title=Text(f"{machine} · {memory}, pages"), box=None, pad_edge=False, padding=(0, 2, 0, 0))
    lines.title_justify = "left"
    lines.add_column("circumstance", no_wrap=True)
    lines.add_column("written", justify="right")
    barriers = _barriers(cells)
    for barrier in barriers:
        lines.add_column(barrier, justify="right")
    for name in _circumstances(cells):
        row = [cells.get((name, barrier)) for barrier in barriers]
        words = [DASH if each is None else each.words.replace("\n", ", ") for each in row]
        lines.add_row(name, _expected(cells, name), *words)
    return lines
