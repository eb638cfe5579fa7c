"""``gcbarrier record``: which pages a program writes, tick by tick."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import parse_ns
from gcbarrier.recorder.descriptors import Signals

HELP = "run a program and record which memory pages it writes, tick by tick"

_EPILOG = """examples:
  gcbarrier record -- python3 app.py             # into python3.pages
  gcbarrier record --every 50ms --out app.pages -- ./server --port 8080
  gcbarrier record --slow-down 3 --at 1ms,10ms,100ms -- ./batch < input

The program's input, output, signals and exit status are its own; what there is to say comes on standard error when it
has ended. Its threads, and the processes that it forks or executes, are recorded as well, each by itself. For
--slow-down it is run again several times, without anything being recorded: what it prints then is discarded.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``record``."""
    parser.usage = "gcbarrier record [OPTIONS] -- COMMAND..."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("--every", default="10ms", metavar="TIME", help="length of a tick; default: 10ms")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="default: the program's name with .pages; one that is there is replaced",
    )
    parser.add_argument(
        "--with", metavar="TRACKER", dest="tracker", help="how writes are noticed; default: uffd-wp-async"
    )
    parser.add_argument("--for", metavar="TIME", dest="length", help="record for so long; the program runs to its end")
    parser.add_argument(
        "--huge-pages",
        action="store_true",
        help="leave it transparent huge pages, of which one store makes all 512 small ones read as written",
    )
    parser.add_argument(
        "--slow-down",
        type=int,
        default=0,
        metavar="N",
        help="run it N more times unwatched, and N at each interval, to measure what watching costs",
    )
    parser.add_argument("--at", metavar="TIME,...", help="those intervals; default: that of --every")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")


def run(args: argparse.Namespace) -> int:
    """Run it, say what was recorded, and end as it did."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command or not command[0]:
        raise GcBarrierError("say what to record: gcbarrier record -- COMMAND")
    if args.slow_down < 0:
        raise GcBarrierError(f"--slow-down takes a number of runs, not {args.slow_down}")
    if args.at and not args.slow_down:
        raise GcBarrierError("--at says at which intervals the slow-down is measured: add --slow-down N")
    with Signals() as signals:
        return _recorded(args, tuple(command), signals)


def _recorded(args: argparse.Namespace, command: tuple[str, ...], signals: Signals) -> int:
    # Not above: these import what starts threads, and a signal comes to any thread that doesn't block it.
    from gcbarrier.page_traces.pagesfile import SUFFIX, read
    from gcbarrier.page_traces.records import UFFD
    from gcbarrier.recorder.session import Wish, record

    wish = Wish(
        command=command,
        out=args.out or Path(os.path.basename(command[0]) + SUFFIX),
        every_ns=parse_ns(args.every),
        tracker=args.tracker or UFFD,
        for_ns=None if args.length is None else parse_ns(args.length),
        huge_pages=args.huge_pages,
        repetitions=args.slow_down,
        at_ns=tuple(dict.fromkeys(map(parse_ns, args.at.split(",")))) if args.at else (),
    )
    with _progress() as watch:
        done = record(wish, signals, watch)
    if done.problem:
        print(f"gcbarrier: nothing was recorded: {done.problem}", file=sys.stderr)
        return done.status
    from gcbarrier.report.recording_table import recording_table
    from gcbarrier.report.text import show

    with contextlib.suppress(BrokenPipeError):
        show(recording_table(read(wish.out), str(wish.out), wall_ns=done.wall_ns, cpu_ns=done.cpu_ns), stderr=True)
    return done.status


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Which run for the slow-down it is, on one line of a terminal."""
    shown = sys.stderr.isatty()

    def say(what: str) -> None:
        if shown:
            print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        say("")
