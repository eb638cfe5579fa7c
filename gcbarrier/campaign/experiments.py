"""A whole experiment: its plan on this machine and, for what this kernel can't do, in the lab; into one directory."""

import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from gcbarrier.campaign import again, runner
from gcbarrier.campaign.clustered import on_workers
from gcbarrier.campaign.course import Course, Recorded, first_words, fit, sized_for, taken
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
from gcbarrier.campaign.places import NATIVE, guest_for, this_machine
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.request import Request
from gcbarrier.campaign.settings import MACHINES, Settings
from gcbarrier.campaign.watching import UNWATCHED, Watch
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import lab
from gcbarrier.model import Config, Finding, Machine, Outcome, evolve
from gcbarrier.plugins import discovery
from gcbarrier.plugins.discovery import nearest
from gcbarrier.results.outcomes import Outcomes
from gcbarrier.results.run import COMPLETE, Run, load
from gcbarrier.results.writer import RunWriter

_AS_PLANNED = Settings()


def run(
    name: str,
    *,
    out: Path | None = None,
    quick: bool = False,
    verify: bool = False,
    settings: Settings = _AS_PLANNED,
    on: str = "",
    everywhere: bool = False,
    share_hosts: bool = False,
    watch: Watch = UNWATCHED,
) -> Run:
    """Run the experiment called ``name`` and write the run directory ``out``, which it returns loaded.

    By default that is ``runs/NAME-TIME``, with a number behind it where another run has just taken that. What was
    finished of a run that stops is kept there (:func:`resume`).

    With the address of a Dask scheduler, ``on``, it runs on that one's workers
    (:func:`gcbarrier.campaign.clustered.on_workers`): ``everywhere`` all of it on each, ``share_hosts`` on several of a
    host as well.

    Barriers that this kernel lacks send the whole plan to the lab as well, so that one machine has them all. Collectors
    whose library is not there are left out. Raises Unavailable where the lab would be needed and isn't set up or where
    what is left out was asked for or leaves nothing, GcBarrierError where the plan can't be run; an invocation that
    fails is recorded with its error.
    """
    request = Request(
        experiment=name,
        quick=quick,
        verify=verify,
        settings=settings,
        on=on,
        everywhere=everywhere,
        share_hosts=share_hosts,
    )
    return begin(request, out=out, watch=watch)


def begin(
    request: Request, *, out: Path | None = None, watch: Watch = UNWATCHED, recorded: Recorded | None = None
) -> Run:
    """Run what was asked for; :func:`run` says what comes of it. ``recorded``: with the plans of that run."""
    script = script_of(request.experiment)
    build.sanitize(request.sanitize)
    # No guest helps without one: what runs there is compiled here.
    build.compiler()
    seed = secrets.randbelow(1 << 31) if request.settings.seed is None else request.settings.seed
    seed = seed if recorded is None else recorded.seed
    target = out or Path("runs") / f"{request.experiment}-{time.strftime('%Y%m%d-%H%M%S')}"
    words = first_words(request, seed)
    if recorded is not None:
        words["repeats"] = {key: recorded.run.manifest.get(key) for key in ("date", "seed", "command_line")}
    writer = RunWriter(target, words, or_next=out is None)
    course = Course(request=request, seed=seed, script=script, writer=writer, watch=watch, recorded=recorded)
    return _carried_out(course, out)


def resume(directory: Path, *, on: str = "", watch: Watch = UNWATCHED) -> Run:
    """Do the rest of a run that was stopped or killed, with the same seed, order and plug-ins.

    ``on``: where the scheduler of its workers is by now, if elsewhere.

    Raises GcBarrierError where it is complete, is still being written, or where anything that decides its results has
    changed since; Unavailable as :func:`run` does.
    """
    found, done = again.to_resume(directory)
    if on and not found.request.on:
        raise GcBarrierError(f"{directory} was not run on workers, so it can't go on there: leave --on out")
    found = evolve(found, request=evolve(found.request, on=on or found.request.on))
    script = script_of(found.request.experiment)
    build.compiler()
    course = Course(
        request=found.request,
        seed=found.seed,
        script=script,
        writer=RunWriter.resume(directory, found.run),
        watch=watch,
        done=done,
        recorded=found,
        resumed=True,
    )
    return _carried_out(course, directory)


def repeat(
    source: Path,
    *,
    out: Path | None = None,
    machine: str = "",
    workers: Mapping[str, Any] = MappingProxyType({}),
    watch: Watch = UNWATCHED,
) -> Run:
    """Run the plan of an earlier run, or of its manifest alone, here: with its seed, and its own plug-ins if need be.

    What is not as it was then is told to ``watch``. ``machine`` as in the settings. ``workers`` are those fields of a
    :class:`gcbarrier.campaign.request.Request` that name a scheduler: it is run there, and not here. Raises
    GcBarrierError where it does not tell its plan, Unavailable as :func:`run` does.
    """
    found, differing = again.to_repeat(source)
    for each in differing:
        watch.told(f"not as in {source}: {each}")
    # What was measured on this machine alone may be measured on workers now.
    machine = machine or ("" if workers else found.request.settings.machine)
    settings = evolve(found.request.settings, machine=machine)
    where: dict[str, Any] = dict(workers) or {"on": "", "everywhere": False, "share_hosts": False}
    return begin(evolve(found.request, settings=settings, **where), out=out, watch=watch, recorded=found)


def _carried_out(course: Course, out: Path | None) -> Run:
    """This machine's part, and then the lab's; the run is loaded from ``out``, as its user calls it, if he does."""
    writer, ours = course.writer, False
    try:
        with writer:
            ours = True
            if course.request.on:
                on_workers(course)
            elif either := _here(course):
                _in_the_lab(course, either)
            writer.commit(awaited=[])
    except BaseException:
        # Whatever ends a run before its end, whoever watches is told what is kept of it.
        with contextlib.suppress(GcBarrierError):
            if ours and (kept := load(out or _as_called(writer.directory))).state != COMPLETE:
                course.watch.kept(kept)
        raise
    return load(out or _as_called(writer.directory))


def _as_called(directory: Path) -> Path:
    return Path("runs") / directory.name


def _here(course: Course) -> list[Plan]:
    """Run this machine's part; what the lab is then to run, by the accelerators that it may have."""
    settings, watch = course.request.settings, course.watch
    if settings.machine == "lab":
        return _lab_plans(course)
    either: list[Plan] = []
    with this_machine() as place:
        here, absent = equipped(course.plan(NATIVE), place, settings, watch)
        fit(here)
        _compile([here], watch)
        lacking = lacking_barriers(here, place.executor, watch)
        # Sessions want one machine with all of them, and so does who has named them.
        natively = settings.machine == "native" and not here.configs and not settings.named("barrier")
        if lacking and not natively:
            require_lab(settings, lacking)
        for barrier, problem in lacking.items():
            watch.lacking(barrier, problem)
        if settings.machine != "native" and (lacking or (here.counted and lab.status().ready) or _once_in_lab(course)):
            either = _lab_plans(course)
            course.await_turn("lab")
        course.writer.note(lacking=as_told(lacking) or course.writer.manifest.get("lacking", {}))
        if present := without(here, lacking):
            course.measure(place, present, as_told({**lacking, **absent}))
    return either


def _once_in_lab(course: Course) -> bool:
    """Whether a part of the plan is the lab's because that of an earlier run was."""
    before = course.recorded
    if before is None or not before.wants_lab:
        return False
    if course.resumed and before.guest and before.complete(before.guest):
        return False
    status = lab.status()
    if not status.ready:
        remedy = " or ".join(filter(None, (status.remedy, "leave its part out with `--set machine=native`")))
        raise Unavailable("the lab, where a part of that run was,", status.missing, remedy)
    return True


def _lab_plans(course: Course) -> list[Plan]:
    # The accelerator is known once a guest runs, and its memory must be known before.
    either = [course.plan(Machine(name="lab", accelerator=each)) for each in ("kvm", "tcg")]
    if either[0].counted:
        either = [course.plan(Machine(name="lab", accelerator="tcg-icount"))]
    _compile([compilable(plan) for plan in either], course.watch)
    return either


def _in_the_lab(course: Course, either: Sequence[Plan]) -> None:
    # If counts vary from anything, then from boot to boot.
    boots = range(either[0].invocations) if either[0].counted else [None]
    for only in boots:
        with guest_for(either, course.watch) as guest:
            course.refuse_another(guest.machine)
            course.await_turn()
            there, absent = equipped(course.plan(guest.machine), guest, course.request.settings, course.watch)
            missing = lacking_barriers(there, guest.executor, course.watch)
            refuse_lacking(missing, there, course.request.settings)
            course.measure(guest, without(there, missing) or there, as_told({**missing, **absent}), only)


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
        fit(plan)
    with guest_for([plan], watch) if machine == "lab" else this_machine() as place:
        absent, lacking = absent_collectors(plan, place), lacking_barriers(plan, place.executor, watch)
        for missing in (*absent.values(), *lacking.values()):
            raise missing
        plan = sized_for(plan, place, {}, seed, watch)
        watch.note("compiling")
        steps = runner.steps(plan, seed=seed, accelerator=place.machine.accelerator)
        watch.steps(place.machine.name, steps)
        records = [measured.record for measured in taken(place, steps, watch)]
        return Outcomes(record for record in records if isinstance(record, Outcome))


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


def _compile(plans: Sequence[Plan], watch: Watch) -> None:
    watch.note("compiling")
    for plan in plans:
        runner.compile_all(plan)
