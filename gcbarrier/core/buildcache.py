"""The cache of compiled things: each in a folder whose name is a hash of everything that went into it.

Which files that were, the compiler says itself. Its list is noted under what is known beforehand (the recipe), and
whoever asks again hashes what the listed files hold by now: a folder's name stands for its content, on every machine.
A note is only a short cut; without one the compiler is asked again, which is quick.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import asdict, frozen

from gcbarrier.core.includes import Reading
from gcbarrier.errors import GcBarrierError

_KEPT_S = 30 * 86400.0
_SETTLED_NS = 2_000_000_000
_TRIES = 3
_NEW = ".new-"


@frozen(kw_only=True)
class Recipe:
    """How something is compiled: its ``results`` out of files that the compiler finds by itself.

    ``words`` change the results, ``where`` only which files are found. Each step is given the work folder:
    ``prepare`` writes there what is included and generated (``words`` tell all of it), ``reading`` lists what is read,
    ``make`` compiles. Temporary files may lie beside the work folder.
    """

    name: str
    words: tuple[str, ...]
    where: tuple[str, ...]
    results: tuple[str, ...]
    reading: Callable[[Path], Reading]
    make: Callable[[Path], None]
    prepare: Callable[[Path], None] = lambda _work: None


def folder(home: Path, recipe: Recipe) -> Path:
    """The folder in ``home`` with the recipe's results, compiled if need be.

    Raises GcBarrierError where it can't be written, and whatever the recipe's steps raise.
    """
    note = home.parent / "reads" / f"{recipe.name}-{_digest([*recipe.words, *recipe.where])}"
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        listed = Reading(**json.loads(note.read_text(encoding="utf-8")))
        if not any(map(os.path.exists, listed.absent)) and _whole(known := _target(home, recipe, listed), recipe):
            with contextlib.suppress(OSError):  # another user's
                os.utime(known)
            return known
    with _new_folder(home) as (work, refused):
        recipe.prepare(work)
        for _ in range(_TRIES):
            listed = _outside(work, recipe.reading(work))
            target = _readable_target(home, recipe, listed)
            _write(note, listed, work.parent)
            if _whole(target, recipe):
                return target
            if refused:
                raise _unwritable(home, refused) from refused
            recipe.make(work)
            # Somebody may have been writing while the compiler was reading.
            if _readable_target(home, recipe, listed) == target:
                break
        else:
            raise GcBarrierError(f"what {recipe.name} is compiled from changes all the time: try again later")
        _place(work, target, recipe)
    _clear_abandoned(home)
    _forget_unused(home)
    _forget_unused(note.parent)
    return target


def _target(home: Path, recipe: Recipe, listed: Reading) -> Path:
    digest = hashlib.sha256(repr(recipe.words).encode())
    for file in listed.files:
        digest.update(os.fsencode(os.path.basename(file)) + b"\0" + _content(file))
    return home / f"{recipe.name}-{digest.hexdigest()[:16]}"


def _readable_target(home: Path, recipe: Recipe, listed: Reading) -> Path:
    try:
        return _target(home, recipe, listed)
    except OSError as problem:
        what = f"{problem.filename}, which {recipe.name} is compiled from, can't be read"
        raise GcBarrierError(f"{what}: {os.strerror(problem.errno or 0)}; put it back or rename it") from problem


def _content(file: str) -> bytes:
    there = os.stat(file)
    stamps = (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns)
    # What was written a moment ago may be written again within the same tick of the file system's clock.
    settled = time.time_ns() - there.st_ctime_ns > _SETTLED_NS
    return _hashed(file, stamps) if settled else _hashed.__wrapped__(file, stamps)


@functools.cache
def _hashed(file: str, _stamps: tuple[int, ...]) -> bytes:
    return hashlib.sha256(Path(file).read_bytes()).digest()


def _digest(words: list[str]) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()[:16]


def _whole(target: Path, recipe: Recipe) -> bool:
    return all(os.path.isfile(target / name) for name in recipe.results)


def _outside(work: Path, listed: Reading) -> Reading:
    """Without what the work folder has, which the recipe's words tell."""
    return Reading(
        files=tuple(file for file in listed.files if not file.startswith(f"{work}{os.sep}")),
        absent=tuple(file for file in listed.absent if not file.startswith(f"{work}{os.sep}")),
    )


def _write(note: Path, listed: Reading, scratch: Path) -> None:
    # Without it the compiler is asked again.
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        new = scratch / "note"
        new.write_text(json.dumps(asdict(listed)), encoding="utf-8")
        new.replace(note)


@contextlib.contextmanager
def _new_folder(home: Path) -> Iterator[tuple[Path, OSError | None]]:
    """A folder to fill, gone afterwards with all that lies beside it; elsewhere, with the reason, where ``home`` can't
    be written.
    """
    refused = None
    try:
        home.mkdir(parents=True, exist_ok=True)
        outer, lock = _locked_folder(home)
    except OSError as problem:
        refused = problem
        try:
            outer, lock = _locked_folder(None)
        except OSError:
            raise _unwritable(home, problem) from problem
    try:
        work = outer / "work"
        work.mkdir()
        yield work, refused
    finally:
        shutil.rmtree(outer, ignore_errors=True)
        os.close(lock)


def _locked_folder(parent: Path | None) -> tuple[Path, int]:
    """The lock goes with the process, however it ends: what is not locked has been abandoned."""
    while True:
        made = tempfile.mkdtemp(prefix=_NEW, dir=parent)
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(made, os.O_RDONLY)
            with contextlib.suppress(OSError):  # a file system without locks: nobody clears there, either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.exists(made):
                return Path(made), lock
            os.close(lock)
        # It was cleared before it was locked.


def _clear_abandoned(home: Path) -> None:
    for abandoned in home.glob(f"{_NEW}*"):
        with contextlib.suppress(OSError):
            lock = os.open(abandoned, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(abandoned, ignore_errors=True)
            finally:
                os.close(lock)


def _unwritable(place: Path, problem: OSError) -> GcBarrierError:
    reason = os.strerror(problem.errno or 0)
    return GcBarrierError(f"{place} can't be written: {reason}; set XDG_CACHE_HOME to a folder of yours")


def _place(work: Path, target: Path, recipe: Recipe) -> None:
    try:
        work.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        # Another process was faster and made the same, or something is gone from there.
        if not _whole(target, recipe):
            try:
                for name in recipe.results:
                    os.replace(work / name, target / name)
            except OSError as problem:
                raise _unwritable(target, problem) from problem


def _forget_unused(home: Path) -> None:
    # Somebody else may be cleaning up as well.
    with contextlib.suppress(OSError):
        for old in home.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - old.stat().st_mtime > _KEPT_S:
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
