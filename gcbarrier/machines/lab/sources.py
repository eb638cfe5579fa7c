"""Which archive this system trusts, read from apt's own source lists, so that no host name is written here."""

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from gcbarrier.errors import Unavailable

# Names under which one-line sources know a release without naming it.
_ALIASES = ("stable", "oldstable", "oldoldstable", "testing")


@frozen(kw_only=True)
class Source:
    """One entry of the system's source lists that serves packages.

    ``options`` holds every other field of it as it was given (``Signed-By`` above all).
    """

    uris: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()

    def stanza(self, suites: tuple[str, ...]) -> str:
        """This entry in apt's deb822 format, for other suites of the same archive."""
        fields = [("Types", "deb"), ("URIs", self.uris), ("Suites", " ".join(suites)), ("Components", "main")]
        return "".join(f"{name}: {value}\n" for name, value in (*fields, *self.options))


def debian_codename(os_release: Path = Path("/etc/os-release")) -> str:
    """The codename of this Debian release; ``Unavailable`` on anything that is not Debian."""
    fields: dict[str, str] = {}
    if os_release.exists():
        for line in os_release.read_text(errors="replace").splitlines():
            name, _, value = line.partition("=")
            fields[name] = value.strip("\"'")
    codename = fields.get("VERSION_CODENAME", "")
    if fields.get("ID") != "debian" or not codename:
        name = fields.get("PRETTY_NAME", "this system")
        raise Unavailable(
            "the lab", f"its kernel and QEMU come from Debian's archive and this is {name}", "use a Debian system"
        )
    return codename


def archive_source(codename: str, apt_folder: Path = Path("/etc/apt")) -> Source:
    """The entry of the system's source lists that serves Debian's main archive.

    ``Unavailable`` if there is none.
    """
    found = [source for source in system_sources(apt_folder) if "main" in source.components]
    for wanted in ((codename,), _ALIASES):
        for source in found:
            if any(suite in wanted for suite in source.suites):
                return source
    raise Unavailable(
        "the lab",
        f"apt's source lists in {apt_folder} have no entry for {codename} main",
        "add one, as a fresh Debian has it",
    )


def system_sources(apt_folder: Path) -> Iterator[Source]:
    """All enabled binary-package entries of the source lists in ``apt_folder``, in apt's order."""
    parts = apt_folder / "sources.list.d"
    for path in (apt_folder / "sources.list", *sorted(parts.glob("*.list"))):
        if path.is_file():
            yield from parse_one_line(path.read_text(errors="replace"))
    for path in sorted(parts.glob("*.sources")):
        yield from parse_deb822(path.read_text(errors="replace"))


def parse_deb822(text: str) -> Iterator[Source]:
    """The entries of a ``.sources`` file."""
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", uncommented):
        # A field goes on over lines that begin with white space: an inline key does.
        pairs = re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE)
        fields = {name.lower(): value.strip() for name, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in _NO:
            continue
        yield Source(
            uris=fields.get("uris", ""),
            suites=tuple(fields.get("suites", "").split()),
            components=tuple(fields.get("components", "").split()),
            options=tuple((name, value.strip()) for name, value in pairs if name.lower() not in _REPLACED),
        )


def parse_one_line(text: str) -> Iterator[Source]:
    """The entries of a ``.list`` file."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if not match:
            continue
        given, uri, suite, components = match.groups()
        options = [option.partition("=") for option in (given or "").split()]
        yield Source(
            uris=uri,
            suites=(suite,),
            components=tuple(components.split()),
            options=tuple((_field(name), value) for name, _, value in options if name not in ("arch", "target")),
        )


_NO = ("no", "false", "without", "off", "disable")
_REPLACED = ("types", "uris", "suites", "components", "enabled", "architectures", "targets", "x-repolib-name")


def _field(option: str) -> str:
    # apt spells the same options signed-by and Signed-By in its two formats.
    return "-".join(word.capitalize() for word in option.split("-"))
