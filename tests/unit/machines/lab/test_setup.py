"""Setting the lab up, with stand-ins for apt and QEMU: what is fetched, what is refused, what is left behind."""

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gcbarrier.commands import main
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.lab import image, plan, setup, status
from gcbarrier.machines.lab.sources import Source
from gcbarrier.machines.lab.status import accelerator_note, find_kernel, find_qemu

# The function of that name is what `gcbarrier.machines.lab.setup` means to everyone else.
SETUP_MODULE = importlib.import_module("gcbarrier.machines.lab.setup")
SUITE = "bookworm-backports"
Tool = Callable[[str, str], None]

APT_GET = """\
echo "$@" >>"$LAB_TEST_LOG"
case "$*" in
*update*) ;;
*download-only*) : >cache/archives/qemu.deb ;;
*download*) for name; do :; done; : >"$name.deb" ;;
esac
"""
APT_CACHE = """\
for name; do :; done
case "$name" in
linux-image-cloud-amd64) echo "  Depends: linux-image-6.12.9+deb12-cloud-amd64" ;;
*) echo "  Depends: kmod" ;;
esac
"""
APT_CACHE_IN_PARTS = """\
for name; do :; done
case "$name" in
linux-image-cloud-amd64) echo "  Depends: linux-image-7.3.4-cloud-amd64"; echo "  Depends: linux-modules-cloud-amd64" ;;
*) for part in base binary modules; do echo "  Depends: linux-$part-7.3.4-cloud-amd64"; done ;;
esac
"""
CONFIG = "".join(
    f"CONFIG_{name}=y\n"
    for name in ("MEM_SOFT_DIRTY", "USERFAULTFD", "VIRTIO_PCI", "VIRTIO_CONSOLE", "SERIAL_8250_CONSOLE", "DEVTMPFS")
)
DPKG = """\
into=$3
case "$2" in
*qemu.deb)
    mkdir -p "$into/usr/bin"
    printf '#!/bin/sh\\necho "QEMU emulator version %s (Debian)"\\n' "${LAB_TEST_QEMU:-10.0.2}" \\
        >"$into/usr/bin/qemu-system-x86_64"
    chmod +x "$into/usr/bin/qemu-system-x86_64"
    mkdir -p "$into/usr/share/qemu"
    echo firmware >"$into/usr/share/qemu/bios-256k.bin"
    ln -s bios-256k.bin "$into/usr/share/qemu/bios.bin" ;;
*linux-image-6*)
    mkdir -p "$into/boot"
    echo "a kernel" >"$into/boot/vmlinuz-6.12.9+deb12-cloud-amd64"
    printf '%s' "$LAB_TEST_CONFIG" >"$into/boot/config-6.12.9+deb12-cloud-amd64" ;;
*linux-b*)
    modules=$into/usr/lib/modules/7.3.4-cloud-amd64
    mkdir -p "$modules"
    case "$2" in
    *binary*) : >"$modules/vmlinuz" ;;
    *) printf '%s' "$LAB_TEST_CONFIG" >"$modules/config" ;;
    esac ;;
esac
"""


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """``tool("apt-get", "shell text")`` puts a program on a PATH that has nothing else, with an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")

    def add(name: str, text: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")
        (folder / name).chmod(0o755)

    add("setpriv", "")
    return add


@pytest.fixture
def debian(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian whose archive has a kernel and QEMU; the file that logs what apt-get was asked."""
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg", DPKG)):
        tool(name, text)
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("LAB_TEST_LOG", str(log))
    monkeypatch.setenv("LAB_TEST_CONFIG", CONFIG)
    source = Source(uris="https://archive.example/debian", suites=("bookworm",), components=("main",))
    monkeypatch.setattr(SETUP_MODULE, "debian_codename", lambda: "bookworm")
    monkeypatch.setattr(SETUP_MODULE, "archive_source", lambda _: source)
    return log


def files_left(tmp_path: Path) -> list[str]:
    cache = tmp_path / "cache"
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


def test_setup_says_what_it_will_do_then_does_it_and_is_ready(debian: Path, tmp_path: Path) -> None:
    assert not status().ready
    assert len(plan()) == 3
    steps: list[str] = []

    def on_step(step: str) -> None:
        if not steps:
            assert debian.read_text() == "", "the plan comes first"
        steps.append(step)

    done = setup(on_step)
    assert steps[:3] == [
        f"fetch the cloud kernel of {SUITE} (about 30 MB) from https://archive.example/debian and unpack it",
        "fetch QEMU and the libraries it needs (about 16 MB) from https://archive.example/debian and unpack them",
        f"all of it into {tmp_path}/cache/gcbarrier/lab; nothing else on this system changes",
    ]
    assert done == status()
    assert done.ready
    assert (done.missing, done.remedy, done.accelerator) == ("", "", "")
    assert (done.kernel_release, done.qemu_version) == ("6.12.9+deb12-cloud-amd64", "10.0.2")
    assert files_left(tmp_path) == [
        f"gcbarrier/lab/kernels/{SUITE}/about.json",
        f"gcbarrier/lab/kernels/{SUITE}/config",
        f"gcbarrier/lab/kernels/{SUITE}/vmlinuz",
        "gcbarrier/lab/qemu/about.json",
        "gcbarrier/lab/qemu/usr/bin/qemu-system-x86_64",
        "gcbarrier/lab/qemu/usr/share/qemu/bios-256k.bin",
        "gcbarrier/lab/qemu/usr/share/qemu/bios.bin",
    ]


def test_a_second_setup_does_nothing_and_another_kernel_joins(
    debian: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup(lambda _: None)
    asked = debian.read_text()
    assert plan() == []
    assert setup(pytest.fail).ready
    assert debian.read_text() == asked
    tool("apt-cache", APT_CACHE_IN_PARTS)
    setup(lambda _: None, "trixie-backports")
    assert "linux-modules" not in debian.read_text(), "the largest part is not needed"
    assert find_kernel().suite == SUITE, "the first one stays the default"
    for name in ("trixie-backports", "7.3", "7.3.4", "7.3.4-cloud-amd64"):
        assert find_kernel(name).release == "7.3.4-cloud-amd64"
        assert status(name).kernel_release == "7.3.4-cloud-amd64"
    with monkeypatch.context() as patch:
        patch.setenv("GCBARRIER_LAB_KERNEL", "trixie-backports")
        assert find_kernel().release == "7.3.4-cloud-amd64"
        assert find_kernel(SUITE).suite == SUITE, "what is asked for by name"
        patch.setenv("GCBARRIER_LAB_KERNEL", "")
        assert find_kernel().suite == SUITE
    with pytest.raises(Unavailable, match=r"the lab kernel 7\.33 is not available here: fetched so far: bookworm"):
        find_kernel("7.33")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(Unavailable, match="this machine is aarch64"):
        setup(lambda _: None)


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("W: Failed to fetch x: Temporary failure resolving 'archive.example'", "the network can't be reached"),
        ("E: You don't have enough free space in /x/.", "the disk is full"),
        ("E: The repository 'https://x nope Release' does not have a Release file.", "the archive has no suite"),
        ("E: Something new.", "apt-get update failed: Something new: mend that and run"),
        ("", "no reason was given"),
    ],
)
@pytest.mark.usefixtures("debian")
def test_what_apt_could_not_do_is_one_sentence_and_leaves_nothing(
    tool: Tool, tmp_path: Path, stderr: str, said: str
) -> None:
    tool("apt-get", f'echo "{stderr}" >&2; exit 100')
    with pytest.raises(GcBarrierError) as caught:
        setup(lambda _: None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_left(tmp_path) == []
    assert not list((tmp_path / "cache").rglob(".new-*"))


@pytest.mark.usefixtures("debian")
def test_what_does_not_serve_is_refused_and_leaves_nothing(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_TEST_CONFIG", CONFIG.replace("CONFIG_MEM_SOFT_DIRTY=y", "# not set"))
    with pytest.raises(Unavailable, match="was built without CONFIG_MEM_SOFT_DIRTY"):
        setup(lambda _: None)
    assert files_left(tmp_path) == []
    tool("apt-cache", "exit 100")
    with pytest.raises(GcBarrierError, match=f"{SUITE} has no package linux-image-cloud-amd64: choose another"):
        setup(lambda _: None)
    tool("apt-cache", 'echo "  Depends: something"')
    with pytest.raises(GcBarrierError, match="names no kernel: choose another suite"):
        setup(lambda _: None)
    tool("apt-cache", APT_CACHE)
    monkeypatch.setenv("LAB_TEST_CONFIG", CONFIG)
    monkeypatch.setenv("LAB_TEST_QEMU", "7.2.22")
    with pytest.raises(Unavailable, match=r"the archive has 7\.2\.22, and 10 or newer is needed"):
        setup(lambda _: None)
    assert not (tmp_path / "cache/gcbarrier/lab/qemu").exists()
    tool("dpkg", 'echo "dpkg-deb: error: not a Debian archive" >&2; exit 2')
    with pytest.raises(GcBarrierError, match=r"unpacking qemu\.deb into .* failed: dpkg-deb: error: not a Debian"):
        setup(lambda _: None)
    assert not (tmp_path / "cache/gcbarrier/lab/qemu").exists()


@pytest.mark.usefixtures("debian")
def test_what_a_killed_setup_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "cache/gcbarrier/lab/kernels/.new-abc/work"
    left.mkdir(parents=True)
    assert status().kernels == ()
    setup(lambda _: None)
    assert not left.parent.exists()


@pytest.mark.usefixtures("debian")
@pytest.mark.parametrize("suite", ["", "../etc", "6.12", "a b", "-x"])
def test_no_suite_is_no_path_and_no_option(suite: str) -> None:
    for ask in (lambda: plan(suite), lambda: setup(pytest.fail, suite)):
        with pytest.raises(GcBarrierError, match="is no suite of Debian: name one such as bookworm-backports"):
            ask()


def test_without_apt_the_remedy_is_a_debian(debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(Unavailable, match=r"there is no apt-get to fetch a kernel and QEMU \(use a Debian system\)"):
        setup(lambda _: None)
    assert debian.read_text() == ""


@pytest.mark.usefixtures("debian")
def test_a_cache_that_can_not_be_written_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(GcBarrierError, match="can't be written: set XDG_CACHE_HOME to a folder of yours"):
        setup(lambda _: None)


def test_an_old_qemu_is_refused_with_reason_and_remedy(tool: Tool) -> None:
    tool("qemu-system-x86_64", 'echo "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"')
    with pytest.raises(Unavailable) as caught:
        find_qemu()
    assert "the system's QEMU 7.2.22 is older than 10 and emulates unreliably" in caught.value.why
    assert caught.value.remedy == "run `gcbarrier lab setup`"
    found = status()
    assert not found.ready
    assert "7.2.22 is older than 10" in found.missing
    assert "none has been fetched yet" in found.missing
    assert found.remedy == "run `gcbarrier lab setup`"


@pytest.mark.parametrize("version", ["10.0.2", "10.0", "11.1.50"])
def test_a_new_qemu_of_the_system_is_taken(tool: Tool, tmp_path: Path, version: str) -> None:
    tool("qemu-system-x86_64", f'echo "QEMU emulator version {version} (some vendor)"')
    qemu = find_qemu()
    assert (qemu.version, qemu.program) == (version, tmp_path / "bin" / "qemu-system-x86_64")
    assert qemu.environment() == dict(os.environ)


@pytest.mark.usefixtures("debian")
def test_a_broken_qemu_of_the_system_gives_way_to_the_fetched_one(tool: Tool, tmp_path: Path) -> None:
    tool("qemu-system-x86_64", 'echo "cannot open shared object file" >&2; exit 127')
    assert "does not start (cannot open shared object file), and none has been fetched" in status().missing
    assert setup(lambda _: None).ready
    assert find_qemu().program == tmp_path / "cache/gcbarrier/lab/qemu/usr/bin/qemu-system-x86_64"


def test_without_setpriv_it_is_not_ready(tool: Tool, tmp_path: Path) -> None:
    tool("qemu-system-x86_64", 'echo "QEMU emulator version 10.0.2"')
    (tmp_path / "bin" / "setpriv").unlink()
    assert "there is no setpriv" in status().missing


KERNEL = f"kernels/{SUITE}"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (f"{KERNEL}/about.json", b"", f"{SUITE} is damaged: its about.json is not a description"),
        (f"{KERNEL}/about.json", b"\xff\x00\x93", f"{SUITE} is damaged: its about.json is not a description"),
        (f"{KERNEL}/about.json", b"[]", f"{SUITE} is damaged: its about.json is not a description"),
        (f"{KERNEL}/about.json", b'{"suite": 3}', f"{SUITE} is damaged: its about.json names no suite"),
        (f"{KERNEL}/about.json", b'{"suite": "x", "release": "6", "contents": [1]}', "does not list what is in it"),
        (f"{KERNEL}/vmlinuz", b"a ker", f"{SUITE} is damaged: vmlinuz has 5 bytes of 9"),
        (f"{KERNEL}/vmlinuz", None, f"{SUITE} is damaged: vmlinuz is missing"),
        (f"{KERNEL}/config", b"", f"{SUITE} is damaged: config has 0 bytes of"),
        ("qemu/about.json", b"{", "QEMU: the one that was fetched is damaged: its about.json is not a description"),
        ("qemu/usr/bin/qemu-system-x86_64", b"", "is damaged: usr/bin/qemu-system-x86_64 has 0 bytes of"),
        ("qemu/usr/share/qemu/bios-256k.bin", None, "is damaged: usr/share/qemu/bios-256k.bin is missing"),
        ("qemu/usr/share/qemu/bios.bin", None, "is damaged: usr/share/qemu/bios.bin is missing"),
    ],
)
@pytest.mark.usefixtures("debian")
def test_damage_is_noticed_and_setup_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, said: str
) -> None:
    ready = setup(lambda _: None)
    file = tmp_path / "cache/gcbarrier/lab" / name
    whole = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    found = status()
    assert not found.ready
    assert said in found.missing
    assert found.remedy.startswith("run `gcbarrier lab setup")
    assert main(["lab", "status"]) == 2
    assert said in capsys.readouterr().out
    steps: list[str] = []
    assert setup(steps.append) == ready
    assert said.removeprefix(f"{SUITE} is damaged: ").removeprefix("QEMU: ") in steps[0]
    assert file.read_bytes() == whole
    assert plan() == []


@pytest.mark.usefixtures("debian")
def test_a_changed_byte_is_noticed_by_whoever_reads(tmp_path: Path) -> None:
    setup(lambda _: None)
    for name in (f"{KERNEL}/vmlinuz", "qemu/usr/share/qemu/bios-256k.bin"):
        file = tmp_path / "cache/gcbarrier/lab" / name
        whole = file.read_bytes()
        file.write_bytes(b"A" + whole[1:])
        assert status().ready, "sizes alone don't tell"
        assert f"{file.name} is not what it was" in status(thorough=True).missing
        assert setup(lambda _: None).ready
        assert file.read_bytes() == whole


@pytest.mark.usefixtures("debian")
def test_another_kernel_than_the_damaged_one_serves_if_it_is_named(
    tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    setup(lambda _: None)
    tool("apt-cache", APT_CACHE_IN_PARTS)
    setup(lambda _: None, "trixie-backports")
    (tmp_path / "cache/gcbarrier/lab/kernels/trixie-backports/vmlinuz").write_text("?")
    assert status().ready
    assert main(["lab", "status"]) == 0
    assert "kernel       trixie-backports is damaged: vmlinuz has 1 bytes of 0" in capsys.readouterr().out
    with pytest.raises(Unavailable, match="run `gcbarrier lab setup --kernel trixie-backports`"):
        find_kernel("trixie-backports")
    assert setup(lambda _: None, "trixie-backports").ready


@pytest.mark.usefixtures("debian")
def test_what_an_older_version_fetched_serves_until_the_next_setup(tmp_path: Path) -> None:
    setup(lambda _: None)
    for folder in (KERNEL, "qemu"):
        about = tmp_path / "cache/gcbarrier/lab" / folder / "about.json"
        facts = json.loads(about.read_text())
        del facts["contents"]
        about.write_text(json.dumps(facts))
    assert status().ready
    assert len(plan()) == 3
    assert "as nobody noted what the one here is made of" in plan()[0]
    assert setup(lambda _: None).ready
    assert plan() == []


@pytest.mark.usefixtures("debian")
def test_a_damaged_first_file_system_is_noticed_and_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setup(lambda _: None)
    monkeypatch.setattr(image, "_base_files", lambda: [__file__])
    monkeypatch.setattr(image, "_libraries", lambda _: [])
    base = image.base_archive()
    whole = base.read_bytes()
    assert status(thorough=True).ready
    os.truncate(base, len(whole) // 2)
    said = f"{base.name} has {len(whole) // 2} bytes of {len(whole)}"
    assert status().missing == f"the guest's first file system is damaged: {said}"
    assert main(["lab", "status"]) == 2
    assert said in capsys.readouterr().out
    assert [said.split()[0] in step for step in plan()] == [True]
    assert setup(lambda _: None).ready
    assert not base.exists()
    # A guest that boots before that has it made anew by itself.
    assert image.base_archive() == base
    os.truncate(base, 10)
    assert image.base_archive().read_bytes() == whole


@pytest.mark.usefixtures("debian")
def test_a_remembered_accelerator_that_is_none_is_forgotten() -> None:
    setup(lambda _: None)
    accelerator_note(find_kernel(), find_qemu()).write_bytes(b"\xff\x00")
    assert status().accelerator == ""
