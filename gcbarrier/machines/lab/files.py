"""Files that appear whole or not at all."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gcbarrier.errors import GcBarrierError

_UNFINISHED = ".new-"


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Turn "no space left" and "not permitted" below ``folder`` into a sentence for the user."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise GcBarrierError(f"the disk that holds {folder} is full: free some space and try again") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise GcBarrierError(
                f"{error.filename or folder} can't be written: set XDG_CACHE_HOME to a folder of yours"
            ) from error
        raise


@contextmanager
def new_file(folder: Path, name: Callable[[Path], str]) -> Iterator[IO[bytes]]:
    """A file to write that gets a name in ``folder`` only when the block ends well: what ``name`` makes of the file."""
    with full_disk_explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle, work = tempfile.mkstemp(prefix=_UNFINISHED, dir=folder)
        try:
            # Whoever clears up can tell by the lock that this one is at work.
            fcntl.flock(handle, fcntl.LOCK_EX)
            with os.fdopen(handle, "wb", buffering=1 << 20) as out:
                yield out
                out.flush()
                os.rename(work, folder / name(Path(work)))
        except BaseException:
            Path(work).unlink(missing_ok=True)
            raise


def forget_unfinished_files(folder: Path) -> None:
    """Remove the files in ``folder`` whose making was killed."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        if left.is_file():
            with contextlib.suppress(OSError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


def forget_unfinished(folder: Path) -> None:
    """Remove what in ``folder`` was never finished; nobody may be making a folder in it now."""
    forget_unfinished_files(folder)
    for left in folder.glob(f"{_UNFINISHED}*/"):
        shutil.rmtree(left, ignore_errors=True)


def nameless_file(folder: Path | None = None) -> IO[bytes]:
    """A file that is in no folder and so is gone when nobody has it open any more."""
    return tempfile.TemporaryFile(dir=folder)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder that takes the name ``path`` (replacing what was there) only when the block ends well."""
    with full_disk_explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=path.parent))
        try:
            yield work
            work.chmod(0o755)
            if path.exists():
                path.rename(work.with_name(work.name + "-old"))
            work.rename(path)
        finally:
            for rest in (work, work.with_name(work.name + "-old")):
                shutil.rmtree(rest, ignore_errors=True)
