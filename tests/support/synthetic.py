"""Outcomes and runs that look like real ones, for tests of what comes after the measuring."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcbarrier.model import Config, Invocation, Measured, Outcome, Pause, Stall
from gcbarrier.results.run import Run
from gcbarrier.results.writer import RunWriter

EVENT = np.dtype([("t_ns", "<u8"), ("kind", "<u2"), ("thread", "<u2"), ("value", "<i8")])

_PHASE_SHARE = {
    # barrier: ttsp, roots, collect, rescan, mark, resume; the rest is in no phase
    "none": (0.01, 0.01, 0.0, 0.0, 0.96, 0.01),
    "uffd-wp-async": (0.12, 0.05, 0.45, 0.30, 0.05, 0.02),
    "uffd-wp-pagemap": (0.08, 0.03, 0.70, 0.13, 0.03, 0.02),
    "soft-dirty": (0.08, 0.03, 0.72, 0.12, 0.03, 0.01),
}
_MEDIAN_US = {"none": 42_000.0, "uffd-wp-async": 340.0, "uffd-wp-pagemap": 1_900.0, "soft-dirty": 2_300.0}


def make_pauses(
    rng: np.random.Generator, barrier: str, cycles: int, slow: float = 1.0, *, preempted: float = 0.08
) -> tuple[Pause, ...]:
    """``cycles`` remarks (with rearm stops before them where the barrier can't do without), as a real run has them."""
    found = []
    now = 1_000_000_000
    share = _PHASE_SHARE.get(barrier, _PHASE_SHARE["uffd-wp-async"])
    for cycle in range(cycles):
        kinds = ["remark"]
        if barrier == "none":
            kinds = ["full"]
        elif barrier in ("uffd-wp-pagemap", "soft-dirty"):
            kinds = ["rearm"] * int(rng.integers(1, 4)) + kinds
        for kind in kinds:
            median = _MEDIAN_US.get(barrier, 500.0) * slow * (0.45 if kind == "rearm" else 1.0)
            off = bool(rng.random() < preempted)
            total = int(rng.lognormal(np.log(median * 1e3), 0.25) * (6 if off else 1))
            parts = [int(total * s) for s in share]
            if kind == "rearm":
                parts = [parts[0], 0, int(total * 0.85), 0, 0, parts[5]]
            found.append(
                Pause(
                    cycle=cycle,
                    kind=kind,
                    start_ns=now,
                    pause_ns=total,
                    ttsp_ns=parts[0],
                    roots_ns=parts[1],
                    collect_ns=parts[2],
                    rescan_ns=parts[3],
                    mark_ns=parts[4],
                    resume_ns=parts[5],
                    dirty_granules=int(rng.integers(10, 600)) if barrier != "none" else 0,
                    rounds=int(rng.integers(1, 4)),
                    preempted=off,
                )
            )
            now += total + int(rng.integers(10_000_000, 90_000_000))
    return tuple(found)


def make_stalls(count: int) -> tuple[Stall, ...]:
    """So many waits for memory, each longer than the one before."""
    return tuple(
        Stall(cycle=i, mutator=0, start_ns=1_000_000_000 * i, stall_ns=5_000_000 * (i + 1), request_bytes=4096)
        for i in range(count)
    )


def make_outcome(config: Config, index: int, *, machine: str = "native", error: str = "", cycles: int = 12) -> Outcome:
    """A plausible invocation of ``config``."""
    rng = np.random.default_rng([index, len(machine), *config.label.encode()])
    slow = 1.0 if machine == "native" else 12.0
    base = {"snapshot": 0.2, "gcbench": 0.6, "graph_edits": 1.0}.get(config.heap, 1.0)
    tax = {"none": 1.0, "uffd-wp-async": 1.06, "uffd-wp-pagemap": 1.13, "soft-dirty": 1.10}.get(config.barrier, 1.2)
    operations = int(3_000_000 / slow / tax * rng.normal(1, 0.02))
    return Outcome(
        invocation=Invocation(config=config, index=index, seed=1000 + index),
        machine=machine,
        error=error,
        pauses=() if error else make_pauses(rng, config.barrier, cycles, slow * base),
        stalls=make_stalls(2) if config.barrier == "uffd-wp-pagemap" and not error else (),
        wall_ns=int(config.duration_s * 1e9),
        operations=operations,
        mutator_cpu_ns=int(operations * 300 * slow * tax * rng.normal(1, 0.01)),
        collector_cpu_ns=300_000_000,
        minor_faults=0 if config.barrier == "none" else int(operations * 0.02 * rng.normal(1, 0.05)),
    )


def make_outcomes(
    configs: Sequence[Config], *, invocations: int = 3, machine: str = "native", cycles: int = 12
) -> list[Outcome]:
    """Invocations of each of ``configs``."""
    return [make_outcome(c, i, machine=machine, cycles=cycles) for i in range(invocations) for c in configs]


def make_events(count: int) -> bytes:
    """Raw events as an invocation hands them over."""
    buffer = io.BytesIO()
    events = np.zeros(count, EVENT)
    events["t_ns"] = np.arange(count) * 1000
    np.save(buffer, events)
    return buffer.getvalue()


def make_manifest(experiment: str = "pause_times") -> dict[str, Any]:
    """As much of a manifest as the figures look at."""
    native = {
        "date": "2025-03-04T10:11:12+00:00",
        "kernel": {"release": "6.18.5"},
        "cpu": {"model": "Intel Xeon Processor @ 2.60GHz", "affinity": [0, 1]},
        "accelerator": "native",
        "hypervisor": "none",
        "thp": {"enabled": "madvise", "shmem_enabled": "never"},
    }
    guest = {
        **native,
        "kernel": {"release": "6.12.95+deb12-cloud-amd64"},
        "accelerator": "tcg",
        "hypervisor": "QEMU",
        "cpu": {"model": "QEMU Virtual CPU", "affinity": [0, 1]},
    }
    return {
        "experiment": experiment,
        "machines": {"native": native, "lab-6.12.95-tcg": guest},
    }


def make_run(outcomes: Sequence[Outcome], manifest: dict[str, Any] | None = None) -> Run:
    """``outcomes`` as if loaded from a run directory, which there is not."""
    return Run(
        directory=Path("runs/synthetic"),
        manifest=make_manifest() if manifest is None else manifest,
        outcomes=tuple(outcomes),
        event_files=tuple(Path(f"runs/synthetic/events/{index}.npy") for index in range(len(outcomes))),
    )


def write_run(target: Path, outcomes: Sequence[Outcome], events: bytes = b"", experiment: str = "pause_times") -> Path:
    """A run directory with ``outcomes``, each with the same raw ``events``."""
    with RunWriter(target, make_manifest(experiment)) as writer:
        for outcome in outcomes:
            writer.add(Measured(record=outcome, events=events))
        return writer.commit()
