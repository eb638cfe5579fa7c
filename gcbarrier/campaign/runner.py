"""A plan's invocations in order, each in a fresh process, through any ``concurrent.futures.Executor``.

Invocations of different configurations are interleaved, in an order shuffled by the run's seed, so that what drifts
(the machine's temper, its caches, its neighbours) falls on all of them alike. The n-th invocation of every
configuration has the same mutators' seed: they face the same program. Sessions come first, then probes.

In the first round, where each is run once, the ends of what is swept come first, then the middles and so on
(:mod:`gcbarrier.campaign.order`), shuffled among those of one stage: a sweep that is cut short there has seen the whole
range. What is compared at one point, the baseline included, is in one stage, and both ends are in the same: so a drift
within that round is no difference between barriers, and no slope over the range. From the second round on everything
has been seen once, and more order would only tie drift to the middles: all of it is shuffled.

The order follows from plan and seed alone, so that a run that was interrupted can be gone on with.
"""

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from pathlib import Path
from typing import Protocol

from attrs import frozen

from gcbarrier import barriers, collectors
from gcbarrier.bench import probes
from gcbarrier.campaign import diagnosis
from gcbarrier.campaign.deadlines import Deadlines, guessed_s
from gcbarrier.campaign.order import stages
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.shipping import artifacts, install
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.fresh import Within
from gcbarrier.model import Config, Invocation, Measured, Outcome, Probe, evolve, to_json
from gcbarrier.session import program as programs
from gcbarrier.session.ours import SessionJob

_PROBE_DEADLINE_S = 600.0
# Starting a process, populating and building the heap.
_OVERHEAD_S = {"native": 0.7, "kvm": 1.0, "tcg": 4.0, "tcg-icount": 6.0}


class Job(Protocol):
    """One invocation, of a session or a probe, with all that is compiled for it: it runs where there is no compiler."""

    @property
    def label(self) -> str:
        """For progress and errors."""

    @property
    def plugins(self) -> tuple[build.Plugin, ...]:
        """All that is compiled for it."""

    def run(self) -> Measured:
        """Run it in this process. What goes wrong with it is in the record's ``error``."""

    def failed(self, machine: str, error: str) -> Measured:
        """What is left of one whose process did not bring anything back."""


@frozen(kw_only=True)
class Step:
    """One job of a run, with a guess at how long it takes, for progress."""

    job: Job
    estimate_s: float
    deadline_s: float
    """After so long it counts as hung, if not sooner."""

    @property
    def config(self) -> Config | None:
        """Of a session."""
        return self.job.invocation.config if isinstance(self.job, SessionJob) else None


def steps(plan: Plan, *, seed: int, accelerator: str, only: int | None = None) -> tuple[Step, ...]:
    """Compile what ``plan`` needs and put its invocations in order; of the probes' just the ``only`` one, if given.

    Raises GcBarrierError as compiling does, and where a heap is a multiple of a smallest one not yet looked for.
    """
    for config in plan.configs:
        if config.heap_times and not config.minheap_bytes:
            raise GcBarrierError(
                f"{config.label}: how large {config.heap_times:g} times the smallest heap is, isn't known"
            )
    return (*_sessions(plan, seed, accelerator), *_probes(plan, seed, only))


def compile_all(plan: Plan) -> None:
    """Compile what ``plan`` needs on any machine, so that a mistake in it is told before anything is measured.

    Raises GcBarrierError with the compiler's words.
    """
    for config in plan.configs:
        barriers.of(config).compile()
        runtime = collectors.compiled(config)
        programs.compile(config)
        if runtime and config.verify:
            programs.compile(config, ours=True)
    for each in plan.probes:
        probes.job(each, index=0)


def run(
    ordered: Sequence[Step],
    executor: Executor,
    *,
    machine: str,
    has_compiler: bool = True,
    on_done: Callable[[Step, Measured], None] | None = None,
) -> Iterator[Measured]:
    """Run the steps one after the other. An invocation that fails, crashes or hangs is a record with its error.

    A machine without a compiler is sent the compiled files with every step: it may have been booted anew meanwhile.
    """
    files = {} if has_compiler else artifacts(plugin for step in ordered for plugin in step.job.plugins)
    deadlines = Deadlines()

    def taken(job: Job, deadline_s: float) -> Measured:
        begun_s = time.monotonic()
        try:
            return executor.submit(Within(deadline_s, take), job, files).result()
        except CancelledError:
            raise KeyboardInterrupt from None
        except GcBarrierError as problem:
            # In a session its own alarm may have come before ours.
            return _failed(job, machine, problem, min(time.monotonic() - begun_s, deadline_s))

    def again(step: Step) -> Callable[[SessionJob], Outcome]:
        def one(job: SessionJob) -> Outcome:
            if files:
                files.update(artifacts(job.plugins))
            record = taken(job, step.deadline_s).record
            assert isinstance(record, Outcome)
            return record

        return one

    for step in ordered:
        begun_s, config = time.monotonic(), step.config
        deadline_s = deadlines.limit_s(config, step.deadline_s) if config else step.deadline_s
        measured = taken(step.job, deadline_s)
        if config and not measured.record.error:
            deadlines.took(config, time.monotonic() - begun_s)
        measured = diagnosis.explained(measured, step.job, again(step))
        if on_done is not None:
            on_done(step, measured)
        yield measured


def estimate_s(one: Config | Probe, accelerator: str) -> float:
    """A guess at how long an invocation takes."""
    if isinstance(one, Probe):
        return one.estimate_s
    return _OVERHEAD_S[accelerator] + one.duration_s * (2.5 if one.verify else 1.0)


def failed(step: Step, machine: str, problem: GcBarrierError) -> Measured:
    """What is left of a step whose process did not bring anything back."""
    return _failed(step.job, machine, problem, step.deadline_s)


def _failed(job: Job, machine: str, problem: GcBarrierError, seconds: float) -> Measured:
    told = str(problem)
    return job.failed(machine, diagnosis.hung(told, seconds) if signal.SIGALRM.name in told else told)


def take(job: Job, files: Mapping[Path, bytes]) -> Measured:
    """Run one job in this process."""
    install(files)
    return job.run()


def _sessions(plan: Plan, seed: int, accelerator: str) -> Iterator[Step]:
    shuffle = random.Random(seed)
    # The data of a large graph takes seconds to make, and every barrier runs on the same.
    made: dict[str, programs.Program] = {}
    ready = [_compiled(config, made) for config in plan.configs]
    stage = dict(zip(plan.configs, stages(plan.configs), strict=True))
    for index in range(plan.invocations):
        shuffle.shuffle(ready)
        ends_first = sorted(ready, key=lambda job: stage[job.invocation.config])
        for job in ready if index else ends_first:
            config = job.invocation.config
            invocation = Invocation(config=config, index=index, seed=seed + index, operations=config.operations)
            guess_s = estimate_s(config, accelerator)
            moved = evolve(job, invocation=invocation)
            yield Step(job=moved, estimate_s=guess_s, deadline_s=guessed_s(guess_s))


def _probes(plan: Plan, seed: int, only: int | None) -> Iterator[Step]:
    shuffle = random.Random(seed)
    stage = dict(zip(plan.probes, stages(plan.probes), strict=True))
    for index in range(plan.invocations):
        jobs = [probes.job(each, index=index) for each in plan.probes]
        shuffle.shuffle(jobs)
        ordered = jobs if index else sorted(jobs, key=lambda job: stage[job.probe])
        for job in ordered if only in (None, index) else ():
            yield Step(job=job, estimate_s=job.probe.estimate_s, deadline_s=_PROBE_DEADLINE_S)


def _compiled(config: Config, made: dict[str, programs.Program]) -> SessionJob:
    """The first invocation of a configuration, with all that is compiled for it."""
    runtime = collectors.compiled(config)
    return SessionJob(
        invocation=Invocation(config=config, index=0, seed=0),
        barrier=barriers.of(config).compile(),
        program=_program(config, made),
        runtime=runtime,
        reference=programs.prepare(config, ours=True) if runtime and config.verify else None,
    )


def _program(config: Config, made: dict[str, programs.Program]) -> programs.Program:
    own_memory = collectors.of(config).runtime is not None
    collector = config.collector if own_memory else ""
    alike = evolve(config, collector=collector, collector_params={}, memory="shmem", duration_s=1.0, pin="")
    if config.minheap_bytes:
        # Its program is the same in a heap of any size.
        alike = evolve(alike, heap_bytes=config.minheap_bytes, heap_times=1.0)
    if barriers.of(config).store_header is None:
        alike = evolve(alike, barrier="", barrier_params={})
    key = to_json(alike)
    if key not in made:
        made[key] = programs.prepare(config)
    return made[key]
