"""Every check on this machine, for every barrier on every memory that it can watch."""

from collections.abc import Callable

import pytest

from conformance import job, machines
from conformance.job import PASS
from gcbarrier import barriers
from gcbarrier.errors import Unavailable
from gcbarrier.model import MEMORY_TYPES
from gcbarrier.tracked import Tracked

Needs = Callable[..., None]

STORES, ROUNDS = 10_000_000, 20_000
EVERYTHING = (*job.checks(), "kernel_stores_as_root", "kernel_stores_as_nobody", "racing_stores")


@pytest.mark.parametrize("check", EVERYTHING)
def test_every_barrier_does(check: str, needs: Needs) -> None:
    needs("memfd", *(["public-checkout"] if check.endswith("_as_nobody") else []))
    outcomes = machines.native().checks.get(check, {})
    assert {key: why for key, why in outcomes.items() if why != PASS} == {}


@pytest.mark.parametrize("barrier", job.page_barriers())
def test_what_is_promised_is_there(barrier: str, needs: Needs) -> None:
    promises = barriers.promises_of(barrier)
    needs(*promises.needs)
    results = machines.native()
    for memory in promises.memories:
        key = barrier, memory
        if memory == "hugetlb" and key in results.unavailable:
            assert "huge page is free" in results.unavailable[key], "root has to set huge pages aside"
            continue
        assert key not in results.unavailable, results.unavailable[key]
        assert all(key in results.checks[check] for check in EVERYTHING)
        assert results.units[key] >= promises.granule_bytes // 4096


def test_nothing_is_lost_in_long_races(needs: Needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    races = machines.native().races
    assert sum(race["lost"] for race in races.values()) == 0, races
    assert sum(race["stores"] for race in races.values()) >= STORES, races
    assert sum(race["rounds"] for race in races.values()) >= ROUNDS, races


@pytest.mark.parametrize("barrier", job.page_barriers())
def test_other_memory_is_refused_with_the_choice(barrier: str, needs: Needs) -> None:
    needs("memfd")
    can = barriers.promises_of(barrier).memories
    for memory in set(MEMORY_TYPES) - set(can):
        with pytest.raises(Unavailable, match=f"it can watch {', '.join(can)} only"):
            Tracked(1 << 20, barrier, memory=memory)


def test_no_barrier_at_all_tracks_nothing(needs: Needs) -> None:
    needs("memfd")
    assert "none" not in job.page_barriers()
    with Tracked(1 << 20, "none") as memory, pytest.raises(Exception, match="does not track writes"):
        memory.arm()
