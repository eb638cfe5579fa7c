"""Importers: one module in this folder for each format in which some program's heap can be had.

Adding a format is adding a file here; nothing else names it. A module has

- ``NAME``: the format's name, for ``--format``;
- ``SUFFIXES``: what such files end with, e.g. ``(".heapsnapshot",)``;
- ``read(path, progress) -> Graph``: the whole graph of strong references. ``progress(share)`` may be called
  with the share done, 0 to 1. Whatever is wrong with the file raises a one-sentence ``GcBarrierError``.

What the roots don't reach is left out afterwards, for every format alike.
"""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

import attrs
import numpy as np

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs.graphfile import Graph
from gcbarrier.machines.cache import regular
from gcbarrier.plugins import discovery

Progress = Callable[[float], None]


def quiet(share: float) -> None:
    """A ``Progress`` that shows nothing."""


class Importer(Protocol):
    """What a module in this folder offers."""

    NAME: str
    SUFFIXES: tuple[str, ...]

    def read(self, path: Path, progress: Progress = quiet) -> Graph:
        """The graph in ``path``."""


@attrs.frozen(kw_only=True)
class Imported:
    """A graph that holds only what its roots reach, and how much was left out for not being reached."""

    graph: Graph
    dropped_nodes: int
    dropped_bytes: int


def importers() -> dict[str, Importer]:
    """All importers in this folder, by name."""
    found: dict[str, Importer] = {}
    for module in pkgutil.iter_modules(__path__):
        try:
            importer = cast(Importer, importlib.import_module(f"{__name__}.{module.name}"))
            found[importer.NAME] = importer
        except (ImportError, SyntaxError, AttributeError) as error:
            raise GcBarrierError(
                f"the importer {module.name}.py can't be used: {error}; mend it or take it out of the folder"
            ) from error
    return found


def import_graph(path: Path, format_name: str | None = None, progress: Progress = quiet) -> Imported:
    """Read the heap in ``path``; the format follows from the file's name unless it is given.

    Raises ``GcBarrierError`` where the format is unknown or the file is not what it should be.
    """
    try:
        regular(path)  # before its name is looked at: a missing file has no format either
    except OSError as error:
        raise GcBarrierError(f"the snapshot {path} can't be read: {error.strerror}; check the path") from error
    graph = _importer(path, format_name).read(path, progress)
    return keep_reachable(graph)


def keep_reachable(graph: Graph) -> Imported:
    """Leave out what no root reaches; the rest keeps its order."""
    seen = _reachable(graph)
    if seen.all():
        return Imported(graph=graph, dropped_nodes=0, dropped_bytes=0)
    degrees = graph.out_degrees()
    number = np.cumsum(seen, dtype=np.int64) - 1
    offsets = np.zeros(int(seen.sum()) + 1, dtype=np.uint64)
    np.cumsum(degrees[seen], dtype=np.uint64, out=offsets[1:])
    kept = Graph(
        sizes_bytes=graph.sizes_bytes[seen],
        offsets=offsets,
        targets=number[graph.targets[np.repeat(seen, degrees)]].astype(np.uint32),
        roots=number[graph.roots].astype(np.uint32),
        source=graph.source,
        addresses=None if graph.addresses is None else graph.addresses[seen],
    )
    return Imported(
        graph=kept,
        dropped_nodes=graph.node_count - kept.node_count,
        dropped_bytes=graph.total_bytes - kept.total_bytes,
    )


def _reachable(graph: Graph) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    offsets, degrees = graph.offsets.astype(np.int64), graph.out_degrees()
    seen = np.zeros(graph.node_count, dtype=np.bool_)
    frontier = np.unique(graph.roots)
    seen[frontier] = True
    while len(frontier):
        # All references of the frontier at once: each object's range of targets, one range after the other.
        counts = degrees[frontier]
        starts = offsets[frontier] - (np.cumsum(counts) - counts)
        reached = graph.targets[np.repeat(starts, counts) + np.arange(counts.sum())]
        frontier = np.unique(reached[~seen[reached]])
        seen[frontier] = True
    return seen


def _importer(path: Path, format_name: str | None) -> Importer:
    known = importers()
    if format_name is None:
        for importer in known.values():
            if path.name.endswith(importer.SUFFIXES):
                return importer
        endings = ", ".join(f"{suffix} ({name})" for name in sorted(known) for suffix in known[name].SUFFIXES)
        raise GcBarrierError(
            f"the format of {path} can't be told from its name; known are {endings}, or say which with --format"
        )
    if format_name not in known:
        hint = discovery.nearest(format_name, known)
        raise GcBarrierError(f"no importer is called {format_name!r}; {hint}choose from {', '.join(sorted(known))}")
    return known[format_name]
