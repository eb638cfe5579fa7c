"""The recordings of real programs that come along: ``heaps/trace/corpus/NAME.pages``."""

from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import travelled
from gcbarrier.page_traces.pagesfile import SUFFIX
from gcbarrier.plugins.discovery import shipped


def names() -> tuple[str, ...]:
    """What is there, in alphabetical order."""
    return tuple(sorted(path.stem for path in _folder().glob(f"*{SUFFIX}")))


def find(recording: str) -> Path:
    """Where a recording lies: the name of one that came along, or the path of any.

    Raises ``GcBarrierError`` where it is neither.
    """
    named = _folder() / f"{recording}{SUFFIX}"
    if recording and "/" not in recording and named.is_file():
        return named
    path = Path(recording).expanduser()
    if recording and travelled(path).exists():
        return path
    known = ", ".join(names()) or "none"
    raise GcBarrierError(
        f"there is no recording {recording!r}: name one that came along ({known}) or the path of one "
        "that `gcbarrier record` made"
    )


def _folder() -> Path:
    return shipped("heaps") / "trace" / "corpus"
