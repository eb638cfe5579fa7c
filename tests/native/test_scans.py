"""Scans of the page tables: all that was written is found, and the kernel is asked no oftener than it takes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from places import CHECKOUT, TESTS

NATIVE = CHECKOUT / "gcbarrier/native"
VECTOR = 4096
"""Regions that a call has room for (GCB_REGIONS)."""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled."""
    program = tmp_path_factory.mktemp("scans") / "scans"
    command = [
        "gcc",
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Wl,--wrap=ioctl",
        f"-I{NATIVE}/include",
    ]
    done = subprocess.run(
        [*command, str(TESTS / "native/scans.c"), "-o", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("runs", [0, 1, 511, 512, 513, 1000, VECTOR - 1, VECTOR, VECTOR + 1, 3 * VECTOR + 7])
def test_a_walk_that_came_to_its_end_is_not_gone_on_with(needs: Callable[..., None], scans: Path, runs: int) -> None:
    """The kernel's walk_end is where it last handed 512 regions over, even where it went on from there."""
    needs("async-uffd-wp", "pagemap-scan")
    told = subprocess.run([scans, str(runs)], capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert int(told[1]) == runs
    # One more where the last vector is full just at the end.
    assert int(told[3]) in {runs // VECTOR + 1, -(-runs // VECTOR)}
