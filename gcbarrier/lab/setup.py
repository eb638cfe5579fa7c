"""Fetching a kernel and QEMU from the distribution's archive into the user's cache, once."""

import json
import platform
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.lab.apt import Archive, unpack
from gcbarrier.lab.files import new_folder
from gcbarrier.lab.paths import kernel_folder, lab_home, qemu_folder
from gcbarrier.lab.sources import archive_source, debian_codename
from gcbarrier.lab.status import LabStatus, find_qemu, installed_kernels, status, unpacked_qemu

_NEEDED_CONFIG = ("MEM_SOFT_DIRTY", "USERFAULTFD", "VIRTIO_PCI", "VIRTIO_CONSOLE", "SERIAL_8250_CONSOLE", "DEVTMPFS")

Step = Callable[[str], None]


def plan(kernel: str | None = None) -> list[str]:
    """What ``setup`` would do, a sentence each; nothing if all is there."""
    steps = []
    suite = kernel or _default_suite()
    uris = archive_source(debian_codename()).uris
    if suite not in {known.suite for known in installed_kernels()}:
        steps.append(f"fetch the cloud kernel of {suite} (about 30 MB) from {uris} and unpack it")
    if not _has_qemu():
        steps.append(f"fetch QEMU and the libraries it needs (about 16 MB) from {uris} and unpack them")
    if steps:
        steps.append(f"all of it into {lab_home()}; nothing else on this system changes")
    return steps


def setup(on_step: Step, kernel: str | None = None) -> LabStatus:
    """Fetch what is missing, telling ``on_step`` each step before it is taken.

    ``kernel`` names the suite whose kernel is wanted, by default this release's backports.
    Errors: not a Debian, no network, a full disk, a kernel without soft-dirty.
    """
    if platform.machine() != "x86_64":
        raise Unavailable("the lab", f"it emulates x86-64 and this machine is {platform.machine()}")
    for sentence in plan(kernel):
        on_step(sentence)
    suite = kernel or _default_suite()
    if re.fullmatch(r"[a-z][a-z0-9-]*", suite) is None:
        raise GcBarrierError(f"{suite!r} is no suite: name one such as {_default_suite()} or trixie-backports")
    if suite not in {known.suite for known in installed_kernels()}:
        _fetch_kernel(suite, on_step)
    if not _has_qemu():
        _fetch_qemu(on_step)
    return status(suite)


def _default_suite() -> str:
    return f"{debian_codename()}-backports"


def _has_qemu() -> bool:
    try:
        find_qemu()
    except Unavailable:
        return False
    return True


def _fetch_kernel(suite: str, on_step: Step) -> None:
    with new_folder(kernel_folder(suite)) as folder:
        archive = Archive(archive_source(debian_codename()), (suite,), folder / "work")
        on_step(f"reading the package lists of {suite}")
        archive.update()
        package = archive.dependency("linux-image-cloud-amd64", r"linux-image-\d\S*-cloud-amd64", suite)
        on_step(f"fetching {package}")
        package_file = archive.download(package)
        on_step(f"unpacking {package}")
        unpacked = folder / "work" / "unpacked"
        unpack(package_file, unpacked)
        (image,) = (unpacked / "boot").glob("vmlinuz-*")
        release = image.name.removeprefix("vmlinuz-")
        config = unpacked / "boot" / f"config-{release}"
        _check_config(config, package)
        image.rename(folder / "vmlinuz")
        config.rename(folder / "config")
        shutil.rmtree(folder / "work")
        (folder / "about.json").write_text(json.dumps({"suite": suite, "release": release, "package": package}))


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
        (folder / "about.json").write_text(json.dumps({"version": version}))
