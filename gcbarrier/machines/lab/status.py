"""Whether the lab is set up, found out without starting anything long."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from attrs import frozen

from gcbarrier.errors import Unavailable
from gcbarrier.machines.lab.image import damaged_bases
from gcbarrier.machines.lab.paths import lab_home, qemu_folder
from gcbarrier.machines.lab.whole import ABOUT, Damaged, described

NEEDED_QEMU = (10, 0)
SETUP = "run `gcbarrier lab setup`"
EMULATOR = "qemu-system-x86_64"


@frozen(kw_only=True)
class Qemu:
    """A QEMU that is new enough, and how to start it."""

    program: Path
    version: str
    #: Folders of its firmware; none if it finds it by itself.
    firmware: tuple[Path, ...] = ()
    #: Its shared libraries that the system lacks.
    libraries: tuple[Path, ...] = ()
    #: Its loadable parts, where they are not where it was built for.
    modules: Path | None = None

    def environment(self) -> dict[str, str]:
        """The environment to start it in."""
        environment = dict(os.environ)
        if self.libraries:
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, self.libraries))
        if self.modules:
            environment["QEMU_MODULE_DIR"] = str(self.modules)
        return environment


@frozen(kw_only=True)
class Kernel:
    """An unpacked kernel."""

    suite: str
    release: str
    image: Path

    @property
    def config(self) -> Path:
        """The configuration it was built with."""
        return self.image.with_name("config")

    @property
    def short_release(self) -> str:
        """The upstream version, such as ``6.12.95``."""
        match = re.match(r"[\d.]+\d", self.release)
        return match.group() if match else self.release


@frozen(kw_only=True)
class LabStatus:
    """What the lab has and lacks; ``missing`` and ``remedy`` are empty when it is ready."""

    ready: bool
    kernels: tuple[Kernel, ...]
    kernel_release: str
    qemu_version: str
    #: ``kvm`` or ``tcg``; empty until a guest has been booted since this machine was.
    accelerator: str
    missing: str
    remedy: str
    #: Kernels that were set up and are not as they were then, a sentence each.
    damaged: tuple[str, ...] = ()


def status(kernel: str | None = None, *, thorough: bool = False) -> LabStatus:
    """Look whether a guest could be booted, with the kernel of the given suite or release if one is named.

    That everything still has its size is always looked at; ``thorough`` reads it all (``whole``).
    """
    found: Kernel | None = None
    qemu: Qemu | None = None
    missing: list[str] = []
    remedy = ""
    try:
        found = find_kernel(kernel, thorough=thorough)
    except Unavailable as error:
        missing.append(f"{error.what}: {error.why}")
        remedy = error.remedy
    if shutil.which("setpriv") is None:
        missing.append("there is no setpriv, which ends a guest with the process that started it")
        remedy = remedy or "install util-linux"
    try:
        qemu = find_qemu(thorough=thorough)
    except Unavailable as error:
        missing.append(f"{error.what}: {error.why}")
        remedy = remedy or error.remedy
    for base, how in damaged_bases(thorough=thorough).items():
        missing.append(f"the guest's first file system is damaged: {base.name} {how}")
        remedy = remedy or SETUP
    whole, damaged = installed_kernels(thorough=thorough)
    return LabStatus(
        ready=not missing,
        kernels=tuple(whole),
        kernel_release=found.release if found else "",
        qemu_version=qemu.version if qemu else "",
        accelerator=known_accelerator(found, qemu) if found and qemu else "",
        missing="; ".join(missing),
        remedy=remedy,
        damaged=tuple(f"{suite} is damaged: {how}" for suite, how in damaged.items()),
    )


def installed_kernels(*, thorough: bool = False) -> tuple[list[Kernel], dict[str, str]]:
    """The kernels that were set up, in that order, and of those that are damaged the suite and how."""
    whole, damaged = [], {}
    for folder in _kernel_folders():
        try:
            whole.append(_kernel_in(folder, thorough=thorough))
        except Damaged as error:
            damaged[folder.name] = str(error)
    return whole, damaged


def _kernel_folders() -> list[Path]:
    """The folders of kernels, the one set up first being the default."""
    found = (lab_home() / "kernels").glob(f"[!.]*/{ABOUT}")
    return [about.parent for about in sorted(found, key=lambda about: about.stat().st_mtime)]


def _kernel_in(folder: Path, *, thorough: bool) -> Kernel:
    suite, release = described(folder, ("suite", "release"), ("vmlinuz", "config"), thorough=thorough)
    return Kernel(suite=suite, release=release, image=folder / "vmlinuz")


def find_kernel(name: str | None = None, *, thorough: bool = False) -> Kernel:
    """The kernel with that suite or (the beginning of a) release; without a name, what ``GCBARRIER_LAB_KERNEL`` names,
    or else the first one set up.
    """
    name = os.environ.get("GCBARRIER_LAB_KERNEL") or None if name is None else name
    if platform.machine() != "x86_64":
        raise Unavailable("the lab", f"it emulates x86-64 and this machine is {platform.machine()}")
    kernels = []
    for folder in _kernel_folders():
        try:
            kernel = _kernel_in(folder, thorough=thorough)
        except Damaged as error:
            if name in (None, folder.name):
                why = f"{folder.name} is damaged: {error}"
                raise Unavailable(
                    "the lab's kernel", why, f"run `gcbarrier lab setup --kernel {folder.name}`"
                ) from None
            continue
        if name in (None, kernel.suite, kernel.short_release) or f"{kernel.release}.".startswith(f"{name}."):
            return kernel
        kernels.append(kernel)
    if name is None:
        raise Unavailable("the lab's kernel", "none has been fetched yet", SETUP)
    have = ", ".join(f"{kernel.suite} ({kernel.release})" for kernel in kernels) or "none"
    raise Unavailable(f"the lab kernel {name}", f"fetched so far: {have}", "run `gcbarrier lab setup --kernel SUITE`")


def find_qemu(*, thorough: bool = False) -> Qemu:
    """The system's QEMU if it is new enough, else the one that was fetched."""
    system = shutil.which(EMULATOR)
    unfit = ""
    if system:
        try:
            version = _version(Path(system), dict(os.environ))
        except Unavailable as error:
            unfit = f"{error.why}, and "
        else:
            if _new_enough(version):
                return Qemu(program=Path(system), version=version)
            unfit = f"the system's QEMU {version} is older than {NEEDED_QEMU[0]} and emulates unreliably, and "
    folder = qemu_folder()
    if not (folder / ABOUT).exists():
        raise Unavailable("QEMU", f"{unfit}none has been fetched yet", SETUP)
    try:
        (version,) = described(folder, ("version",), (f"usr/bin/{EMULATOR}",), thorough=thorough)
    except Damaged as error:
        raise Unavailable("QEMU", f"{unfit}the one that was fetched is damaged: {error}", SETUP) from None
    return unpacked_qemu(folder, version)


def unpacked_qemu(folder: Path, version: str = "") -> Qemu:
    """The QEMU unpacked in ``folder``; it is asked for its version unless that is given."""
    libraries = folder / "usr" / "lib" / "x86_64-linux-gnu"
    qemu = Qemu(
        program=folder / "usr" / "bin" / EMULATOR,
        version=version,
        firmware=(folder / "usr/share/qemu", folder / "usr/share/seabios"),
        libraries=(libraries, folder / "lib" / "x86_64-linux-gnu"),
        modules=libraries / "qemu",
    )
    if version:
        return qemu
    version = _version(qemu.program, qemu.environment())
    if not _new_enough(version):
        raise Unavailable("QEMU", f"the archive has {version}, and 10 or newer is needed", "use a newer Debian")
    return unpacked_qemu(folder, version)


def accelerator_note(kernel: Kernel, qemu: Qemu) -> Path:
    """The file that keeps which accelerator served, for as long as this machine stays booted."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    return lab_home() / f"accelerator-{kernel.release}-{qemu.version}-{boot}"


def known_accelerator(kernel: Kernel, qemu: Qemu) -> str:
    """The accelerator that served before, or nothing."""
    note = accelerator_note(kernel, qemu)
    try:
        known = note.read_bytes()
    except OSError:
        return ""
    return known.decode() if known in (b"kvm", b"tcg") else ""


def _version(program: Path, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            [str(program), "--version"], env=environment, capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable("QEMU", f"{program} does not start ({error})", SETUP) from error
    match = re.search(r"version (\d+(?:\.\d+)+)", done.stdout)
    if match is None:
        raise Unavailable("QEMU", f"{program} does not start ({done.stderr.strip()[:200]})", SETUP)
    return match.group(1)


def _new_enough(version: str) -> bool:
    return tuple(int(part) for part in version.split("."))[:2] >= NEEDED_QEMU
