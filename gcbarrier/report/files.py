"""Figures into files."""

import errno
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from matplotlib.figure import Figure

from gcbarrier.errors import GcBarrierError
from gcbarrier.report.style import styled


def save(figures: Mapping[str, Figure], directory: Path) -> tuple[Path, ...]:
    """Write each figure as ``<name>.png`` and ``<name>.svg`` into ``directory`` and return the paths.

    None of them appears before all are drawn, and each appears whole, replacing an older one. Characters that a file
    name had better not have become ``-``. Raises GcBarrierError where they can't be written; folders made for them
    are then gone again.
    """
    partial: dict[Path, Path] = {}
    made: list[Path] = []
    try:
        _make(directory, made)
        for name, figure in figures.items():
            for ending in ("png", "svg"):
                path = directory / f"{_file_name(name)}.{ending}"
                partial[path] = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
                with styled():
                    # No date in the metadata: redrawing the same data gives the same file.
                    metadata = {"Date": None} if ending == "svg" else None
                    figure.savefig(partial[path], format=ending, dpi=160, metadata=metadata)
        for path, drawn in partial.items():
            drawn.replace(path)
    except OSError as problem:
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space" if full else "choose a folder you can write to with --out"
        reason = os.strerror(problem.errno) if problem.errno else problem
        raise GcBarrierError(f"the figures can't be written to {directory}: {reason}; {remedy}") from problem
    finally:
        # Also after Ctrl-C.
        for drawn in partial.values():
            with suppress(OSError):
                drawn.unlink(missing_ok=True)
        for folder in reversed(made):
            with suppress(OSError):  # somebody else has put something there by now
                folder.rmdir()
    return tuple(partial)


def _make(directory: Path, made: list[Path]) -> None:
    for folder in reversed((directory, *directory.parents)):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            made.append(folder)
    if not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))


def _file_name(name: str) -> str:
    # Machines and experiments are named by people: a name is no way out of the directory.
    return re.sub(r"[^\w.+-]+", "-", name).lstrip(".")


__all__ = ["save"]
