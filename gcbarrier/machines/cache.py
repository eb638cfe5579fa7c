"""Where things that can be made again are kept, and what may be read for a file."""

import errno
import os
import stat
from pathlib import Path

from gcbarrier.errors import GcBarrierError


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
