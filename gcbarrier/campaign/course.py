"""The course of one run: which plan each machine has, what of it is done, and what the manifest says of that.

A run that goes on where another stopped, or does another's plan again, has its plans from that one's manifest.
"""

import datetime
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cattrs
from attrs import field, frozen

from gcbarrier.campaign import provenance, runner, until
from gcbarrier.campaign.minheap import Minheap, sized
from gcbarrier.campaign.places import NATIVE, Place
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.request import Request
from gcbarrier.campaign.runner import Step
from gcbarrier.campaign.watching import Watch
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import host
from gcbarrier.machines.placement import placed
from gcbarrier.model import Config, Finding, Machine, Measured, Outcome, Probe, converter, evolve
from gcbarrier.plugins import discovery
from gcbarrier.results.run import PARTS, Run, load
from gcbarrier.results.writer import SOURCES, RunWriter

_AHEAD = 20
"""Rounds beyond the plan that are prepared at once."""

Done = frozenset[tuple[str, Config | Probe, int]]
"""Machine, configuration or probe, and number of the invocations that a run has."""


@frozen(kw_only=True)
class Recorded:
    """What an earlier run's manifest tells of how to run it again."""

    run: Run
    request: Request
    seed: int
    plans: Mapping[str, Plan]
    """By machine."""

    @property
    def folder(self) -> Path:
        """Of its copies of plug-ins."""
        return self.run.directory / SOURCES

    @property
    def guest(self) -> str:
        """The name of the lab's guest that it ran in; "": in none."""
        return next((name for name in self.plans if name != NATIVE.name), "")

    def complete(self, machine: str) -> bool:
        """Whether all of a machine's part is there."""
        wanted = sum(self.run.expected_of(machine, part) for part in PARTS)
        return len(self.run.on(machine)) + len(self.run.found(machine)) >= wanted

    @property
    def wants_lab(self) -> bool:
        """Whether a part of it is the lab's."""
        return bool(self.guest) or "lab" in self.run.manifest.get("awaited", ())


@frozen(kw_only=True)
class Course:
    """A run under way."""

    request: Request
    seed: int
    script: ModuleType
    writer: RunWriter
    watch: Watch
    done: Done = frozenset()
    recorded: Recorded | None = None
    """The run whose plans this one has."""
    resumed: bool = False
    """This is that very run."""
    minheaps: dict[str, dict[str, Minheap]] = field(factory=dict)

    def plan(self, machine: Machine) -> Plan:
        """What to run on a machine: what was run there, or what the experiment says, with the settings applied."""
        if (known := self.known(machine)) is not None:
            return known
        return self.request.plan(self.script, machine)

    def known(self, machine: Machine) -> Plan | None:
        """The plan that an earlier run had on such a machine; a guest is one by its accelerator."""
        if self.recorded is None:
            return None
        if machine == NATIVE and self.recorded.request.on:
            # Each of its workers was a machine like this one.
            return next(iter(self.recorded.plans.values()), None)
        for name, plan in self.recorded.plans.items():
            accelerator = self.recorded.run.facts(name).get("accelerator", "native")
            if (name == NATIVE.name) == (machine == NATIVE) and accelerator == machine.accelerator:
                return plan
        return None

    def measure(self, place: Place, plan: Plan, lacking: Mapping[str, Any], only: int | None = None) -> None:
        """Run what is left of a plan on a machine that is up; what the machine is and has, the manifest tells."""
        name = place.machine.name
        found = self.minheaps.setdefault(name, {})
        plan = sized_for(plan, place, found, self.seed, self.watch)
        self._begin(place, plan, lacking, found)
        self.watch.note("compiling")
        steps = runner.steps(plan, seed=self.seed, accelerator=place.machine.accelerator, only=only)
        left = [step for step in steps if not self.is_done(name, step)]
        self.watch.steps(name, left)
        begun = time.monotonic()
        for measured in taken(place, left, self.watch):
            self.writer.add(measured)
        # Counts repeat; and who goes on with a run does not narrow again what had its budget.
        if self.request.until and only is None and name not in self.writer.manifest.get("until", {}):
            self._go_on(place, plan, time.monotonic() - begun)

    def _go_on(self, place: Place, plan: Plan, spent_s: float) -> None:
        """Add rounds of invocations to what the plan asked for, as long as the report is not precise enough."""
        name, ahead = place.machine.name, dict[int, list[Step]]()

        def add(index: int) -> None:
            if index not in ahead:
                # Many at once: a program's data are made for all of them.
                longer = evolve(plan, invocations=index + _AHEAD)
                for step in runner.steps(longer, seed=self.seed, accelerator=place.machine.accelerator):
                    ahead.setdefault(identity(step.job.failed(name, "").record)[2], []).append(step)
            # Before anything of it is measured: a run that stops now lacks the rest of this round.
            plans = {**self.writer.manifest["plans"], name: converter.unstructure(evolve(plan, invocations=index + 1))}
            self.writer.note(plans=plans)
            self.watch.more(name, ahead[index])
            for measured in taken(place, ahead[index], self.watch):
                self.writer.add(measured)

        reached = until.grow(
            name,
            add,
            lambda: until.shown_by(self.script, load(self.writer.directory), name),
            wanted=self.request.until,
            budget_s=self.request.budget_s,
            invocations=plan.invocations,
            spent_s=spent_s,
        )
        told = {**converter.unstructure(reached), "words": reached.words}
        self.writer.note(until={**self.writer.manifest.get("until", {}), name: told})

    def refuse_another(self, machine: Machine) -> None:
        """Raises GcBarrierError where a run that goes on would do so in another guest."""
        if self.resumed and self.recorded and self.recorded.guest not in ("", machine.name):
            raise GcBarrierError(
                f"the lab's guest is {machine.name} now, and was {self.recorded.guest}: a run goes on in the same one; "
                "begin anew with `gcbarrier run --from`"
            )

    def await_turn(self, *machines: str) -> None:
        """Say in the manifest which machines are still to have their turn."""
        self.writer.note(awaited=list(machines))

    def _begin(self, place: Place, plan: Plan, lacking: Mapping[str, Any], found: Mapping[str, Minheap]) -> None:
        name = place.machine.name
        about: dict[str, Any] = {**place.manifest(), "lacking": lacking, "core": provenance.core()}
        if found:
            about["minheaps"] = converter.unstructure(tuple(found.values()))
        self.introduce(name, plan, about)

    def introduce(self, name: str, plan: Plan, about: Mapping[str, Any]) -> None:
        """A machine has its turn with this plan: the manifest says so, and what it is."""
        manifest = self.writer.manifest
        before = manifest.get("machines", {}).get(name)
        if self.resumed and before:
            # What it was then; that it is the same now was seen to before.
            about = {**before, "resumed": [*before.get("resumed", ()), about["date"]]}
        # The counted boots of one guest are all of one plan.
        plans = {**manifest.get("plans", {}), name: converter.unstructure(plan)}
        self.writer.note(plans=plans, machines={**manifest.get("machines", {}), name: about})
        self._keep_sources([converter.structure(each, Plan) for each in plans.values()])

    def _keep_sources(self, plans: Sequence[Plan]) -> None:
        found = provenance.sources(self.request.experiment, plans)
        files = provenance.given(plans)
        self.writer.keep(
            {
                **provenance.copies(found),
                **{provenance.copy_of(value): file for value, file in files.items()},
                f"built/{provenance.core()['name']}.so": provenance.library(),
            }
        )
        self.writer.note(
            sources=converter.unstructure(found),
            given={value: provenance.digest(file) for value, file in files.items()},
        )

    def is_done(self, machine: str, step: Step) -> bool:
        """Whether an earlier run of this has it."""
        return bool(self.done) and identity(step.job.failed(machine, "").record) in self.done


def taken(place: Place, steps: Sequence[Step], watch: Watch) -> Iterator[Measured]:
    """Run steps on a machine that is up."""
    return runner.run(
        steps, place.executor, machine=place.machine.name, has_compiler=place.has_compiler, on_done=watch.done
    )


def sized_for(plan: Plan, place: Place, known: dict[str, Minheap], seed: int, watch: Watch) -> Plan:
    """The plan with heaps in bytes. Raises GcBarrierError where one of those that were multiples is too large here."""
    found = sized(plan, place, known, seed=seed, watch=watch)
    if found != plan and place.machine == NATIVE:
        fit(found)
    return found


def fit(plan: Plan) -> None:
    """Raises GcBarrierError where this machine has no memory for a heap of the plan, or not the processors it pins to.

    It is known before any is made.
    """
    for pin, mutators in sorted({(one.pin, one.mutators) for one in plan.configs}):
        placed(pin, mutators)
    for heap_bytes, memory in sorted({(one.heap_bytes, one.memory) for one in plan.parts}, reverse=True):
        host.fits(heap_bytes, memory)


def identity(record: Outcome | Finding) -> tuple[str, Config | Probe, int]:
    """Which invocation of a plan a record is of."""
    if isinstance(record, Outcome):
        return record.machine, record.invocation.config, record.invocation.index
    return record.machine, record.probe, record.index


def first_words(request: Request, seed: int) -> dict[str, Any]:
    """What a manifest says from the first second on."""
    return {
        "experiment": request.experiment,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": request.quick,
        "verify": request.verify,
        "seed": seed,
        "settings": converter.unstructure(request.settings),
        "request": converter.unstructure(request),
        "command_line": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "search_path": [_as_typed(path) for path in discovery.paths()],
        "plans": {},
        "machines": {},
    }


def recorded(run: Run) -> Recorded:
    """How a run can be run again. Raises GcBarrierError where its manifest does not tell, as older ones do not."""
    manifest = run.manifest
    try:
        request = converter.structure(manifest["request"], Request)
        plans = {str(name): converter.structure(plan, Plan) for name, plan in manifest["plans"].items()}
        seed = int(manifest["seed"])
    except (KeyError, TypeError, ValueError, AttributeError, cattrs.BaseValidationError) as problem:
        what = f"{run.directory} does not tell how it was run"
        raise GcBarrierError(
            f"{what}: it was kept by save(), is of an older gcbarrier, or damaged; run the experiment anew"
        ) from problem
    return Recorded(run=run, request=request, seed=seed, plans=plans)


def _as_typed(path: Path) -> str:
    """A folder of plug-ins, from where the run was started if it is below that: a manifest travels."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)


__all__ = ["Course", "Done", "Recorded", "first_words", "fit", "identity", "recorded", "sized_for", "taken"]
