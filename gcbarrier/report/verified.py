"""What the oracle checked, what a machine did not have, and what else it did, for a terminal or a log file."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.errors import Unavailable
from gcbarrier.report.looks import sort_key
from gcbarrier.results import cells
from gcbarrier.results.busy import told
from gcbarrier.results.run import Run

_COUNTS = ("cycles_checked", "objects_checked", "written_granules", "reported_granules", "false_dirty_granules")


def verification_table(run: Run) -> RenderableType | None:
    """A row for each configuration that was verified, its good invocations added up; None where none was."""
    rows = []
    for cell in cells(run.outcomes):
        found = [outcome.verification for outcome in cell.good if outcome.verification is not None]
        if found:
            counts = [sum(getattr(each, name) for each in found) for name in _COUNTS]
            lost = sum(each.lost_granules for each in found)
            config = cell.config
            key = (cell.machine, config.heap, config.heap_bytes, sort_key(config.barrier), config.collector)
            name = f"{config.heap}, {config.size}"
            # No oracle looks into the memory that a collector has brought with it.
            whose = f"{config.collector}: checksums alone" if cell.foreign else config.collector
            rows.append((key, (cell.machine, name, config.barrier, whose, *(f"{n:,}" for n in counts), str(lost))))
    if not rows:
        return None
    table = Table(
        title=Text("checked by the oracle: nothing reachable was unmarked, every checksum is right"), box=None
    )
    table.title_justify = "left"
    for head in ("machine", "heap", "barrier", "collector"):
        table.add_column(head, no_wrap=True)
    for head in ("cycles", "objects", "pages written", "reported", "of these falsely", "lost"):
        table.add_column(head, justify="right", no_wrap=True)
    for _, row in sorted(rows, key=lambda pair: pair[0]):
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
