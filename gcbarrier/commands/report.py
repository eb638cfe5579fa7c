"""``gcbarrier report``: one page to hand on, with everything of a run in it."""

import argparse
import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from gcbarrier import report
from gcbarrier.commands._progress import waiting
from gcbarrier.commands._report import reached, script_of
from gcbarrier.commands.plot import refuse_doubles
from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery
from gcbarrier.report.html.page import Part, page
from gcbarrier.report.verdict import verdict
from gcbarrier.results.run import Run, load, same_run, unite

HELP = "write one HTML page to hand on: verdict, figures, tables, machines, how to measure it again"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``report``."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="a run directory; several of one experiment share a part of the page, one machine a figure",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the page; default: RUN/report.html, needed for several runs"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page and name it."""
    directories: list[Path] = args.runs
    refuse_doubles(directories)
    if args.out is None and len(directories) > 1:
        raise GcBarrierError(f"a page of {len(directories)} runs belongs to none of them: name a file with --out")
    runs = [load(directory) for directory in directories]
    for one, other in combinations(runs, 2):
        if same_run(one, other):
            raise GcBarrierError(
                f"{other.directory} is a copy of {one.directory}: it would be shown twice; name it once"
            )
    groups = list(_grouped(runs))
    with waiting("drawing"):
        text = page([_part(group) for group in groups])
    print(_write(args.out or directories[0] / "report.html", text))
    return 0


def _grouped(runs: Sequence[Run]) -> Iterator[Run]:
    """Those of one experiment united."""
    for name in dict.fromkeys(one.experiment for one in runs):
        yield unite([one for one in runs if one.experiment == name])


def _part(united: Run) -> Part:
    name = united.experiment
    script = script_of(united)
    with discovery.blamed("experiments", name):
        own = getattr(script, "verdict", None)
        more = (report.verification_table(united), report.counted_table(united))
        return Part(
            run=united,
            question=discovery.summary("experiments", name),
            verdict=str(own(united)) if callable(own) else verdict(united),
            figures=script.figures(united),
            notes=tuple(reached(united)),
            printed=[script.table(united)] + [each for each in more if each is not None],
        )


def _write(path: Path, text: str) -> Path:
    """All of it or nothing; raises GcBarrierError where it can't be written."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(path)
    except OSError as problem:
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space" if full else "name a file that you can write with --out"
        reason = os.strerror(problem.errno) if problem.errno else problem
        raise GcBarrierError(f"the page can't be written to {path}: {reason}; {remedy}") from problem
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return path
