"""A file tree that is made up: a /proc and a /sys of a machine that nobody has."""

from collections.abc import Mapping
from pathlib import Path


def made(root: Path, files: Mapping[str, str]) -> Path:
    """``root``, with these files in it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root
