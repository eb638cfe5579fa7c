"""Where things that can be made again are kept."""

import os
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
