"""A whole experiment: its plan on this machine and, for what this kernel can't do, in the lab; into one directory."""

import contextlib
import datetime
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
from attrs import field, frozen

from gcbarrier import barriers, bench, build, discovery, host, lab, runner, store
from gcbarrier.discovery import nearest
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.experiment import Plan
from gcbarrier.fresh import FreshExecutor
from gcbarrier.model import Config, Finding, Machine, Outcome, Probe, converter
from gcbarrier.runner import Step
from gcbarrier.session import Measured
from gcbarrier.settings import MACHINES, Settings, check

NATIVE = Machine(name="native")

_PROBED = ("heap_bytes", "memory")
"""The settings of fields that probes have as well."""

_GUEST_SHARE = 1.08
_GUEST_BYTES = 768 << 20
_ORACLE_BYTES = 1 << 30


def _silent(*_: Any) -> None:
    """Nobody watches."""


@frozen(kw_only=True)
class Watch:
    """Who is told how a run comes along; all are called in the thread that runs it."""

    note: Callable[[str], None] = _silent
    """What happens next, as a sentence's beginning."""
    steps: Callable[[str, Sequence[Step]], None] = _silent
    """The machine's name, and the steps that are to be taken there."""
    done: Callable[[Step, Measured], None] = _silent
    lacking: Callable[[str, Unavailable], None] = _silent
    """A barrier of the plan that this kernel does not have: it runs in the lab."""


_AS_PLANNED, _UNWATCHED = Settings(), Watch()


@frozen(kw_only=True)
class _Place:
    """A machine that is up, and what goes on there."""

    machine: Machine
    executor: Executor
    about: dict[str, Any] = field(factory=dict)


def run(
    name: str,
    *,
    out: Path,
    quick: bool = False,
    verify: bool = False,
    settings: Settings = _AS_PLANNED,
    watch: Watch = _UNWATCHED,
) -> store.Run:
    """Run the experiment called ``name`` and write the run directory ``out``, which it returns loaded.

    Barriers that this kernel lacks send the whole plan to the lab as well, so that one machine has them all. Raises
    Unavailable where the lab would be needed and isn't set up, GcBarrierError where the plan can't be run; an
    invocation that fails is recorded with its error.
    """
    script = script_of(name)
    # No guest helps without one: what runs there is compiled here.
    build.compiler()
    seed = secrets.randbelow(1 << 31) if settings.seed is None else settings.seed
    plans: dict[str, Plan] = {}
    machines: dict[str, dict[str, object]] = {}
    with store.RunWriter(out) as writer:

        def on(place: _Place, plan: Plan, only: int | None = None) -> None:
            plans[place.machine.name] = plan
            machines[place.machine.name] = {**runner.manifest(place.executor), **place.about}
            if plan.configs:
                for measured in _measure(place, plan, seed, watch):
                    writer.add(measured.outcome, measured.events)
            for finding in _probe(place, plan, seed, watch, only):
                writer.add_finding(finding)

        def planned(machine: Machine) -> Plan:
            with discovery.blamed("experiments", name):
                plan = script.plan(machine=machine, quick=quick)
            if not isinstance(plan, Plan):
                file = discovery.find("experiments", name)
                raise GcBarrierError(f"the experiment {name!r} has no plan: {file}'s plan() must return a Plan")
            return _applied(settings, plan, verify=verify)

        lacking: dict[str, Unavailable] = {}
        counted = False
        if settings.machine != "lab":
            with _here() as place:
                here = planned(NATIVE)
                _fit(here)
                lacking = _lacking(here, place.executor, watch)
                # Sessions want one machine with all of them, and so does who has named them.
                natively = settings.machine == "native" and not here.configs and "barrier" not in settings.choices
                if lacking and not natively:
                    _require_lab(settings, lacking)
                for barrier, problem in lacking.items():
                    watch.lacking(barrier, problem)
                if present := _without(here, lacking):
                    on(place, present)
                counted = here.counted and not settings.machine and lab.status().ready
        if settings.machine != "native" and (lacking or counted or settings.machine == "lab"):
            # The accelerator is known once a guest runs, and its memory must be known before.
            either = [planned(Machine(name="lab", accelerator=each)) for each in ("kvm", "tcg")]
            boots: list[int | None] = [None]
            if either[0].counted:
                either = [planned(Machine(name="lab", accelerator="tcg-icount"))]
                # If counts vary from anything, then from boot to boot.
                boots = list(range(either[0].invocations))
            for only in boots:
                with _guest(either, watch) as guest:
                    there = planned(guest.machine)
                    missing = _lacking(there, guest.executor, watch)
                    _refuse(missing, there, settings)
                    on(guest, _without(there, missing) or there, only)
        writer.commit(
            {
                "experiment": name,
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "quick": quick,
                "verify": verify,
                "seed": seed,
                "settings": converter.unstructure(settings),
                "plans": {machine: converter.unstructure(plan) for machine, plan in plans.items()},
                "machines": machines,
                "lacking": {name: {"why": problem.why, "remedy": problem.remedy} for name, problem in lacking.items()},
            }
        )
    return store.load(out)


def measure(
    *configs: Config, invocations: int = 1, seed: int = 0, machine: str = "native", watch: Watch = _UNWATCHED
) -> tuple[Outcome, ...]:
    """Run configurations from Python, ``native`` or in the ``lab``, and return an Outcome for each invocation.

    ``gcbarrier.metrics.pauses(outcomes)`` makes an array of them. Raises Unavailable for a barrier that the machine
    lacks, GcBarrierError for a configuration that can't be run; an invocation that fails is an outcome with its error.
    """
    if machine not in MACHINES:
        raise GcBarrierError(f"machine={machine!r}: {nearest(machine, MACHINES)}there are {' and '.join(MACHINES)}")
    for config in configs:
        check(config)
    plan = Plan(configs=configs, invocations=invocations)
    build.compiler()
    if machine == "native":
        _fit(plan)
    with _guest([plan], watch) if machine == "lab" else _here() as place:
        for problem in _lacking(plan, place.executor, watch).values():
            raise problem
        return tuple(measured.outcome for measured in _measure(place, plan, seed, watch))


def failures(run: store.Run) -> tuple[Outcome | Finding, ...]:
    """The invocations, of sessions and of probes, that did not end well."""
    everything: tuple[Outcome | Finding, ...] = (*run.outcomes, *run.findings)
    return tuple(one for one in everything if one.error)


def script_of(name: str) -> ModuleType:
    """The experiment's script. Raises GcBarrierError where there is none or it lacks a function."""
    script = discovery.load("experiments", name)
    for function in ("plan", "figures", "table"):
        if not callable(getattr(script, function, None)):
            file = discovery.find("experiments", name)
            raise GcBarrierError(f"the experiment {name!r} is incomplete: {file} needs a function {function}")
    return script


def _measure(place: _Place, plan: Plan, seed: int, watch: Watch) -> Iterator[Measured]:
    watch.note("compiling")
    steps = runner.steps(plan, seed=seed, accelerator=place.machine.accelerator)
    watch.steps(place.machine.name, steps)
    here = place.machine == NATIVE
    yield from runner.run(steps, place.executor, machine=place.machine.name, has_compiler=here, on_done=watch.done)


def _probe(place: _Place, plan: Plan, seed: int, watch: Watch, only: int | None) -> Iterator[Finding]:
    """The plan's probes; of invocation ``only`` if that is given."""
    if not plan.probes:
        return
    watch.note("compiling")
    jobs = [job for job in runner.probes(plan, seed=seed) if only in (None, job.index)]
    numbers = {id(job): number for number, job in enumerate(jobs, start=1)}

    def begin(job: bench.Job) -> None:
        watch.note(f"{place.machine.name}: {numbers[id(job)]}/{len(jobs)} {job.probe.label}")

    here = place.machine == NATIVE
    yield from runner.run_probes(jobs, place.executor, machine=place.machine.name, has_compiler=here, on_begin=begin)


def _applied(settings: Settings, plan: Plan, *, verify: bool) -> Plan:
    """The plan as the settings change it. Raises GcBarrierError where it can't be run like that."""
    probes: list[Probe] = []
    for probe in plan.probes:
        chosen = settings.choices.get("barrier", ()) if barriers.load(probe.barrier).tracks else ()
        for name in chosen or (probe.barrier,):
            changed = probe if name == probe.barrier else attrs.evolve(probe, barrier=name, barrier_params={})
            changes: dict[str, Any] = {key: settings.fields[key] for key in _PROBED if key in settings.fields}
            params = {**changed.barrier_params, **settings.params.get(name, {})}
            changed = attrs.evolve(changed, barrier_params=params, **changes)
            barriers.choose(name, params)
            if changed not in probes:
                probes.append(changed)
    # What has been set of a probe's barrier is not without effect, though there is no session.
    probed = {probe.barrier for probe in probes} if not plan.configs else set()
    others = {owner: params for owner, params in settings.params.items() if owner not in probed}
    sessions = attrs.evolve(settings, params=others).apply(plan, verify=verify)
    if not (sessions.configs or probes):
        raise GcBarrierError("the experiment plans nothing: its plan needs configs or probes")
    return attrs.evolve(plan, configs=sessions.configs, probes=tuple(probes), invocations=sessions.invocations)


def _largest_bytes(*plans: Plan) -> int:
    return max(one.heap_bytes for plan in plans for one in _parts(plan))


def _fit(plan: Plan) -> None:
    """Raises GcBarrierError where this machine has no memory for a heap of the plan; it is known before any is made."""
    for heap_bytes, memory in sorted({(one.heap_bytes, one.memory) for one in _parts(plan)}, reverse=True):
        host.fits(heap_bytes, memory)


def _parts(plan: Plan) -> tuple[Config | Probe, ...]:
    return (*plan.configs, *plan.probes)


def _refuse(missing: dict[str, Unavailable], plan: Plan, settings: Settings) -> None:
    """Raises Unavailable where the lab lacks a barrier that must be there.

    Sessions want one machine with all of them, and so does who has named them; probes make do with what there is.
    """
    for name, problem in missing.items():
        if plan.configs or name in settings.choices.get("barrier", ()) or _without(plan, missing) is None:
            raise problem


def _lacking(plan: Plan, executor: Executor, watch: Watch) -> dict[str, Unavailable]:
    """The plan's barriers that don't work on the executor's machine."""
    watch.note("trying the barriers")
    memories = {one.barrier: one.memory for one in _parts(plan)}
    return {name: why for name, why in runner.availability(memories, executor).items() if why is not None}


def _without(plan: Plan, lacking: dict[str, Unavailable]) -> Plan | None:
    """What is left of a plan; nothing if that is only the baseline."""
    configs = tuple(config for config in plan.configs if config.barrier not in lacking)
    probes = tuple(probe for probe in plan.probes if probe.barrier not in lacking)
    left = attrs.evolve(plan, configs=configs, probes=probes)
    return None if lacking and not any(barriers.load(one.barrier).tracks for one in _parts(left)) else left


def _require_lab(settings: Settings, lacking: dict[str, Unavailable]) -> None:
    """Raises Unavailable where neither this kernel nor the lab will do."""
    name, problem = next(iter(lacking.items()))
    if settings.machine == "native":
        raise Unavailable(problem.what, problem.why, _either("let it run in the lab, without machine=native", problem))
    status = lab.status()
    if not status.ready:
        raise Unavailable(
            f"the barrier {name}",
            f"on this kernel {problem.why}, and the lab is not ready: {status.missing}",
            _either("leave it out with `--set barrier=...`", status),
        )


def _either(one: str, other: Unavailable | lab.LabStatus) -> str:
    """A remedy that is always there, and before it the other one where there is any."""
    return ", or ".join(filter(None, (other.remedy, one)))


@contextlib.contextmanager
def _here() -> Iterator[_Place]:
    with FreshExecutor() as executor:
        yield _Place(machine=NATIVE, executor=executor)


@contextlib.contextmanager
def _guest(plans: Sequence[Plan], watch: Watch) -> Iterator[_Place]:
    """A guest with memory for the largest heap of ``plans``; one that counts instructions if they ask for that."""
    verify = any(config.verify for plan in plans for config in plan.configs)
    memory_bytes = int(_largest_bytes(*plans) * _GUEST_SHARE) + _GUEST_BYTES + verify * _ORACLE_BYTES
    huge = [one.heap_bytes for plan in plans for one in _parts(plan) if one.memory == "hugetlb"]
    huge_bytes = max(huge, default=0)
    memory_bytes += huge_bytes
    counted = any(plan.counted for plan in plans)
    watch.note("booting the lab's guest")
    with lab.LabExecutor(memory_bytes=memory_bytes, huge_bytes=huge_bytes, icount=counted) as executor:
        guest = executor.machine
        machine = Machine(name=guest.name, accelerator=guest.accelerator)
        # The guest has neither compiler nor checkout: what it runs was made here.
        here = host.manifest()
        made_here = {name: here[name] for name in ("compiler", "packages", "gcbarrier")}
        yield _Place(machine=machine, executor=executor, about={"lab": attrs.asdict(guest), **made_here})
