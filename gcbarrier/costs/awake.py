"""Mutators' processor time for their program, which is less than what the kernel counts.

Where every thread can have a processor of its own a mutator spins for a while when the world is stopped, before it
sleeps (``native/world/safepoint.c``). Stopped for 10 ms ten times a second, a program that works for a tenth of its
time seems to cost a fifth more for it: where costs of barriers are compared with those of a stopped world, that is
neither the barrier's nor the program's.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.placement import placed
from gcbarrier.model import Config, Outcome
from gcbarrier.model.kinds import Kind
from gcbarrier.results.run import Run

SPIN_NS = 2_000_000
"""As long as that, ``native/world/threads.c`` has it."""


@frozen
class Awake:
    """The processor time of a run's mutators without what they spun."""

    _spun_ns: Mapping[int, float]
    """By the identity of the outcome."""

    def cpu_ns_per_operation(self, outcome: Outcome) -> float:
        """Of all mutators; nan where nothing was done."""
        own_ns = max(outcome.mutator_cpu_ns - self._spun_ns.get(id(outcome), 0.0), 0.0)
        return own_ns / outcome.operations if outcome.operations else float("nan")


def awake(run: Run, machine: str) -> Awake:
    """What the mutators of a run spun on one of its machines, by the raw events; nothing where there are none."""
    facts, spun = run.facts(machine), {}
    here = {id(outcome) for outcome in run.on(machine)}
    for index, outcome in enumerate(run.outcomes):
        most_ns = spin_ns(outcome.invocation.config, facts) if id(outcome) in here else 0
        if most_ns:
            try:
                spun[id(outcome)] = spun_ns(outcome, run.events(index), most_ns)
            except GcBarrierError:
                continue
    return Awake(spun)


def spin_ns(config: Config, machine: Mapping[str, Any]) -> int:
    """How long its mutators spin at most on a machine with these facts; 0 where they don't, or nobody knows.

    They do where the collector has a processor besides theirs, as ``gcb_world_has_room`` in ``native/world/placing.c``.
    """
    cpu = machine.get("cpu")
    affinity = cpu.get("affinity") if isinstance(cpu, Mapping) else None
    if not isinstance(affinity, list):
        return 0
    try:
        where = placed(config.pin, config.mutators, affinity)
    except GcBarrierError:
        return 0
    if not where.mutators:
        return SPIN_NS if len(affinity) > config.mutators else 0
    room = len(where.mutators) >= config.mutators and set(where.collector) - set(where.mutators)
    return SPIN_NS if room else 0


def spun_ns(outcome: Outcome, events: NDArray[Any], most_ns: int) -> float:
    """What the mutators spun, at most so long each time that a stop held one.

    One that waits for memory or for its pace is not held; before a stop for re-arming they give up their processors.
    """
    held = events[events["kind"] == Kind.HELD]
    begin, end = held["start_ns"].astype(np.int64), held["end_ns"].astype(np.int64)
    spins = np.full(len(held), True)
    for pause in outcome.pauses:
        if pause.kind == "rearm":
            spins &= ~((begin >= pause.start_ns) & (begin < pause.start_ns + pause.pause_ns))
    return float(np.minimum(end - begin, most_ns)[spins].sum())


__all__ = ["SPIN_NS", "Awake", "awake", "spin_ns", "spun_ns"]
