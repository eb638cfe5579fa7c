"""``gcbarrier doctor --quiet-machine``: what this machine does to a thread, and what would mend it."""

import json

from rich.table import Table

from gcbarrier import report
from gcbarrier.bench.quiet import Quiet, quiet
from gcbarrier.commands._progress import waiting
from gcbarrier.core import build
from gcbarrier.model import Gaps, converter
from gcbarrier.report.units import format_ns

_HEADS = ("gaps per second", "99.9th", "longest", "time lost", "preempted")


def quiet_machine(*, as_json: bool) -> int:
    """Look for some seconds, and say. 1 where something is to be mended; advice alone is no reason."""
    core = build.core()
    with waiting("reading the clock, and nothing else"):
        found = quiet(core)
    if as_json:
        print(json.dumps({**converter.unstructure(found), "wrong": found.wrong}, indent=2))
    else:
        report.show(_loops(found))
        report.show(_looks(found))
    return 1 if found.wrong else 0


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def _loops(found: Quiet) -> Table:
    table = _table(
        "a thread that only reads the clock", "gaps per second", "99.9th", "longest", "time lost", "preempted"
    )
    many = found.everywhere.threads
    table.add_row("one", *_numbers(found.alone))
    table.add_row(f"one on each of {many} processors" if many > 1 else "the same again", *_numbers(found.everywhere))
    return table


def _numbers(gaps: Gaps) -> tuple[str, ...]:
    per_s = gaps.count / gaps.threads / (gaps.wall_ns / 1e9)
    longest = (format_ns(gaps.p999_ns), format_ns(gaps.longest_ns))
    return (f"{per_s:,.0f}", *longest, f"{100 * gaps.lost_share:.2g} %", f"{gaps.preempted:,}")


def _looks(found: Quiet) -> Table:
    table = _table("", "what", "found", "why it matters", "what mends it")
    # What is to be mended first.
    for look in sorted(found.looks, key=lambda look: (not look.wrong, not look.could)):
        word = "mend" if look.wrong else "could be better" if look.mend else "fine"
        table.add_row(word, look.what, look.found, look.why, look.mend)
    return table
