"""``gcbarrier record``: which pages a program writes, tick by tick."""

import argparse
from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.page_traces.pagesfile import SUFFIX
from gcbarrier.page_traces.records import TRACKERS, UFFD

HELP = "run a program and record which memory pages it writes, tick by tick"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``record``."""
    parser.add_argument("--every", default="10ms", metavar="TIME", help="length of a tick; default: 10ms")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: the program's name with {SUFFIX}")
    parser.add_argument("--with", default=UFFD, choices=TRACKERS, dest="tracker", help="how writes are noticed")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")


def run(args: argparse.Namespace) -> int:
    """Run it, and end as it does."""
    from gcbarrier.recorder.session import record

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise GcBarrierError("say what to record: gcbarrier record -- COMMAND")
    out = args.out or Path(Path(command[0]).name + SUFFIX)
    return record(command, out=out, every_ns=10_000_000, tracker=args.tracker)
