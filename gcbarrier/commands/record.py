"""``gcbarrier record``: which pages a program writes, tick by tick."""

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import parse_bytes, parse_ns
from gcbarrier.recorder.descriptors import Signals

if TYPE_CHECKING:
    from gcbarrier.recorder.session import Done, Wish

HELP = "run a program and record which memory pages it writes, tick by tick"

_EPILOG = """examples:
  gcbarrier record -- python3 app.py             # into python3.pages
  gcbarrier record --every 50ms --out app.pages -- ./server --port 8080
  gcbarrier record --pid 4711 --for 10s          # where the kernel has soft-dirty bits
  gcbarrier record --machine lab --with both -- python3 app.py
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
        help="default: the program's name with .pages; a recording of that name is replaced",
    )
    parser.add_argument(
        "--with",
        metavar="TRACKER",
        dest="tracker",
        help="how writes are noticed: uffd-wp-async (the default), soft-dirty (that of --pid), or both: two recordings",
    )
    parser.add_argument("--pid", type=int, help="record a process that runs already, and its children; it runs on")
    parser.add_argument("--for", metavar="TIME", dest="length", help="record for so long; the program runs to its end")
    parser.add_argument("--machine", choices=("native", "lab"), default="native", help="lab: run it in the lab's guest")
    parser.add_argument("--kernel", metavar="KERNEL", help="of the lab: a suite or release that was set up")
    parser.add_argument("--memory", metavar="SIZE", help="of the lab's guest; default: 2GiB")
    parser.add_argument(
        "--include",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="a file or folder that the guest finds at the same path, beside files that COMMAND names (repeatable)",
    )
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
    command = tuple(args.command[1:] if args.command[:1] == ["--"] else args.command)
    _check(args, command)
    if args.machine == "lab":
        from gcbarrier.recorder.lab import record_in_lab

        memory_bytes = parse_bytes(args.memory or "2GiB")
        wish = _wish(args, command)
        return _say(wish, record_in_lab(wish, include=args.include, kernel=args.kernel, memory_bytes=memory_bytes))
    with Signals() as signals:
        # Not above: these import what starts threads, and a signal comes to any thread that doesn't block it.
        from gcbarrier.recorder.session import attach, record

        wish = _wish(args, command)
        if args.pid is not None:
            done = attach(args.pid, wish, signals)
        else:
            with _progress() as watch:
                done = record(wish, signals, watch)
    return _say(wish, done)


def _wish(args: argparse.Namespace, command: tuple[str, ...]) -> "Wish":
    from gcbarrier.page_traces.pagesfile import SUFFIX
    from gcbarrier.page_traces.records import SOFT_DIRTY, UFFD
    from gcbarrier.recorder.session import Wish

    name = os.path.basename(command[0]) if command else f"process-{args.pid}"
    return Wish(
        command=command,
        out=args.out or Path(name + SUFFIX),
        every_ns=parse_ns(args.every),
        tracker=args.tracker or (UFFD if args.pid is None else SOFT_DIRTY),
        for_ns=None if args.length is None else parse_ns(args.length),
        huge_pages=args.huge_pages,
        repetitions=args.slow_down,
        at_ns=tuple(dict.fromkeys(map(parse_ns, args.at.split(",")))) if args.at else (),
    )


def _say(wish: "Wish", done: "Done") -> int:
    """What was recorded, on standard error; the program's exit status."""
    if done.problem:
        print(f"gcbarrier: nothing was recorded: {done.problem}", file=sys.stderr)
        return done.status
    from gcbarrier.page_traces.pagesfile import read
    from gcbarrier.recorder.agreement import table
    from gcbarrier.report.recording_table import recording_table
    from gcbarrier.report.text import show

    with contextlib.suppress(BrokenPipeError):
        show(recording_table(read(wish.out), str(wish.out), wall_ns=done.wall_ns, cpu_ns=done.cpu_ns), stderr=True)
        if done.agreement is not None:
            print(*table(done.agreement), sep="\n", file=sys.stderr)
        print(f"`gcbarrier pages {shlex.quote(str(wish.out))}` draws it", file=sys.stderr)
    return done.status


def _check(args: argparse.Namespace, command: Sequence[str]) -> None:
    """Raises GcBarrierError where something is missing, or asked for together with what it can't be."""
    if args.pid is None and (not command or not command[0]):
        raise GcBarrierError("say what to record: gcbarrier record -- COMMAND")
    if args.slow_down < 0:
        raise GcBarrierError(f"--slow-down takes a number of runs, not {args.slow_down}")
    if args.at and not args.slow_down:
        raise GcBarrierError("--at says at which intervals the slow-down is measured: add --slow-down N")
    if args.pid is not None and command:
        raise GcBarrierError("--pid is of a process that runs already: leave the command out, or --pid")
    if args.pid is not None and args.machine == "lab":
        raise GcBarrierError("--pid is of a process of this machine, and --machine lab records in a guest: choose one")
    if args.pid is not None and args.slow_down:
        raise GcBarrierError("--slow-down runs the program again, which a process of --pid can't be: give its command")
    if args.slow_down and args.tracker == "both":
        raise GcBarrierError("--slow-down measures one way at a time: choose --with uffd-wp-async or soft-dirty")
    if args.machine != "lab" and (args.include or args.kernel or args.memory):
        raise GcBarrierError("--include, --kernel and --memory are of the lab: add --machine lab")


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
