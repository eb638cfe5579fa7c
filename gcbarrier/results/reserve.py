"""The folder of a run that is being written: reserved at the start, so that a taken name is told before anything runs.

A file in it that the writing process holds locked tells apart a folder in which a run is being written, one whose run
was killed, and a folder of the user's. What a killed run has left without a manifest, the next run clears; with one it
stays, and can be gone on with.
"""

import contextlib
import fcntl
import itertools
import os
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from gcbarrier.errors import GcBarrierError

LOCK = ".gcbarrier-run"
MANIFEST = "manifest.json"
"""A folder that holds one is a run; whether all of it, the manifest tells."""

_MADE = b"made"
_TRIES = 5


class Reservation:
    """A folder that is this process's to fill until :meth:`complete`, :meth:`leave` or :meth:`abandon`."""

    def __init__(self, folder: Path, ours: Collection[str]) -> None:
        self.folder = folder
        self._ours = ours
        self._parents: list[Path] = []
        self._made = False
        self._lock = -1

    def complete(self) -> None:
        """The folder holds a run that has ended."""
        with contextlib.suppress(OSError):  # beside a manifest it does no harm
            (self.folder / LOCK).unlink()
        self._release()

    def leave(self) -> None:
        """Leave everything as it is, as a process that is killed does."""
        self._release()

    def abandon(self) -> None:
        """Take away what was written, and the folders that were made for it; what others put there stays."""
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                _clear(self.folder, self._ours)
                (self.folder / LOCK).unlink()
        if self._made:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
        for parent in reversed(self._parents):
            try:
                parent.rmdir()
            except OSError:  # somebody else has put something there by now
                break
        self._release()

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def take(self) -> None:
        """Raises _Taken where the folder is somebody else's, FileNotFoundError where it vanishes meanwhile."""
        for parent in reversed([parent for parent in self.folder.parents if not parent.exists()]):
            with contextlib.suppress(FileExistsError):
                parent.mkdir()
                self._parents.append(parent)
        try:
            self.folder.mkdir()
            self._made = True
        except FileExistsError:
            if not self.folder.is_dir():
                raise _Taken(f"{self.folder} exists and is not an empty directory") from None
        there = set(os.listdir(self.folder))
        if MANIFEST in there and (writer := writer_of(self.folder)):
            if writer == "alive":
                raise _Taken(f"another run is being written in {self.folder}")
            raise _Taken(f"{self.folder} holds a run that has not ended (`gcbarrier run --resume` goes on with it)")
        if there and (LOCK not in there or MANIFEST in there):
            raise _Taken(f"{self.folder} exists and is not an empty directory")
        self._lock = _locked(self.folder, new=not there)
        self._made |= os.pread(self._lock, len(_MADE), 0) == _MADE
        _clear(self.folder, self._ours)
        if set(os.listdir(self.folder)) != {LOCK}:
            raise _Taken(f"{self.folder} exists and is not an empty directory")
        if self._made:
            os.pwrite(self._lock, _MADE, 0)


class _Taken(Exception):  # noqa: N818 - an answer, not an error
    """Somebody else's."""


def reserve(target: Path, ours: Collection[str], *, or_next: bool = False) -> Reservation:
    """The folder ``target``, made if need be, to be filled with entries called as in ``ours``.

    ``or_next``: where it is taken, that with the next free number behind its name. What killed runs have left beside
    it is cleared. Raises GcBarrierError where it is taken, OSError where it can't be made.
    """
    names = (target.with_name(f"{target.name}-{number}") for number in itertools.count(2)) if or_next else ()
    _sweep(target, ours)
    for folder in itertools.chain((target,), names):
        for attempt in range(_TRIES):
            reservation = Reservation(folder, ours)
            try:
                reservation.take()
            except _Taken as problem:
                reservation.abandon()
                if or_next:
                    break
                raise GcBarrierError(f"{problem}: name another one with --out") from None
            except (FileNotFoundError, FileExistsError):
                # Another run began or ended in between, and took its folders with it.
                reservation.abandon()
                if attempt == _TRIES - 1:
                    raise
            except BaseException:
                reservation.abandon()
                raise
            else:
                return reservation
    raise AssertionError("unreachable")


def reopen(folder: Path) -> Reservation:
    """The folder of a run that was stopped or killed, to go on with; what is in it stays.

    Raises GcBarrierError where another process is writing it, OSError where it can't be written.
    """
    reservation = Reservation(folder, ())
    try:
        reservation._lock = _lock(folder, os.O_CREAT)
    except _Taken as problem:
        raise GcBarrierError(f"{problem}: wait until it has ended") from None
    return reservation


def writer_of(folder: Path) -> str:
    """What became of the run that is written in a folder: ``alive``, ``dead`` or "" (none is, or it has ended)."""
    try:
        os.close(_lock(folder, 0))
    except _Taken:
        return "alive"
    except OSError:
        return ""
    return "dead"


def _locked(folder: Path, *, new: bool) -> int:
    """The lock, held, of a folder without a manifest. Raises _Taken where another process holds it or there is one."""
    lock = _lock(folder, os.O_CREAT | os.O_EXCL if new else 0)
    if (folder / MANIFEST).exists():
        os.close(lock)
        raise _Taken(f"{folder} exists and is not an empty directory")
    return lock


def _lock(folder: Path, flags: int) -> int:
    """The folder's lock, held. Raises _Taken where another process holds it."""
    path = folder / LOCK
    new = bool(flags & os.O_EXCL)
    lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if new:  # somebody who found it before it was locked took it for what a killed run had left
                raise FileExistsError(path) from None
            raise _Taken(f"another run is being written in {folder}") from None
        except OSError:
            # A file system without locks: who made the file has it, and nobody can tell whether he lives.
            if not new:
                raise _Taken(f"another run is being written in {folder}, or was killed there") from None
        # Who held it before may have taken it away meanwhile, and a third have made another.
        if not os.path.samestat(os.fstat(lock), os.stat(path)):
            raise FileNotFoundError(path)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _clear(folder: Path, ours: Collection[str]) -> None:
    for name in ours:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sweep(target: Path, ours: Collection[str]) -> None:
    """Clear what killed runs have left beside ``target``."""
    for folder in _beside(target):
        # Not ours to clear, not ours to tell of.
        with contextlib.suppress(OSError, _Taken):
            remains = Reservation(folder, ours)
            remains._lock = _locked(folder, new=False)
            remains._made = os.pread(remains._lock, len(_MADE), 0) == _MADE
            remains.abandon()


def _beside(target: Path) -> Iterator[Path]:
    """Folders beside ``target`` in which a run was begun and has not ended."""
    # Before folders were reserved, a run was written under such a name and renamed.
    older = re.compile(rf"\.{re.escape(target.name)}\.partial-[0-9a-f]{{8}}")
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if older.fullmatch(entry.name):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != target.name and os.path.isfile(os.path.join(entry.path, LOCK)):
                yield Path(entry.path)


__all__ = ["LOCK", "MANIFEST", "Reservation", "reopen", "reserve", "writer_of"]
