"""Mutators at safepoints: what they rescan for the collector, and what they tell of lost processors."""

import subprocess
from pathlib import Path

import pytest
from places import CHECKOUT, TESTS

from gcbarrier import barriers

NATIVE = CHECKOUT / "gcbarrier/native"
CARDS = barriers.choose("cards", {})


def compiled(folder: Path, name: str, *options: str) -> Path:
    """A program of this folder with the core and the barrier ``cards``."""
    assert CARDS.store_header is not None
    store = (f'-DGCB_STORE_HEADER="{CARDS.store_header.name}"', f"-I{CARDS.store_header.parent}")
    program = folder / name
    command = ["gcc", "-pthread", "-D_GNU_SOURCE", "-std=gnu11", "-O2", "-Wall", "-Wextra", *options]
    command += [f"-I{NATIVE}", f"-I{NATIVE}/include", *CARDS.defines, *store]
    command += [*map(str, sorted(NATIVE.rglob("*.c"))), str(TESTS / f"native/{name}.c"), str(CARDS.source)]
    done = subprocess.run([*command, "-o", program, "-ldl"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def told(program: Path, *arguments: str) -> dict[str, int]:
    run = subprocess.run([program, *arguments], capture_output=True, text=True, check=True, timeout=60)
    words = run.stdout.split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}


def test_a_helper_goes_on_where_all_references_lead_to_black_objects(tmp_path: Path) -> None:
    """They need not be marked: kept, they leave it no room after a few granules."""
    seen = told(compiled(tmp_path, "black"))
    assert seen["granules"] >= 500
    assert seen["done"] == seen["granules"]


@pytest.fixture(scope="module")
def switches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("switches"), "switches", "-Wl,--wrap=getrusage,--wrap=pread")


def test_no_file_is_read_between_the_last_round_and_the_stop(switches: Path) -> None:
    """What mutators write meanwhile has to be rescanned in the pause."""
    seen = told(switches, "never")
    assert seen["stops"] >= 100
    assert (seen["flagged"], seen["reads"]) == (0, 0)


def test_a_mutator_that_loses_its_processor_on_its_way_to_a_stop_is_told(switches: Path) -> None:
    seen = told(switches, "stopping")
    # Now and then it sees the stop only at its safepoint.
    assert seen["flagged"] > seen["stops"] / 2


def test_what_a_mutator_lost_before_is_not_held_against_the_stop(switches: Path) -> None:
    assert told(switches, "before")["flagged"] == 0
