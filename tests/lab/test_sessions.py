"""Sessions in a guest, all of them in one: every barrier loses nothing there either, and soft-dirty is there."""

from collections.abc import Callable

import pytest
from verified import HEAPS, MIB, found_nothing, to_verify

from gcbarrier import barriers, measure
from gcbarrier.model import PAGE_BYTES, Config, Outcome, evolve, to_json
from gcbarrier.plugins import discovery

BARRIERS = discovery.names("barriers")
SHIPPED = [heap for heap in HEAPS if heap != "ring"]
SOFT_DIRTY = "soft-dirty"
MEMORIES = barriers.promises_of(SOFT_DIRTY).memories

Needs = Callable[..., None]


def combinations(*, whole: bool) -> list[Config]:
    """Natively every barrier meets every heap; so here each meets one, and each heap some. Other kernels may lack
    soft-dirty, which meets all of them here.
    """
    return [
        to_verify(heap, barrier, duration_s=1.5)  # emulated: in less there may be no store while it marks
        for number, barrier in enumerate(BARRIERS)
        for index, heap in enumerate(SHIPPED)
        if whole or barrier == SOFT_DIRTY or index == number % len(SHIPPED)
    ]


def memory_kinds() -> list[Config]:
    return [
        Config(
            heap="graph_edits",
            heap_params={"rate_per_s": 0},
            heap_bytes=16 * MIB,
            barrier=SOFT_DIRTY,
            collector="mostly-concurrent",
            memory=memory,
            duration_s=0.4,
            verify=True,
        )
        for memory in MEMORIES
    ]


def sticky() -> list[Config]:
    return [
        evolve(
            to_verify("gcbench", SOFT_DIRTY, duration_s=1.5),
            collector="generational",
            collector_params={"concurrent": concurrent, "survivals": 2 - concurrent},
        )
        for concurrent in (False, True)
    ]


@pytest.fixture(scope="module")
def measured(pytestconfig: pytest.Config) -> Callable[[], dict[str, Outcome]]:
    """What came of all configurations in one guest; measured when the first test asks."""
    found: dict[str, Outcome] = {}

    def ask() -> dict[str, Outcome]:
        if not found:
            configs = [*combinations(whole=pytestconfig.getoption("--whole")), *memory_kinds(), *sticky()]
            outcomes = measure(*configs, machine="lab", seed=1)  # interleaved, in an order of its own
            found.update((to_json(outcome.invocation.config), outcome) for outcome in outcomes)
            assert len(found) == len(outcomes) == len(configs)
        return found

    return ask


def test_every_barrier_loses_nothing_in_the_lab_either(needs: Needs, pytestconfig: pytest.Config, measured) -> None:
    needs("lab")
    chosen = combinations(whole=pytestconfig.getoption("--whole"))
    assert {config.barrier for config in chosen} == set(BARRIERS)
    assert {config.heap for config in chosen} == set(SHIPPED)
    for config in chosen:
        outcome = measured()[to_json(config)]
        assert outcome.machine.startswith("lab-")
        if config.barrier == SOFT_DIRTY:
            # It reports whatever was written since all of the process was cleared, and more where mappings change.
            assert outcome.error == ""
            assert outcome.verification is not None
            assert outcome.verification.lost_granules == 0
        else:
            found_nothing(outcome)


def test_soft_dirty_pages_are_as_large_as_what_maps_them(needs: Needs, measured) -> None:
    needs("lab")
    assert MEMORIES == ("shmem", "shmem-thp", "anonymous", "anonymous-thp")
    for config in memory_kinds():
        outcome = measured()[to_json(config)]
        assert outcome.error == ""
        assert outcome.verification is not None
        assert outcome.verification.lost_granules == 0
        assert outcome.verification.checksum_matches
        huge = config.memory.endswith("-thp")
        assert outcome.facts["granule_bytes"] == (2 * MIB if huge else PAGE_BYTES)
        # It splits nothing.
        assert outcome.facts["memory_mapped_after"] == ("2 MiB pages" if huge else "4 KiB pages")


def test_old_objects_stay_marked_over_soft_dirty(needs: Needs, measured) -> None:
    needs("lab")
    for config in sticky():
        outcome = measured()[to_json(config)]
        assert outcome.error == ""
        assert outcome.verification is not None
        assert outcome.verification.lost_granules == 0
        assert outcome.verification.checksum_matches
        assert "minor" in {pause.kind for pause in outcome.pauses}
