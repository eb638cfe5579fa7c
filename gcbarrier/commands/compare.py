"""``gcbarrier compare``: is one run worse than another, or one barrier than another, and could it be chance?"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from gcbarrier.commands._progress import waiting
from gcbarrier.errors import GcBarrierError
from gcbarrier.results.compared import Compared, compare
from gcbarrier.results.quantities import QUANTITIES

HELP = "compare two runs, or the barriers of one: ratios, their intervals, and whether it could be chance"

_EPILOG = """measures:
{measures}
and what probes read, by its name and number: first-store@1

examples:
  gcbarrier compare runs/before runs/after --fail-above 5%     # status 1 where something got worse than that
  gcbarrier compare runs/one --by barrier                      # its barriers beside `none`
  gcbarrier compare runs/one --by barrier --baseline cards
  gcbarrier compare runs/cards runs/log --by barrier           # two runs that differ in nothing else
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compare``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    width = max(map(len, QUANTITIES))
    parser.epilog = _EPILOG.format(
        measures="\n".join(f"  {name:{width}}  {each.title}" for name, each in QUANTITIES.items())
    )
    parser.add_argument("a", type=Path, metavar="A", help="a run directory, or a file that `gcbarrier summary` wrote")
    parser.add_argument("b", type=Path, metavar="B", nargs="?", help="another; with --by it may be left out")
    parser.add_argument(
        "--by",
        default="",
        metavar="FIELD",
        help="what the two differ in: barrier, collector, heap_bytes, HEAP.NAME ...",
    )
    parser.add_argument("--baseline", default="", metavar="VALUE", help="of FIELD: what the others are compared with")
    parser.add_argument(
        "--measure", nargs="+", action="extend", default=[], metavar="NAME", help="only these (see below; repeatable)"
    )
    parser.add_argument(
        "--fail-above",
        type=_share,
        metavar="5%",
        help="exit with 1 where something is worse by more than this, with its whole interval and hardly by chance",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="draw it: a PNG and an SVG for each machine")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to a file, - for standard output")


def run(args: argparse.Namespace) -> int:
    """Compare, say, draw. 1 where something got worse than ``--fail-above``."""
    if args.baseline and not args.by:
        raise GcBarrierError("--baseline is a value of what is compared: say of what with --by")
    if args.json is not None and str(args.json) != "-" and not args.json.parent.is_dir():
        raise GcBarrierError(f"{args.json.parent} is no folder: name a file in one with --json")
    with waiting("comparing"):
        found = compare(args.a, args.b, by=args.by, baseline=args.baseline, measures=args.measure)
    worse = found.worse(args.fail_above) if args.fail_above is not None else ()
    from gcbarrier import report
    from gcbarrier.report import compared_table

    if str(args.json) == "-":
        print(_json(found, args.fail_above))
    else:
        report.show(compared_table.table(found))
    if args.json is not None and str(args.json) != "-":
        try:
            args.json.write_text(_json(found, args.fail_above) + "\n", encoding="utf-8")
        except OSError as problem:
            raise GcBarrierError(f"{args.json} can't be written: {problem.strerror}; name another") from problem
        print(args.json)
    if args.out is not None:
        from gcbarrier.report import compared

        with waiting("drawing"):
            written = report.save(compared.figures(found), args.out)
        for path in written:
            print(path)
    if worse:
        report.show(compared_table.failing(found, args.fail_above))
    return 1 if worse else 0


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write one such as 5% or 0.05")
    if not match[2] and float(match[1]) >= 1:
        raise argparse.ArgumentTypeError(f"{text} could be {text} % or {100 * float(match[1]):g} %: write the sign")
    return float(match[1]) / (100 if match[2] else 1)


def _json(found: Compared, share: float | None) -> str:
    told: dict[str, Any] = found.told_as_json()
    told["fail_above"] = share
    told["failed_above"] = [at for at, one in enumerate(found.ratios) if share is not None and one.worse_by(share)]
    return json.dumps(told, indent=1, allow_nan=False)
