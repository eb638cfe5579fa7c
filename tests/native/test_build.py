"""Compiling on demand: once, with one sentence where it can't be done."""

import os
import time
from pathlib import Path

import pytest

from gcbarrier.core import build
from gcbarrier.core.library import open_core
from gcbarrier.errors import GcBarrierError, Unavailable

BARRIER = build.NATIVE.with_name("barriers") / "uffd_wp_async.c"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gcbarrier" / "build"


def test_what_is_there_is_not_compiled_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.barrier(BARRIER)
    stamps = {path: path.stat().st_mtime_ns for path in cache.rglob("*.so")}
    assert len(list(cache.iterdir())) == 2, "a core and a barrier, and nothing half-made"
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("it compiled again"))
    assert build.barrier(BARRIER) == first
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.so")} == stamps


def test_other_flags_and_other_text_are_other_results(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "b.c"
    source.write_text(BARRIER.read_text())
    first = build.barrier(source)
    source.write_text(BARRIER.read_text() + "\n/* another */\n")
    second = build.barrier(source)
    assert first.library != second.library
    assert first.core == second.core
    monkeypatch.setenv("GCBARRIER_SANITIZE", "undefined")
    assert build.barrier(source).core != second.core
    assert cache.is_dir()


def test_a_mistake_in_c_is_one_sentence_with_its_place(cache: Path, tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text('#include "barrier.h"\nint x = no_such_thing;\n')
    with pytest.raises(GcBarrierError, match=r"^the C compiler failed: .*wrong\.c:2:9: error: .*no_such_thing"):
        build.barrier(source)
    assert [path.name.partition("-")[0] for path in cache.iterdir()] == ["core"]


@pytest.mark.usefixtures("cache")
def test_the_compiler_shows_the_line_and_how_many_more_there_are(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text('#include "barrier.h"\nint x = no_such_thing;\nint y = nor_this;\n')
    with pytest.raises(GcBarrierError) as caught:
        build.barrier(source)
    said = str(caught.value).splitlines()
    assert said[1].split("|")[1].strip() == "int x = no_such_thing;"
    assert said[2].split("|")[1].strip() == "^~~~~~~~~~~~~"
    assert said[3:] == ["and 1 more error"]


@pytest.mark.usefixtures("cache")
def test_an_error_in_a_header_names_who_included_it(tmp_path: Path) -> None:
    (tmp_path / "inner.h").write_text("int inner = no_such_thing;\n")
    (tmp_path / "outer.h").write_text('\n#include "inner.h"\n')
    source = tmp_path / "wrong.c"
    source.write_text('\n\n#include "outer.h"\n')
    with pytest.raises(GcBarrierError, match=rf"inner\.h:1:13: error: .* \(included from {source}:3\)\n"):
        build.barrier(source)


@pytest.mark.usefixtures("cache")
def test_a_barrier_that_does_not_compile_is_not_said_to_want_more_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gcbarrier.bench.trial import try_out
    from gcbarrier.plugins import discovery

    folder = tmp_path / "own" / "barriers"
    folder.mkdir(parents=True)
    (folder / "slip.py").write_text(BARRIER.with_suffix(".py").read_text())
    (folder / "slip.c").write_text(BARRIER.read_text().replace("gcb_dirty_set", "gcb_durty_set"))
    monkeypatch.setenv(discovery.PATH_VARIABLE, "")
    discovery.add_path(tmp_path / "own")
    with pytest.raises(GcBarrierError, match=r"^the C compiler failed: .*slip\.c:\d+:\d+: error: ") as caught:
        try_out("slip")
    assert "needs" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "/usr/bin/ld: /tmp/x.o: in function `f':\nx.c:(.text+0x5): undefined reference to `g'",
            "x.c:(.text+0x5): unde",
        ),
        ("/usr/bin/ld: cannot find -lnosuch: No such file or directory", "/usr/bin/ld: cannot find -lnosuch: No such"),
        ("x.c: Assembler messages:\nx.c:1: Error: no such instruction: `bogus r1'", "x.c:1: Error: no such instruct"),
        (
            "In file included from errors.h:1:\nx.h: In function 'f':\nx.h:1: warning: hm\nx.h:3: error: no",
            "x.h:3: error: no",
        ),
        ("collect2: fatal error: ld terminated with signal 9 [Killed]", "collect2: fatal error: ld terminated with"),
        ("x.c:1:1: Fehler: nein", "x.c:1:1: Fehler: nein"),
    ],
)
def test_what_the_compiler_says_is_told_whatever_its_wording(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    compiler = tmp_path / "talkative"
    compiler.write_text(
        f"#!/bin/sh\ncat >&2 <<'END'\n{said}\ncollect2: error: ld returned 1 exit status\nEND\nexit 1\n"
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(GcBarrierError) as caught:
        build.core()
    assert str(caught.value).startswith(f"the C compiler failed: {told}")
    assert not list(cache.glob("core-*"))


def test_a_compiler_that_is_killed_is_said_to_be(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "short-lived"
    compiler.write_text("#!/bin/sh\necho 'x.c:1: warning: so far so good' >&2\nkill -KILL $$\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(GcBarrierError, match=r"C compiler failed: .*/short-lived was ended by signal 9 \(Killed\)$"):
        build.core()
    assert not list(cache.glob("core-*"))


def test_without_a_compiler_it_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(Unavailable, match=r"there is no no-such-compiler \(install gcc, or name a compiler in CC"):
        build.core()
    assert not cache.exists()


def test_without_pythons_headers_it_says_what_to_do(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.sysconfig, "get_path", lambda _name: str(tmp_path))
    with pytest.raises(
        Unavailable, match=r"headers are missing \(Python\.h\) \(install them \(on Debian: python3-dev\)"
    ):
        build.core()
    assert not cache.exists() or not list(cache.iterdir())


def test_a_plugin_that_is_none_is_refused_by_the_core(cache: Path, tmp_path: Path) -> None:
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    plugin = build.barrier(source)
    core = open_core(plugin.core)
    with pytest.raises(GcBarrierError, match="defines no GCB_BARRIER"):
        core.barrier(plugin.library)
    assert core.lib.gcb_load_program(str(plugin.library).encode(), core.ffi.new("gcb_program *")) == -1
    assert "does not define gcb_build" in str(core.failure())
    assert cache.is_dir()


def test_sanitizers_need_their_libraries_preloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build.preload() == {}
    monkeypatch.setenv("GCBARRIER_SANITIZE", "address,undefined")
    libraries = build.preload()["LD_PRELOAD"].split(":")
    assert [os.path.exists(library) for library in libraries] == [True, True]
    assert "-fsanitize=address,undefined" in build.cflags()


def test_what_nobody_has_used_for_a_month_goes(cache: Path, tmp_path: Path) -> None:
    plugin = build.barrier(BARRIER)
    long_ago = time.time() - 40 * 86400
    for folder in cache.iterdir():
        os.utime(folder, (long_ago, long_ago))
    build.core()  # used again
    source = tmp_path / "another.c"
    source.write_text(BARRIER.read_text() + "/* new */\n")
    another = build.barrier(source)
    assert {path.name for path in cache.iterdir()} == {plugin.core.name, another.library.parent.name}
