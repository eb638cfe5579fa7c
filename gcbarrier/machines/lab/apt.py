"""apt, asked from a private folder: no root, and nothing of the system's changes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.lab.sources import Source

_AGAIN = "mend that and run `gcbarrier lab setup` again"


class Archive:
    """Some suites of the system's archive, their lists and downloads kept in ``folder``."""

    def __init__(self, source: Source, suites: tuple[str, ...], folder: Path) -> None:
        for tool in ("apt-get", "apt-cache", "dpkg"):
            if shutil.which(tool) is None:
                raise Unavailable("the lab", f"there is no {tool} to fetch a kernel and QEMU", "use a Debian system")
        self.suites = suites
        self.folder = folder
        self._archives = folder / "cache" / "archives"
        self._archives.joinpath("partial").mkdir(parents=True, exist_ok=True)
        for name in ("state/lists/partial", "empty"):
            folder.joinpath(name).mkdir(parents=True, exist_ok=True)
        folder.joinpath("private.sources").write_text(source.stanza(suites))
        folder.joinpath("apt.conf").write_text(_configuration(folder))

    def update(self) -> None:
        """Fetch the package lists."""
        try:
            self._apt("apt-get", "update")
        except GcBarrierError as error:
            if "does not have a Release file" not in str(error):
                raise
            suites = " or ".join(self.suites)
            raise GcBarrierError(f"the archive has no suite {suites}: choose another with --kernel") from error

    def dependencies(self, package: str, suite: str) -> list[str]:
        """The names that ``package`` in ``suite`` depends on."""
        try:
            listed = self._apt("apt-cache", "depends", f"--target-release={suite}", package)
        except GcBarrierError as error:
            raise GcBarrierError(f"{suite} has no package {package}: choose another suite with --kernel") from error
        return [str(name) for name in re.findall(r"Depends: (\S+)", listed)]

    def download(self, package: str) -> Path:
        """Fetch the one package, without what it depends on, and return its file."""
        before = set(self.folder.glob("*.deb"))
        self._apt("apt-get", "download", package)
        (fetched,) = set(self.folder.glob("*.deb")) - before
        return fetched

    def download_with_dependencies(self, package: str, suite: str) -> list[Path]:
        """Fetch ``package`` and whatever it depends on that the system lacks."""
        self._apt(
            *("apt-get", "install", "--download-only", "--yes", "--no-install-recommends"),
            *(f"--target-release={suite}", package),
        )
        return sorted(self._archives.glob("*.deb"))

    def _apt(self, tool: str, *arguments: str) -> str:
        command = [tool, f"--config-file={self.folder / 'apt.conf'}", *arguments]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            # Ctrl-C is ours to act on; apt is then killed by subprocess.run itself.
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            raise GcBarrierError(f"{tool} {arguments[0]} failed: {_reason(done.stderr)}: {_AGAIN}")
        return done.stdout


def unpack(package: Path, into: Path) -> None:
    """Unpack the files of a ``.deb``, running none of its scripts."""
    command = ["dpkg", "--extract", str(package), str(into)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    if done.returncode:
        raise GcBarrierError(f"unpacking {package.name} into {into} failed: {_reason(done.stderr)}: {_AGAIN}")


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for line in lines:
        if "No space left" in line or "enough free space" in line:
            return "the disk is full"
    for line in lines:
        if "Temporary failure resolving" in line or "Could not connect" in line or "Could not resolve" in line:
            return f"the network can't be reached ({line.removeprefix('E: ').removeprefix('W: ')})"
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    return (errors or lines or ["no reason was given"])[0].rstrip(".")


def _configuration(folder: Path) -> str:
    settings = {
        "Dir::State": folder / "state",
        "Dir::Cache": folder / "cache",
        "Dir::Cache::archives": "archives/",
        "Dir::Etc::SourceList": folder / "private.sources",
        "Dir::Etc::SourceParts": folder / "empty",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": folder / "empty",
        # The system's own, so that only what it lacks is fetched.
        "Dir::State::status": "/var/lib/dpkg/status",
        "Debug::NoLocking": "true",
        # Run by root, apt would download as a user who can't read the cache.
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
        "Acquire::Languages": "none",
    }
    # Hooks may clean the system's caches (container images do that), and nothing outside is ours to change.
    hooks = [f"APT::Update::{hook}" for hook in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")]
    hooks += [f"DPkg::{hook}" for hook in ("Pre-Invoke", "Post-Invoke", "Pre-Install-Pkgs")]
    cleared = "".join(f"#clear {hook};\n" for hook in hooks)
    return cleared + "".join(f'{name} "{value}";\n' for name, value in settings.items())
