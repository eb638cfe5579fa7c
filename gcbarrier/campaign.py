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

from gcbarrier import barriers, discovery, host, lab, runner, store
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.experiment import Plan
from gcbarrier.fresh import FreshExecutor
from gcbarrier.model import Config, Machine, Outcome, converter
from gcbarrier.runner import Step
from gcbarrier.session import Measured
from gcbarrier.settings import Settings, check

NATIVE = Machine(name="native")

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
    seed = secrets.randbelow(1 << 31) if settings.seed is None else settings.seed
    plans: dict[str, Plan] = {}
    machines: dict[str, dict[str, object]] = {}
    with store.RunWriter(out) as writer:

        def on(place: _Place, plan: Plan) -> None:
            plans[place.machine.name] = plan
            machines[place.machine.name] = {**runner.manifest(place.executor), **place.about}
            for measured in _measure(place, plan, seed, watch):
                writer.add(measured.outcome, measured.events)

        def planned(machine: Machine) -> Plan:
            plan: Plan = script.plan(machine=machine, quick=quick)
            return settings.apply(plan, verify=verify)

        lacking: dict[str, Unavailable] = {}
        if settings.machine != "lab":
            with _here() as place:
                here = planned(NATIVE)
                host.fits(max(config.heap_bytes for config in here.configs))
                lacking = _lacking(here, place.executor, watch)
                if lacking:
                    _require_lab(settings, lacking)
                if present := _without(here, lacking):
                    on(place, present)
        if lacking or settings.machine == "lab":
            # The accelerator is known once a guest runs, and its memory must be known before.
            either = [planned(Machine(name="lab", accelerator=each)) for each in ("kvm", "tcg")]
            with _guest([config for plan in either for config in plan.configs], watch) as guest:
                there = planned(guest.machine)
                for problem in _lacking(there, guest.executor, watch).values():
                    raise problem
                on(guest, there)
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
    for config in configs:
        check(config)
    plan = Plan(configs=configs, invocations=invocations)
    with _guest(configs, watch) if machine == "lab" else _here() as place:
        for problem in _lacking(plan, place.executor, watch).values():
            raise problem
        return tuple(measured.outcome for measured in _measure(place, plan, seed, watch))


def failures(run: store.Run) -> tuple[Outcome, ...]:
    """The invocations that did not end well."""
    return tuple(outcome for outcome in run.outcomes if outcome.error)


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
    if place.machine != NATIVE:
        place.executor.submit(runner.install, runner.artifacts(steps)).result()
    watch.steps(place.machine.name, steps)
    yield from runner.run(steps, place.executor, machine=place.machine.name, on_done=watch.done)


def _lacking(plan: Plan, executor: Executor, watch: Watch) -> dict[str, Unavailable]:
    """The plan's barriers that don't work on the executor's machine."""
    watch.note("trying the barriers")
    names = dict.fromkeys(config.barrier for config in plan.configs)
    return {name: why for name, why in runner.availability(names, executor).items() if why is not None}


def _without(plan: Plan, lacking: dict[str, Unavailable]) -> Plan | None:
    """What is left of a plan; nothing if that is only the baseline."""
    kept = [config for config in plan.configs if config.barrier not in lacking]
    if lacking and not any(_compares(config) for config in kept):
        return None
    return attrs.evolve(plan, configs=tuple(kept))


def _compares(config: Config) -> bool:
    return barriers.load(config.barrier).tracks


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
    with FreshExecutor() as executor:
        yield _Place(machine=NATIVE, executor=executor)


@contextlib.contextmanager
def _guest(configs: Sequence[Config], watch: Watch) -> Iterator[_Place]:
    """A guest with memory for the largest of ``configs``."""
    largest_bytes = max(config.heap_bytes for config in configs)
    verify = any(config.verify for config in configs)
    memory_bytes = int(largest_bytes * _GUEST_SHARE) + _GUEST_BYTES + verify * _ORACLE_BYTES
    watch.note("booting the lab's guest")
    with lab.LabExecutor(memory_bytes=memory_bytes) as executor:
        guest = executor.machine
        machine = Machine(name=guest.name, accelerator=guest.accelerator)
        # The guest has neither compiler nor checkout: what it runs was made here.
        here = host.manifest()
        made_here = {name: here[name] for name in ("compiler", "packages", "gcbarrier")}
        yield _Place(machine=machine, executor=executor, about={"lab": attrs.asdict(guest), **made_here})
