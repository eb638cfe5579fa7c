"""``gcbarrier trace``: an invocation's raw events as a trace to look at."""

import argparse
import os
from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Outcome
from gcbarrier.results.run import Run, load
from gcbarrier.results.trace import encoded, joined

HELP = "write the raw events of a run as a trace for ui.perfetto.dev"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``trace``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    parser.add_argument(
        "invocation",
        nargs="?",
        type=int,
        metavar="INVOCATION",
        help="the number of its events/<n>.npy; default: all that have events, a process each, all beginning at 0",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: RUN/trace.json, or RUN/trace-INVOCATION.json"
    )


def run(args: argparse.Namespace) -> int:
    """Write the trace and name it."""
    found = load(args.run)
    chosen = _chosen(found, args.invocation)
    parts = [(index + 1, _name(index, found.outcomes[index]), found.events(index)) for index in chosen]
    facts = {"experiment": found.experiment, "machines": sorted({found.outcomes[index].machine for index in chosen})}
    part = "" if args.invocation is None else f"-{args.invocation}"
    _write(args.out or args.run / f"trace{part}.json", encoded(joined(parts, facts)))
    return 0


def _chosen(found: Run, wanted: int | None) -> list[int]:
    if wanted is None:
        there = [index for index, path in enumerate(found.event_files) if path.exists()]
        if not there:
            raise GcBarrierError(f"{found.directory} has no raw events: there is nothing to make a trace of")
        return there
    if not 0 <= wanted < len(found.outcomes):
        numbers = f"0 to {len(found.outcomes) - 1}" if found.outcomes else "none"
        raise GcBarrierError(f"{found.directory} has no invocation {wanted}: it has {numbers}")
    return [wanted]


def _name(index: int, outcome: Outcome) -> str:
    invocation = outcome.invocation
    return f"{index}: {invocation.config.label} #{invocation.index} on {outcome.machine}"


def _write(path: Path, text: str) -> None:
    """All of it or nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.rename(path)
    except OSError as problem:
        part.unlink(missing_ok=True)
        raise GcBarrierError(f"{path} can't be written: {problem.strerror}; choose another with --out") from problem
    print(path)
