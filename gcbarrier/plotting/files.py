"""Figures into files."""

import errno
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from gcbarrier.errors import GcBarrierError
from gcbarrier.plotting.style import styled


def save(figures: Mapping[str, Figure], directory: Path) -> tuple[Path, ...]:
    """Write each figure as ``<name>.png`` and ``<name>.svg`` into ``directory`` and return the paths.

    A file appears whole or not at all, replacing an older one. Raises GcBarrierError where it can't be written.
    """
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            for ending in ("png", "svg"):
                path = directory / f"{name}.{ending}"
                partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
                try:
                    with styled():
                        # No date in the metadata: redrawing the same data gives the same file.
                        figure.savefig(
                            partial, format=ending, dpi=160, metadata={"Date": None} if ending == "svg" else None
                        )
                    partial.replace(path)
                finally:
                    partial.unlink(missing_ok=True)
                written.append(path)
    except OSError as problem:
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space" if full else "choose a folder you can write to with --out"
        reason = os.strerror(problem.errno) if problem.errno else problem
        raise GcBarrierError(f"the figures can't be written to {directory}: {reason}; {remedy}") from problem
    return tuple(written)


__all__ = ["save"]
