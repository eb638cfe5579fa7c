"""Where things that can be made again are kept, and what may be read for a file."""

import errno
import json
import os
import stat
from pathlib import Path

from gcbarrier.errors import GcBarrierError

FILES_VARIABLE = "GCBARRIER_FILES"
"""On another machine: a file that says where the files lie that came along with a run."""


def cache_home() -> Path:
    """The user's cache folder, ``$XDG_CACHE_HOME`` or ``~/.cache``. Raises GcBarrierError where there is no home."""
    # The specification says to ignore a relative path there.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given
    try:
        return Path.home() / ".cache"
    except RuntimeError as problem:
        raise GcBarrierError(
            "there is no home folder to keep compiled files in: set HOME or XDG_CACHE_HOME"
        ) from problem


def regular(path: Path) -> Path:
    """``path``, which is a file to be read, or OSError as opening it would raise.

    A FIFO or a terminal is none either: opening it may wait for ever, and reading a device may never come to an end.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is a FIFO, a socket or a device and not a file", str(path))
    return path


def travelled(path: str | Path) -> Path:
    """Where a file that a parameter names lies on this machine: elsewhere, where it came along with a run."""
    listed = os.environ.get(FILES_VARIABLE)
    if listed is None:
        return Path(path)
    names: dict[str, str] = json.loads(Path(listed).read_text(encoding="utf-8"))
    # A home folder is expanded by whoever asks.
    places = {os.path.expanduser(name): place for name, place in names.items()} | names
    return Path(places.get(os.fspath(path), path))
