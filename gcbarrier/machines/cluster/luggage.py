"""What travels to a worker with its jobs: the user's plug-ins and files; and the digest of the code that does not."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import field, frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery

_PACKAGE = Path(__file__).resolve().parents[2]
_CODE = (".py", ".c", ".h", ".npz", ".pages")
_LEFT_OUT = {"__pycache__", "node_modules"}


@frozen(kw_only=True)
class Luggage:
    """Files by name; each of ``folders`` is one that plug-ins are searched in."""

    folders: tuple[Mapping[str, bytes], ...] = field(default=(), repr=False)
    """By their names within it, such as ``heaps/mine/heap.py``."""
    files: Mapping[str, bytes] = field(factory=dict, repr=False)
    """By the name that parameters call them by."""


def packed(values: Iterable[object] = ()) -> Luggage:
    """The plug-ins in the user's own folders, and of ``values`` (of parameters) those that name files.

    Raises GcBarrierError where one of them can't be read.
    """
    named = {value for value in values if isinstance(value, str) and value and os.path.isfile(_expanded(value))}
    return Luggage(
        folders=tuple(dict(_plugins(root)) for root in discovery.paths()),
        files={value: _content(Path(_expanded(value))) for value in sorted(named)},
    )


def digest() -> str:
    """Of all code that comes with gcbarrier: where it is the same, so is what is measured."""
    files = dict(_within(_PACKAGE, ""))
    for kind in discovery.KINDS:
        # In a checkout these lie beside the package, in an installed one in it.
        files |= _within(discovery.shipped(kind), f"{kind}/")
    total = hashlib.sha256()
    for name, file in sorted(files.items()):
        total.update(f"{name}\0{hashlib.sha256(_content(file)).hexdigest()}\n".encode())
    return total.hexdigest()[:16]


def _within(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for path in _files(folder):
        if path.suffix in _CODE:
            yield f"{prefix}{path.relative_to(folder).as_posix()}", path


def _plugins(root: Path) -> Iterator[tuple[str, bytes]]:
    for kind in discovery.KINDS:
        for path in _files(root / kind):
            yield path.relative_to(root).as_posix(), _content(path)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not name.startswith("."):
                yield path


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        why = os.strerror(problem.errno or 0)
        raise GcBarrierError(f"{path} can't be sent along: {why}; make it readable or move it away") from problem


def _expanded(value: str) -> str:
    return os.path.expanduser(value)
