"""Readers of files and settings: whatever the bytes, a result or one sentence, soon and within bounds.

The inputs that once broke one, and damage done to valid ones at random. ``tests/fuzz/explore.py`` searches on, guided
by coverage; ``GCBARRIER_FUZZ_EXAMPLES=20000`` makes this search longer.
"""

import os
import random
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent))
from mutations import mutate
from regressions import REGRESSIONS
from targets import TARGETS, check

EXAMPLES = int(os.environ.get("GCBARRIER_FUZZ_EXAMPLES", "0"))
MOST_S = 5.0
MOST_BYTES = 64 << 20
"""Each input is smaller than a mebibyte."""

HARMLESS = {("archive", "another array that promises 8 TB"), ("run", "a size of 400 digits")}
"""Of the inputs below: what need not be refused."""


def cases(*wanted: tuple[str, str]) -> list[object]:
    """As parameters with readable names."""
    return [pytest.param(*each, id="-".join(each)) for each in wanted]


def soon(name: str, data: bytes, folder: Path) -> str:
    """The refusal of a reader, which must not take long for it."""
    start_s = time.monotonic()
    refusal = check(TARGETS[name], data, folder)
    assert time.monotonic() - start_s < MOST_S
    assert len(refusal) < 1000 + len(data)  # it may quote what it refuses
    return refusal


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_valid(name: str, tmp_path: Path) -> None:
    for seed in TARGETS[name].seeds():
        assert soon(name, seed, tmp_path) == ""


@pytest.mark.parametrize(("name", "case"), cases(*((name, case) for name in REGRESSIONS for case in REGRESSIONS[name])))
def test_what_once_broke_a_reader(name: str, case: str, tmp_path: Path) -> None:
    data = REGRESSIONS[name][case]
    tracemalloc.start()  # which numpy tells of its arrays, and of the memory that it only asked for
    try:
        refusal = soon(name, data, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert refusal or (name, case) in HARMLESS


@pytest.mark.parametrize(("name", "_case"), cases(*((name, "damage") for name in TARGETS)))
def test_damage_ends_in_a_result_or_a_sentence(name: str, _case: str, tmp_path: Path) -> None:
    seeds = TARGETS[name].seeds()

    @settings(
        max_examples=EXAMPLES or 150,
        deadline=None,
        derandomize=not EXAMPLES,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=st.sampled_from(seeds), number=st.integers(0, (1 << 64) - 1))
    def damaged(seed: bytes, number: int) -> None:
        soon(name, mutate(seed, random.Random(number)), tmp_path)

    damaged()
