"""A whole experiment: its plan on this machine and, for what this kernel can't do, in the lab; into one directory."""

import datetime
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from gcbarrier.campaign import runner
from gcbarrier.campaign.lacking import (
    absent_collectors,
    as_told,
    compilable,
    equipped,
    lacking_barriers,
    refuse_lacking,
    require_lab,
    without,
)
from gcbarrier.campaign.matching import check
from gcbarrier.campaign.minheap import Minheap, sized
from gcbarrier.campaign.places import NATIVE, Place, guest_for, this_machine
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.settings import MACHINES, Settings
from gcbarrier.campaign.watching import UNWATCHED, Watch
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import host, lab
from gcbarrier.model import Config, Finding, Machine, Measured, Outcome, converter
from gcbarrier.plugins import discovery
from gcbarrier.plugins.discovery import nearest
from gcbarrier.results.run import Run, load
from gcbarrier.results.writer import RunWriter

_AS_PLANNED = Settings()


def run(
    name: str,
    *,
    out: Path | None = None,
    quick: bool = False,
    verify: bool = False,
    settings: Settings = _AS_PLANNED,
    watch: Watch = UNWATCHED,
) -> Run:
    """Run the experiment called ``name`` and write the run directory ``out``, which it returns loaded.

    By default that is ``runs/NAME-TIME``, with a number behind it where another run has just taken that.

    Barriers that this kernel lacks send the whole plan to the lab as well, so that one machine has them all. Collectors
    whose library is not there are left out. Raises Unavailable where the lab would be needed and isn't set up or where
    what is left out was asked for or leaves nothing, GcBarrierError where the plan can't be run; an invocation that
    fails is recorded with its error.
    """
    script = script_of(name)
    # No guest helps without one: what runs there is compiled here.
    build.compiler()
    seed = secrets.randbelow(1 << 31) if settings.seed is None else settings.seed
    plans: dict[str, Plan] = {}
    minheaps: dict[str, dict[str, Minheap]] = {}
    machines: dict[str, dict[str, object]] = {}
    target = out or Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    with RunWriter(target, or_next=out is None) as writer:

        def on(place: Place, plan: Plan, lacking: Mapping[str, Unavailable], only: int | None = None) -> None:
            name, found = place.machine.name, minheaps.setdefault(place.machine.name, {})
            plan = _sized(plan, place, found, seed, watch)
            plans[name] = plan
            machines[name] = {**place.manifest(), "lacking": as_told(lacking)}
            if found:
                machines[name]["minheaps"] = converter.unstructure(tuple(found.values()))
            for measured in _measure(place, plan, seed, watch, only):
                writer.add(measured)

        def planned(machine: Machine) -> Plan:
            with discovery.blamed("experiments", name):
                plan = script.plan(machine=machine, quick=quick)
            if not isinstance(plan, Plan):
                file = discovery.find("experiments", name)
                raise GcBarrierError(f"the experiment {name!r} has no plan: {file}'s plan() must return a Plan")
            return settings.apply(plan, verify=verify)

        def lab_plans() -> list[Plan]:
            # The accelerator is known once a guest runs, and its memory must be known before.
            either = [planned(Machine(name="lab", accelerator=each)) for each in ("kvm", "tcg")]
            if either[0].counted:
                either = [planned(Machine(name="lab", accelerator="tcg-icount"))]
            _compile([compilable(plan) for plan in either], watch)
            return either

        lacking: dict[str, Unavailable] = {}
        either = lab_plans() if settings.machine == "lab" else []
        if settings.machine != "lab":
            with this_machine() as place:
                here, absent = equipped(planned(NATIVE), place, settings, watch)
                _fit(here)
                _compile([here], watch)
                lacking = lacking_barriers(here, place.executor, watch)
                # Sessions want one machine with all of them, and so does who has named them.
                natively = settings.machine == "native" and not here.configs and "barrier" not in settings.choices
                if lacking and not natively:
                    require_lab(settings, lacking)
                for barrier, problem in lacking.items():
                    watch.lacking(barrier, problem)
                if settings.machine != "native" and (lacking or (here.counted and lab.status().ready)):
                    either = lab_plans()
                if present := without(here, lacking):
                    on(place, present, {**lacking, **absent})
        if either:
            # If counts vary from anything, then from boot to boot.
            boots = range(either[0].invocations) if either[0].counted else [None]
            for only in boots:
                with guest_for(either, watch) as guest:
                    there, absent = equipped(planned(guest.machine), guest, settings, watch)
                    missing = lacking_barriers(there, guest.executor, watch)
                    refuse_lacking(missing, there, settings)
                    on(guest, without(there, missing) or there, {**missing, **absent}, only)
        written = writer.commit(
            {
                "experiment": name,
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "quick": quick,
                "verify": verify,
                "seed": seed,
                "settings": converter.unstructure(settings),
                "plans": {machine: converter.unstructure(plan) for machine, plan in plans.items()},
                "machines": machines,
                "lacking": as_told(lacking),
            }
        )
    return load(out or target.with_name(written.name))


def measure(
    *configs: Config, invocations: int = 1, seed: int = 0, machine: str = "native", watch: Watch = UNWATCHED
) -> tuple[Outcome, ...]:
    """Run configurations from Python, ``native`` or in the ``lab``, and return an Outcome for each invocation.

    ``gcbarrier.results.pauses(outcomes)`` makes an array of them. Raises Unavailable for a barrier that the machine
    lacks, GcBarrierError for a configuration that can't be run; an invocation that fails is an outcome with its error.
    """
    if machine not in MACHINES:
        raise GcBarrierError(f"machine={machine!r}: {nearest(machine, MACHINES)}there are {' and '.join(MACHINES)}")
    try:
        plan = Plan(configs=configs, invocations=invocations)
    except (TypeError, ValueError) as problem:
        raise GcBarrierError(f"that can't be measured: {problem.args[0]}") from problem
    for config in configs:
        check(config)
    build.compiler()
    if machine == "native":
        _fit(plan)
    with guest_for([plan], watch) if machine == "lab" else this_machine() as place:
        absent, lacking = absent_collectors(plan, place), lacking_barriers(plan, place.executor, watch)
        for missing in (*absent.values(), *lacking.values()):
            raise missing
        plan = _sized(plan, place, {}, seed, watch)
        records = [measured.record for measured in _measure(place, plan, seed, watch)]
        return tuple(record for record in records if isinstance(record, Outcome))


def failures(run: Run) -> tuple[Outcome | Finding, ...]:
    """The invocations, of sessions and of probes, that did not end well."""
    everything: tuple[Outcome | Finding, ...] = (*run.outcomes, *run.findings)
    return tuple(one for one in everything if one.error)


def script_of(name: str) -> ModuleType:
    """The experiment's script. Raises GcBarrierError where there is none or it lacks a function."""
    script = discovery.module("experiments", name)
    for function in ("plan", "figures", "table"):
        if not callable(getattr(script, function, None)):
            file = discovery.find("experiments", name)
            raise GcBarrierError(f"the experiment {name!r} is incomplete: {file} needs a function {function}")
    return script


def _measure(place: Place, plan: Plan, seed: int, watch: Watch, only: int | None = None) -> Iterator[Measured]:
    watch.note("compiling")
    steps = runner.steps(plan, seed=seed, accelerator=place.machine.accelerator, only=only)
    watch.steps(place.machine.name, steps)
    yield from runner.run(
        steps, place.executor, machine=place.machine.name, has_compiler=place.has_compiler, on_done=watch.done
    )


def _sized(plan: Plan, place: Place, known: dict[str, Minheap], seed: int, watch: Watch) -> Plan:
    """The plan with heaps in bytes. Raises GcBarrierError where one of those that were multiples is too large here."""
    found = sized(plan, place, known, seed=seed, watch=watch)
    if found != plan and place.machine == NATIVE:
        _fit(found)
    return found


def _fit(plan: Plan) -> None:
    """Raises GcBarrierError where this machine has no memory for a heap of the plan; it is known before any is made."""
    for heap_bytes, memory in sorted({(one.heap_bytes, one.memory) for one in plan.parts}, reverse=True):
        host.fits(heap_bytes, memory)


def _compile(plans: Sequence[Plan], watch: Watch) -> None:
    watch.note("compiling")
    for plan in plans:
        runner.compile_all(plan)
