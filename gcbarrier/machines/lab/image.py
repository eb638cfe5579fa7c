"""The guest's first file system: this machine's Python and what it needs, at the same absolute paths.

It is made of two archives: a base, which changes only with the installation and is kept, and an overlay
with the checkout itself, made anew for each boot.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.lab.cpio import CpioWriter
from gcbarrier.machines.lab.files import forget_unfinished_files, new_file
from gcbarrier.machines.lab.paths import lab_home
from gcbarrier.machines.lab.whole import difference, seal

# What gcbarrier imports when it measures; drawing figures stays on the host.
DISTRIBUTIONS = ("attrs", "cattrs", "cffi", "numpy", "rich")
# Enough to look around and for `subprocess` with shell=True.
TOOLS = ("sh", "cat", "env", "ls", "dmesg", "mount", "sleep", "uname")
_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data"}
_LEFT_OUT |= {"site-packages", "dist-packages", "include", "f2py"}
_SUFFIXES_LEFT_OUT = (".a", ".pyi", ".pyx", ".pxd", ".h")
_KEPT_BASES = 3
# What ldd says of a program that needs no library, and then ends with status 1.
_NOT_DYNAMIC = "not a dynamic executable"


def base_archive() -> Path:
    """The base archive for this interpreter, made if the installation has changed since the last time.

    Its seal is part of its name, so a damaged one is known as such, and made anew.
    """
    roots = _base_files()
    key = hashlib.sha256(_stamp(roots)).hexdigest()[:16]
    home = lab_home()
    for known in home.glob(f"base-{key}-*.cpio"):
        if not _damage(known):
            return known
        known.unlink(missing_ok=True)
    libraries = _libraries(roots)
    forget_unfinished_files(home)
    named: list[str] = []

    def name(made: Path) -> str:
        named.append(f"base-{key}-{seal(made).replace(' ', '-')}.cpio")
        return named[0]

    with new_file(home, name) as out:
        archive = CpioWriter(out)
        for file in (*roots, *libraries):
            archive.add_path(file)
        archive.finish()
    _forget_old_bases()
    return home / named[0]


def damaged_bases(*, thorough: bool = False) -> dict[Path, str]:
    """The base archives that are not as they were made, and how they differ."""
    bases = sorted(lab_home().glob("base-*-*.cpio"))
    found = {base: how for base in bases if (how := _damage(base, thorough=thorough))}
    # One that is gone meanwhile was an old one, and another process forgot it.
    return {base: how for base, how in found.items() if base.exists()}


def _damage(base: Path, *, thorough: bool = False) -> str:
    noted = base.name.removesuffix(".cpio").split("-", 2)[2].replace("-", " ")
    return difference(base, noted, thorough=thorough)


def distribution_folders() -> list[str]:
    """The folders from which the distributions the guest holds are imported."""
    found = (str(distribution.locate_file("")) for distribution in _closure(DISTRIBUTIONS))
    return list(dict.fromkeys(os.path.abspath(folder) for folder in found))


def _base_files() -> list[str]:
    files = [sys.executable, os.path.realpath(sys.executable), *_interpreter_links()]
    if sys.prefix != sys.base_prefix:
        files.append(os.path.join(sys.prefix, "pyvenv.cfg"))
    standard = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    for folder in sorted(standard):
        files += _tree(folder)
    for distribution in _closure(DISTRIBUTIONS):
        files += _distribution_files(distribution)
    files += [found for tool in TOOLS if (found := shutil.which(tool, path="/bin:/usr/bin"))]
    return list(dict.fromkeys(file for file in files if os.path.exists(file)))


def _interpreter_links() -> Iterator[str]:
    for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
        yield os.path.join(os.path.dirname(sys.executable), name)


def _tree(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if f not in _LEFT_OUT and not f.startswith("config-"))
        for name in sorted(names):
            # Optimised variants of compiled modules are never loaded, and Tk would pull in all of X.
            if not name.endswith(_SUFFIXES_LEFT_OUT) and ".opt-" not in name and not name.startswith("_tkinter."):
                yield os.path.join(parent, name)


def _closure(names: Iterable[str]) -> list[metadata.Distribution]:
    """The distributions and everything they require here."""
    found: dict[str, metadata.Distribution] = {}
    pending = list(names)
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name in DISTRIBUTIONS:
                raise GcBarrierError(
                    f"the guest needs the Python package {name}, which is not installed here: "
                    "install gcbarrier with its requirements"
                ) from None
            # A requirement for another platform or version: what is not here was not needed here.
            continue
        found[name] = distribution
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement and (match := re.match(r"[\w.-]+", requirement)):
                pending.append(match.group())
    return list(found.values())


def _distribution_files(distribution: metadata.Distribution) -> Iterator[str]:
    listed = distribution.files
    if listed:
        for file in listed:
            path = os.path.abspath(str(distribution.locate_file(file)))
            if not _LEFT_OUT & set(file.parts) and not path.endswith(_SUFFIXES_LEFT_OUT):
                yield path
        return
    # A distribution's package manager may keep no list of files beside the metadata: take its modules.
    modules = (distribution.read_text("top_level.txt") or distribution.metadata["Name"]).split()
    for module in modules:
        path = str(distribution.locate_file(module))
        if os.path.isdir(path):
            yield from _tree(path)
        elif os.path.isfile(path + ".py"):
            yield path + ".py"


def _libraries(files: Iterable[str]) -> list[str]:
    """The shared libraries that the given programs and libraries load, and the loader.

    ``GcBarrierError`` unless the answer is whole: a guest without one of them does not start.
    """
    programs = [file for file in files if _is_elf(file)]
    try:
        # The first one is named twice, as ldd gives no heading to a single one.
        done = subprocess.run(
            ["ldd", *programs[:1], *programs],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            # Ctrl-C on the terminal is for us; ldd would stop half-way.
            start_new_session=True,
            check=False,
        )
    except OSError as error:
        raise Unavailable("the lab", f"ldd does not start ({error.strerror})", "install libc-bin") from error
    answers = dict(re.findall(r"^(/.*):\n((?:[ \t].*\n)+)", done.stdout, re.MULTILINE))
    unanswered = [program for program in programs if program not in answers]
    failed = done.returncode != 0 and not (done.returncode == 1 and _NOT_DYNAMIC in done.stdout)
    if unanswered or failed:
        why = done.stderr.strip().partition("\n")[0] or f"ldd ended with status {done.returncode}"
        raise GcBarrierError(
            f"the libraries that the guest needs can't be listed ({why}): see what `ldd {(unanswered or programs)[0]}` "
            "says, and run it again"
        )
    found = re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", done.stdout, re.MULTILINE)
    # Wheels bring libraries along and find them relative to themselves: those are there already.
    return list(dict.fromkeys(os.path.normpath(path) for path in found))


def _is_elf(path: str) -> bool:
    if not path.endswith(".so") and ".so." not in path and not os.access(path, os.X_OK):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def _stamp(files: Iterable[str]) -> bytes:
    """What changes when a file of the base does."""
    seen: list[object] = [4, TOOLS]
    # Installing or upgrading a library rewrites this one, so the libraries need not be looked up.
    for file in (*files, "/etc/ld.so.cache"):
        if os.path.exists(file):
            info = os.stat(file)
            seen.append((file, os.path.realpath(file), info.st_size, info.st_mtime_ns))
    return json.dumps(seen).encode()


def _forget_old_bases() -> None:
    bases = sorted(lab_home().glob("base-*.cpio"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in bases[_KEPT_BASES:]:
        old.unlink(missing_ok=True)
