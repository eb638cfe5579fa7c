"""Whether what was made once is still whole: sizes and digests, noted when it was made and compared later.

Comparing sizes costs next to nothing and shows what was cut short or removed; reading everything (``thorough``) shows
any change and takes a good part of a second.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ABOUT = "about.json"


class Damaged(Exception):  # noqa: N818 - between these modules only; the user meets an Unavailable made of it
    """Something is not as it was made: what, and how it differs."""


def describe(folder: Path, **facts: str) -> None:
    """Write into ``folder`` what it is, and what is in it now."""
    contents = {name: seal(folder / name) for name in sorted(_names(folder)) if name != ABOUT}
    (folder / ABOUT).write_text(json.dumps({**facts, "contents": contents}))


def described(folder: Path, facts: Sequence[str], essential: Sequence[str], *, thorough: bool = False) -> list[str]:
    """The named facts about ``folder``; ``Damaged`` if they can't be read or what is in it is not what was.

    Of a folder whose contents nobody noted (an older version made it), ``essential`` must be there.
    """
    about = _read(folder / ABOUT)
    missing = [name for name in facts if not isinstance(about.get(name), str)]
    if missing:
        raise Damaged(f"its {ABOUT} names no {missing[0]}")
    contents = about.get("contents", {})
    if not isinstance(contents, dict) or not all(isinstance(noted, str) for noted in contents.values()):
        raise Damaged(f"its {ABOUT} does not list what is in it")
    for name in () if contents else essential:
        if not (folder / name).is_file() or not (folder / name).stat().st_size:
            raise Damaged(f"{name} is missing or empty")
    for name, noted in contents.items():
        if how := difference(folder / name, noted, thorough=thorough):
            raise Damaged(f"{name} {how}")
    return [about[name] for name in facts]


def is_noted(folder: Path) -> bool:
    """Whether the contents of ``folder`` were noted, so that damage can be told."""
    return "contents" in _read(folder / ABOUT)


def seal(path: Path) -> str:
    """What ``path`` is, in a word or two: its size and digest, or where it leads."""
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    with path.open("rb") as file:
        return f"{os.fstat(file.fileno()).st_size} {hashlib.file_digest(file, 'sha256').hexdigest()}"


def difference(path: Path, noted: str, *, thorough: bool = False) -> str:
    """How ``path`` differs from what it was when its seal was ``noted``; empty if it does not."""
    try:
        info = path.lstat()
        regular, link = stat.S_ISREG(info.st_mode), stat.S_ISLNK(info.st_mode)
        now = seal(path) if link or (regular and thorough) else ""
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    size = noted.partition(" ")[0]
    if regular and size.isdecimal():
        if str(info.st_size) != size:
            return f"has {info.st_size} bytes of {size}"
        now = now or noted
    return "" if now == noted else "is not what it was"


def _names(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*names, *links):
            yield os.path.relpath(os.path.join(parent, name), folder)


def _read(about: Path) -> dict[str, Any]:
    try:
        read = json.loads(about.read_bytes())
    except OSError as error:
        raise Damaged(f"its {about.name} can't be read ({error.strerror})") from error
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise Damaged(f"its {about.name} is not a description")
    return read
