"""What a worker is asked before it measures: its own plan, what it lacks of it, and everything compiled there.

:func:`prepare` runs in a fresh process of that machine. What is compiled or computed for an invocation stays in the
run's folder there; the steps that come back say where.
"""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from gcbarrier.bench.probes import ProbeJob
from gcbarrier.campaign import provenance, runner
from gcbarrier.campaign.course import fit
from gcbarrier.campaign.kept import KeptJob
from gcbarrier.campaign.lacking import as_told, equipped, lacking_barriers, without
from gcbarrier.campaign.minheap import Minheap, sized
from gcbarrier.campaign.places import this_machine
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.request import Request
from gcbarrier.campaign.runner import Step
from gcbarrier.campaign.watching import UNWATCHED
from gcbarrier.core import build
from gcbarrier.errors import Unavailable
from gcbarrier.machines.cluster.there import FOLDER_VARIABLE
from gcbarrier.model import Finding, Outcome, converter, to_json
from gcbarrier.plugins import discovery
from gcbarrier.session.ours import SessionJob


@frozen(kw_only=True)
class Errand:
    """What was asked for, to be asked of another machine."""

    request: Request
    seed: int
    plan: Plan | None = None
    """Of an earlier run; None: the experiment is asked for one."""


@frozen(kw_only=True)
class Prepared:
    """A machine's own answer."""

    plan: Plan
    blocks: Mapping[int, tuple[Step, ...]]
    """By the invocations' number."""
    lacking: Mapping[str, Unavailable]
    """Barriers and collectors that can't be had there: its plan is without them."""
    manifest: Mapping[str, Any]


def prepare(errand: Errand) -> Prepared:
    """Plan the experiment for the machine that this process is on, and compile it all.

    Raises GcBarrierError where its plan can't be run there, Unavailable where nothing of it is left.
    """
    build.compiler()
    request = errand.request
    with this_machine() as place:
        plan = errand.plan or request.plan(discovery.module("experiments", request.experiment), place.machine)
        plan, absent = equipped(plan, place, request.settings, UNWATCHED)
        fit(plan)
        runner.compile_all(plan)
        missing = lacking_barriers(plan, place.executor, UNWATCHED)
        left = without(plan, missing)
        if left is None or set(missing) & set(request.settings.choices.get("barrier", ())):
            raise next(iter(missing.values()))
        found: dict[str, Minheap] = {}
        left = sized(left, place, found, seed=errand.seed)
        fit(left)
        steps = runner.steps(left, seed=errand.seed, accelerator=place.machine.accelerator)
        lacking = {**missing, **absent}
        manifest = {**place.manifest(), "lacking": as_told(lacking), "core": provenance.core()}
    if found:
        manifest["minheaps"] = converter.unstructure(tuple(found.values()))
    folder = Path(os.environ[FOLDER_VARIABLE])
    return Prepared(plan=left, blocks=kept(steps, folder), lacking=lacking, manifest=manifest)


def kept(steps: tuple[Step, ...], folder: Path) -> dict[int, tuple[Step, ...]]:
    """The steps by block, with what they need left in ``folder``, once for all invocations of a configuration."""
    files: dict[str, Path] = {}
    found: dict[int, tuple[Step, ...]] = {}
    for number, step in enumerate(steps):
        job = step.job
        blank: Outcome | Finding
        if isinstance(job, SessionJob):
            blank, key = Outcome(invocation=job.invocation, machine=""), to_json(job.invocation.config)
        elif isinstance(job, ProbeJob):
            blank, key = Finding(probe=job.probe, index=job.index, machine=""), f"probe {number}"
        else:
            raise TypeError(f"a step's job is a session's or a probe's, not {job!r:.60}")
        if key not in files:
            files[key] = folder / f"job-{number}.pickle"
            files[key].write_bytes(pickle.dumps(job))
        moved = KeptJob(file=files[key], blank=blank, label=job.label)
        found[moved.index] = (*found.get(moved.index, ()), evolve(step, job=moved))
    return found


__all__ = ["Errand", "Prepared", "kept", "prepare"]
