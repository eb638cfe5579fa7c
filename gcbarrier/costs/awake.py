"""Mutators' processor time for their program, which is less than what the kernel counts.

Where every thread can have a processor of its own a mutator spins for a while when the world is stopped, before it
sleeps (``native/world/safepoint.c``). Stopped for 10 ms ten times a second, a program that works for a tenth of its
time seems to cost a fifth more for it: where costs of barriers are compared with those of a stopped world, that is
neither the barrier's nor the program's.
"""

from collections.abc import Mapping
from typing import Any

from gcbarrier.model import Config, Outcome

SPIN_NS = 2_000_000
"""As long as that, ``native/world/threads.c`` has it."""


def spin_ns(config: Config, machine: Mapping[str, Any]) -> int:
    """How long its mutators spin at most on a machine of which these are the facts; 0 where they don't."""
    cpu = machine.get("cpu")
    processors = len(cpu.get("affinity", ())) if isinstance(cpu, Mapping) else 0
    return SPIN_NS if config.pin in ("", "apart") and processors > config.mutators else 0


def awake_cpu_ns(outcome: Outcome, most_ns: int) -> float:
    """The mutators' processor time without what they spun, at most so long in each stop."""
    spun = sum(min(pause.pause_ns, most_ns) for pause in outcome.pauses)
    return max(outcome.mutator_cpu_ns - outcome.invocation.config.mutators * spun, 0.0)


def awake_cpu_ns_per_operation(outcome: Outcome, most_ns: int) -> float:
    """The same for an operation; nan where there was none."""
    return awake_cpu_ns(outcome, most_ns) / outcome.operations if outcome.operations else float("nan")


__all__ = ["SPIN_NS", "awake_cpu_ns", "awake_cpu_ns_per_operation", "spin_ns"]
