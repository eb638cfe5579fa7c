"""The barrier uffd-wp-log as files: where they are, and a copy of them with a mistake."""

import shutil
from pathlib import Path

from places import CHECKOUT

BARRIERS = CHECKOUT / "gcbarrier/barriers"


def mutant(tmp_path: Path, file: str, old: str, new: str) -> Path:
    """The barrier's C file with one thing changed, in a folder of its own."""
    for name in ("fault_ring.h", "fault_threads.h", "uffd_wp_log.c"):
        shutil.copy(BARRIERS / name, tmp_path / name)
    text = (tmp_path / file).read_text()
    assert text.count(old) == 1, f"{file} has changed: {old}"
    (tmp_path / file).write_text(text.replace(old, new))
    return tmp_path / "uffd_wp_log.c"
