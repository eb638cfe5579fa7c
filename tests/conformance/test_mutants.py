"""Barriers that are wrong on purpose: the checks must notice, each named mistake in each barrier."""

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import race
from attrs import frozen
from places import TESTS

from conformance import job, machines
from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.plugins import discovery

Needs = Callable[..., None]

NATIVE_SOURCES = TESTS / "native"
TABLES = "pagetables.h"
CHECKS = (
    *("check_single_pages", "check_alternate_pages", "check_rearmed_is_noticed_again"),
    *("check_random_sets", "check_more_regions_than_a_vector_holds"),
)
RACE = (1, 16, 1)
"""Seconds, MiB, writers: a region so large that few pages are written twice, and so found again."""


@frozen
class Mutant:
    """One mistake: in the barrier's C file, or in the header that page-table barriers share."""

    barrier: str
    mistake: str
    old: str
    new: str
    shared: bool = False
    race: bool = True
    """Whether a race shows it: not where it reports too much, or takes more regions than a race makes."""

    @property
    def name(self) -> str:
        """As the test's."""
        return f"{self.barrier}: {self.mistake}"


def _bitmaps(barrier: str, guard: str, take: str, before: str) -> tuple[Mutant, ...]:
    """Of the barriers that keep a bit for each page themselves."""
    add = "gcb_dirty_add(dirty, first, end - first);"
    return (
        Mutant(barrier, "no re-arm", f"if ({guard} && !failed)", f"if ({guard} && failed)"),
        Mutant(barrier, "re-arm before read", take, before),
        Mutant(barrier, "dropped last region", add, f"if (end < pages) {{ {add} }}", race=False),
        Mutant(barrier, "off-by-one page", add, "gcb_dirty_add(dirty, first ^ 1, end - first);"),
    )


MUTANTS = (
    Mutant(
        *("uffd-wp-async", "no re-arm", "(rearm ? GCB_SCAN_WP_MATCHING : 0)", "(rearm ? 0 : 0)"),
        race=False,
    ),
    Mutant(
        *("uffd-wp-async", "re-arm before read", "  /* CHECK_WPASYNC:"),
        "  if (rearm && arm(barrier))\n    return -1;\n  /* CHECK_WPASYNC:",
    ),
    Mutant(
        *("uffd-wp-async", "dropped last region", "i < found; i++", "i + 1 < found; i++"),
        shared=True,
    ),
    Mutant(
        *("uffd-wp-async", "off-by-one page", "(size_t)(p->regions[i].start - base) >> GCB_PAGE_SHIFT,"),
        "((size_t)(p->regions[i].start - base) >> GCB_PAGE_SHIFT) ^ 1,",
        shared=True,
    ),
    Mutant(
        *("uffd-wp-async", "a full vector is the end", "? scan->end : scan->walk_end;", "? scan->end : scan->end;"),
        shared=True,
        race=False,
    ),
    Mutant("uffd-wp-pagemap", "no re-arm", "  if (!rearm)\n", "  if (!rearm || dirty->words)\n", race=False),
    Mutant(
        *("uffd-wp-pagemap", "re-arm before read", "  if (gcb_pagemap_read("),
        "  if (rearm && arm(barrier))\n    return -1;\n  if (gcb_pagemap_read(",
    ),
    Mutant(
        *("uffd-wp-pagemap", "dropped last region", "i < entries; i++", "i + 1 < entries; i++"),
        shared=True,
    ),
    Mutant(
        *("uffd-wp-pagemap", "off-by-one page", "gcb_dirty_add_armed(dirty, barrier->armed, done + i, 1);"),
        "gcb_dirty_add_armed(dirty, barrier->armed, (done + i) ^ 1, 1);",
        shared=True,
    ),
    *_bitmaps(
        "mprotect", "protecting", "  take(w, rearm);", "  if (rearm && arm(barrier))\n    return -1;\n  take(w, rearm);"
    ),
    *_bitmaps(
        *("uffd-wp-sigbus", "rearm", "  take(w, rearm);"),
        "  if (rearm && arm(barrier))\n    return -1;\n  take(w, rearm);",
    ),
    *_bitmaps(
        "uffd-wp-sync",
        "rearm",
        "int failed = take(w, rearm);",
        "int failed = (rearm && arm(barrier)) | take(w, rearm);",
    ),
)
"""Soft-dirty shares its code with the others, and only the lab could run its mutants."""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mutant], Path]:
    """The mutant's C file, in a copy of all that it may include."""

    @functools.cache
    def make(mutant: Mutant) -> Path:
        folder = tmp_path_factory.mktemp("mutant")
        source = discovery.find("barriers", mutant.barrier).with_suffix(".c")
        for file in (*source.parent.glob("*.[ch]"), build.NATIVE / "include" / TABLES):
            shutil.copy(file, folder)
        target = folder / (TABLES if mutant.shared else source.name)
        text = target.read_text()
        assert len(re.findall(re.escape(mutant.old), text)) == 1, f"{target.name} has it not once: {mutant.old}"
        target.write_text(text.replace(mutant.old, mutant.new))
        return folder / source.name

    return make


@pytest.fixture(scope="module")
def caught(workshop: Callable[[Mutant], Path]) -> dict[str, list[str]]:
    """The checks that each mutant fails; the barriers themselves are among them."""
    plugins = {mutant.name: (mutant.barrier, build.barrier(workshop(mutant))) for mutant in MUTANTS}
    for barrier in {mutant.barrier for mutant in MUTANTS}:
        plugins[barrier] = barrier, barriers.choose(barrier).compile()
    found: dict[str, list[str]] = machines.freshly(job.caught, plugins, CHECKS)
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_fails_a_check(mutant: Mutant, caught: dict[str, list[str]], needs: Needs) -> None:
    needs(*barriers.promises_of(mutant.barrier).needs)
    assert caught[mutant.barrier] == [], "without the mistake"
    assert caught[mutant.name], "no check noticed it"
    if "full vector" in mutant.mistake:
        assert caught[mutant.name] == ["check_more_regions_than_a_vector_holds"]


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.race], ids=lambda mutant: mutant.name)
def test_a_mistake_loses_in_a_race(
    mutant: Mutant, workshop: Callable[[Mutant], Path], needs: Needs, tmp_path: Path
) -> None:
    promises = barriers.promises_of(mutant.barrier)
    needs(*promises.needs)
    program = race.build(workshop(mutant), tmp_path / "race")
    assert race.run(program, *RACE, "run" if promises.atomic else "stop")["lost"] > 0


def test_two_steps_lose_in_a_race(needs: Needs, tmp_path: Path) -> None:
    needs("async-uffd-wp")
    program = race.build(NATIVE_SOURCES / "nonatomic.c", tmp_path / "race")
    assert race.run(program, 2, 8, 2, "run")["lost"] > 0
    assert race.run(program, 0.5, 8, 2, "stop")["lost"] == 0, "with the writers stopped two steps are one"
