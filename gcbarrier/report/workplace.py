"""Where matplotlib keeps what it found out about fonts."""

import atexit
import contextlib
import os
import shutil
import tempfile

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import cache_home


def writable_folder() -> str:
    """In the user's cache, or for this process alone where that can't be written."""
    folder = None
    with contextlib.suppress(OSError, GcBarrierError):
        folder = cache_home() / "gcbarrier" / "matplotlib"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return str(folder)
    private = tempfile.mkdtemp(prefix="gcbarrier-matplotlib-")
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    if folder is not None:
        # Finding all fonts takes seconds.
        with contextlib.suppress(OSError):
            for file in folder.glob("fontlist-*.json"):
                shutil.copyfile(file, os.path.join(private, file.name))
    return private
