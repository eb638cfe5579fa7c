"""Where the lab keeps what it fetched: one folder in the user's cache, nothing elsewhere."""

import os
from pathlib import Path


def cache_home() -> Path:
    """The user's cache folder, ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    # The specification says to ignore a relative path there.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".cache"


def lab_home() -> Path:
    """The lab's own folder; it may not exist yet."""
    return cache_home() / "gcbarrier" / "lab"


def kernel_folder(suite: str) -> Path:
    """The folder of the kernel that came from ``suite``."""
    return lab_home() / "kernels" / suite


def qemu_folder() -> Path:
    """The folder in which QEMU and its libraries are unpacked."""
    return lab_home() / "qemu"
