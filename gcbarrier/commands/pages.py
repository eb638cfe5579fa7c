"""``gcbarrier pages``: what recordings of page writes look like, in numbers and in a figure."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gcbarrier import report
from gcbarrier.commands._progress import waiting
from gcbarrier.errors import GcBarrierError
from gcbarrier.page_traces import corpus
from gcbarrier.page_traces.overview import Overview
from gcbarrier.page_traces.pagesfile import SUFFIX, read
from gcbarrier.report.page_writes.table import markdown, page_table, process_table

HELP = "show recordings that `gcbarrier record` made: their numbers, and a figure of the pages over time"

_EPILOG = """examples:
  gcbarrier pages app.pages                      # its numbers; pages-app.png and .svg beside it
  gcbarrier pages cpython                        # a recording that came along, by its name
  gcbarrier pages cpython node jvm --out figures # a row each
  gcbarrier pages app.pages --process 2          # another than the one that wrote most
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``pages``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "recordings",
        nargs="+",
        metavar="FILE",
        help=f"a {SUFFIX} file, or the name of one that came along; several are compared",
    )
    parser.add_argument(
        "--process", type=int, metavar="N", help="which of a recording's processes; default: the one that wrote most"
    )
    parser.add_argument("--markdown", action="store_true", help="print the numbers as a table for a text, nothing else")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the figure goes; default: beside the recording, or the working directory where that came along",
    )


def run(args: argparse.Namespace) -> int:
    """Print the numbers, draw the figure, and name what was written."""
    found = [corpus.find(each) for each in args.recordings]
    if len({path.resolve() for path in found}) < len(found):
        raise GcBarrierError("a recording is named twice: it would be compared with itself; name it once")
    if args.process is not None and len(found) > 1:
        raise GcBarrierError("--process is of one recording: name only that")
    with waiting("reading"):
        overviews = [_overview(path, args.process) for path in found]
    if args.markdown:
        print(markdown(overviews))
        return 0
    from gcbarrier.report.page_writes.figure import page_figure

    report.show(page_table(overviews))
    (only, *more) = overviews
    if not more and len(only.recording.traces) > 1:
        report.show(process_table(only.recording))
    for own in overviews:
        for note in own.recording.notes:
            report.show(f"{own.name}: {note}" if more else note)
    with waiting("drawing"):
        figure = page_figure(overviews)
    name = "pages" if more else f"pages-{only.name}"
    for path in report.save({name: figure}, args.out or _folder(found)):
        print(path)
    return 0


def _overview(path: Path, process: int | None) -> Overview:
    recording = read(path)
    if process is None:
        return Overview(name=path.stem, recording=recording, trace=recording.main)
    if not 0 <= process < len(recording.traces):
        (_, *more) = recording.traces
        there = f"{len(more) + 1} processes, counted from 0," if more else "1 process, number 0,"
        raise GcBarrierError(
            f"{path} has {there} and none is number {process}: `gcbarrier pages` without --process lists them"
        )
    return Overview(name=f"{path.stem}-{process}", recording=recording, trace=recording.traces[process])


def _folder(found: Sequence[Path]) -> Path:
    (path, *more) = found
    came_along = path.parent == corpus.find(path.stem).parent if path.stem in corpus.names() else False
    return Path() if more or came_along else path.parent
