"""The table of what was observed, as Markdown, which ``python -m conformance.table`` writes.

It runs every check on this machine and on both of the lab's kernels.
"""

from pathlib import Path

from conformance import job, machines
from conformance.job import Key, Results
from conformance.kernel_stores import SEEN
from conformance.known import LOSSES
from gcbarrier import barriers
from gcbarrier.model import MEMORY_TYPES
from gcbarrier.plugins import discovery

TABLE = Path(barriers.__file__).with_name("CONFORMANCE.md")
DEFAULT = "The lab's first kernel"
NEWEST = "The lab's newest kernel"
NATIVE = "A machine of its own"

HEAD = """# What the barriers do, observed

For every barrier that notices any write to memory, on every kind of memory that it promises to watch: how exact its
reports are, what becomes of stores that the kernel makes (`read(2)` of files, with `O_DIRECT` too, of pipes and
sockets, `process_vm_writev(2)`, `/proc/self/mem`), whether it re-arms while others store, and where it loses writes
or reports too much. `tests/conformance` finds it out; this writes it down again:

```sh
PYTHONPATH=tests:tests/support .venv/bin/python -m conformance.table
```
"""
COLUMNS = ("barrier", "memory", "reports", "kernel stores", "racing stores", "loses writes", "reports too much")


def main() -> None:
    """Observe and write."""
    sections = {DEFAULT: machines.guest(), NEWEST: machines.newest(), NATIVE: machines.native()}
    TABLE.write_text(render(sections), encoding="utf-8")


def render(sections: dict[str, Results]) -> str:
    """The whole file."""
    parts = [HEAD]
    for title, results in sections.items():
        parts.append(f"## {title}\n\nLinux {results.kernel}.\n\n" + "\n".join(rows(results)) + "\n")
    return "\n".join([*parts, notes()])


def rows(results: Results) -> list[str]:
    """The table of one machine, a line each."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    for barrier in job.page_barriers():
        for memory in MEMORY_TYPES:
            if memory in barriers.promises_of(barrier).memories:
                lines.append(_line([f"`{barrier}`", memory, *_cells(results, (barrier, memory))]))
    return lines


def _cells(results: Results, key: Key) -> list[str]:
    if key in results.unavailable:
        return [f"unavailable: {results.unavailable[key]}", "", "", "", ""]
    if key not in results.units:
        return ["failed", "", "", "", ""]
    unit = results.units[key]
    mode = "running" if barriers.promises_of(key[0]).atomic else "stopped"
    lost = results.races.get(key, {}).get("lost", 1)
    return [
        "exact" if unit == 1 else f"coarse: {unit * 4} KiB",
        _stores(results, key),
        f"none lost, writers {mode}" if lost == 0 else "lost",
        _named(check for check, seen in results.seen.items() if key in seen and seen[key].lost),
        _named(check for check, seen in results.seen.items() if key in seen and seen[key].surplus),
    ]


def _stores(results: Results, key: Key) -> str:
    said = {user: _summary(each.get(key, {})) for user, each in results.kernel_stores.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"as {user}: {what}" for user, what in said.items())


def _summary(ways: dict[str, str]) -> str:
    if not ways:
        return "failed"
    outcomes = sorted(set(ways.values()), key=[*ways.values()].count, reverse=True)
    usual, *others = outcomes
    if not others:
        return usual
    rare = (f"{way.replace('_', ' ')}: {what}" for way, what in ways.items() if what != usual)
    return f"{usual}; " + "; ".join(rare)


def _named(checks: object) -> str:
    return ", ".join(check.removeprefix("check_").replace("_", " ") for check in checks)  # type: ignore[attr-defined]


def _line(cells: object) -> str:
    return "| " + " | ".join(cells) + " |"  # type: ignore[call-overload]


def notes() -> str:
    """What the tables leave out."""
    others = ", ".join(f"`{name}`" for name in discovery.names("barriers") if name not in job.page_barriers())
    known = "\n".join(
        f"- `{loss.barrier}` on {', '.join(loss.memories)}, {loss.where.removeprefix('check_').replace('_', ' ')}: "
        f"{loss.why}."
        for loss in LOSSES
    )
    return f"""## What the columns mean

*Exact*: to the page of 4 KiB. *{SEEN}*: exactly, as root and as an ordinary user; *EFAULT*: the call fails, and has
written nothing. *Loses writes* and *reports too much* name the circumstance, which is a check in
`tests/conformance/life.py`; an ordinary heap meets none of them. Reports are too large wherever private memory was
given back to the kernel, which takes the page tables' state along.

Losses that are in no barrier's power to prevent:

{known}

Not in the tables, since a write to memory is nothing to them: {others}. Runs with `--verify` check those.
"""


if __name__ == "__main__":
    main()
