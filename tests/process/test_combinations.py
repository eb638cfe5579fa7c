"""Every heap over every barrier, checked against the truth: as it is measured, verified, and with sanitizers.

A usual run has enough of the combinations for each pair of factors to meet; ``pytest --whole`` has all.
"""

import pytest
from pairwise import combined
from places import PLUGINS
from verified import HEAPS, found_nothing, one, to_verify

from gcbarrier import barriers
from gcbarrier.model import evolve
from gcbarrier.plugins import discovery

BARRIERS = discovery.names("barriers")
"""Newcomers included: what they need decides where they are tested."""


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None, needs, request: pytest.FixtureRequest) -> None:
    discovery.add_path(PLUGINS)
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    needs(*barriers.promises_of(parameters.get("barrier", "uffd-wp-async")).needs)


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
