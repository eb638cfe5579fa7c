"""What a run was made with: the plug-ins' files, the graphs and the compiled core, by digest and as copies.

A user's own plug-ins are copied as they lie in a folder of plug-ins, so that the copies can be searched in its place;
what comes with gcbarrier is copied beside them, for reading only.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from gcbarrier.campaign.plans import Plan
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config
from gcbarrier.plugins import discovery

SHIPPED = "shipped"
"""Where the copies of what comes with gcbarrier are, within those of a run."""

GIVEN = "given"
"""Where the copies of files are that parameters name."""

_INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
_TEXTS = (".py", ".c", ".h")


@frozen(kw_only=True)
class Source:
    """The files of one plug-in."""

    shipped: bool
    """Whether it comes with gcbarrier."""
    files: Mapping[str, str] = field(repr=False)
    """SHA-256 of each, by its name below the folder of plug-ins: ``heaps/mine/mutator.c``."""


def sources(experiment: str, plans: Iterable[Plan]) -> dict[str, Source]:
    """The plug-ins of these plans, by ``kind/name``. Raises GcBarrierError where one is gone or can't be read."""
    return {f"{kind}/{name}": _source(kind, name) for kind, name in _names(experiment, plans)}


def copies(found: Mapping[str, Source]) -> dict[str, Path]:
    """What is to be copied of these: by the copy's name, the file. Data of what is shipped is not: it is large."""
    wanted: dict[str, Path] = {}
    for plugin, source in found.items():
        root = _root(*plugin.split("/"))
        for name in source.files:
            if not source.shipped or name.endswith(_TEXTS):
                wanted[f"{SHIPPED}/{name}" if source.shipped else name] = root / name
    return wanted


def given(plans: Iterable[Plan]) -> dict[str, Path]:
    """The files that heaps' parameters name, such as a graph: by the parameter's value, where the file is."""
    found: dict[str, Path] = {}
    for plan in plans:
        for value in (each for config in plan.configs for each in config.heap_params.values()):
            path = Path(value).expanduser() if isinstance(value, str) and value else None
            if path is not None and path.is_file():
                found[str(value)] = path
    return found


def copy_of(value: str) -> str:
    """The name, within a run's copies, of a file that a parameter names; two of one name stay apart."""
    return f"{GIVEN}/{hashlib.sha256(value.encode()).hexdigest()[:8]}-{Path(value).name}"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises GcBarrierError where it can't be read."""
    try:
        stamp = path.stat()
        return _digest(path, stamp.st_mtime_ns, stamp.st_size)
    except OSError as problem:
        raise GcBarrierError(f"{path} can't be read: {problem.strerror}; put it back") from problem


def core() -> dict[str, str]:
    """The compiled core's folder in the cache, whose name stands for all that it was compiled from, and its digest."""
    folder = build.core()
    return {"name": folder.name, "sha256": digest(library())}


def library() -> Path:
    """The compiled core."""
    return build.core() / "libgcbarrier-core.so"


def changed(then: Mapping[str, Source], now: Mapping[str, Source]) -> Iterator[str]:
    """The plug-ins of a run that are not what they were, each with the first file that differs."""
    for plugin, source in then.items():
        current = now.get(plugin)
        if current is None:
            yield f"{plugin} is not there any more"
            continue
        names = sorted({*source.files, *current.files})
        differing = [name for name in names if source.files.get(name) != current.files.get(name)]
        if differing:
            more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
            yield f"{plugin} has changed ({differing[0]}{more})"


def _names(experiment: str, plans: Iterable[Plan]) -> list[tuple[str, str]]:
    found = [("experiments", experiment)]
    for part in (part for plan in plans for part in plan.parts):
        found.append(("barriers", part.barrier))
        if isinstance(part, Config):
            found += [("heaps", part.heap), ("collectors", part.collector)]
    return sorted(set(found))


def _root(kind: str, name: str) -> Path:
    """The folder of plug-ins that one lies in."""
    file = discovery.find(kind, name)
    return file.parents[2] if kind == "heaps" else file.parents[1]


def _source(kind: str, name: str) -> Source:
    file, root = discovery.find(kind, name), _root(kind, name)
    shipped = root in (discovery.shipped(kind).resolve().parent,)
    if kind == "heaps":
        own = [each for each in sorted(file.parent.rglob("*")) if each.is_file() and "__pycache__" not in each.parts]
    else:
        own = [each for each in sorted(file.parent.glob(f"{file.stem}.*")) if each.is_file()]
    # A helper of one's own, which any of the files may import.
    helpers = [] if shipped else sorted((root / kind).glob("_*.py"))
    files = dict.fromkeys((*own, *helpers))
    for each in own:
        files |= dict.fromkeys(_included(each))
    inside = [each for each in files if each.is_relative_to(root)]
    return Source(shipped=shipped, files={each.relative_to(root).as_posix(): digest(each) for each in inside})


def _included(file: Path) -> Iterator[Path]:
    """What a C file includes beside itself, and what that includes."""
    met: set[Path] = set()
    ahead = [file] if file.suffix in (".c", ".h") else []
    while ahead:
        source = ahead.pop()
        for name in _INCLUDE.findall(source.read_bytes()):
            included = (source.parent / name.decode(errors="replace")).resolve()
            if included.is_file() and included not in met:
                met.add(included)
                ahead.append(included)
    yield from sorted(met)


@functools.cache
def _digest(path: Path, _mtime_ns: int, _size: int) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def told(manifest: Mapping[str, Any]) -> dict[str, Source]:
    """The sources that a manifest tells of; none where it is an older run's."""
    said = manifest.get("sources")
    if not isinstance(said, Mapping):
        return {}
    return {
        str(name): Source(shipped=bool(each.get("shipped")), files=dict(each.get("files", {})))
        for name, each in said.items()
        if isinstance(each, Mapping)
    }


__all__ = ["GIVEN", "SHIPPED", "Source", "changed", "copies", "copy_of", "core", "digest", "given", "library"]
__all__ += ["sources", "told"]
