"""``gcbarrier export``: runs as flat tables that other programs read."""

import argparse
import csv
import io
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.results import flat, pyperf
from gcbarrier.results.run import Run, load

HELP = "write runs as flat tables (CSV, Parquet, JSON) or as a pyperf suite"

_FORMATS = ("csv", "parquet", "json", "pyperf")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``export``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "what a row has:\n" + (flat.__doc__ or "").partition("\n\n")[2]
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories, of any experiments")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--csv", action="store_const", const="csv", dest="format", help="nothing is an empty field")
    formats.add_argument("--parquet", action="store_const", const="parquet", dest="format", help="needs pyarrow")
    formats.add_argument(
        "--json", action="store_const", const="json", dest="format", help="an array with a record a line"
    )
    formats.add_argument(
        "--pyperf", action="store_const", const="pyperf", dest="format", help="for `python -m pyperf compare_to`"
    )
    parser.add_argument(
        "--per", choices=tuple(flat.PER), help="what a row is of; default: invocation, or reading where there are none"
    )
    parser.add_argument("--measure", metavar="NAME", help="with --pyperf: the column whose values it has")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: standard output; its ending names the format"
    )


def run(args: argparse.Namespace) -> int:
    """Write them, and say where to."""
    runs = [load(directory) for directory in args.runs]
    chosen = args.format or _by_ending(args.out)
    if chosen == "pyperf":
        if args.per is not None:
            raise GcBarrierError("--pyperf has a value per invocation: leave --per out")
        if args.measure is None:
            names = ", ".join(pyperf.measures(runs))
            raise GcBarrierError(f"a pyperf suite is of one number: name it with --measure, one of {names or 'none'}")
        made = pyperf.suite(runs, args.measure).encode()
    else:
        if args.measure is not None:
            raise GcBarrierError("--measure is for --pyperf: the other formats have all numbers; leave it out")
        made = _FORMATTED[chosen](_columns(runs, args.per), runs)
    if args.out is not None:
        _write(args.out, made)
        print(args.out)
    elif chosen == "parquet":
        raise GcBarrierError("Parquet is no text: name a file with --out")
    else:
        sys.stdout.write(made.decode())
    return 0


def _by_ending(out: Path | None) -> str:
    ending = out.suffix.removeprefix(".") if out is not None else ""
    if ending not in _FORMATS[:3]:
        raise GcBarrierError(f"say which format: {', '.join(f'--{each}' for each in _FORMATS)}")
    return ending


def _columns(runs: Sequence[Run], per: str | None) -> dict[str, list[Any]]:
    wanted = per or ("invocation" if any(run.outcomes for run in runs) else "reading")
    columns = flat.table(runs, wanted)
    if not columns:
        raise GcBarrierError(f"nothing to export: no {wanted} was recorded; choose another --per or another run")
    return columns


def _csv(columns: Mapping[str, list[Any]], _runs: Sequence[Run]) -> bytes:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    # pandas, polars and R read these as truths.
    words = {True: "true", False: "false"}
    lines.writerows(
        [words[one] if isinstance(one, bool) else one for one in row] for row in zip(*columns.values(), strict=True)
    )
    return text.getvalue().encode()


def _json(columns: Mapping[str, list[Any]], _runs: Sequence[Run]) -> bytes:
    rows = (json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))
    return ("[\n" + ",\n".join(rows) + "\n]\n").encode()


def _parquet(columns: Mapping[str, list[Any]], runs: Sequence[Run]) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as problem:
        raise Unavailable("Parquet", "pyarrow is not installed", "pip install 'gcbarrier[parquet]'") from problem
    types = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
    schema = pyarrow.schema(
        [
            pyarrow.field(
                name,
                types[flat.kind_of(name, values)],
                metadata={"unit": unit}
                if (unit := flat.unit_of(name)) and flat.kind_of(name, values) is not str
                else None,
            )
            for name, values in columns.items()
        ],
        metadata={"gcbarrier": json.dumps([dict(run.manifest) for run in runs], default=str)},
    )
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(columns), schema=schema), file)
    return file.getvalue()


_FORMATTED = {"csv": _csv, "json": _json, "parquet": _parquet}


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, in place of what was there."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new.write_bytes(content)
        new.replace(path)
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else problem
        raise GcBarrierError(f"{path} can't be written: {reason}; choose another place with --out") from problem
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
