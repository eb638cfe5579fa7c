"""Invocations that are checked against the truth: small heaps, for any barrier, and what must hold of the outcome."""

import recorded

from gcbarrier import barriers, measure
from gcbarrier.model import Config, Outcome, evolve

MIB = 1 << 20

# Small, so that there are many cycles; the graphs' edits as fast as they can be.
HEAPS = {
    "bursts": {"heap_bytes": 16 * MIB, "collector_params": {"every_s": 0.01}},
    "gcbench": {"heap_bytes": 16 * MIB},
    "graph_edits": {"heap_bytes": 16 * MIB, "heap_params": {"rate_per_s": 0}},
    "requests": {"heap_bytes": 16 * MIB},
    "snapshot": {"heap_bytes": 64 * MIB, "heap_params": {"rate_per_s": 0}},
    "trace": {"heap_bytes": 16 * MIB, "heap_params": {"pace": 0, "reference_share": 0.5, **recorded.shared()}},
    "ring": {"heap_bytes": 4 * MIB},
}


def collector_for(barrier: str) -> str:
    promises = barriers.promises_of(barrier)
    if promises.fork:
        return "fork-snapshot"
    if promises.snapshot:
        return "snapshot-concurrent"
    return "mostly-concurrent" if promises.tracks else "stop-the-world"


def memory_for(barrier: str) -> str:
    return barriers.promises_of(barrier).memories[0]


def one(config: Config, seed: int = 1) -> Outcome:
    (outcome,) = measure(config, seed=seed)
    assert outcome.error == ""
    return outcome


def to_verify(heap: str, barrier: str, mutators: int = 1, duration_s: float = 0.5) -> Config:
    config = Config(
        heap=heap,
        barrier=barrier,
        collector=collector_for(barrier),
        memory=memory_for(barrier),
        verify=True,
        mutators=mutators,
        duration_s=duration_s,
        **HEAPS[heap],
    )
    if heap == "snapshot":
        # Each mutator edits a copy of its own.
        config = evolve(config, heap_bytes=mutators * 64 * MIB)
    return config


def found_nothing(outcome: Outcome) -> None:
    assert outcome.error == ""
    config = outcome.invocation.config
    found = outcome.verification
    assert found is not None
    assert found.cycles_checked >= len(outcome.cycles) >= 1
    assert found.objects_checked > 100 * len(outcome.cycles)
    assert found.lost_granules == 0
    assert found.checksum_matches
    promises = barriers.promises_of(config.barrier)
    # A snapshot barrier reports objects, not pages: there is nothing to compare.
    if promises.tracks and not promises.snapshot:
        assert found.written_granules > 0
    if not promises.overreports:
        # A store under way while the log is emptied: an allocation buffer for each mutator and cycle at most.
        assert found.false_dirty_granules <= 3 * found.cycles_checked * config.mutators
