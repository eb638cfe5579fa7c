"""What the oracle checked, what a machine did not have, and what else it did, for a terminal or a log file."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.errors import Unavailable
from gcbarrier.report.looks import sort_key
from gcbarrier.results import cells
from gcbarrier.results.busy import told
from gcbarrier.results.cells import Cell
from gcbarrier.results.run import Run

_COUNTS = {
    "cycles": "cycles_checked",
    "objects": "objects_checked",
    "pages written": "written_granules",
    "reported": "reported_granules",
    "of these falsely": "false_dirty_granules",
    "lost": "lost_granules",
}
_PAGES = ("pages written", "reported", "of these falsely", "lost")


def verification_table(run: Run) -> RenderableType | None:
    """A row for each configuration that was verified, its good invocations added up; None where none was.

    Of whom the oracle did not look at, in a table of their own, only what was compared: mutators' checksums. Pages that
    nobody compared, under a barrier that reports none, are no zeros.
    """
    marked, summed = [], []
    for cell in sorted(cells(run.outcomes), key=_order):
        found = [outcome.verification for outcome in cell.good if outcome.verification is not None]
        if not found:
            continue
        config = cell.config
        name = (cell.machine, f"{config.heap}, {config.size}", config.barrier, config.collector)
        if not any(each.cycles_checked for each in found):
            summed.append((*name, str(len(found))))
            continue
        counts = {head: sum(getattr(each, field) for each in found) for head, field in _COUNTS.items()}
        pages = any(counts[head] for head in _PAGES)
        marked.append((*name, *(f"{n:,}" if pages or head not in _PAGES else "-" for head, n in counts.items())))
    tables: list[RenderableType] = []
    if marked:
        title = "checked by the oracle: nothing reachable was unmarked, every checksum is right"
        tables.append(_table(title, tuple(_COUNTS), marked))
    if summed:
        title = "not seen by the oracle: checksums are right, of what the mutators reach at the end"
        tables.append(_table(title, ("invocations",), summed))
    return Group(*tables) if tables else None


def _order(cell: Cell) -> tuple[object, ...]:
    config = cell.config
    return (cell.machine, config.heap, config.heap_bytes, sort_key(config.barrier), config.collector)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=Text(title), box=None)
    table.title_justify = "left"
    for head in ("machine", "heap", "barrier", "collector"):
        table.add_column(head, no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def left_out_lines(run: Run) -> RenderableType | None:
    """What each machine lacked of the plan, and what to do about it; None where it had all."""
    lines = [
        f"left out on {machine}: {Unavailable(told.get('what', name), told.get('why', ''), told.get('remedy', ''))}"
        for machine in run.machines
        for name, told in run.left_out(machine).items()
    ]
    return Text("\n".join(lines)) if lines else None


def busy_lines(run: Run) -> RenderableType | None:
    """Of each machine that was at something else while invocations ran: how many, and what it may have done to them."""
    lines = list(told(run))
    return Text("\n".join(lines), style="bold") if lines else None


__all__ = ["busy_lines", "left_out_lines", "verification_table"]
