"""A run of pages that nobody watches, between pages that are armed again, stays open: else its stores are missed."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import race
from faultlog import BARRIERS
from places import TESTS

from gcbarrier import barriers


@pytest.mark.parametrize("name", ["uffd-wp-async", "uffd-wp-log", "uffd-wp-pagemap"])
def test_pages_that_are_not_watched_stay_open(needs: Callable[..., None], name: str, tmp_path: Path) -> None:
    needs(*barriers.promises_of(name).needs)
    flags = ("-O2", "-DGCB_PARAM_check=0", "-DGCB_PARAM_ring_kib=4")
    source = BARRIERS / f"{name.replace('-', '_')}.c"
    program = race.build(source, tmp_path / "bridged", flags, program=TESTS / "native/bridged.c")
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[1]) > 50
