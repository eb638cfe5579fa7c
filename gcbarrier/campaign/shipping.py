"""Compiled files for a machine that has no compiler: taken here, put there under the same names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from gcbarrier.core import build


def artifacts(plugins: Iterable[build.Plugin]) -> dict[Path, bytes]:
    """The files of these plug-ins and of the cores that they are linked against."""
    folders = {folder for plugin in plugins for folder in (plugin.core, plugin.library.parent)}
    return {path: path.read_bytes() for folder in sorted(folders) for path in folder.glob("*.so")}


def install(files: Mapping[Path, bytes]) -> None:
    """Put the files where :func:`artifacts` found them, on another machine; what is there stays."""
    for path, content in files.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
