"""Is all there that a run has measured? Its manifest holds the plan, and so how many records there must be."""

from collections.abc import Iterator, Mapping
from typing import Any

from gcbarrier.results.run import Run

_RECORDS = {"configs": "outcomes", "probes": "findings"}
"""What each invocation of these parts of a plan leaves, whether it ended well or not."""


def lost(run: Run, machine: str) -> str:
    """How many records of ``machine`` are not there any more, as a sentence ("" where none is known to be missing).

    What a plan does not tell, as those of older runs, is not missed.
    """
    there = {"outcomes": len(run.on(machine)), "findings": len(run.found(machine))}
    parts = []
    for part, records in _RECORDS.items():
        wanted = sum(_wanted(plan, part) for plan in _plans(run, machine))
        if there[records] < wanted:
            parts.append(f"{wanted - there[records]:,} of {wanted:,} {records}")
    if not parts:
        return ""
    return f"{' and '.join(parts)} are missing from the run directory: what is shown rests on the others"


def losses(run: Run) -> Iterator[str]:
    """Those of all machines, each with the machine's name."""
    for machine in dict.fromkeys((*run.machines, *(name for plans in _all_plans(run) for name in plans))):
        if said := lost(run, machine):
            yield f"{machine}: {said}"


def _all_plans(run: Run) -> Iterator[Mapping[str, Any]]:
    for manifest in run.manifests:
        plans = manifest.get("plans")
        if isinstance(plans, Mapping):
            yield plans


def _plans(run: Run, machine: str) -> Iterator[Mapping[str, Any]]:
    for plans in _all_plans(run):
        plan = plans.get(machine)
        if isinstance(plan, Mapping):
            yield plan


def _wanted(plan: Mapping[str, Any], part: str) -> int:
    parts, invocations = plan.get(part), plan.get("invocations")
    return len(parts) * invocations if isinstance(parts, list) and isinstance(invocations, int) else 0


__all__ = ["losses", "lost"]
