"""Where the lab keeps what it fetched: one folder in the user's cache, nothing elsewhere."""

from pathlib import Path

from gcbarrier.machines.cache import cache_home


def lab_home() -> Path:
    """The lab's own folder; it may not exist yet."""
    return cache_home() / "gcbarrier" / "lab"


def kernel_folder(suite: str) -> Path:
    """The folder of the kernel that came from ``suite``."""
    return lab_home() / "kernels" / suite


def qemu_folder() -> Path:
    """The folder in which QEMU and its libraries are unpacked."""
    return lab_home() / "qemu"
