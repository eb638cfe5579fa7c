"""The archive made for each boot: the checkout as it is now, what the caller includes, the first program."""

import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import cache_home
from gcbarrier.machines.lab.cpio import CpioWriter
from gcbarrier.machines.lab.image import distribution_folders
from gcbarrier.machines.lab.status import Kernel
from gcbarrier.model import format_bytes
from gcbarrier.plugins.discovery import KINDS, shipped

AGENT = "gcbarrier.machines.lab.agent"
_LEFT_OUT = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules"}
_GUESTS_OWN = ("/dev", "/proc", "/sys")
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_PAGE_BYTES = 4096
_ACCOUNTS = {
    "/etc/passwd": b"root:x:0:0:root:%s:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    "/etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}


def write_overlay(out: IO[bytes], *, include: Sequence[Path], search: Sequence[Path], kernel: Kernel) -> None:
    """Write the overlay: the package, ``include`` (files and whole folders), plug-ins and the first program.

    ``search`` are folders whose heaps/, experiments/ and so on are taken, and nothing else in them: they may be large.
    ``GcBarrierError`` if a path in ``include`` does not exist or can't be read.
    """
    package = package_folder()
    archive = CpioWriter(out, _GUESTS_OWN)
    home = str(Path.home())
    for folder in ("/proc", "/sys", "/dev", "/run", "/root", "/etc", "/var"):
        archive.add_folder(folder)
    for folder in ("/tmp", "/var/tmp"):
        archive.add_folder(folder, 0o1777)
    for name, content in _ACCOUNTS.items():
        archive.add_bytes(name, content % os.fsencode(home) if b"%s" in content else content)
    for root in (*search, *checkout_folders()):
        archive.add_path(str(root))
    for tree in _trees(include, search):
        _add_tree(archive, tree)
    archive.add_bytes(f"/boot/config-{kernel.release}", kernel.config.read_bytes())
    for file in _own_metadata():
        archive.add_path(file)
    command = f"#!{sys.executable}\nimport sys\nfrom gcbarrier.commands import main\nsys.exit(main())\n"
    archive.add_bytes("/usr/local/bin/gcbarrier", command.encode(), 0o755)
    archive.add_link("/lab-python", os.path.realpath(sys.executable))
    first = Path(__file__).with_name("first.py").read_bytes()
    archive.add_bytes("/init", b"#!/lab-python -IS\n" + first, 0o755)
    archive.add_bytes("/lab.json", json.dumps(_start(package, include)).encode())
    archive.finish()


def check_includable(path: Path) -> None:
    """``GcBarrierError`` if the guest can't have what is at ``path``."""
    if not path.exists():
        raise GcBarrierError(f"{path} does not exist, so the guest can't be given it: correct the path")
    if _is_guests_own(os.path.abspath(path)) or _is_guests_own(os.path.realpath(path)):
        raise GcBarrierError(f"{path} can't be included, as the guest mounts its own file system there: copy it")
    if kind := _KINDS.get(stat.S_IFMT(path.stat().st_mode)):
        raise GcBarrierError(f"{path} is {kind}, and a guest can be given files and folders only: leave it out")


def check_room(include: Sequence[Path], search: Sequence[Path], room_bytes: int) -> None:
    """``GcBarrierError`` if the guest would be given more than ``room_bytes``, found out without reading any of it."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for tree in _trees(include, search):
        for path in _members(tree):
            if os.path.islink(path) and _is_guests_own(os.path.realpath(path)):
                continue
            info = os.stat(path)
            if (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                # The guest keeps them in memory, where the smallest file takes a page.
                size = info.st_size if stat.S_ISREG(info.st_mode) else 0
                total += max(_PAGE_BYTES, size)
            if total > room_bytes:
                raise GcBarrierError(
                    f"a guest of this size has room for {format_bytes(room_bytes)} beside what it always holds, and "
                    f"with {tree} there would be more: include less, or give it more memory"
                )


def _is_guests_own(path: str) -> bool:
    return any(Path(path).is_relative_to(own) for own in _GUESTS_OWN)


def _trees(include: Sequence[Path], search: Sequence[Path]) -> list[Path]:
    """The files and whole folders that the guest is given beside its base."""
    plugins = [root / kind for root in (*search, *checkout_folders()) for kind in KINDS]
    return [Path(os.path.abspath(path)) for path in (package_folder(), *include, *filter(Path.is_dir, plugins))]


def package_folder() -> Path:
    """The folder of this package, wherever it is imported from."""
    return Path(os.path.abspath(__file__)).parents[2]


def checkout_folders() -> list[Path]:
    """The checkout that this package is in; none where it is installed, and holds all that comes with it."""
    package = package_folder()
    return [] if shipped("heaps").parent.samefile(package) else [package.parent]


def _start(package: Path, include: Sequence[Path]) -> dict[str, object]:
    """What the first program starts the agent with."""
    included = [Path(os.path.abspath(path)) for path in include]
    # Modules of the caller's own are found in the guest if they are there at all.
    own = [entry for entry in sys.path if entry and any(path.is_relative_to(entry) for path in included)]
    python_path = dict.fromkeys([str(package.parent), *own, *distribution_folders()])
    bin_folder = os.path.dirname(sys.executable)
    environment = {
        "PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(Path.home()),
        "PYTHONPATH": os.pathsep.join(python_path),
        "XDG_CACHE_HOME": str(cache_home()),
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
    }
    folders = [str(Path.home()), str(cache_home())]
    return {"command": [sys.executable, "-m", AGENT], "environment": environment, "folders": folders}


def _add_tree(archive: CpioWriter, path: Path) -> None:
    check_includable(path)
    for member in _members(path):
        _add(archive, member)


def _members(path: Path) -> Iterator[str]:
    """The file at ``path``, or the folder and what is in it, without links that lead nowhere."""
    yield str(path)
    if path.is_dir():
        for parent, folders, names in os.walk(path):
            folders[:] = sorted(folder for folder in folders if folder not in _LEFT_OUT)
            for name in (*folders, *sorted(names)):
                child = os.path.join(parent, name)
                if os.path.exists(child):
                    yield child


def _add(archive: CpioWriter, path: str) -> None:
    try:
        archive.add_path(path)
    except PermissionError as error:
        raise GcBarrierError(
            f"{path} can't be read, so the guest can't be given it: make it readable or leave it out"
        ) from error


def _own_metadata() -> list[str]:
    """The package's own metadata, for whoever asks which version runs."""
    # A checkout may hold another description of itself, which an interpreter started there finds first.
    for distribution in metadata.distributions(name="gcbarrier"):
        files = [str(distribution.locate_file(file)) for file in distribution.files or () if ".dist-info" in str(file)]
        if found := [os.path.abspath(file) for file in files if os.path.exists(file)]:
            return found
    return []
