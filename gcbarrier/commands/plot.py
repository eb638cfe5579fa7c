"""``gcbarrier plot``: a run's figures and numbers again, without running anything."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gcbarrier.commands._report import present
from gcbarrier.errors import GcBarrierError
from gcbarrier.results.run import load, unite

HELP = "draw the figures of one or more runs again and print their numbers"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``plot``."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="a run directory; several of one experiment share its figures, one machine a figure",
    )
    parser.add_argument(
        "--figure",
        choices=("latency", "utilisation"),
        default="",
        help="draw this, which there is of any run, in place of the experiment's own figures",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the figures go; default: RUN/figures, needed for several runs"
    )


def run(args: argparse.Namespace) -> int:
    """Draw, print the table, and name what was written."""
    directories: list[Path] = args.runs
    refuse_doubles(directories)
    if args.out is None and len(directories) > 1:
        raise GcBarrierError(f"figures of {len(directories)} runs belong to none of them: name a folder with --out")
    united = unite([load(directory) for directory in directories])
    present(united, args.out or directories[0] / "figures", args.figure)
    return 0


def refuse_doubles(directories: Sequence[Path]) -> None:
    """Raises GcBarrierError where one of them is another."""
    seen: dict[Path, Path] = {}
    for directory in directories:
        if (first := seen.setdefault(directory.resolve(), directory)) is not directory:
            raise GcBarrierError(f"{directory} is the same run as {first}: its samples would count twice; name it once")
