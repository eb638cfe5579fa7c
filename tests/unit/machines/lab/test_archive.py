"""The guest's first file system: cpio archives, read back by a reader of the tests' own."""

import io
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.lab import guest, image, overlay
from gcbarrier.machines.lab.cpio import CpioWriter
from gcbarrier.machines.lab.files import new_file
from gcbarrier.machines.lab.guest import GuestSpec
from gcbarrier.machines.lab.status import Kernel, Qemu


@frozen(kw_only=True)
class Entry:
    mode: int
    mtime: int
    links: int
    content: bytes


def entries(archive: bytes) -> Iterator[tuple[str, Entry]]:
    """Name and entry of all members, by the format's description: thirteen hexadecimal numbers, name, content."""
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701", at
        numbers = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, name_size = numbers[6], numbers[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        assert archive[at + 110 + name_size - 1] == 0
        start = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert set(archive[start:]) <= {0}
            return
        content = archive[start : start + size]
        assert numbers[2:4] == [0, 0], "everything is root's"
        yield name, Entry(mode=numbers[1], mtime=numbers[5], links=numbers[4], content=content)
        at = (start + size + 3) // 4 * 4


def written(*paths: Path) -> dict[str, Entry]:
    out = io.BytesIO()
    archive = CpioWriter(out)
    for path in paths:
        archive.add_path(str(path))
    archive.finish()
    assert len(out.getvalue()) % 512 == 0, "another archive may follow"
    found = list(entries(out.getvalue()))
    assert len({name for name, _ in found}) == len(found), "each once"
    return dict(found)


def relative(path: Path) -> str:
    return str(path).lstrip("/")


def test_a_file_keeps_content_time_and_whether_it_runs(tmp_path: Path) -> None:
    plain, program = tmp_path / "plain", tmp_path / "program"
    for file, content in ((plain, b"odd"), (program, b"")):
        file.write_bytes(content)
        os.utime(file, (1_000_000_000, 1_234_567_890))
    plain.chmod(0o600)
    program.chmod(0o700)
    found = written(plain, program)
    assert found[relative(plain)] == Entry(mode=stat.S_IFREG | 0o644, mtime=1_234_567_890, links=1, content=b"odd")
    assert found[relative(program)].mode == stat.S_IFREG | 0o755


def test_folders_come_before_what_is_in_them(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "file"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    names = list(written(file))
    for parent in list(Path(relative(file)).parents)[:-1]:
        assert names.index(str(parent)) < names.index(relative(file))


def test_links_on_the_way_are_kept_and_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "library.so.1").write_text("elf")
    (real / "library.so").symlink_to("library.so.1")
    (tmp_path / "short").symlink_to("real")
    found = written(tmp_path / "short" / "library.so")
    assert found[relative(tmp_path / "short")].content == b"real"
    assert stat.S_ISLNK(found[relative(tmp_path / "short")].mode)
    assert found[relative(real / "library.so")].content == b"library.so.1"
    assert found[relative(real / "library.so.1")].content == b"elf"


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="too many symbolic links"):
        written(tmp_path / "a")


def test_a_file_of_4_gib_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as out:
        out.truncate(1 << 32)
    with pytest.raises(GcBarrierError, match="huge is too large for a guest"):
        written(file)


def test_the_cpio_tool_agrees(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    out = io.BytesIO()
    archive = CpioWriter(out)
    archive.add_path(str(tmp_path / "file"))
    archive.finish()
    tool = shutil.which("cpio")
    if tool is not None:
        done = subprocess.run([tool, "-t", "--quiet"], input=out.getvalue(), capture_output=True, check=True)
        assert relative(tmp_path / "file") in done.stdout.decode().splitlines()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    folder = tmp_path / "kernel"
    folder.mkdir()
    (folder / "config").write_text("CONFIG_MEM_SOFT_DIRTY=y\n")
    return Kernel(suite="stable", release="6.12.1-cloud-amd64", image=folder / "vmlinuz")


def overlaid(kernel: Kernel, include: tuple[Path, ...] = (), search: tuple[Path, ...] = ()) -> dict[str, Entry]:
    out = io.BytesIO()
    overlay.write_overlay(out, include=include, search=search, kernel=kernel)
    return dict(entries(out.getvalue()))


def test_the_overlay_holds_the_package_and_of_the_checkout_only_plugins(kernel: Kernel) -> None:
    found = overlaid(kernel)
    package = overlay.package_folder()
    assert relative(package / "machines" / "lab" / "agent.py") in found
    for root in overlay.checkout_folders():
        inside = {
            Path(name).relative_to(relative(root)).parts[0] for name in found if name.startswith(relative(root) + "/")
        }
        assert inside >= {package.name, "heaps", "experiments"}
        assert not inside & {"tests", ".git", "pyproject.toml"}
        assert relative(root / "experiments" / "pause_times.py") in found
    assert found["boot/config-6.12.1-cloud-amd64"].content == b"CONFIG_MEM_SOFT_DIRTY=y\n"
    assert found["init"].mode & 0o111
    assert found["init"].content.startswith(b"#!/lab-python ")


def test_of_a_searched_folder_only_the_plugins_are_taken(kernel: Kernel, tmp_path: Path) -> None:
    own = tmp_path / "own"
    for name in ("heaps/mine/heap.py", "collectors/lazy.py", "photos/great.raw"):
        (own / name).parent.mkdir(parents=True)
        (own / name).write_text(name)
    found = overlaid(kernel, search=(own,))
    assert found[relative(own / "heaps/mine/heap.py")].content == b"heaps/mine/heap.py"
    assert relative(own / "collectors/lazy.py") in found
    assert relative(own / "photos") not in found


def test_included_folders_are_whole_and_importable(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "modules"
    (folder / "deep" / ".git").mkdir(parents=True)
    (folder / "deep" / "thing.so").write_bytes(b"\x7fELF")
    (folder / "deep" / ".git" / "HEAD").write_text("no")
    (folder / "dangling").symlink_to("nowhere")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    found = overlaid(kernel, include=(folder / "deep",))
    assert found[relative(folder / "deep" / "thing.so")].content == b"\x7fELF"
    assert relative(folder / "deep" / ".git") not in found
    start = json.loads(found["lab.json"].content)
    assert str(folder) in start["environment"]["PYTHONPATH"].split(":")


def test_what_is_not_there_or_not_readable_is_refused(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GcBarrierError, match="gone does not exist, so the guest can't be given it"):
        overlaid(kernel, include=(tmp_path / "gone",))
    with pytest.raises(GcBarrierError, match="/proc/version can't be included, as the guest mounts its own"):
        overlaid(kernel, include=(Path("/proc/version"),))

    def forbid(_archive: CpioWriter, path: str) -> None:
        if path.endswith("secret"):
            raise PermissionError(13, "Permission denied", path)

    # Root may read everything, so a forbidden file is only played.
    monkeypatch.setattr(CpioWriter, "add_path", forbid)
    (tmp_path / "secret").write_text("")
    with pytest.raises(GcBarrierError, match="secret can't be read"):
        overlaid(kernel, include=(tmp_path / "secret",))


def test_what_is_neither_file_nor_folder_is_refused(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        # The name of a socket may not be long.
        monkeypatch.chdir(folder)
        listening.bind("socket")
    for name, target in (("zero", "/dev/zero"), ("messages", "/proc/kmsg"), ("up", ".."), ("round", "round")):
        (folder / name).symlink_to(target)
    for name, said in (
        ("pipe", "is a FIFO, and a guest can be given files and folders only: leave it out"),
        ("socket", "is a socket, and"),
        ("zero", "can't be included, as the guest mounts its own file system there"),
        ("messages", "can't be included, as the guest mounts its own file system there"),
        ("round", "does not exist"),
    ):
        with pytest.raises(GcBarrierError, match=said):
            overlaid(kernel, include=(folder / name,))
    overlay.check_room((folder,), (), 1 << 30)
    # In a folder they are no reason to refuse the rest; /proc/kmsg would be read for ever.
    found = overlaid(kernel, include=(folder,))
    inside = {Path(name).name for name in found if name.startswith(relative(folder) + "/")}
    assert inside == {"zero", "messages", "up"}
    assert "proc/kmsg" not in found
    assert found[relative(folder / "zero")].content == b"/dev/zero"


def test_more_than_the_guest_has_room_for_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image, "_base_files", lambda: [__file__])
    monkeypatch.setattr(image, "_libraries", lambda _: [])
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "b", "c"):
        with (folder / name).open("wb") as file:
            file.truncate(3 << 30)
    qemu = Qemu(program=tmp_path / "qemu", version="10.0")
    spec = GuestSpec(kernel=kernel, qemu=qemu, memory_bytes=1 << 30, cpus=1, include=(folder,))
    monkeypatch.setattr(guest, "write_overlay", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(GcBarrierError, match=f"has room for .*MiB beside .*, and with {folder} there would be more"):
        guest.Guest(spec, "tcg", 1.0, threading.Event())


def test_the_base_is_made_once_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    thing = tmp_path / "thing"
    monkeypatch.setattr(image, "_base_files", lambda: [str(thing)])
    monkeypatch.setattr(image, "_libraries", lambda _: [])
    made = []
    for round_ in range(5):
        thing.write_text("x" * round_)
        made.append(image.base_archive())
        assert image.base_archive() == made[-1]
        os.utime(made[-1], (round_, round_))
    kept = sorted(made[0].parent.iterdir())
    assert kept == sorted(made[-3:])
    assert dict(entries(made[-1].read_bytes()))[relative(thing)].content == b"xxxx"


@pytest.mark.parametrize(
    ("ldd", "said"),
    [
        ('echo "$1:"; printf "\\tlibc.so.6 => /lib/libc.so.6 (0x1)\\n"; kill -KILL $$', "ldd ended with status -9"),
        ('echo "$1:"; printf "\\tlibc.so.6 => /lib/libc.so.6 (0x1)\\n"', "ldd ended with status 0"),
        ('for file; do printf "$file:\\n\\tlinux-vdso.so.1 (0x1)\\n"; done; exit 1', "ldd ended with status 1"),
        ('echo "ldd: exited with unknown exit code (139)" >&2; exit 1', "unknown exit code (139)"),
        ("", "ldd ended with status 0"),
    ],
)
def test_a_base_without_all_its_libraries_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ldd: str, said: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    programs = [os.path.realpath(path) for name in ("sh", "cat") if (path := shutil.which(name))]
    monkeypatch.setattr(image, "_base_files", lambda: programs)
    whole = dict(entries(image.base_archive().read_bytes()))
    assert any("libc.so" in name for name in whole)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "ldd").write_text(f"#!/bin/sh\n{ldd}\n")
    (tmp_path / "ldd").chmod(0o755)
    with monkeypatch.context() as changed:
        changed.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        with pytest.raises(GcBarrierError, match="the libraries that the guest needs can't be listed") as caught:
            image.base_archive()
    assert said in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.cpio"))
    assert dict(entries(image.base_archive().read_bytes())) == whole


def test_a_program_that_needs_no_library_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "ldd").write_text('#!/bin/sh\nfor f; do printf "$f:\\n\\tnot a dynamic executable\\n"; done; exit 1\n')
    (tmp_path / "ldd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(image, "_base_files", lambda: [os.path.realpath("/bin/sh")])
    assert image.base_archive().exists()
    (tmp_path / "ldd").unlink()
    image.base_archive().unlink()
    with pytest.raises(Unavailable, match=r"ldd does not start .*\(install libc-bin\)"):
        image.base_archive()


def test_what_a_killed_making_left_goes_and_what_another_makes_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(image, "_base_files", lambda: [__file__])
    monkeypatch.setattr(image, "_libraries", lambda _: [])
    home = tmp_path / "gcbarrier/lab"
    home.mkdir(parents=True)
    (home / ".new-left").write_text("half of")
    with new_file(home, lambda _: "other") as other:
        other.write(b"x")
        base = image.base_archive()
    assert sorted(home.iterdir()) == [base, home / "other"]
