"""Which archive the system trusts, in both formats of apt's source lists."""

from pathlib import Path

import pytest

from gcbarrier.errors import Unavailable
from gcbarrier.machines.lab.sources import Source, archive_source, debian_codename, parse_deb822, parse_one_line

DEB822 = """\
# The distribution itself
Types: deb deb-src
# a comment between two fields
URIs: https://archive.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJKwYBBAHaRw8BAQdA
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: https://archive.example/off
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: https://archive.example/sources
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb https://archive.example/commented bookworm main
deb-src https://archive.example/sources bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/own.gpg] https://archive.example/debian bookworm main contrib # ours
deb https://archive.example/other ./
"""


def test_deb822_entries_are_those_enabled_that_serve_packages() -> None:
    (source,) = parse_deb822(DEB822)
    assert source.uris == "https://archive.example/debian"
    assert source.suites == ("bookworm", "bookworm-updates")
    assert source.components == ("main", "contrib")


def test_an_inline_key_survives_into_the_private_list() -> None:
    (source,) = parse_deb822(DEB822)
    stanza = source.stanza(("bookworm-backports",))
    (again,) = parse_deb822(stanza)
    assert again.suites == ("bookworm-backports",)
    assert again.options == source.options
    assert " -----END PGP PUBLIC KEY BLOCK-----\n" in stanza
    assert "\n .\n" in stanza, "an empty line would end the entry"
    assert "deb-src" not in stanza


def test_one_line_entries_and_their_options() -> None:
    first, flat = parse_one_line(ONE_LINE)
    assert first == Source(
        uris="https://archive.example/debian",
        suites=("bookworm",),
        components=("main", "contrib"),
        options=(("Signed-By", "/usr/share/keyrings/own.gpg"),),
    )
    assert flat.components == ()
    assert "Signed-By: /usr/share/keyrings/own.gpg\n" in first.stanza(("bookworm",))


def test_several_suites_stand_in_one_stanza() -> None:
    source = Source(uris="https://archive.example/debian", suites=("bookworm",), components=("main",))
    assert "Suites: bookworm bookworm-backports\n" in source.stanza(("bookworm", "bookworm-backports"))


def test_the_release_by_name_goes_before_an_alias(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb https://alias.example stable main\n")
    assert archive_source("bookworm", tmp_path).uris == "https://alias.example"
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert archive_source("bookworm", tmp_path).uris == "https://archive.example/debian"


def test_third_parties_and_other_file_names_do_not_count(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "tool.list").write_text("deb https://tool.example nodistro main\n")
    (parts / "debian.sources.off").write_text(DEB822)
    with pytest.raises(Unavailable, match="have no entry for bookworm main") as caught:
        archive_source("bookworm", tmp_path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04"\n', "this is Ubuntu 24.04"),
        ("ID=debian\n", "this is this system"),
        (None, "this is this system"),
    ],
)
def test_what_is_not_debian_is_refused(tmp_path: Path, text: str | None, named: str) -> None:
    file = tmp_path / "os-release"
    if text is not None:
        file.write_text(text)
    with pytest.raises(Unavailable, match=named):
        debian_codename(file)


def test_the_codename_may_be_quoted(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('ID="debian"\nVERSION_CODENAME="trixie"\n')
    assert debian_codename(tmp_path / "os-release") == "trixie"
