"""Turn a snapshot of a program's heap into a graph file that the ``snapshot`` heap runs on."""

import argparse
import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import addresses, graphfile, importers
from gcbarrier.graphs.reachable import Imported
from gcbarrier.model import PAGE_BYTES, format_bytes

HELP = "turn a program's heap snapshot into a graph to run on"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``import``."""
    parser.add_argument(
        "snapshot", type=Path, metavar="SNAPSHOT", help="for example a V8 .heapsnapshot or a Java .hprof"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: SNAPSHOT's name with {graphfile.SUFFIX}")
    parser.add_argument("--format", metavar="NAME", help="the snapshot's format; default: by its name's ending")
    parser.add_argument("--name", metavar="TEXT", help="the program it is of; default: SNAPSHOT's name")
    parser.add_argument("--program-version", default="", metavar="TEXT", help="that program's version")
    parser.add_argument("--tool", metavar="TEXT", help="the runtime that wrote it, with its version")
    parser.add_argument("--captured-by", default="", metavar="TEXT", help="the command that captures another")


def run(args: argparse.Namespace) -> int:
    """Import one snapshot and say what it became."""
    snapshot: Path = args.snapshot
    stem = importers.stem(snapshot)
    out: Path = args.out or snapshot.parent / (stem + graphfile.SUFFIX)
    if out.exists() and snapshot.exists() and out.samefile(snapshot):
        raise GcBarrierError(
            f"the graph can't be written over its own snapshot {snapshot}; name another file with --out"
        )
    with _progress(f"reading {snapshot.name}") as progress:
        imported = importers.import_graph(snapshot, args.format, progress)
    source = attrs.evolve(
        imported.graph.source,
        program=args.name or stem,
        version=args.program_version,
        tool=args.tool or imported.graph.source.tool,
        command=args.captured_by,
    )
    graph = attrs.evolve(imported.graph, source=source)
    with _progress(f"writing {out.name}"):
        graphfile.save(out, graph)
    print(_summary(out, graph, imported))
    return 0


def _summary(out: Path, graph: graphfile.Graph, imported: Imported) -> str:
    return "\n".join(
        (
            f"{out}: {out.stat().st_size:,} bytes",
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
