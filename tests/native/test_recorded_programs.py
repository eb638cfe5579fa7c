"""Which programs can be recorded is read from their files, made by the compiler or out of another's."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gcbarrier.core.build import compiler
from gcbarrier.errors import GcBarrierError
from gcbarrier.recorder.programs import find, why_not

ELF = Path(os.path.realpath(sys.executable))
Made = Callable[[Path], None]


def built(*options: str) -> Made:
    def make(path: Path) -> None:
        command = [*compiler(), "-x", "c", "-", "-o", str(path), *options]
        subprocess.run(command, input="int main(void) { return 0; }", text=True, check=True)

    return make


def changed(at: int, to: bytes) -> Made:
    def make(path: Path) -> None:
        text = bytearray(ELF.read_bytes())
        text[at : at + len(to)] = to
        path.write_bytes(text)

    return make


def text(content: str) -> Made:
    return lambda path: [path.write_text(content.format(path=path)), None][1]


def setuid(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a program to another user")
    shutil.copy("/bin/true", path)
    os.chown(path, 1, 1)
    path.chmod(0o4755)


def setgid(path: Path) -> None:
    setuid(path)
    os.chown(path, 0, 1)
    path.chmod(0o2755)


REFUSED: dict[str, tuple[Made, str]] = {
    "static": (built("-static"), "it is statically linked: nothing can be loaded into it"),
    "static, at any address": (built("-static-pie"), "it is statically linked: nothing can be loaded into it"),
    "setuid": (setuid, r"it runs as another user than who starts it \(setuid\), and takes no preloaded library"),
    "setgid": (setgid, r"it runs as another group than who starts it \(setgid\), and takes no preloaded library"),
    "text": (text("echo x\n"), r"it is neither a program of this system's nor a script .*\(#!\)"),
    "empty": (text(""), r"it is neither a program of this system's nor a script .*"),
    "no interpreter": (text("#!  \n"), "its first line names no interpreter"),
    "no such interpreter": (
        text("#!/nowhere/at all\n"),
        r"of its interpreter /nowhere/at: it can't be read \(No such.*",
    ),
    "its own interpreter": (
        text("#!{path}\n"),
        "(of its interpreter .*: ){{5}}its interpreter is a script of another.*",
    ),
    "other processor": (changed(18, b"\xf3\0"), "it is made for another kind of processor"),
    "32 bits": (changed(4, b"\1"), "it is a program of 32 bits, and ours has 64"),
    "cut off": (lambda path: [path.write_bytes(ELF.read_bytes()[:40]), None][1], "it is cut off"),
    "wild header": (changed(32, b"\xff" * 8), "it is statically linked.*"),
    "other C library": (
        built("-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"),
        r"it is linked with another C library than ours \(ld-musl-x86_64.so.1\)",
    ),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_nothing_can_be_loaded_into_is_known_by_its_file(tmp_path: Path, which: str) -> None:
    make, why = REFUSED[which]
    path = tmp_path / "program"
    make(path)
    assert re.fullmatch(why.replace("{{", "{").replace("}}", "}"), why_not(path))


@pytest.mark.parametrize("make", [built(), built("-no-pie"), text("#!/bin/sh\n"), text("#! /usr/bin/env python3\n")])
def test_ordinary_programs_and_scripts_can_be_recorded(tmp_path: Path, make: Made) -> None:
    path = tmp_path / "program"
    make(path)
    assert why_not(path) == ""


def test_a_program_with_an_address_sanitizer_is_refused_unless_it_takes_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An empty library of that name does: what is linked with it is read, and not run.
    library = tmp_path / "libasan.so.8"
    built("-shared", "-fPIC", "-Wl,-soname,libasan.so.8")(library)
    program = tmp_path / "program"
    built("-Wl,--no-as-needed", "-xnone", str(library))(program)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setenv("ASAN_OPTIONS", "color=never")
    why = "its address sanitizer wants to be loaded before all else, unless ASAN_OPTIONS="
    assert why_not(program) == f"{why}color=never:verify_asan_link_order=0"
    monkeypatch.delenv("ASAN_OPTIONS")
    assert why_not(program) == f"{why}verify_asan_link_order=0"
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/gcc/libasan.so")
    assert why_not(program) == ""
    monkeypatch.delenv("LD_PRELOAD")
    monkeypatch.setenv("ASAN_OPTIONS", "verify_asan_link_order=0:color=never")
    assert why_not(program) == ""


def test_a_script_of_a_static_interpreter_is_refused_for_that(tmp_path: Path) -> None:
    built("-static")(tmp_path / "static")
    text(f"#!{tmp_path / 'static'} -x\n")(tmp_path / "script")
    assert why_not(tmp_path / "script").endswith("/static: it is statically linked: nothing can be loaded into it")


def test_a_command_is_looked_for_as_a_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name, sentence in (
        ("./program", "./program is not executable: make it so"),
        ("program", "no program in PATH is called program: check the command"),
        ("./missing", "there is no file ./missing: check the command"),
        (str(tmp_path), "is a folder: name a program"),
    ):
        with pytest.raises(GcBarrierError, match=re.escape(sentence)):
            find([name])
    program.chmod(0o755)
    assert find(["program"]) == program
    assert find(["./program", "an argument"]) == Path("program")
