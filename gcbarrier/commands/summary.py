"""``gcbarrier summary``: a run in one small file, and a text's tables of numbers out of these."""

import argparse
from pathlib import Path

from gcbarrier.commands._progress import waiting
from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery
from gcbarrier.results.run import load, unite
from gcbarrier.results.summarizing import summarize
from gcbarrier.results.summary import public, write

HELP = "write a run's numbers into one small file, to be committed and compared; or a text's tables out of such files"

_EPILOG = """examples:
  gcbarrier summary runs/goals --out experiments/summaries/b/goals.json
  gcbarrier compare experiments/summaries/a/goals.json experiments/summaries/b/goals.json
  gcbarrier summary --readme README.md           # its tables, from experiments/summaries
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``summary``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="a run directory; several of one experiment")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where its summary goes; one that is there is replaced"
    )
    parser.add_argument(
        "--readme", type=Path, metavar="TEXT", help="write the tables between the marks in this file anew"
    )
    parser.add_argument(
        "--summaries",
        type=Path,
        metavar="DIR",
        help="where the summaries for --readme lie; default: those that come with gcbarrier",
    )


def run(args: argparse.Namespace) -> int:
    """Write what was asked for, and name it."""
    if bool(args.runs) != (args.out is not None):
        raise GcBarrierError("a summary is of a run and goes into a file: gcbarrier summary RUN --out FILE.json")
    if not args.runs and args.readme is None:
        raise GcBarrierError("say what to write: gcbarrier summary RUN --out FILE.json, or --readme README.md")
    if args.runs:
        with waiting("summing up"):
            found = public(summarize(unite([load(directory) for directory in args.runs])))
        try:
            write(found, args.out)
        except OSError as problem:
            raise GcBarrierError(f"{args.out} can't be written: {problem.strerror}; name another") from problem
        print(args.out)
    if args.readme is not None:
        _write_tables(args.readme, args.summaries or discovery.shipped("experiments") / "summaries")
    return 0


def _write_tables(path: Path, folder: Path) -> None:
    from gcbarrier.report.numbers import written

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise GcBarrierError(f"{path} can't be read: {problem}") from problem
    new = written(text, folder)
    if new == text:
        print(f"{path} is as its summaries are")
        return
    path.write_text(new, encoding="utf-8")
    print(path)
