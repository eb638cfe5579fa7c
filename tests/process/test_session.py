"""Whole invocations: phases and cycles, what obeys which setting, running out of memory, a sanitizer's finding."""

import io
from pathlib import Path

import numpy as np
import pytest
from places import PLUGINS
from verified import HEAPS, one, to_verify

from gcbarrier import barriers, measure
from gcbarrier.campaign import runner
from gcbarrier.campaign.plans import Plan
from gcbarrier.core import build, events
from gcbarrier.core.events import PAUSE_KINDS
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, Measured, Outcome, evolve
from gcbarrier.plugins import discovery

MIB = 1 << 20

BARRIERS = discovery.names("barriers")
"""Newcomers included: what they need decides where they are tested."""


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None, needs, request: pytest.FixtureRequest) -> None:
    discovery.add_path(PLUGINS)
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    needs(*barriers.promises_of(parameters.get("barrier", "uffd-wp-async")).needs)


def test_a_sanitizer_that_finds_something_fails_the_invocation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heap = tmp_path / "heaps" / "overrun"
    heap.mkdir(parents=True)
    source = PLUGINS / "heaps" / "ring"
    heap.joinpath("heap.py").write_text(source.joinpath("heap.py").read_text())
    text = source.joinpath("mutator.c").read_text()
    broken = text.replace("gcb_ref ring = ", "int table[4] = {0};\n  table[m->count + 4] = 1;\n  gcb_ref ring = ", 1)
    heap.joinpath("mutator.c").write_text('#pragma GCC diagnostic ignored "-Wunused-but-set-variable"\n' + broken)
    discovery.add_path(tmp_path)
    monkeypatch.setenv("GCBARRIER_SANITIZE", "address,undefined")
    (outcome,) = measure(Config(heap="overrun", barrier="none", collector="stop-the-world", heap_bytes=4 * MIB))
    assert "runtime error" in outcome.error or "AddressSanitizer" in outcome.error


@pytest.mark.parametrize("barrier", BARRIERS)
def test_phases_fill_the_pause_and_cycles_hold_their_pauses(barrier: str) -> None:
    outcome = one(evolve(to_verify("ring", barrier, duration_s=0.4), verify=False))
    assert outcome.pauses
    cycles = {cycle.cycle: cycle for cycle in outcome.cycles}
    for pause in outcome.pauses:
        phases = pause.ttsp_ns + pause.roots_ns + pause.collect_ns + pause.rescan_ns + pause.mark_ns + pause.resume_ns
        assert 0 < phases <= pause.pause_ns
        cycle = cycles[pause.cycle]
        assert cycle.start_ns <= pause.start_ns
        assert pause.start_ns + pause.pause_ns <= cycle.start_ns + cycle.duration_ns
        assert pause.rounds <= cycle.rounds
        assert pause.kind in PAUSE_KINDS
    kinds = {pause.kind for pause in outcome.pauses}
    promises = barriers.promises_of(barrier)
    concurrent = {"fork", "flip"} if promises.fork else {"remark", "rearm", "snapshot"}
    assert kinds <= (concurrent if promises.tracks else {"full"})
    # An atomic barrier's are stopped where the rounds leave much.
    assert "rearm" in kinds or promises.atomic
    assert ("snapshot" in kinds) == (promises.snapshot and not promises.fork)
    if not promises.snapshot:  # what is left for the pause of one of these may be nothing each time
        # Rounds may leave the remark nothing each time, too.
        in_rounds = any(sum(cycle.round_dirty) > 0 for cycle in outcome.cycles)
        in_pauses = any(pause.dirty_granules > 0 for pause in outcome.pauses)
        assert (in_rounds or in_pauses) == promises.tracks
    assert outcome.operations > 0
    assert outcome.wall_ns >= 0.4e9
    # Of a software barrier only its buffers may fault, while they grow.
    if promises.needs or promises.fork or not promises.tracks:
        assert (outcome.minor_faults > 100) == promises.tracks
    assert 0 < outcome.facts["fault_cost_ns"] < 1e6


def test_mutators_allocate_while_the_marker_runs() -> None:
    # A graph that takes much longer to mark than the mutators take for an operation.
    config = Config(
        heap="graph_edits",
        barrier="uffd-wp-async",
        collector="mostly-concurrent",
        heap_bytes=64 * MIB,
        heap_params={"rate_per_s": 0},
    )
    outcome = one(config)
    grew = [cycle for cycle in outcome.cycles if cycle.round_dirty and max(cycle.round_dirty) > 10]
    assert grew, "no page was written while it marked"
    assert outcome.allocated_bytes > config.heap_bytes, "the heap was reused"


def test_the_number_of_rounds_the_threshold_and_the_trigger_are_obeyed() -> None:
    def run(heap_bytes: int = 4 * MIB, **params: float) -> Outcome:
        return one(
            Config(
                heap="ring",
                barrier="uffd-wp-async",
                collector="mostly-concurrent",
                collector_params=params,
                duration_s=0.3,
                heap_bytes=heap_bytes,
            )
        )

    # By operations: on a busy machine nobody knows how much is allocated in a time.
    stopped = Config(heap="ring", barrier="none", collector="stop-the-world", operations=4_000_000, heap_bytes=32 * MIB)
    assert {cycle.rounds for cycle in run(rounds=0).cycles} == {0}
    assert {cycle.rounds for cycle in run(rounds=3, shrink=1, aim_ns=0).cycles} <= {1, 2, 3}
    # With the world stopped nothing is allocated during a cycle, and none begins before its time.
    early, late = (one(evolve(stopped, collector_params={"trigger": trigger})) for trigger in (0.1, 0.9))
    assert len(early.cycles) / early.allocated_bytes > 2 * len(late.cycles) / late.allocated_bytes
    timed = run(heap_bytes=512 * MIB, trigger=1.0, every_s=0.005)
    assert "time" in {cycle.cause for cycle in timed.cycles}, timed.cycles


def taken(config: Config) -> Measured:
    """One invocation with its raw events."""
    (step,) = runner.steps(Plan(configs=(config,), invocations=1), seed=5, accelerator="native")
    with FreshExecutor(environment=build.preload()) as executor:
        measured: Measured = executor.submit(runner.take, step.job, {}).result()
    assert measured.record.error == ""
    return measured


_WASTEFUL = """
#include "gcb_params.h"
#include "gcbarrier.h"
enum { LIVE = 200000, GARBAGE = 4000000 };
void gcb_build(gcb_mutator *m) {
  gcb_ref table = gcb_alloc(m, LIVE, 0);
  gcb_set_global(m, 0, table);
  for (uint32_t i = 0; i < LIVE; i++)
    gcb_store(m, table, i, gcb_alloc(m, 1, 48));
  for (uint32_t i = 0; i < GARBAGE; i++)
    (void)gcb_alloc(m, 1, 48);
}
void gcb_mutate(gcb_mutator *m) {
  while (gcb_next(m))
    gcb_poll(m);
}
uint64_t gcb_checksum(gcb_mutator *m) {
  return gcb_global(m, 0) != NULL;
}
"""


def test_what_building_takes_is_not_the_collectors(tmp_path: Path) -> None:
    heap = tmp_path / "heaps" / "wasteful"
    heap.mkdir(parents=True)
    heap.joinpath("heap.py").write_text(
        '"""Drops much while it is built."""\n'
        "import attrs\n@attrs.frozen(kw_only=True)\nclass Params:\n    none: int = 0\n"
    )
    heap.joinpath("mutator.c").write_text(_WASTEFUL)
    discovery.add_path(tmp_path)
    config = Config(heap="wasteful", barrier="none", collector="stop-the-world", heap_bytes=32 * MIB, operations=1)
    measured = taken(config)
    outcome = measured.record
    assert isinstance(outcome, Outcome)
    assert (outcome.operations, outcome.cycles, outcome.pauses) == (1, (), ())
    recorded = np.load(io.BytesIO(measured.events))
    building = recorded[recorded["kind"] == events.Kind.PAUSE]
    assert len(building) > 5, "nothing was collected while the heap was built"
    assert 0 < outcome.collector_cpu_ns < (building["end_ns"] - building["start_ns"]).sum() / 20


def test_a_number_of_operations_ends_the_mutators_and_not_the_cycles() -> None:
    config = Config(
        heap="ring",
        barrier="none",
        collector="stop-the-world",
        heap_bytes=64 * MIB,
        collector_params={"trigger": 1.0, "every_s": 0.002},
        operations=1_000_000,
        mutators=2,
    )
    outcome = one(config)
    assert outcome.operations == 2_000_000
    assert [cycle.cause for cycle in outcome.cycles].count("time") > 1


def test_operations_are_counted_and_the_same_seed_ends_the_same() -> None:
    from gcbarrier.campaign import experiments as campaign
    from gcbarrier.campaign import runner

    config = Config(heap="ring", barrier="none", collector="stop-the-world", mutators=2, **HEAPS["ring"])
    (step,) = runner.steps(campaign.Plan(configs=(config,), invocations=1), seed=5, accelerator="native")
    job = evolve(step.job, invocation=evolve(step.job.invocation, operations=20_000))
    with FreshExecutor(environment=build.preload()) as executor:
        from gcbarrier.session import ours as session

        first, again = (executor.submit(session.run, job).result().record for _ in range(2))
    assert first.operations == again.operations == 40_000
    assert first.checksum == again.checksum != 0


@pytest.mark.parametrize("heap_bytes", [1 * MIB, 2 * MIB, 64 * MIB, 8192 * MIB], ids=lambda size: f"{size // MIB}MiB")
def test_from_one_mebibyte_to_eight_gibibytes(heap_bytes: int) -> None:
    outcome = one(
        Config(
            heap="ring",
            barrier="uffd-wp-async",
            collector="mostly-concurrent",
            collector_params={"every_s": 0.05},
            heap_bytes=heap_bytes,
            heap_params={"entries": 512},
            duration_s=0.3,
        )
    )
    assert outcome.cycles
    assert outcome.metadata_bytes <= 0.04 * heap_bytes


def test_out_of_memory_names_heap_live_size_and_request() -> None:
    shared = {"heap": "ring", "barrier": "none", "collector": "stop-the-world", "heap_bytes": 2 * MIB}
    (outcome,) = measure(Config(heap_params={"keep": True, "raw_bytes": 200}, **shared))
    assert outcome.error.startswith("out of memory: the heap of 2097152 bytes, with ")
    live = int(outcome.error.split("with ")[1].split(" bytes")[0])
    assert 0.8 * 2 * MIB < live <= 2 * MIB
    assert outcome.error.endswith("bytes live after a collection, has no room for an object of 224 bytes")
    assert outcome.pauses, "collections were tried before, and are told of"


@pytest.mark.parametrize("raw_bytes", [300 << 10, 3 << 20], ids=["too many", "larger than the heap"])
def test_large_objects_run_out_of_memory_too(raw_bytes: int) -> None:
    config = Config(
        heap="ring",
        barrier="uffd-wp-async",
        collector="mostly-concurrent",
        heap_bytes=2 * MIB,
        mutators=3,
        heap_params={"entries": 64, "raw_bytes": raw_bytes},
    )
    (outcome,) = measure(config)
    assert "out of memory: the heap of 2097152 bytes" in outcome.error
    assert f"no room for an object of {raw_bytes + 32} bytes" in outcome.error.replace(str(raw_bytes + 24), "")
