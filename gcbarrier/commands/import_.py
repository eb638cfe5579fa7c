"""Turn a program's heap into a graph file that the ``snapshot`` heap runs on: a snapshot, or a Python program's own."""

import argparse
import contextlib
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gcbarrier.captures import python
from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import addresses, graphfile, importers
from gcbarrier.graphs.reachable import Imported
from gcbarrier.model import PAGE_BYTES, format_bytes

HELP = "turn a program's heap snapshot into a graph to run on"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``import``."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="SNAPSHOT | -- COMMAND...",
        help="a V8 .heapsnapshot, a Java .hprof or the like; with --python a Python program and its arguments",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: its name with {graphfile.SUFFIX}")
    parser.add_argument(
        "--python", action="store_true", help="run COMMAND, a Python program, and have it write its heap down"
    )
    parser.add_argument(
        "--at", metavar="WHEN", help="exit (default), seconds after its beginning, or a signal: SIGUSR1"
    )
    parser.add_argument("--format", metavar="NAME", help="the snapshot's format; default: by its name's ending")
    parser.add_argument("--name", metavar="TEXT", help="the program it is of; default: SNAPSHOT's name")
    parser.add_argument("--program-version", default="", metavar="TEXT", help="that program's version")
    parser.add_argument("--tool", metavar="TEXT", help="the runtime that wrote it, with its version")
    parser.add_argument("--captured-by", default="", metavar="TEXT", help="the command that captures another")


def run(args: argparse.Namespace) -> int:
    """Import one heap and say what it became."""
    if args.python:
        return _run_python(args)
    if args.at:
        raise GcBarrierError("--at is when a program that is run writes its heap down: it goes with --python")
    if len(args.words) != 1:
        raise GcBarrierError(
            "import takes one snapshot, or a program behind --python: "
            "`gcbarrier import app.heapsnapshot`, `gcbarrier import --python -- python3 app.py`"
        )
    snapshot = Path(args.words[0])
    stem = importers.stem(snapshot)
    out: Path = args.out or snapshot.parent / (stem + graphfile.SUFFIX)
    if out.exists() and snapshot.exists() and out.samefile(snapshot):
        raise GcBarrierError(
            f"the graph can't be written over its own snapshot {snapshot}; name another file with --out"
        )
    print(_import(snapshot, out, args, stem))
    return 0


def _run_python(args: argparse.Namespace) -> int:
    """Run the program; what is said goes to stderr, since the output is the program's, and so is the status."""
    if args.format:
        raise GcBarrierError("a Python program that is run has but one format: leave --format out")
    command = python.command_line(args.words)
    at = python.moment(args.at or "exit")
    stem = _program(command)
    out = args.out or Path(stem + graphfile.SUFFIX)
    if not out.parent.is_dir():  # before the program has run for nothing
        raise GcBarrierError(f"the graph file {out} can't be written: there is no folder {out.parent}; make it first")
    with tempfile.TemporaryDirectory(prefix="gcbarrier-heap-") as folder:
        ran = python.run(command, at=at, folder=Path(folder))
        if ran.missing:
            sentence = f"the heap of {stem} was not written down: {ran.missing}"
            if not ran.status:
                raise GcBarrierError(sentence)
            print(f"gcbarrier: {sentence}", file=sys.stderr)
            return ran.status
        heap = (Path(folder) / "heap").rename(Path(folder) / "heap.pyheap")
        if not args.captured_by:
            when = [] if at == "exit" else ["--at", args.at]
            args.captured_by = shlex.join(["gcbarrier", "import", "--python", *when, "--", *args.words])
        print(_import(heap, out, args, stem), file=sys.stderr)
    return ran.status


def _program(command: list[str]) -> str:
    """What to call a program: its script's or module's name."""
    words = command[1:] if Path(command[0]).name.startswith("python") else command
    for place, word in enumerate(words):
        if word == "-m" and place + 1 < len(words):
            return words[place + 1]
        if word == "-c":
            break
        if not word.startswith("-"):
            return Path(word).name.removesuffix(".py") or "python"
    return "python"


def _import(snapshot: Path, out: Path, args: argparse.Namespace, name: str) -> str:
    """Read a heap, write its graph, and the summary of it."""
    with _progress(f"reading {snapshot.name}") as progress:
        imported = importers.import_graph(snapshot, args.format, progress)
    source = attrs.evolve(
        imported.graph.source,
        program=args.name or name,
        version=args.program_version,
        tool=args.tool or imported.graph.source.tool,
        command=args.captured_by,
    )
    graph = attrs.evolve(imported.graph, source=source)
    with _progress(f"writing {out.name}"):
        graphfile.save(out, graph)
    return _summary(out, graph, imported)


def _summary(out: Path, graph: graphfile.Graph, imported: Imported) -> str:
    return "\n".join(
        (
            f"{out}: {out.stat().st_size:,} bytes{f', of {tool}' if (tool := graph.source.tool) else ''}",
            f"  objects     {graph.node_count:>15,}",
            f"  references  {graph.edge_count:>15,}  ({graph.edge_count / graph.node_count:.2f} per object)",
            f"  bytes       {graph.total_bytes:>15,}  ({graph.total_bytes / graph.node_count:.1f} per object)",
            *_places(graph),
            f"  dropped     {imported.dropped_nodes:>15,}  objects that the roots don't reach"
            f" ({imported.dropped_bytes:,} bytes)",
            "run it with",
            f"  gcbarrier run pause_times --set heap=snapshot --set {shlex.quote(f'snapshot.graph={out}')}",
        )
    )


def _places(graph: graphfile.Graph) -> list[str]:
    """Where the objects lay, if that is known."""
    if graph.addresses is None:
        return []
    pages = len(np.unique(graph.addresses // PAGE_BYTES))
    overlapping = addresses.overlapping(graph.addresses, graph.sizes_bytes)
    note = f"; {overlapping:,} objects begin within others" if overlapping else ""
    return [f"  pages       {pages:>15,}  of {format_bytes(PAGE_BYTES)}, with the addresses of objects on them{note}"]


@contextlib.contextmanager
def _progress(what: str) -> Iterator[importers.Progress]:
    """Show ``what`` with a bar on stderr while it lasts; nothing where stderr is not a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    # Transient: what stays on the screen is the summary.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda share: bar.update(task, total=1.0, completed=share)
