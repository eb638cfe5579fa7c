"""Stores against collects, without Python: ``native/race.c`` over any barrier's C file."""

import functools
import hashlib
import subprocess
import tempfile
from pathlib import Path

from places import TESTS

from gcbarrier.core import build as core
from gcbarrier.core.build import CFLAGS, NATIVE

RACE = TESTS / "native/race.c"


def build(source: Path, out: Path, flags: tuple[str, ...] = (), *, program: Path = RACE) -> Path:
    """Compile the ``program`` over the barrier ``source`` to ``out``, and return that.

    ``flags`` come last: ``-fsanitize=thread``, ``-DGCB_ONE_VIEW=1``, a barrier's parameters.
    """
    if flags:
        linked = [*_objects(flags), "-ldl"]
    else:
        # The one that everything else uses too: compiled already, as a rule.
        folder = core.core()
        linked = [f"-L{folder}", "-lgcbarrier-core", f"-Wl,-rpath,{folder}"]
    _cc(*flags, program, source, *linked, "-o", out)
    return out


def run(program: Path, *args: object, timeout_s: float = 60) -> dict[str, int]:
    """What it counted: ``stores``, ``cycles``, ``rounds``, ``reported``, ``lost`` (pages), and the barrier's tallies.

    ``args`` are SECONDS MIB WRITERS stop|run [MEMORY]. Raises AssertionError with its words where it failed.
    """
    command = [str(program), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode in (0, 1), f"status {done.returncode}: {done.stdout}{done.stderr}"
    words = done.stdout.split()
    counted = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    assert (counted["lost"] > 0) == (done.returncode == 1), f"{counted} {done.stderr}"
    return counted


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gcbarrier-race-")


@functools.cache
def _objects(flags: tuple[str, ...]) -> tuple[Path, ...]:
    """The core with these flags, compiled once for all programs that have them."""
    folder = Path(_folder().name) / hashlib.sha256(repr(flags).encode()).hexdigest()[:16]
    folder.mkdir()
    objects = []
    for source in sorted(NATIVE.rglob("*.c")):
        objects.append(folder / f"{source.parent.name}-{source.stem}.o")
        _cc(*flags, "-c", source, "-o", objects[-1])
    return tuple(objects)


def _cc(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["cc", *CFLAGS, f"-I{NATIVE}", f"-I{NATIVE}/include", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
