"""Whether the lab is set up, found out without starting anything long."""

import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from attrs import frozen

from gcbarrier.errors import Unavailable
from gcbarrier.machines.lab.paths import lab_home, qemu_folder

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


def status(kernel: str | None = None) -> LabStatus:
    """Look whether a guest could be booted, with the kernel of the given suite or release if one is named."""
    found: Kernel | None = None
    qemu: Qemu | None = None
    missing: list[str] = []
    remedy = ""
    try:
        found = find_kernel(kernel)
    except Unavailable as error:
        missing.append(f"{error.what}: {error.why}")
        remedy = error.remedy
    if shutil.which("setpriv") is None:
        missing.append("there is no setpriv, which ends a guest with the process that started it")
        remedy = remedy or "install util-linux"
    try:
        qemu = find_qemu()
    except Unavailable as error:
        missing.append(f"{error.what}: {error.why}")
        remedy = remedy or error.remedy
    return LabStatus(
        ready=not missing,
        kernels=tuple(installed_kernels()),
        kernel_release=found.release if found else "",
        qemu_version=qemu.version if qemu else "",
        accelerator=known_accelerator(found, qemu) if found and qemu else "",
        missing="; ".join(missing),
        remedy=remedy,
    )


def installed_kernels() -> list[Kernel]:
    """The kernels that were set up, the one set up first being the default."""
    found = []
    for about in (lab_home() / "kernels").glob("[!.]*/about.json"):
        facts = json.loads(about.read_text())
        kernel = Kernel(suite=facts["suite"], release=facts["release"], image=about.parent / "vmlinuz")
        found.append((about.stat().st_mtime, kernel))
    return [kernel for _, kernel in sorted(found, key=lambda pair: pair[0])]


def find_kernel(name: str | None = None) -> Kernel:
    """The kernel with that suite or (the beginning of a) release; without a name, the first one set up."""
    if platform.machine() != "x86_64":
        raise Unavailable("the lab", f"it emulates x86-64 and this machine is {platform.machine()}")
    kernels = installed_kernels()
    for kernel in kernels:
        if name is None or kernel.suite == name or f"{kernel.release}.".startswith(f"{name}."):
            return kernel
        if kernel.short_release == name:
            return kernel
    if name is None:
        raise Unavailable("the lab's kernel", "none has been fetched yet", SETUP)
    have = ", ".join(f"{kernel.suite} ({kernel.release})" for kernel in kernels) or "none"
    raise Unavailable(f"the lab kernel {name}", f"fetched so far: {have}", "run `gcbarrier lab setup --kernel SUITE`")


def find_qemu() -> Qemu:
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
    if not (folder / "about.json").exists():
        raise Unavailable("QEMU", f"{unfit}none has been fetched yet", SETUP)
    facts = json.loads((folder / "about.json").read_text())
    return unpacked_qemu(folder, facts["version"])


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
    return note.read_text().strip() if note.exists() else ""


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
