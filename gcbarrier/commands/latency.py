"""``gcbarrier latency``: what operations took and how long one waited, in numbers and as HdrHistogram's files."""

import argparse
from math import isinf
from pathlib import Path

from gcbarrier import report
from gcbarrier.errors import GcBarrierError
from gcbarrier.report.units import format_ns
from gcbarrier.results.hgrm import hgrm, hgrm_of
from gcbarrier.results.latency import WINDOWS_NS, kept
from gcbarrier.results.operations import histogram
from gcbarrier.results.run import Run, load

HELP = "print the simple and metered latency of a run's operations, or write .hgrm files"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``latency``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory whose operations were timed")
    parser.add_argument(
        "--hgrm",
        type=Path,
        metavar="DIR",
        help="write each invocation's percentiles, in microseconds, as HdrHistogram does: N-simple.hgrm and, where "
        "each operation was kept, N-metered-WINDOW.hgrm; N is the number of its events/N.npy",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, and name what was written."""
    from gcbarrier.report.anyrun import figure_of

    found = load(args.run)
    report.show(figure_of(found, "latency").table(found))
    if args.hgrm is not None:
        for name, text in _files(found):
            print(_written(args.hgrm, name, text))
    return 0


def _files(found: Run) -> list[tuple[str, str]]:
    files = []
    for index, outcome in enumerate(found.outcomes):
        if outcome.error or not outcome.operation_times:
            continue
        own = kept(found, index)
        if own is None:
            files.append((f"{index}-simple.hgrm", hgrm_of(histogram([outcome]))))
            continue
        files.append((f"{index}-simple.hgrm", hgrm(own.took_ns)))
        for window in WINDOWS_NS:
            name = "run" if isinf(window) else format_ns(window).replace(" ", "")
            files.append((f"{index}-metered-{name}.hgrm", hgrm(own.metered(window))))
    return files


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise GcBarrierError(f"{path} can't be written: {problem.strerror}; choose another folder") from problem
    return path
