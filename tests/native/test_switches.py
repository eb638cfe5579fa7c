"""What a pause's flag ``preempted`` says, told by a mutator that only claims to have lost its processor."""

import subprocess
from pathlib import Path

import pytest
from places import CHECKOUT, TESTS

from gcbarrier import barriers

NATIVE = CHECKOUT / "gcbarrier/native"
SWITCHES = TESTS / "native/switches.c"
CARDS = barriers.choose("cards", {})


def compiled(folder: Path, without: Path | None = None, instead: Path | None = None) -> Path:
    sources = [instead if each == without and instead else each for each in sorted(NATIVE.rglob("*.c"))]
    assert CARDS.store_header is not None
    store = (f'-DGCB_STORE_HEADER="{CARDS.store_header.name}"', f"-I{CARDS.store_header.parent}")
    wrapped = "-Wl,--wrap=getrusage,--wrap=pread"
    program = folder / "switches"
    command = ["gcc", "-pthread", "-D_GNU_SOURCE", "-std=gnu11", "-O2", "-Wall", "-Wextra", wrapped]
    command += [f"-I{NATIVE}", f"-I{NATIVE}/include", *CARDS.defines, *store]
    command += [*map(str, sources), str(SWITCHES), str(CARDS.source), "-o", str(program), "-ldl", "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("switches"))


def told(program: Path, when: str) -> dict[str, int]:
    words = subprocess.run([program, when], capture_output=True, text=True, check=True, timeout=60).stdout.split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}


def test_no_file_is_read_between_the_last_round_and_the_stop(program: Path) -> None:
    """What mutators write meanwhile has to be rescanned in the pause."""
    seen = told(program, "never")
    assert seen["stops"] >= 100
    assert (seen["flagged"], seen["reads"]) == (0, 0)


def test_a_mutator_that_loses_its_processor_on_its_way_to_a_stop_is_told(program: Path) -> None:
    seen = told(program, "stopping")
    # Now and then it sees the stop only at its safepoint.
    assert seen["flagged"] > seen["stops"] / 2


def test_what_a_mutator_lost_before_is_not_held_against_the_stop(program: Path) -> None:
    seen = told(program, "before")
    assert seen["flagged"] == 0
