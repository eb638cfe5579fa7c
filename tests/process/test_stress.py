"""Stress: a reference that no root holds is found at once, whoever collects; what comes with gcbarrier has none."""

import itertools
import re
from pathlib import Path

import pytest
from places import PLUGINS
from verified import HEAPS, MIB, memory_for

from gcbarrier import barriers, collectors, measure
from gcbarrier.campaign.matching import check
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Outcome, evolve
from gcbarrier.plugins import discovery

BASELINE = ("none", "stop-the-world")
PLANTED = {
    "unrooted_local": "gcb_store(m, first, 0, second)",
    "popped_early": "gcb_store_raw(m, first, 0, m->operations)",
    "unrooted_global": "gcb_load_raw(*last, 0)",
}
"""Heaps with a mistake each, and where the object that is gone is used next."""


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None) -> None:
    discovery.add_path(PLUGINS)


def stressed(heap: str, every: int = 100, over: tuple[str, str] = BASELINE, seed: int = 1) -> Outcome:
    barrier, collector = over
    config = Config(
        heap=heap, barrier=barrier, collector=collector, heap_bytes=MIB, stress=every, duration_s=2.0, verify=True
    )
    (outcome,) = measure(config, seed=seed)
    return outcome


def line_of(heap: str) -> int:
    lines = (PLUGINS / "heaps" / heap / "mutator.c").read_text().splitlines()
    (line,) = [at for at, text in enumerate(lines, 1) if PLANTED[heap] in text]
    return line


@pytest.mark.parametrize("heap", PLANTED)
def test_a_reference_that_no_root_holds_is_found_where_it_is_used(heap: str) -> None:
    first, again = (stressed(heap) for _ in range(2))
    assert first.error.startswith("mutator 0 used an object that a collection has freed, by ")
    assert re.search(rf"by gcb_\w+ in gcb_mutate \({heap}/mutator\.c:{line_of(heap)}\)", first.error)
    assert f"the mistake is in the mutator of {heap}" in first.error
    assert first.error == again.error
    assert len(first.cycles) == len(again.cycles), "the same safepoints"


@pytest.mark.parametrize(("every", "seed"), [(1, 1), (10, 2), (1000, 3)])
def test_it_is_found_however_far_apart_the_cycles_are(every: int, seed: int) -> None:
    assert "used an object that a collection has freed" in stressed("unrooted_local", every, seed=seed).error


@pytest.mark.parametrize("heap", PLANTED)
def test_under_a_concurrent_collector_it_is_found_and_tried_without_one(heap: str, needs) -> None:
    needs("async-uffd-wp")
    outcome = stressed(heap, over=("uffd-wp-async", "mostly-concurrent"))
    assert "used an object that a collection has freed" in outcome.error
    assert "it fails under stop-the-world, without a barrier, as well: the mistake is in the mutator" in outcome.error


def test_a_cached_address_into_an_object_reads_poison(tmp_path: Path) -> None:
    heap = tmp_path / "heaps" / "cached"
    heap.mkdir(parents=True)
    ring = PLUGINS / "heaps" / "ring"
    heap.joinpath("heap.py").write_text(ring.joinpath("heap.py").read_text())
    text = ring.joinpath("mutator.c").read_text()
    body = "gcb_ref fresh = gcb_alloc(m, 2, (size_t)p->raw_bytes);"
    assert body in text
    use = "_Atomic uint64_t *word = gcb_raw(fresh);\n    fresh = gcb_alloc(m, 2, (size_t)p->raw_bytes);\n"
    use += "    if (*word)\n      m->slept_ns = *(volatile uint64_t *)(uintptr_t)*word; /* never, where it lives */\n"
    heap.joinpath("mutator.c").write_text(text.replace(body, f"{body}\n    {use}"))
    discovery.add_path(tmp_path)
    outcome = stressed("cached")
    assert "crashed (SIGSEGV)" in outcome.error
    assert "by a word of freed memory (stress has poisoned it)" in outcome.error
    assert "gcb_mutate (cached/mutator.c:" in outcome.error


def _pairs(heap: str) -> list[tuple[str, str]]:
    """Every barrier with every collector that goes with it, over this heap."""
    found = []
    for barrier, collector in itertools.product(discovery.names("barriers"), discovery.names("collectors")):
        if collectors.find(collector).runtime is not None:
            continue
        try:
            check(_shipped(heap, barrier, collector))
        except GcBarrierError:
            continue
        found.append((barrier, collector))
    return found


def _shipped(heap: str, barrier: str, collector: str) -> Config:
    config = Config(
        heap=heap,
        barrier=barrier,
        collector=collector,
        memory=memory_for(barrier),
        mutators=2,
        verify=True,
        stress=50,
        duration_s=0.1,
        **HEAPS[heap],
    )
    # The least that their programs can be run in.
    size = {"snapshot": config.heap_bytes * 2, "ring": MIB}.get(heap, 2 * MIB)
    params = {"entries": 512} if heap == "ring" else config.heap_params
    return evolve(config, heap_bytes=size, heap_params=params, stress=2000 if heap == "snapshot" else 50)


def _rows() -> list[object]:
    """Every pair of barrier and collector over one heap in a usual run, over every heap with ``--whole``."""
    rows = []
    for at, heap in enumerate(HEAPS):
        for index, pair in enumerate(_pairs(heap)):
            # Those that mark while mutators run have the most to lose.
            usual = heap != "snapshot" and index % (len(HEAPS) - 1) == at and pair[1] not in ("never", "stop-the-world")
            rows.append(pytest.param(heap, *pair, marks=() if usual else pytest.mark.whole))
    return rows


@pytest.mark.parametrize(("heap", "barrier", "collector"), _rows())
def test_what_comes_with_gcbarrier_roots_all_that_it_uses(heap: str, barrier: str, collector: str, needs) -> None:
    needs(*barriers.promises_of(barrier).needs)
    (outcome,) = measure(_shipped(heap, barrier, collector), seed=3)
    assert outcome.error == ""
    found = outcome.verification
    assert found is not None
    assert found.checksum_matches
    assert found.lost_granules == 0
    assert {cycle.cause for cycle in outcome.cycles} & {"stress"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"memory": "anonymous"},
            r"anonymous memory has one view, which uffd-wp-async watches: choose shmem or shmem-thp",
        ),
        ({"barrier": "none", "collector": "bdwgc"}, r"bdwgc brings its own memory, in which nothing can be poisoned"),
    ],
)
def test_what_cannot_be_stressed_says_so(changes: dict[str, str], said: str, needs) -> None:
    needs("async-uffd-wp")
    config = Config(heap="ring", barrier="uffd-wp-async", collector="mostly-concurrent", stress=10)
    with pytest.raises(GcBarrierError, match=said):
        measure(evolve(config, **changes))


def test_stress_where_threadsanitizer_leaves_one_view_says_so(monkeypatch: pytest.MonkeyPatch, needs) -> None:
    needs("async-uffd-wp")
    monkeypatch.setenv(build.SANITIZE_VARIABLE, "thread")
    config = Config(heap="ring", barrier="uffd-wp-async", collector="mostly-concurrent", stress=10)
    with pytest.raises(GcBarrierError, match="ThreadSanitizer has one view of its memory, which uffd-wp-async watches"):
        check(config)
    check(evolve(config, barrier="none", collector="stop-the-world"))


def test_the_command_stresses_a_whole_experiment_in_small_heaps(gcbarrier, tmp_path: Path) -> None:
    arguments = ["--path", str(PLUGINS), "run", "tiny", "--quick", "--set", "barrier=none", "--set", "invocations=1"]
    done = gcbarrier(*arguments, "--stress", "--out", str(tmp_path / "good"))
    assert done.returncode == 0, done.stderr
    done = gcbarrier(*arguments, "--set", "heap=unrooted_local", "--stress", "20", "--out", str(tmp_path / "bad"))
    assert done.returncode == 1
    assert "the mistake is in the mutator of unrooted_local" in done.stdout + done.stderr
    done = gcbarrier("--path", str(PLUGINS), "run", "--stress", "tiny")
    assert done.returncode == 2
    assert "the experiment comes before it" in done.stderr
