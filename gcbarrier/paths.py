"""Where things that can be made again are kept."""

import os
from pathlib import Path


def cache_home() -> Path:
    """The user's cache folder, ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    # The specification says to ignore a relative path there.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".cache"
