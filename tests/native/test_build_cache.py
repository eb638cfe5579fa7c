"""What was compiled once is served for as long as all that the compiler read is the same, and no longer."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gcbarrier.core import build

BARRIER = build.NATIVE.with_name("barriers") / "none.c"

KINDS: dict[str, Callable[[Path], build.Plugin]] = {
    "mutator": lambda source: build.mutator(source, "", verify=False),
    "barrier": build.barrier,
    "runtime": lambda source: build.runtime(source, (), ()),
}
# How a C file includes another, and where that lies beside the folder of the first.
INCLUDED = {
    "sub/v.h": "heaps/mine/sub/v.h",
    "../../common/v.h": "common/v.h",
    "v.inc": "heaps/mine/v.inc",
    "a b$c#d/v\\ .h": "heaps/mine/a b$c#d/v\\ .h",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(kept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what is compiled; the core in it is compiled once for all tests here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    return kept / "gcbarrier" / "build"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "heaps" / "mine" / "mutator.c"
    file.parent.mkdir(parents=True)
    return file


def write(file: Path, value: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"enum {{ VALUE = {value} }};\n")
    return file


def including(source: Path, name: str) -> Path:
    source.write_text(f'#include "{name}"\nint value = VALUE;\n')
    return source


def value(plugin: build.Plugin) -> int:
    return ctypes.c_int.in_dll(ctypes.CDLL(str(plugin.library)), "value").value


def check_it_is_compiled_again(compiled: Callable[[], build.Plugin], header: Path, monkeypatch) -> None:
    write(header, 1)
    first = compiled()
    write(header, 2)
    second = compiled()
    assert (value(first), value(second)) == (1, 2)
    assert first.library != second.library, "a path stands for its content, on other machines too"
    # What is as it was before is there already.
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("it compiled again"))
    write(header, 1)
    assert compiled() == first


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", INCLUDED)
@pytest.mark.usefixtures("cache")
def test_whatever_is_included_counts(name: str, kind: str, source: Path, tmp_path: Path, monkeypatch) -> None:
    including(source, name)
    check_it_is_compiled_again(lambda: KINDS[kind](source), tmp_path / INCLUDED[name], monkeypatch)


@pytest.mark.parametrize("variable", ["CPATH", "C_INCLUDE_PATH"])
@pytest.mark.usefixtures("cache")
def test_what_the_environment_lets_be_found_counts(variable: str, source: Path, tmp_path: Path, monkeypatch) -> None:
    including(source, "elsewhere.h")
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    check_it_is_compiled_again(
        lambda: build.mutator(source, "", verify=False), tmp_path / "elsewhere" / "elsewhere.h", monkeypatch
    )


@pytest.mark.usefixtures("cache")
def test_the_environment_decides_which_header_it_is(source: Path, tmp_path: Path, monkeypatch) -> None:
    including(source, "elsewhere.h")
    for number in (1, 2):
        folder = write(tmp_path / str(number) / "elsewhere.h", number).parent
        monkeypatch.setenv("CPATH", str(folder))
        assert value(build.barrier(source)) == number
    # A path that is meant from here is another one there.
    monkeypatch.setenv("CPATH", ".")
    for number in (1, 2):
        monkeypatch.chdir(tmp_path / str(number))
        assert value(build.barrier(source)) == number


@pytest.mark.usefixtures("cache")
def test_a_new_header_before_the_one_that_was_found(source: Path, tmp_path: Path, monkeypatch) -> None:
    including(source, "sub/v.h")
    monkeypatch.setenv("CPATH", str(tmp_path / "sooner"))
    monkeypatch.setenv("C_INCLUDE_PATH", str(tmp_path / "later"))
    found = []
    for number, folder in enumerate((tmp_path / "later", tmp_path / "sooner", source.parent)):
        write(folder / "sub" / "v.h", number)
        found.append(value(build.barrier(source)))
    assert found == [0, 1, 2]


@pytest.mark.usefixtures("cache")
def test_a_header_that_is_gone_is_missed(source: Path, tmp_path: Path) -> None:
    including(source, "../sub/v.h")
    header = write(tmp_path / "heaps" / "sub" / "v.h", 1)
    build.barrier(source)
    header.unlink()
    with pytest.raises(build.GcBarrierError, match=r"^the C compiler failed: .*sub/v\.h: No such file or directory\n"):
        build.barrier(source)


@pytest.mark.usefixtures("cache")
def test_a_header_that_goes_while_it_compiles_is_one_sentence(source: Path, monkeypatch) -> None:
    including(source, "v.h")
    header = write(source.parent / "v.h", 1)
    build.core()
    monkeypatch.setattr(build, "_compile", lambda *_: header.unlink())
    with pytest.raises(build.GcBarrierError) as caught:
        build.barrier(source)
    assert str(caught.value) == (
        f"{header}, which mine is compiled from, can't be read: No such file or directory; put it back or rename it"
    )


@pytest.mark.usefixtures("cache")
def test_a_header_that_is_written_while_it_compiles(source: Path, monkeypatch) -> None:
    including(source, "v.h")
    header = write(source.parent / "v.h", 1)
    compiled = build._compile
    build.core()

    def and_write(*given: object) -> None:
        compiled(*given)
        write(header, 2)

    monkeypatch.setattr(build, "_compile", and_write)
    assert value(build.barrier(source)) == 2
    write(header, 1)
    monkeypatch.setattr(build, "_compile", compiled)
    assert value(build.barrier(source)) == 1


def test_two_at_once_make_one(cache: Path, source: Path, monkeypatch) -> None:
    including(source, "v.h")
    write(source.parent / "v.h", 77)
    build.core()
    compiled, both = build._compile, threading.Barrier(2, timeout=60)
    found: list[build.Plugin] = []

    def together(*given: object) -> None:
        compiled(*given)
        both.wait()

    monkeypatch.setattr(build, "_compile", together)
    threads = [threading.Thread(target=lambda: found.append(build.barrier(source))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert value(found[0]) == 77
    assert not list(cache.glob(".new-*"))


@pytest.fixture
def damaged(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cache, with a core and a barrier."""
    build.barrier(BARRIER)
    shutil.copytree(cache.parent, tmp_path / "copy" / "gcbarrier")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "copy"))
    return tmp_path / "copy" / "gcbarrier" / "build"


@pytest.mark.parametrize("lost", ["plugin.so", "libgcbarrier-core.so", "_gcbarrier.abi3.so"])
def test_what_is_gone_from_its_folder_is_made_again(damaged: Path, lost: str, monkeypatch) -> None:
    there = build.barrier(BARRIER)
    (missing,) = (path for path in (there.library, *there.core.iterdir()) if path.name == lost)
    missing.unlink()
    (missing.parent / "beside").touch()

    def only_touch(arguments: list[str], *_: object) -> None:
        Path(arguments[arguments.index("-o") + 1]).touch()

    monkeypatch.setattr(build, "_compile", only_touch)
    assert build.barrier(BARRIER) == there
    assert missing.exists()
    assert not list(damaged.glob(".new-*"))


@pytest.fixture
def anothers(cache: Path, monkeypatch: pytest.MonkeyPatch, needs) -> Iterator[Path]:
    """A copy of the cache that may be read but not written."""
    needs("public-checkout")
    build.barrier(BARRIER)
    with tempfile.TemporaryDirectory() as home:
        shutil.copytree(cache.parent, Path(home, "gcbarrier"))
        folders = [Path(home), *(folder for folder in Path(home).rglob("*") if folder.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            yield Path(home, "gcbarrier")
        finally:
            if root:
                os.seteuid(0)
            for folder in folders:
                folder.chmod(0o755)


def test_a_cache_that_may_only_be_read_serves(anothers: Path, monkeypatch) -> None:
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("it compiled again"))
    plugin = build.barrier(BARRIER)
    assert (plugin.library.parent.parent, plugin.core.parent) == (anothers / "build", anothers / "build")


def test_a_cache_that_may_only_be_read_serves_without_its_notes(anothers: Path, monkeypatch) -> None:
    # What is read is listed anew, from here as from wherever else the same is compiled.
    monkeypatch.setenv("CPATH", "/nowhere")
    test_a_cache_that_may_only_be_read_serves(anothers, monkeypatch)


def test_what_is_not_there_needs_a_cache_that_can_be_written(anothers: Path) -> None:
    with pytest.raises(build.GcBarrierError) as caught:
        build.barrier(BARRIER, ["-DOTHER=1"])
    sentence = f"{anothers / 'build'} can't be written: Permission denied; set XDG_CACHE_HOME to a folder of yours"
    assert str(caught.value) == sentence


def compiler(tmp_path: Path, monkeypatch, does: str) -> None:
    """A compiler that ``does`` something else first where it is to compile, with temporary files of its own."""
    script = tmp_path / "cc"
    script.write_text(f'#!/bin/sh\ncase "$*" in *-shared*) mktemp >/dev/null; {does};; esac\nexec cc "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))


def test_a_compilers_temporary_files_are_left_nowhere(damaged: Path, tmp_path: Path, monkeypatch) -> None:
    compiler(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(build.GcBarrierError, match=r"cc ended with status 1 and said nothing$"):
        build.barrier(BARRIER)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not list(damaged.glob(".new-*"))


def test_what_a_killed_process_left_is_cleared_by_a_later_one(damaged: Path, tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as other:
        compiler(tmp_path, other, "kill -9 $PPID; exit 1")
        killed = subprocess.run([sys.executable, "-c", "from gcbarrier.core import build; build.core()"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(damaged.glob(".new-*"))
    build.barrier(BARRIER, ["-DLATER=1"])
    assert not list(damaged.glob(".new-*"))


def test_what_another_is_compiling_is_left_alone(damaged: Path, monkeypatch) -> None:
    compiled, begun, end = build._compile, threading.Event(), threading.Event()
    found: list[build.Plugin] = []

    def slowly(arguments: list[str], *given: Path) -> None:
        if "-DSLOW=1" in arguments:
            begun.set()
            assert end.wait(60)
        compiled(arguments, *given)

    monkeypatch.setattr(build, "_compile", slowly)
    thread = threading.Thread(target=lambda: found.append(build.barrier(BARRIER, ["-DSLOW=1"])))
    thread.start()
    assert begun.wait(60)
    build.barrier(BARRIER, ["-DQUICK=1"])
    assert len(list(damaged.glob(".new-*"))) == 1
    end.set()
    thread.join()
    assert found[0].library.is_file()
