"""``gcbarrier advise``: what each barrier would cost a recorded program."""

import argparse
import json
import math
import re
from pathlib import Path

import numpy as np

from gcbarrier.campaign import calibration
from gcbarrier.commands._progress import RunProgress, waiting
from gcbarrier.costs.advice import Advice, advise
from gcbarrier.costs.constants import Constants
from gcbarrier.costs.sentences import sentences
from gcbarrier.costs.traces import Program, program
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import converter, parse_bytes
from gcbarrier.page_traces import corpus, pagesfile

HELP = "predict what each barrier would cost a recorded program, in cycles of several lengths"

_EPILOG = """The prediction is a formula (gcbarrier/costs/formula.py) of constants that are measured once on this
machine and kept; `gcbarrier run prediction` shows how far it is off. A recording tells pages and no stores: what
software barriers cost mutators is no less than what is said, unless --stores-per-page tells how many there are.

examples:
  gcbarrier advise app.pages
  gcbarrier advise app.pages --cycle 50ms,200ms,1s --heap 1GiB --mutators 4 --out figures
  gcbarrier advise sqlite --json | jq '.lengths[0].lowest_bill'
"""
_CYCLES = "100ms,1s"
_UNITS = {"us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "min": 60e9}
_POINTS = 24
"""Of a curve, between the shortest and the longest cycle that is drawn."""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``advise``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="what `gcbarrier record` wrote, or a name of the corpus")
    parser.add_argument(
        "--cycle",
        default=_CYCLES,
        metavar="TIMES",
        help=f"from the beginning of a collection to that of the next, with commas between them ({_CYCLES})",
    )
    parser.add_argument("--heap", default="", metavar="SIZE", help="of what is collected; default: the pages recorded")
    parser.add_argument("--mutators", type=_count, default=1, metavar="N", help="threads that would be stopped (1)")
    parser.add_argument(
        "--stores-per-page",
        type=_stores,
        default=0.0,
        metavar="N",
        help="references stored to a page that is written in a cycle, for what software barriers cost",
    )
    parser.add_argument(
        "--calibrate", action="store_true", help="measure this machine's constants anew: some two minutes"
    )
    parser.add_argument(
        "--constants", type=Path, metavar="RUN", help="take them from a run of barrier_costs or prediction"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="draw it over the length of a cycle: a PNG and an SVG")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Predict, say, draw."""
    periods = read_times(args.cycle)
    heap_bytes = parse_bytes(args.heap) if args.heap else 0
    if args.heap and heap_bytes <= 0:
        raise GcBarrierError(f"--heap {args.heap} is no heap: write a size such as 1GiB")
    if args.calibrate and args.constants is not None:
        raise GcBarrierError("--calibrate measures what --constants takes from a run: leave one of them out")
    path = corpus.find(args.file)
    with waiting("reading"):
        recording = pagesfile.read(path)
        seen = program(recording)
    machine = _constants(args)

    def advised(lengths: list[float], *, crossed: bool = True) -> Advice:
        return advise(
            seen,
            machine,
            lengths,
            heap_bytes=heap_bytes,
            mutators=args.mutators,
            stores_per_page=args.stores_per_page,
            crossed=crossed,
        )

    found = advised(periods)
    from gcbarrier import report
    from gcbarrier.report import advised_table

    if args.json:
        print(told(found))
    else:
        report.show(advised_table.table(found, path.stem))
    if args.out is not None:
        from gcbarrier.report import advised as drawing

        with waiting("drawing"):
            drawn = drawing.figure(advised(_lengths(seen, periods), crossed=False), path.stem, list(sentences(found)))
            written = report.save({f"advice-{path.stem}": drawn}, args.out)
        for each in written:
            if not args.json:
                print(each)
    return 0


def told(advice: Advice) -> str:
    """All that is in the table, and the sentences, as JSON; what is not known is null."""
    numbers = converter.unstructure(advice)
    return json.dumps(_finite({**numbers, "sentences": list(sentences(advice))}), indent=1, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _constants(args: argparse.Namespace) -> Constants:
    if args.constants is not None:
        return calibration.of_run(args.constants)
    with RunProgress() as progress:
        return (calibration.measured if args.calibrate else calibration.remembered)(watch=progress.watch)


def _lengths(seen: Program, periods: list[float]) -> list[float]:
    """For a curve: from a tick to all that the recording holds twice, and what was asked for."""
    low = min([float(seen.written.windows_ns[0]), *periods])
    high = max([seen.written.longest_ns, *periods])
    spread = np.geomspace(low, high, _POINTS) if high > low else np.array([low])
    return sorted({*map(float, spread), *periods})


def read_times(text: str) -> list[float]:
    """``100ms,1s`` in ns, ascending. Raises GcBarrierError where one is no time."""
    found = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|µs|ms|s|min)\s*", part)
        value = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not 0 < value < 1e15:
            raise GcBarrierError(f"--cycle {part.strip()!r} is no length: write some such as 100ms,1s")
        found.add(value)
    return sorted(found)


def _count(word: str) -> int:
    if not word.isdecimal() or not 0 < int(word) <= 1024:
        raise argparse.ArgumentTypeError(f"it takes a number of threads, up to 1024, not {word!r}")
    return int(word)


def _stores(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 1 <= value < 1e12:
        raise argparse.ArgumentTypeError(f"it takes a number of stores, from 1, not {word!r}")
    return value
