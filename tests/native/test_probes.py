"""Probes: what each brings back, by itself and in this process."""

import time
from pathlib import Path
from typing import Any

import pytest

from gcbarrier import barriers
from gcbarrier.bench import probes
from gcbarrier.bench.circumstances import CIRCUMSTANCES, page_barriers
from gcbarrier.core import build
from gcbarrier.core.library import open_core
from gcbarrier.model import Probe, Reading, evolve

MIB = 1 << 20


def probe(function: str, barrier: str, **arguments: Any) -> Probe:
    return Probe(function=f"gcbarrier.bench.{function}", barrier=barrier, heap_bytes=MIB, arguments=arguments)


def found(function: str, barrier: str, **arguments: Any) -> dict[tuple[str, float], Reading]:
    """What a probe reads, in this process."""
    finding = probes.run(probes.job(probe(function, barrier, **arguments), index=0))
    assert finding.error == ""
    return {(reading.what, reading.x): reading for reading in finding.readings}


def test_every_cost_is_there_and_every_collect_is_exact(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    for name in ("uffd-wp-async", "cards"):
        read = found("costs:operations", name, densities="1 10 100", budget_s=0.001)
        assert [what for what, _ in read] == ["first-store", "store", "arm", *["collect"] * 3]
        assert all(reading.value > 0 and reading.unit == "ns" for reading in read.values())
        assert all(reading.low <= reading.value <= reading.high for reading in read.values())
        notes = [reading.note for (what, _), reading in read.items() if what == "collect"]
        assert notes == ["3 of 3 pages", "26 of 26 pages", "256 of 256 pages"]
    assert set(found("costs:operations", "none", densities="1", budget_s=0.001)) == {("first-store", 0), ("store", 0)}


def test_rates_are_those_asked_for(needs) -> None:
    needs("async-uffd-wp")
    read = found("costs:store_rates", "uffd-wp-async", rates="1 10000", budget_s=0.001, most_stores=1 << 15)
    # A fault against ten thousand plain stores: three orders of magnitude, whatever else goes on.
    assert read["store", 1].value > read["store", 10000].value


def test_the_framework_is_measured_against_bare_calls_turn_by_turn(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    read = found("costs:framework", "uffd-wp-async", densities="0 100", budget_s=0.001)
    for what, share in (("arm", 0), ("first-store", 0), ("collect", 0), ("collect", 100)):
        counts = {read[prefix + what, share].samples for prefix in ("", "bare-", "added-")}
        assert len(counts) == 1, "each turn has both"
        assert read[f"added-{what}", share].unit == "%"
    other = probes.run(probes.job(probe("costs:framework", "none", densities="0", budget_s=0.001), index=0))
    assert "only uffd-wp-async" in other.error


def test_however_many_mark_they_reach_what_the_plain_loop_reaches() -> None:
    # The probe compares the counts, and fails where they differ.
    graph = evolve(probe("marker:marking", "none", markers="1 2 5", pages="100", rounds=3), heap_bytes=64 * MIB)
    finding = probes.run(probes.job(graph, index=0))
    assert finding.error == ""
    read = {(reading.what, reading.x): reading for reading in finding.readings}
    assert set(read) == {("plain", 0), ("rescan", 100), *((w, x) for w in ("marker", "quotient") for x in (1, 2, 5))}
    assert all(reading.samples == 3 and reading.low <= reading.value <= reading.high for reading in read.values())
    assert probes.run(probes.job(evolve(graph, arguments={**graph.arguments, "markers": "9"}), index=0)).error == (
        "1 to 8 markers can mark, not 9"
    )


def test_async_write_protection_is_exact_or_refuses(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    read = found("circumstances:accuracy", "uffd-wp-async")
    counts = {what: int(reading.value) for (what, _), reading in read.items()}
    assert {what.partition("/")[0] for what in counts} == set(CIRCUMSTANCES)
    for name in (
        "plain write",
        "neighbour merges",
        "MADV_DONTNEED",
        "fork",
        "read-only and back",
        "written by read(2)",
    ):
        assert (counts[f"{name}/false"], counts[f"{name}/lost"]) == (0, 0), name
        assert counts[f"{name}/reported"] == counts[f"{name}/expected"] > 0
    assert counts["another mapping writes/lost"] == 1
    refused = [reading.note for (what, _), reading in read.items() if what == "mremap moves it/refused"]
    assert refused == ["PAGEMAP_SCAN failed: Operation not permitted"]


def test_what_goes_wrong_in_a_probe_is_its_finding(needs) -> None:
    needs("async-uffd-wp")
    gone = probes.run(probes.job(probe("costs:nothing", "none"), index=3))
    assert (gone.error, gone.index) == ("there is no function nothing in gcbarrier.bench.costs", 3)
    with pytest.raises(ValueError, match="must match regex"):
        Probe(function="costs", barrier="none")


def test_every_step_of_a_way_is_there_and_what_it_reports_is_exact(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    steps = {"arm", "scan", "scan-again", "read", "read-again"}
    for memory, huge in (("shmem", set()), ("anonymous", set()), ("anonymous-thp", {"huge-store"})):
        one = evolve(
            probe("ways:ways", "uffd-wp-async", densities="1 100", beside="0 1", budget_s=0.001), memory=memory
        )
        read = {(reading.what, reading.x): reading for reading in ways_of(evolve(one, heap_bytes=4 * MIB))}
        assert {what for what, x in read if not x} == {"store", "absent-store", "fork", "reported", "arm-beside", *huge}
        assert {what for what, x in read if x == 100} == steps
        assert read["reported", 0].value == 1, "huge pages are split"
        assert read["store", 0].value > 0
    bare = {reading.what for reading in ways_of(probe("ways:ways", "none", densities="1", beside="0", budget_s=0.001))}
    assert bare == {"store", "absent-store", "fork"}


def ways_of(one: Probe) -> tuple[Reading, ...]:
    finding = probes.run(probes.job(one, index=0))
    assert finding.error == ""
    return finding.readings


def test_only_what_has_its_system_calls_written_out_is_a_way() -> None:
    one = probe("ways:ways", "mprotect", densities="1", beside="0", budget_s=0.001)
    assert "only none, soft-dirty, uffd-wp-async have" in probes.run(probes.job(one, index=0)).error


WRITING = {"words": 8, "every_ms": 1.0, "duration_s": 0.02, "turns": 2, "shares": "1 50"}


@pytest.mark.parametrize("barrier", page_barriers())
def test_an_array_is_written_tracked_and_untracked(barrier: str, needs) -> None:
    needs(*barriers.promises_of(barrier).needs)
    read = found("tracking:array", barrier, random=True, **WRITING)
    assert {what for what, _ in read} == {
        f"random/{what}"
        for what in ("wall", "cpu", "page", "faults", "arm", "collect", "interval", "reported", "mappings")
    }
    assert read["random/wall", 0].samples == read["random/page", 0].samples == 2
    assert all(reading.value > 0 for (what, _), reading in read.items() if what != "random/faults")
    one, half = (read["random/mappings", share].value for share in (1, 50))
    # 3 pages in between 253 others, and 128: only page protection splits.
    assert (one, half > 64) == (7, True) if barrier == "mprotect" else (one, half) == (1, 1)


def test_without_a_barrier_an_array_is_just_written() -> None:
    assert set(found("tracking:array", "none", random=False, **WRITING)) == {("sequential/page", 0)}


TAKES_LONG = """
#include "barrier.h"
#include <time.h>
static int fine(gcb_barrier *barrier) { return (void)barrier, 0; }
static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  (void)barrier, (void)rearm, (void)dirty;
  nanosleep(&(struct timespec){.tv_nsec = 40 * 1000 * 1000}, NULL);
  return 0;
}
static void close_nothing(gcb_barrier *barrier) { (void)barrier; }
GCB_BARRIER = {.open = fine, .arm = fine, .collect = collect, .close = close_nothing, .tracks = true};
"""


def test_a_writer_gets_on_between_collects_that_take_long_and_its_rest_is_no_cost(tmp_path: Path) -> None:
    source = tmp_path / "takes_long.c"
    source.write_text(TAKES_LONG)
    # One that is not atomic: the writer rests.
    job = evolve(probes.job(probe("tracking:array", "soft-dirty"), index=0), barrier=build.barrier(source))
    core = open_core(job.barrier.core)
    found = core.ffi.new("gcb_writing *")
    with probes.Bench(job=job, core=core).space() as space:
        writer = core.lib.gcb_writer_new(space.handle, 1, False, False)
        try:
            core.check(core.lib.gcb_writer_track(writer))
            start_ns = time.monotonic_ns()
            core.check(core.lib.gcb_writer_run(writer, 400_000_000, 20_000_000, found))
            took_ns = time.monotonic_ns() - start_ns
        finally:
            core.lib.gcb_writer_free(writer)
    # However slow the machine: each collect has had its pause before it, and what it took was no writing.
    assert found.collects > 1
    assert found.collects * (20_000_000 + 40_000_000) <= took_ns
    assert found.cpu_ns + found.collect_ns <= found.wall_ns


GIVES_UP = """
#include "barrier.h"
static int fine(gcb_barrier *barrier) { return (void)barrier, 0; }
static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  (void)barrier, (void)dirty;
  return rearm == FAILS_WHILE_TRACKING ? gcb_set_error("it had enough") : 0;
}
static void close_nothing(gcb_barrier *barrier) { (void)barrier; }
GCB_BARRIER = {.open = fine, .arm = fine, .collect = collect, .close = close_nothing, .tracks = true};
"""


@pytest.mark.parametrize("while_tracking", [True, False], ids=["while tracking", "with too many mappings"])
def test_a_tracker_that_gives_up_is_a_reading_with_its_reason(while_tracking: bool, tmp_path: Path) -> None:
    source = tmp_path / "gives_up.c"
    source.write_text(GIVES_UP.replace("FAILS_WHILE_TRACKING", str(while_tracking).lower()))
    job = probes.job(probe("tracking:array", "mprotect", random=True, **WRITING), index=0)
    finding = probes.run(evolve(job, barrier=build.barrier(source)))
    assert finding.error == ""
    (refused,) = (reading for reading in finding.readings if reading.what.endswith("/refused"))
    assert refused.note == "it had enough"
    kinds = {reading.what.rpartition("/")[2] for reading in finding.readings}
    assert "mappings" not in kinds, "what it has after that is no answer"
    assert ("wall" in kinds) == (not while_tracking)
