"""A plan under stress: which heaps it has, and what is refused."""

import pytest

from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.request import Request
from gcbarrier.campaign.settings import read
from gcbarrier.campaign.stressing import HEAP_BYTES
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Probe

GIB = 1 << 30
SMALL = Config(heap="graph_edits", barrier="none", collector="stop-the-world", heap_bytes=2 << 20)
LARGE = Config(heap="graph_edits", barrier="none", collector="stop-the-world", heap_bytes=GIB)
LIVE = Config(heap="allocate", barrier="none", collector="never", heap_bytes=GIB, heap_params={"live_bytes": 20 << 20})


def applied(*configs: Config, pairs: tuple[str, ...] = ()) -> tuple[Config, ...]:
    request = Request(experiment="any", stress=7, settings=read(pairs))
    return request.apply(Plan(configs=configs, invocations=1)).configs


def test_every_configuration_is_stressed_in_a_heap_that_is_small_and_fits_its_program() -> None:
    found = applied(SMALL, LARGE, LIVE)
    assert [each.stress for each in found] == [7, 7, 7]
    assert [each.heap_bytes for each in found] == [SMALL.heap_bytes, HEAP_BYTES, 32 << 20]


def test_who_sets_the_size_gets_it() -> None:
    (found,) = applied(LARGE, pairs=("heap_bytes=64MiB",))
    assert found.heap_bytes == 64 << 20


def test_a_program_that_fits_no_heap_says_why() -> None:
    config = Config(heap="allocate", barrier="none", collector="never", heap_params={"live_bytes": GIB})
    with pytest.raises(GcBarrierError, match="more than nine tenths"):
        applied(config)


def test_probes_have_no_mutators() -> None:
    probe = Probe(function="gcbarrier.bench.probes:costs", barrier="uffd-wp-async")
    with pytest.raises(GcBarrierError, match="has no mutators: leave --stress out"):
        Request(experiment="any", stress=7).apply(Plan(probes=(probe,), invocations=1))


def test_without_stress_a_plan_is_as_it_was() -> None:
    plan = Plan(configs=(LARGE,), invocations=1)
    assert Request(experiment="any").apply(plan).configs == (LARGE,)
