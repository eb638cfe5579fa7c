"""Files that a crash does not take back: appended whole or not at all, replaced in one step, on the disk on return."""

import contextlib
import os
from pathlib import Path


def append(path: Path, text: str) -> None:
    """Put ``text`` at the end of a file; where the disk does not take all of it, the file is as it was before.

    Raises OSError.
    """
    data = memoryview(text.encode("utf-8"))
    new = not path.exists()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        before = os.fstat(file).st_size
        try:
            while data:
                data = data[os.write(file, data) :]
            os.fsync(file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, before)
            raise
    finally:
        os.close(file)
    if new:
        sync_folder(path.parent)


def replace(path: Path, content: bytes, *, unfinished: Path) -> None:
    """Let ``path`` hold ``content``, by way of ``unfinished`` beside it: a reader sees all of the old or of the new.

    Raises OSError.
    """
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        data = memoryview(content)
        while data:
            data = data[os.write(file, data) :]
        os.fsync(file)
    finally:
        os.close(file)
    os.replace(unfinished, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder onto the disk; a file system that can't is left to its own ways."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def whole_lines(path: Path) -> None:
    """Cut off what follows the last end of a line: what was being written when the machine stopped."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        content = file.read()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            file.truncate(end)


__all__ = ["append", "replace", "sync_folder", "whole_lines"]
