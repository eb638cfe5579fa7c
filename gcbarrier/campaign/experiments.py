"""A whole experiment: its plan on this machine and, for what this kernel can't do, in the lab; into one directory."""

import contextlib
import datetime
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
from attrs import field, frozen

from gcbarrier import barriers, collectors
from gcbarrier.bench import probes as bench
from gcbarrier.campaign import runner
from gcbarrier.campaign.runner import Step
from gcbarrier.campaign.settings import MACHINES, Settings, check
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.experiment import Plan
from gcbarrier.machines import host, lab
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, Finding, Machine, Outcome, Probe, converter
from gcbarrier.plugins import discovery
from gcbarrier.plugins.discovery import nearest
from gcbarrier.results import store
from gcbarrier.session.ours import Measured

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
    left_out: Callable[[str, str, Unavailable], None] = _silent
    """The machine's name, and what of the plan is not run there because it can't be had."""


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
    out: Path | None = None,
    quick: bool = False,
    verify: bool = False,
    settings: Settings = _AS_PLANNED,
    watch: Watch = _UNWATCHED,
) -> store.Run:
    """Run the experiment called ``name`` and write the run directory ``out``, which it returns loaded.

    By default that is ``runs/NAME-TIME``, with a number behind it where another run has just taken that.

    Barriers that this kernel lacks send the whole plan to the lab as well, so that one machine has them all. Collectors
    whose library is not there are left out. Raises Unavailable where the lab would be needed and isn't set up or where
    what is left out was asked for or leaves nothing, GcBarrierError where the plan can't be run; an invocation that
    fails is recorded with its error.
    """
    script = script_of(name)
    seed = secrets.randbelow(1 << 31) if settings.seed is None else settings.seed
    plans: dict[str, Plan] = {}
    machines: dict[str, dict[str, object]] = {}
    target = out or Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    with store.RunWriter(target, or_next=out is None) as writer:

        def on(place: _Place, plan: Plan, lacking: Mapping[str, Unavailable], only: int | None = None) -> None:
            plans[place.machine.name] = plan
            about = {**runner.manifest(place.executor), **place.about, "lacking": _told(lacking)}
            machines[place.machine.name] = about
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

        def lab_plans() -> list[Plan]:
            # The accelerator is known once a guest runs, and its memory must be known before.
            either = [planned(Machine(name="lab", accelerator=each)) for each in ("kvm", "tcg")]
            if either[0].counted:
                either = [planned(Machine(name="lab", accelerator="tcg-icount"))]
            _compile(either, watch)
            return either

        lacking: dict[str, Unavailable] = {}
        either = lab_plans() if settings.machine == "lab" else []
        if settings.machine != "lab":
            with _here() as place:
                here, absent = _equipped(planned(NATIVE), place, settings, watch)
                host.fits(_largest_bytes(here))
                _compile([here], watch)
                lacking = _lacking(here, place.executor, watch)
                # Sessions want one machine with all of them, and so does who has named them.
                natively = settings.machine == "native" and not here.configs and "barrier" not in settings.choices
                if lacking and not natively:
                    _require_lab(settings, lacking)
                for barrier, problem in lacking.items():
                    watch.lacking(barrier, problem)
                if settings.machine != "native" and (lacking or (here.counted and lab.status().ready)):
                    either = lab_plans()
                if present := _without(here, lacking):
                    on(place, present, {**lacking, **absent})
        if either:
            # If counts vary from anything, then from boot to boot.
            boots = range(either[0].invocations) if either[0].counted else [None]
            for only in boots:
                with _guest(either, watch) as guest:
                    there, absent = _equipped(planned(guest.machine), guest, settings, watch)
                    missing = _lacking(there, guest.executor, watch)
                    _refuse(missing, there, settings)
                    on(guest, _without(there, missing) or there, {**missing, **absent}, only)
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
                "lacking": _told(lacking),
            }
        )
    return store.load(out or target.with_name(written.name))


def measure(
    *configs: Config, invocations: int = 1, seed: int = 0, machine: str = "native", watch: Watch = _UNWATCHED
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
    with _guest([plan], watch) if machine == "lab" else _here() as place:
        for lacking in (*_absent(plan, place).values(), *_lacking(plan, place.executor, watch).values()):
            raise lacking
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
    if probes and not plan.configs:
        _refuse_ignored(settings, verify)
    sessions = attrs.evolve(settings, params=others).apply(plan, verify=verify)
    if not (sessions.configs or probes):
        raise GcBarrierError("the experiment plans nothing: its plan needs configs or probes")
    return attrs.evolve(plan, configs=sessions.configs, probes=tuple(probes), invocations=sessions.invocations)


def _refuse_ignored(settings: Settings, verify: bool) -> None:
    """Raises GcBarrierError for what would be set without effect on a plan that has no sessions."""
    ignored = [f"{key}=" for key in (*settings.choices, *settings.fields) if key not in ("barrier", *_PROBED)]
    ignored += ["--verify"] * verify
    if ignored:
        raise GcBarrierError(
            f"this experiment looks at barriers by themselves, without heap, mutators and collector, so "
            f"{' and '.join(ignored)} would change nothing: leave {'it' if len(ignored) == 1 else 'them'} out"
        )


def _largest_bytes(*plans: Plan) -> int:
    return max(one.heap_bytes for plan in plans for one in _parts(plan))


def _parts(plan: Plan) -> tuple[Config | Probe, ...]:
    return (*plan.configs, *plan.probes)


def _refuse(missing: dict[str, Unavailable], plan: Plan, settings: Settings) -> None:
    """Raises Unavailable where the lab lacks a barrier that must be there.

    Sessions want one machine with all of them, and so does who has named them; probes make do with what there is.
    """
    for name, problem in missing.items():
        if plan.configs or name in settings.choices.get("barrier", ()) or _without(plan, missing) is None:
            raise problem


def _equipped(plan: Plan, place: _Place, settings: Settings, watch: Watch) -> tuple[Plan, dict[str, Unavailable]]:
    """The plan without the collectors whose library is not on that machine, and these.

    Raises Unavailable where one of them was named by the user, or nothing is left that answers the plan's question.
    """
    absent = _absent(plan, place)
    configs = tuple(config for config in plan.configs if config.collector not in absent)
    for name, problem in absent.items():
        asked_for = name in settings.choices.get("collector", ())
        if asked_for or name in plan.essential or not (configs or plan.probes):
            raise problem
        watch.left_out(place.machine.name, name, problem)
    return attrs.evolve(plan, configs=configs), absent


def _absent(plan: Plan, place: _Place) -> dict[str, Unavailable]:
    names = {config.collector for config in plan.configs if collectors.of(config).runtime is not None}
    # It is compiled here, wherever it runs.
    absent = collectors.lacking(names)
    rest = sorted(names - set(absent))
    if rest and place.machine != NATIVE:
        absent |= place.executor.submit(collectors.lacking, rest).result()
    return absent


def _told(lacking: Mapping[str, Unavailable]) -> dict[str, dict[str, str]]:
    return {name: {"what": one.what, "why": one.why, "remedy": one.remedy} for name, one in lacking.items()}


def _lacking(plan: Plan, executor: Executor, watch: Watch) -> dict[str, Unavailable]:
    """The plan's barriers that the executor's machine lacks something for.

    Raises GcBarrierError for one that does not work though nothing is lacking: no other machine would help.
    """
    watch.note("trying the barriers")
    memories = {one.barrier: one.memory for one in _parts(plan)}
    lacking: dict[str, Unavailable] = {}
    for name, problem in runner.availability(memories, executor).items():
        if isinstance(problem, Unavailable):
            lacking[name] = problem
        elif problem is not None:
            raise problem
    return lacking


def _compile(plans: Sequence[Plan], watch: Watch) -> None:
    watch.note("compiling")
    for plan in plans:
        runner.compile_all(plan)


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
        raise Unavailable(problem.what, problem.why, f"let it run in the lab, without machine=native: {problem.remedy}")
    status = lab.status()
    if not status.ready:
        others = "leave it out with `--set barrier=...`"
        raise Unavailable(
            f"the barrier {name}",
            f"on this kernel {problem.why}, and the lab is not ready: {status.missing}",
            f"{status.remedy}, or {others}",
        )


@contextlib.contextmanager
def _here() -> Iterator[_Place]:
    with FreshExecutor(environment=build.preload()) as executor:
        yield _Place(machine=NATIVE, executor=executor)


@contextlib.contextmanager
def _guest(plans: Sequence[Plan], watch: Watch) -> Iterator[_Place]:
    """A guest with memory for the largest heap of ``plans``; one that counts instructions if they ask for that."""
    verify = any(config.verify for plan in plans for config in plan.configs)
    memory_bytes = int(_largest_bytes(*plans) * _GUEST_SHARE) + _GUEST_BYTES + verify * _ORACLE_BYTES
    counted = any(plan.counted for plan in plans)
    watch.note("booting the lab's guest")
    with lab.LabExecutor(memory_bytes=memory_bytes, icount=counted) as executor:
        guest = executor.machine
        machine = Machine(name=guest.name, accelerator=guest.accelerator)
        # The guest has neither compiler nor checkout: what it runs was made here.
        here = host.manifest(build.cflags())
        made_here = {name: here[name] for name in ("compiler", "packages", "gcbarrier")}
        yield _Place(machine=machine, executor=executor, about={"lab": attrs.asdict(guest), **made_here})
