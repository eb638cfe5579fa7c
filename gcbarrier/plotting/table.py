"""The figure's numbers for a terminal or a log file."""

from collections.abc import Callable

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from gcbarrier.metrics import (
    Cell,
    Spread,
    Workload,
    faults_per_operation,
    operations_per_second,
    percentile,
    relative,
    spread,
    workloads,
)
from gcbarrier.model import format_bytes
from gcbarrier.plotting.style import DASH, format_ns, sort_key
from gcbarrier.store import Run

_PLAIN_WIDTH = 160


def pause_table(run: Run) -> RenderableType:
    """A table for each machine and workload, a row for each barrier, collector and kind of pause.

    Times are medians over all pauses of the kind unless the head says otherwise; throughput is the geometric mean
    over invocations against that of ``none``. Failed invocations are listed below.
    """
    parts: list[RenderableType] = [_WorkloadTable(work) for work in workloads(run.outcomes)]
    for outcome in run.outcomes:
        if outcome.error:
            where = f"{outcome.machine}: {outcome.invocation.config.label} #{outcome.invocation.index}"
            # Text, for an error may hold what rich takes for markup.
            parts.append(Text(f"failed, not counted: {where}: {outcome.error}"))
    return Group(*parts) if parts else Text("no invocation was recorded")


def show(renderable: RenderableType) -> None:
    """Print to standard output: in full width and plain characters where that is no terminal."""
    console = Console()
    if not console.is_terminal:
        # Rich takes a pipe for 80 columns and would fold the numbers.
        console = Console(width=max(console.width, _PLAIN_WIDTH), color_system=None)
    console.print(renderable)


class _WorkloadTable:
    """One workload; it chooses its lines only when it knows where it is printed."""

    def __init__(self, work: Workload) -> None:
        self._work = work

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        config = self._work.config
        title = f"{self._work.machine} · {config.heap}, {format_bytes(config.heap_bytes)}"
        if config.heap_params:
            title += f" ({', '.join(f'{key}={value}' for key, value in config.heap_params.items())})"
        lines = box.SIMPLE_HEAD if console.is_terminal else None
        table = Table(
            title=Text(title), title_justify="left", title_style="bold", box=lines, pad_edge=False, padding=(0, 1, 0, 0)
        )
        table.add_column("barrier", no_wrap=True)
        table.add_column("collector")
        table.add_column("pause", no_wrap=True)
        for head in _HEADS:
            table.add_column(head, justify="right")
        cells = sorted(self._work.cells, key=lambda cell: (sort_key(cell.config.barrier), cell.config.collector))
        for cell in cells:
            for row, kind in enumerate(cell.kinds or ("",)):
                # What belongs to the invocation, not to a kind of pause, is said once.
                names = (cell.config.barrier, cell.config.collector) if row == 0 else ("", "")
                paid = _paid(cell, self._work.baseline) if row == 0 else ("", "")
                table.add_row(*names, kind or DASH, *_times(cell, kind), *paid)
        yield table
        yield Text()


_HEADS = (
    "n",
    "median",
    "p95",
    "worst",
    "to safepoint",
    "collect",
    "rescan",
    "preempted",
    "ops/s vs none",
    "faults/1k ops",
)


def _times(cell: Cell, kind: str) -> tuple[str, ...]:
    table = cell.pauses(kind) if kind else cell.pauses()[:0]
    column: Callable[[str, float], str] = lambda name, q: format_ns(percentile(table[name], q))  # noqa: E731
    return (
        str(len(table)),
        column("pause_ns", 50),
        column("pause_ns", 95),
        column("pause_ns", 100),
        column("ttsp_ns", 50),
        column("collect_ns", 50),
        column("rescan_ns", 50),
        str(int(table["preempted"].sum())),
    )


def _paid(cell: Cell, baseline: Cell | None) -> tuple[str, str]:
    def word(one: Spread, form: str) -> str:
        return format(one.centre, form) if one else DASH

    faults = spread([1000 * faults_per_operation(outcome) for outcome in cell.good])
    return word(relative(cell, baseline, operations_per_second), ".3f"), word(faults, ".3g")


__all__ = ["pause_table", "show"]
