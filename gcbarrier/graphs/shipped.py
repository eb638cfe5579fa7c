"""The graphs that come along: ``heaps/snapshot/NAME.graph.npz``."""

from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs.graphfile import SUFFIX
from gcbarrier.machines.cache import travelled
from gcbarrier.plugins.discovery import shipped


def names() -> tuple[str, ...]:
    """What is there, in alphabetical order."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in _folder().glob(f"*{SUFFIX}")))


def find(graph: str) -> Path:
    """Where a graph lies: the name of one that came along, or the path of any.

    Raises ``GcBarrierError`` where it is neither.
    """
    named = _folder() / f"{graph}{SUFFIX}"
    if graph and "/" not in graph and named.is_file():
        return named
    path = Path(graph).expanduser()
    if graph and travelled(path).exists():
        return path
    raise GcBarrierError(
        f"there is no graph {graph!r}: name one that came along ({', '.join(names())}) or the path of one "
        "that `gcbarrier import` made"
    )


def recording_of(graph: str) -> Path | None:
    """The recording of the same process that came along with a graph of that name; None where there is none."""
    beside = _folder() / f"{graph}.pages"
    return beside if graph in names() and beside.is_file() else None


def _folder() -> Path:
    return shipped("heaps") / "snapshot"
