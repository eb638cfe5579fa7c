"""Rounds on machines that are made up: slow ones, busy ones, whatever the rate; and wrong ends of them are caught."""

import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from places import CHECKOUT, TESTS

NATIVE = CHECKOUT / "gcbarrier/native"
ROUNDS = NATIVE / "cycle/rounds.c"
LEAST_NS, RESCAN_NS, AIM_NS = 20_000, 1_500, 10_000
SLICE_NS, MOST = 3_000_000, 32
"""As in the C file: for how long the collector runs before it loses its processor, and rounds at most."""
MACHINES = tuple(product((500, 2_000, 10_000, 20_000, 50_000), (1e4, 1e5, 1e6), (1, 4), (0, 4_000_000)))
"""What a granule takes in ns, stores per second, mutators, and for how long the collector loses its processor."""


def compiled(folder: Path, source: Path = ROUNDS) -> Path:
    program = folder / "rounds"
    strict = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror")
    command = ["gcc", *strict, f"-I{NATIVE}", str(TESTS / "native/rounds.c"), str(source), "-lm", "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def runs(program: Path, aim_ns: int = AIM_NS) -> Iterator[tuple[tuple[float, ...], dict[str, float]]]:
    for granule_ns, per_s, mutators, lost_ns in MACHINES:
        arguments = (granule_ns, LEAST_NS, RESCAN_NS, per_s, mutators, aim_ns, lost_ns)
        told = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=10
        ).stdout
        words = told.split()
        numbers = {name: float(value) for name, value in zip(words[::2], words[1::2], strict=True)}
        yield (granule_ns, per_s, mutators, lost_ns), numbers


def missed(machine: tuple[float, ...], told: dict[str, float]) -> bool:
    """Too much was left, or the end came only because there were no more rounds."""
    granule_ns, _, mutators, lost_ns = machine
    # To leave less, each mutator would be held for longer than that rescan takes.
    hold_ns = 2 * mutators * granule_ns * (1 + lost_ns / SLICE_NS)
    most = AIM_NS if mutators == 1 and not lost_ns else max(AIM_NS, hold_ns)
    # What is expected is right but for a granule.
    return told["rescan_ns"] >= most + RESCAN_NS or told["rounds"] >= MOST


def test_little_is_left_on_every_machine(tmp_path: Path) -> None:
    assert [each for each in runs(compiled(tmp_path)) if missed(*each)] == []


def test_nobody_is_held_where_rounds_alone_are_enough(tmp_path: Path) -> None:
    held = {machine: told["hold_ns"] > 0 for machine, told in runs(compiled(tmp_path))}
    for (granule_ns, per_s, mutators, lost_ns), is_held in held.items():
        # Of what a round takes away so much is written meanwhile.
        share = granule_ns * per_s / 1e9
        if lost_ns == 0 and share != 0.5:
            assert is_held == (share > 0.5), (granule_ns, per_s, mutators)


def test_nobody_is_held_where_the_pause_may_be_long(tmp_path: Path) -> None:
    held = [machine for machine, told in runs(compiled(tmp_path), aim_ns=1 << 62) if told["hold_ns"]]
    assert held == []


MUTANTS = {
    "mutators are never held": ("  if (hold_ns > pause_ns)", "  if (hold_ns > 0)"),
    "a round that leaves as much is taken": ("  bool shrinks = finds - leaves >= 1;", "  bool shrinks = finds >= 1;"),
    "a round that lost its processor counts": (
        "  return before > 0 && before < last ? before : last;",
        "  return before > 0 && before > last ? before : last;",
    ),
    "what was written before somebody was held counts as written since": (
        "  rounds->hold_ns = (uint64_t)hold_ns + 1;\n  rounds->unknown = UNTIL_KNOWN;",
        "  rounds->hold_ns = (uint64_t)hold_ns + 1;",
    ),
    "held for as long as leaves all of it": (
        "* 2 * leaves / finds : 2 * mutators * each_ns",
        "* leaves / finds : mutators * each_ns / 4",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_end_of_rounds_is_caught(tmp_path: Path, name: str) -> None:
    right, wrong = MUTANTS[name]
    text = ROUNDS.read_text()
    assert text.count(right) == 1, f"{ROUNDS} no longer holds once: {right}"
    broken = tmp_path / ROUNDS.name
    broken.write_text(text.replace(right, wrong))
    sound, mutant = dict(runs(compiled(tmp_path))), dict(runs(compiled(tmp_path, broken)))
    left = [each for each in mutant.items() if missed(*each)]
    longer = [machine for machine in sound if mutant[machine]["hold_ns"] > 1.5 * sound[machine]["hold_ns"]]
    print(len(left), len(longer))
    assert left or longer, mutant
