"""The kinds of memory that a heap may lie in: what maps them, how finely they are tracked, and errors."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gcbarrier import measure
from gcbarrier.core import build
from gcbarrier.core.library import open_core
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import features, host
from gcbarrier.model import MEMORY_TYPES, Config, Outcome
from gcbarrier.tracked import Tracked

MIB = 1 << 20
PAGE = 4096
HUGE = 2 * MIB
BARRIERS = {"uffd-wp-async": "mostly-concurrent", "uffd-wp-pagemap": "mostly-concurrent", "none": "stop-the-world"}
# A heap, the two huge pages of a probe, and some to spare.
POOL = 40
HUGE_FROM_THE_START = ("shmem-thp", "anonymous-thp", "hugetlb")

Needs = Callable[..., None]


@pytest.fixture(scope="module", autouse=True)
def _pool() -> Iterator[None]:
    """Root can have huge pages; whether there are any is then asked anew, before and after."""
    pool = Path("/proc/sys/vm/nr_hugepages")
    before = pool.read_text()
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            pool.write_text(str(int(before) + POOL))
    features.feature.cache_clear()
    yield
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            pool.write_text(before)
    features.feature.cache_clear()


@pytest.fixture(params=MEMORY_TYPES)
def memory(request: pytest.FixtureRequest, needs: Needs) -> str:
    name: str = request.param
    if name == "hugetlb":
        needs("hugetlb")
    return name


@pytest.fixture(params=BARRIERS)
def barrier(request: pytest.FixtureRequest, needs: Needs) -> str:
    name: str = request.param
    if name != "none":
        needs("async-uffd-wp", "pagemap-scan")
    return name


def config(memory: str, barrier: str, heap_bytes: int = 16 * MIB) -> Config:
    return Config(
        heap="graph_edits",
        heap_params={"rate_per_s": 0},
        heap_bytes=heap_bytes,
        barrier=barrier,
        collector=BARRIERS[barrier],
        memory=memory,
        duration_s=0.4,
        verify=True,
    )


def run(memory: str, barrier: str, heap_bytes: int = 16 * MIB) -> Outcome:
    (outcome,) = measure(config(memory, barrier, heap_bytes), seed=1)
    return outcome


def huge_bytes(address: int) -> int:
    """How much of the mapping that begins there huge pages map, by smaps."""
    for mapping in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        if mapping.startswith(f"{address:x}-"):
            counts = re.findall(r"(?:AnonHugePages|ShmemPmdMapped|Private_Hugetlb|Shared_Hugetlb): +(\d+) kB", mapping)
            return sum(map(int, counts)) << 10
    raise AssertionError(f"nothing is mapped at {address:#x}")


def expected(memory: str, pages: list[int]) -> list[int]:
    if memory != "hugetlb":
        return sorted(set(pages))
    return sorted({page for written in pages for page in range(written // 512 * 512, written // 512 * 512 + 512)})


def test_a_verified_run_loses_nothing_and_says_what_it_had(memory: str, barrier: str) -> None:
    outcome = run(memory, barrier)
    assert outcome.error == ""
    assert outcome.cycles
    found = outcome.verification
    assert found is not None
    assert found.cycles_checked >= len(outcome.cycles)
    assert found.lost_granules == 0
    assert found.checksum_matches
    facts = outcome.facts
    assert facts["memory_mapped"] == ("2 MiB pages" if memory in HUGE_FROM_THE_START else "4 KiB pages")
    if barrier == "none":
        assert facts["granule_bytes"] == 0
        assert facts["memory_mapped_after"] == facts["memory_mapped"]
        return
    assert found.written_granules > 0
    if memory == "hugetlb":
        assert facts["granule_bytes"] == HUGE
        assert found.reported_granules % 512 == 0
        assert facts["memory_mapped_after"] == "2 MiB pages"
    else:
        assert facts["granule_bytes"] == PAGE
        assert found.false_dirty_granules <= 3 * found.cycles_checked
        assert "4 KiB" in facts["memory_mapped_after"], "tracking splits huge pages"


@pytest.mark.parametrize("barrier", ["uffd-wp-async", "uffd-wp-pagemap"], indirect=True)
def test_just_what_was_written_is_reported(memory: str, barrier: str) -> None:
    chance = np.random.default_rng(7)
    with Tracked(16 * MIB, barrier, memory=memory) as tracked:
        tracked.arm()
        for _ in range(20):
            pages = chance.integers(0, 16 * MIB // PAGE, int(chance.integers(1, 5))).tolist()
            for page in pages:
                tracked.view[page * PAGE + int(chance.integers(PAGE))] = 1
            assert tracked.collect(rearm=True).tolist() == expected(memory, pages)
        assert tracked.collect(rearm=True).tolist() == []
        # Not re-armed: the same again, and more.
        tracked.view[5 * PAGE] = 1
        assert tracked.collect(rearm=False).tolist() == expected(memory, [5])
        tracked.view[3000 * PAGE] = 1
        assert tracked.collect(rearm=False).tolist() == expected(memory, [5, 3000])


def test_huge_pages_map_what_was_promised(memory: str) -> None:
    size = 16 * MIB
    with Tracked(size, "none", memory=memory) as tracked:
        assert tracked.address % HUGE == 0
        assert huge_bytes(tracked.address) == (size if memory in HUGE_FROM_THE_START else 0)
        tracked.view[size - 1] = 1
        assert bytes(tracked.view[: 2 * PAGE]) == bytes(2 * PAGE)


def test_tracking_splits_huge_pages_of_the_one_kind_when_armed_of_the_other_when_written(needs: Needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    with Tracked(8 * MIB, memory="shmem-thp") as tracked:
        assert huge_bytes(tracked.address) == 8 * MIB
        tracked.arm()
        assert huge_bytes(tracked.address) == 0
    with Tracked(8 * MIB, memory="anonymous-thp") as tracked:
        tracked.arm()
        assert huge_bytes(tracked.address) == 8 * MIB
        tracked.view[5 * MIB] = 1
        assert huge_bytes(tracked.address) == 6 * MIB


@pytest.mark.parametrize("memory", [name for name in MEMORY_TYPES if name != "hugetlb"])
@pytest.mark.parametrize("size", [32 << 10, HUGE - PAGE * 8, 5 * MIB + (32 << 10)])
def test_sizes_that_huge_pages_do_not_fill(needs: Needs, memory: str, size: int) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    with Tracked(size, memory=memory) as tracked:
        promised = size // HUGE * HUGE if memory in HUGE_FROM_THE_START else 0
        assert huge_bytes(tracked.address) == promised
        tracked.arm()
        tracked.view[0] = tracked.view[size - 1] = 1
        assert tracked.collect(rearm=False).tolist() == [0, size // PAGE - 1]


def test_a_hugetlb_heap_is_whole_huge_pages(needs: Needs) -> None:
    needs("hugetlb")
    with pytest.raises(GcBarrierError, match=r"whole number of 2 MiB pages, not 3145728 bytes: choose another size$"):
        Tracked(3 * MIB, "none", memory="hugetlb")
    with pytest.raises(GcBarrierError, match=r"whole number of 2 MiB pages, not 3 MiB: choose another size$"):
        run("hugetlb", "none", 3 * MIB)


def test_without_enough_huge_pages_it_says_how_to_have_them() -> None:
    pages = host.free_huge_pages() + 1
    with pytest.raises(GcBarrierError) as caught:
        run("hugetlb", "none", pages * HUGE)
    said = str(caught.value)
    assert f"needs {pages} huge pages of 2 MiB, and {pages - 1} are free" in said
    assert "have root run `sysctl vm.nr_hugepages=" in said
    assert "\n" not in said
    # And by the core itself, for whoever comes without asking first.
    with pytest.raises(GcBarrierError, match=f"^{pages} huge pages of 2 MiB are not free: have root raise vm.nr_huge"):
        Tracked(pages * HUGE, "none", memory="hugetlb")


def test_what_hugetlb_memory_needs_is_not_asked_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "free_huge_pages", lambda: 1024)
    monkeypatch.setattr(host, "available_bytes", lambda: 1 << 30)
    host.fits(2 << 30, "hugetlb")
    with pytest.raises(GcBarrierError, match="1 GiB of memory is available"):
        host.fits(2 << 30, "anonymous")
    host.fits(1 << 29, "anonymous")
    with pytest.raises(GcBarrierError, match=r"1\.02 GiB with two copies of its pages and its metadata"):
        host.fits(1 << 29, "anonymous", copied=True)


def test_a_barrier_runs_on_the_memory_that_it_names_only() -> None:
    with pytest.raises(Unavailable, match=r"fork-cow on shmem memory .* it can watch anonymous, anonymous-thp only"):
        Tracked(MIB, "fork-cow")
    with pytest.raises(Unavailable, match="soft-dirty on hugetlb memory"):
        Tracked(MIB, "soft-dirty", memory="hugetlb")


@pytest.mark.parametrize("blocks", [1, 2, 9, 31, 32, 33])
def test_the_smallest_heaps_have_small_metadata(blocks: int, needs: Needs) -> None:
    needs("memfd")
    module = open_core(build.core())
    space = module.lib.gcb_space_new(blocks * 32 << 10, 0, module.ffi.NULL, False)
    assert space != module.ffi.NULL, str(module.failure())
    try:
        assert module.lib.gcb_metadata_bytes(space) < (64 << 10)
        # And are marked to the end: there are more objects than the stack has room for.
        graph = module.lib.gcb_graph_new(space, blocks * 500, 1)
        assert graph != module.ffi.NULL, str(module.failure())
        assert module.lib.gcb_graph_mark_plain(graph) > 0
        reached = module.lib.gcb_graph_objects(graph)
        for markers in (1, 3):
            assert module.lib.gcb_graph_mark(graph, markers) > 0
            assert module.lib.gcb_graph_objects(graph) == reached > blocks * 250
        module.lib.gcb_graph_free(graph)
    finally:
        module.lib.gcb_space_free(space)
