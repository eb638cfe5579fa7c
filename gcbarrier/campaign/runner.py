"""Configurations times invocations, each in a fresh process, through any ``concurrent.futures.Executor``.

Invocations of different configurations are interleaved, in an order shuffled by the run's seed, so that what drifts
(the machine's temper, its caches, its neighbours) falls on all of them alike. The n-th invocation of every
configuration has the same mutators' seed: they face the same program.
"""

import contextlib
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from pathlib import Path
from typing import Any

from attrs import frozen

from gcbarrier import barriers, collectors
from gcbarrier.bench import probes as bench
from gcbarrier.bench.trial import try_out
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.experiment import Plan
from gcbarrier.machines import host
from gcbarrier.model import Config, Finding, Invocation, Outcome, evolve, to_json
from gcbarrier.session import ours as session
from gcbarrier.session import program as programs
from gcbarrier.session.ours import Job, Measured

_PROBE_DEADLINE_S = 600.0
_HUNG = "it ran over its deadline of {:.0f} s: a mutator did not come to a safepoint, or the machine is too slow"
# Starting a process, populating and building the heap.
_OVERHEAD_S = {"native": 0.7, "kvm": 1.0, "tcg": 4.0, "tcg-icount": 6.0}


@frozen(kw_only=True)
class Step:
    """One job of a run, with a guess at how long it takes, for progress."""

    job: Job
    estimate_s: float
    deadline_s: float
    """After so long it counts as hung."""


def steps(plan: Plan, *, seed: int, accelerator: str) -> tuple[Step, ...]:
    """Compile what ``plan`` needs and put its invocations in order. Raises GcBarrierError as compiling does."""
    shuffle = random.Random(seed)
    # The data of a large graph takes seconds to make, and every barrier runs on the same.
    made: dict[str, programs.Program] = {}
    ready = [(config, _compiled(config, made)) for config in plan.configs]
    ordered = []
    for index in range(plan.invocations):
        shuffle.shuffle(ready)
        for config, compiled in ready:
            invocation = Invocation(config=config, index=index, seed=seed + index)
            estimate_s = _OVERHEAD_S[accelerator] + config.duration_s * (2.5 if config.verify else 1.0)
            job = Job(invocation=invocation, **compiled)
            ordered.append(Step(job=job, estimate_s=estimate_s, deadline_s=60 + 10 * estimate_s))
    return tuple(ordered)


def _compiled(config: Config, made: dict[str, programs.Program]) -> dict[str, Any]:
    runtime = collectors.compiled(config)
    return {
        "barrier": barriers.of(config).compile(),
        "program": _program(config, made),
        "runtime": runtime,
        "reference": programs.prepare(config, ours=True) if runtime and config.verify else None,
    }


def _program(config: Config, made: dict[str, programs.Program]) -> programs.Program:
    own_memory = collectors.of(config).runtime is not None
    collector = config.collector if own_memory else ""
    alike = evolve(config, collector=collector, collector_params={}, memory="shmem", duration_s=1.0)
    if barriers.of(config).store_header is None:
        alike = evolve(alike, barrier="", barrier_params={})
    key = to_json(alike)
    if key not in made:
        made[key] = programs.prepare(config)
    return made[key]


def run(
    ordered: Sequence[Step],
    executor: Executor,
    *,
    machine: str,
    has_compiler: bool = True,
    on_done: Callable[[Step, Measured], None] | None = None,
) -> Iterator[Measured]:
    """Run the steps one after the other. An invocation that fails, crashes or hangs is an outcome with its error.

    A machine without a compiler is sent the compiled files with every step: it may have been booted anew meanwhile.
    """
    files = {} if has_compiler else artifacts(ordered)
    for step in ordered:
        try:
            measured = executor.submit(take, step, files).result()
        except CancelledError:
            raise KeyboardInterrupt from None
        except GcBarrierError as problem:
            error = _told(problem, step.deadline_s)
            outcome = Outcome(invocation=step.job.invocation, machine=machine, error=error)
            measured = Measured(outcome=outcome, events=b"")
        if on_done is not None:
            on_done(step, measured)
        yield measured


def _told(problem: GcBarrierError, deadline_s: float) -> str:
    return _HUNG.format(deadline_s) if signal.SIGALRM.name in str(problem) else str(problem)


def take(step: Step, files: Mapping[Path, bytes]) -> Measured:
    """Run one step in this process, which ends by SIGALRM where it takes longer than its deadline."""
    install(files)
    with _deadline(step.deadline_s):
        return session.run(step.job)


def probes(plan: Plan, *, seed: int) -> tuple[bench.Job, ...]:
    """Compile what the plan's probes need and put their invocations in order, interleaved as the sessions are."""
    shuffle = random.Random(seed)
    ordered = []
    for index in range(plan.invocations):
        jobs = [bench.job(each, index=index) for each in plan.probes]
        shuffle.shuffle(jobs)
        ordered += jobs
    return tuple(ordered)


def run_probes(
    ordered: Sequence[bench.Job],
    executor: Executor,
    *,
    machine: str,
    has_compiler: bool = True,
    on_begin: Callable[[bench.Job], None] | None = None,
) -> Iterator[Finding]:
    """Run the probes one after the other, as :func:`run` does. One that fails is a finding with its error."""
    files = {} if has_compiler else artifacts((), ordered)
    for job in ordered:
        if on_begin is not None:
            on_begin(job)
        try:
            finding = executor.submit(take_probe, job, files).result()
        except CancelledError:
            raise KeyboardInterrupt from None
        except GcBarrierError as problem:
            error = _told(problem, _PROBE_DEADLINE_S)
            finding = Finding(probe=job.probe, index=job.index, machine=machine, error=error)
        yield finding


def take_probe(job: bench.Job, files: Mapping[Path, bytes]) -> Finding:
    """Run one probe in this process; it has a deadline as steps have."""
    install(files)
    with _deadline(_PROBE_DEADLINE_S):
        return bench.run(job)


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """The signal's default action: a handler in Python would wait for the very call that hangs."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def artifacts(ordered: Iterable[Step], jobs: Iterable[bench.Job] = ()) -> dict[Path, bytes]:
    """The compiled files that the steps and probes need, for a machine without a compiler."""
    plugins = [plugin for step in ordered for plugin in (step.job.barrier, step.job.program.plugin)]
    plugins += [step.job.runtime for step in ordered if step.job.runtime]
    plugins += [plugin for job in jobs for plugin in (job.barrier, job.loop)]
    return _contents({folder for plugin in plugins for folder in (plugin.core, plugin.library.parent)})


def install(files: Mapping[Path, bytes]) -> None:
    """Put compiled files where :func:`artifacts` found them, on another machine; what is there stays."""
    for path, content in files.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def availability(memories: Mapping[str, str], executor: Executor) -> dict[str, Unavailable | None]:
    """Try each barrier on the executor's machine: None where it works, else why not and the remedy.

    ``memories`` says on which memory each is to be tried.
    """
    plugins, broken = {}, {}
    for name in memories:
        try:
            plugins[name] = barriers.choose(name).compile()
        except GcBarrierError as problem:
            broken[name] = (
                problem if isinstance(problem, Unavailable) else Unavailable(f"the barrier {name}", str(problem))
            )
    files = _contents({folder for plugin in plugins.values() for folder in (plugin.core, plugin.library.parent)})
    return {**executor.submit(_availability, plugins, memories, files).result(), **broken}


def manifest(executor: Executor) -> dict[str, object]:
    """What the executor's machine says of itself."""
    return executor.submit(host.manifest).result()


def _availability(
    plugins: Mapping[str, build.Plugin], memories: Mapping[str, str], files: Mapping[Path, bytes]
) -> dict[str, Unavailable | None]:
    install(files)
    found: dict[str, Unavailable | None] = {}
    for name, plugin in plugins.items():
        try:
            try_out(name, plugin, memories[name])
            found[name] = None
        except Unavailable as problem:
            found[name] = problem
        except GcBarrierError as problem:
            found[name] = Unavailable(f"the barrier {name}", str(problem))
    return found


def _contents(folders: Iterable[Path]) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in sorted(folders) for path in folder.glob("*.so")}
