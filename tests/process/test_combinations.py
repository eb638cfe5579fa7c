"""Every heap over every barrier, checked against the truth: as it is measured, verified, and with sanitizers.

A usual run has enough of the combinations for each pair of factors to meet; ``pytest --whole`` has all.
"""

import pytest
from pairwise import combined
from places import PLUGINS
from verified import HEAPS, found_nothing, one, to_verify

from gcbarrier import barriers, measure
from gcbarrier.model import evolve
from gcbarrier.plugins import discovery

BARRIERS = discovery.names("barriers")
"""Newcomers included: what they need decides where they are tested."""
IN_THE_LAB = [heap for heap in HEAPS if heap != "ring"]
LAB_ALONE = ("soft-dirty",)
"""What few other kernels have: in the lab it meets each heap."""


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None, needs, request: pytest.FixtureRequest) -> None:
    discovery.add_path(PLUGINS)
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    needs(*barriers.load(parameters.get("barrier", "uffd-wp-async")).needs)


@combined(heap=HEAPS, barrier=BARRIERS, build=["plain", "verify", "asan"], mutators=[1, 3])
def test_nothing_reachable_is_lost(
    heap: str, barrier: str, build: str, mutators: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if build == "asan":
        monkeypatch.setenv("GCBARRIER_SANITIZE", "address,undefined")
    config = to_verify(heap, barrier, mutators, duration_s=0.3 if build == "asan" else 0.5)
    if build == "plain":
        # What is measured has no oracle in it: all that shows is that it ran, collected and ended.
        outcome = one(evolve(config, verify=False))
        assert outcome.cycles
        assert outcome.operations > 0
    else:
        found_nothing(one(config))


@combined(heap=HEAPS, barrier=["none", "uffd-wp-async"], markers=[2, 3])
def test_several_markers_lose_nothing(heap: str, barrier: str, markers: int) -> None:
    outcome = one(evolve(to_verify(heap, barrier, 2), collector_params={"markers": markers}))
    found_nothing(outcome)
    assert outcome.collector_cpu_ns > 0


def test_every_barrier_loses_nothing_in_the_lab_either(needs, pytestconfig: pytest.Config) -> None:
    """One guest for all. Elsewhere every barrier has met every heap; here each meets one, and each heap some."""
    needs("lab")
    chosen = [
        (heap, barrier)
        for number, barrier in enumerate(BARRIERS)
        for index, heap in enumerate(IN_THE_LAB)
        if pytestconfig.getoption("--whole") or barrier in LAB_ALONE or index == number % len(IN_THE_LAB)
    ]
    assert {barrier for _, barrier in chosen} == set(BARRIERS)
    outcomes = measure(*[to_verify(heap, barrier, duration_s=0.3) for heap, barrier in chosen], machine="lab")
    assert len(outcomes) == len(chosen)
    for outcome in outcomes:
        assert outcome.machine.startswith("lab-")
        if outcome.invocation.config.barrier == "soft-dirty":
            # It reports whatever was written since all of the process was cleared, and more where mappings change.
            assert outcome.error == ""
            assert outcome.verification is not None
            assert outcome.verification.lost_granules == 0
        else:
            found_nothing(outcome)
