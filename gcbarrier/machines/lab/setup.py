"""Fetching a kernel and QEMU from the distribution's archive into the user's cache, once."""

import contextlib
import fcntl
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.lab.apt import Archive, unpack
from gcbarrier.machines.lab.files import forget_unfinished, full_disk_explained, new_folder
from gcbarrier.machines.lab.image import damaged_bases
from gcbarrier.machines.lab.paths import kernel_folder, lab_home, qemu_folder
from gcbarrier.machines.lab.sources import archive_source, debian_codename
from gcbarrier.machines.lab.status import LabStatus, find_qemu, installed_kernels, status, unpacked_qemu
from gcbarrier.machines.lab.whole import ABOUT, describe, is_noted

_NEEDED_CONFIG = ("MEM_SOFT_DIRTY", "USERFAULTFD", "VIRTIO_PCI", "VIRTIO_CONSOLE", "SERIAL_8250_CONSOLE", "DEVTMPFS")

# Why to fetch once more what an older version has fetched.
_UNKNOWN = ", as nobody noted what the one here is made of, so that damage to it can't be told"

Step = Callable[[str], None]


def plan(kernel: str | None = None) -> list[str]:
    """What ``setup`` would do, a sentence each; nothing if all is there and whole."""
    steps = []
    suite = _suite(kernel)
    uris = archive_source(debian_codename()).uris
    if (why := _wants_kernel(suite)) is not None:
        steps.append(f"fetch the cloud kernel of {suite} (about 30 MB) from {uris} and unpack it{why}")
    if (why := _wants_qemu()) is not None:
        steps.append(f"fetch QEMU and the libraries it needs (about 16 MB) from {uris} and unpack them{why}")
    if steps:
        steps.append(f"all of it into {lab_home()}; nothing else on this system changes")
    for base, how in damaged_bases(thorough=True).items():
        steps.append(f"remove the guest's first file system {base.name}, which {how}: the next guest has it made anew")
    return steps


def setup(on_step: Step, kernel: str | None = None) -> LabStatus:
    """Fetch what is missing or damaged, telling ``on_step`` each step before it is taken.

    ``kernel`` names the suite whose kernel is wanted, by default this release's backports.
    Errors: not a Debian, no network, a full disk, a kernel without soft-dirty.
    """
    if platform.machine() != "x86_64":
        raise Unavailable("the lab", f"it emulates x86-64 and this machine is {platform.machine()}")
    suite = _suite(kernel)
    steps = plan(kernel)
    if steps:
        for sentence in steps:
            on_step(sentence)
        with _alone(on_step):
            if _wants_kernel(suite) is not None:
                _fetch_kernel(suite, on_step)
            if _wants_qemu() is not None:
                _fetch_qemu(on_step)
            for base in damaged_bases(thorough=True):
                base.unlink(missing_ok=True)
    return status(suite, thorough=True)


def _wants_kernel(suite: str) -> str | None:
    """Whether the kernel of ``suite`` is to be fetched, and if there is one already, why it won't do."""
    whole, damaged = installed_kernels(thorough=True)
    if suite in damaged:
        return f", as the one here is damaged: {damaged[suite]}"
    if suite not in {known.suite for known in whole}:
        return ""
    return None if is_noted(kernel_folder(suite)) else _UNKNOWN


def _wants_qemu() -> str | None:
    """The same for QEMU."""
    try:
        qemu = find_qemu(thorough=True)
    except Unavailable as error:
        return f", as {error.why}" if (qemu_folder() / ABOUT).exists() else ""
    fetched = qemu.program.is_relative_to(qemu_folder())
    return _UNKNOWN if fetched and not is_noted(qemu_folder()) else None


def _suite(kernel: str | None) -> str:
    default = f"{debian_codename()}-backports"
    suite = default if kernel is None else kernel
    if re.fullmatch(r"[a-z][a-z0-9-]*", suite) is None:
        raise GcBarrierError(f"{suite!r} is no suite of Debian: name one such as {default} or trixie-backports")
    return suite


@contextlib.contextmanager
def _alone(on_step: Step) -> Iterator[None]:
    """Two at once would replace each other's folders. The lock ends with its process, however that ends."""
    home = lab_home()
    with full_disk_explained(home):
        home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_step("waiting for another setup to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
        for folder in (home, home / "kernels"):
            forget_unfinished(folder)
        yield
    finally:
        os.close(handle)


def _fetch_kernel(suite: str, on_step: Step) -> None:
    with new_folder(kernel_folder(suite)) as folder:
        archive = Archive(archive_source(debian_codename()), (suite,), folder / "work")
        on_step(f"reading the package lists of {suite}")
        archive.update()
        package, release = _kernel_package(archive, suite)
        # Newer kernels come in parts, of which the modules are the largest and not needed.
        parts = (f"linux-binary-{release}", f"linux-base-{release}")
        unpacked = folder / "work" / "unpacked"
        for name in (package, *(part for part in archive.dependencies(package, suite) if part in parts)):
            on_step(f"fetching and unpacking {name}")
            unpack(archive.download(name), unpacked)
        image = _only(unpacked, package, f"boot/vmlinuz-{release}", f"usr/lib/modules/{release}/vmlinuz")
        config = _only(unpacked, package, f"boot/config-{release}", f"usr/lib/modules/{release}/config")
        _check_config(config, package)
        image.rename(folder / "vmlinuz")
        config.rename(folder / "config")
        shutil.rmtree(folder / "work")
        describe(folder, suite=suite, release=release, package=package)


def _kernel_package(archive: Archive, suite: str) -> tuple[str, str]:
    """The package that stands behind the suite's "newest cloud kernel", and the release of Linux in it."""
    newest = "linux-image-cloud-amd64"
    for name in archive.dependencies(newest, suite):
        if match := re.fullmatch(r"linux-image-(\d\S*-cloud-amd64)", name):
            return name, match[1]
    raise GcBarrierError(f"{newest} in {suite} names no kernel: choose another suite with --kernel")


def _only(unpacked: Path, package: str, *places: str) -> Path:
    for place in places:
        if (unpacked / place).is_file():
            return unpacked / place
    raise Unavailable("the lab's kernel", f"{package} holds no {places[0]}", "choose another suite with --kernel")


def _check_config(config: Path, package: str) -> None:
    built_in = set(re.findall(r"^CONFIG_(\w+)=y$", config.read_text(), re.MULTILINE))
    for option in _NEEDED_CONFIG:
        if option not in built_in:
            raise Unavailable(
                "the lab's kernel", f"{package} was built without CONFIG_{option}", "choose another suite with --kernel"
            )


def _fetch_qemu(on_step: Step) -> None:
    codename = debian_codename()
    suites = (codename, f"{codename}-backports")
    with new_folder(qemu_folder()) as folder:
        archive = Archive(archive_source(codename), suites, folder / "work")
        on_step(f"reading the package lists of {' and '.join(suites)}")
        archive.update()
        on_step("fetching QEMU and the libraries it needs")
        packages = archive.download_with_dependencies("qemu-system-x86", suites[-1])
        on_step(f"unpacking {len(packages)} packages")
        for package in packages:
            unpack(package, folder)
        shutil.rmtree(folder / "work")
        version = unpacked_qemu(folder).version
        describe(folder, version=version)
