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

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs.graphfile import Graph
from gcbarrier.graphs.reachable import Imported, keep_reachable
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


def stem(path: Path) -> str:
    """The file's name without the ending that says what it is."""
    known = (suffix for importer in importers().values() for suffix in importer.SUFFIXES if path.name.endswith(suffix))
    return path.name.removesuffix(max(known, key=len, default=path.suffix))


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
