"""Configurations times invocations, each in a fresh process, through any ``concurrent.futures.Executor``.

Invocations of different configurations are interleaved, in an order shuffled by the run's seed, so that what drifts
(the machine's temper, its caches, its neighbours) falls on all of them alike. The n-th invocation of every
configuration has the same mutators' seed: they face the same program.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor
from pathlib import Path

from attrs import frozen

from gcbarrier import barriers, build, host, programs, session
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.experiment import Plan
from gcbarrier.model import Config, Invocation, Outcome, evolve, to_json
from gcbarrier.probing import probe
from gcbarrier.session import Job, Measured

# Starting a process, populating and building the heap.
_OVERHEAD_S = {"native": 0.7, "kvm": 1.0, "tcg": 4.0}


@frozen(kw_only=True)
class Step:
    """One job of a run, with a guess at how long it takes, for progress."""

    job: Job
    estimate_s: float


def steps(plan: Plan, *, seed: int, accelerator: str) -> tuple[Step, ...]:
    """Compile what ``plan`` needs and put its invocations in order. Raises GcBarrierError as compiling does."""
    shuffle = random.Random(seed)
    # The data of a large graph takes seconds to make, and every barrier runs on the same.
    made: dict[str, programs.Program] = {}
    ready = [(config, barriers.of(config).compile(), _program(config, made)) for config in plan.configs]
    ordered = []
    for index in range(plan.invocations):
        shuffle.shuffle(ready)
        for config, barrier, program in ready:
            invocation = Invocation(config=config, index=index, seed=seed + index)
            estimate_s = _OVERHEAD_S[accelerator] + config.duration_s * (2.5 if config.verify else 1.0)
            job = Job(invocation=invocation, barrier=barrier, program=program)
            ordered.append(Step(job=job, estimate_s=estimate_s))
    return tuple(ordered)


def _program(config: Config, made: dict[str, programs.Program]) -> programs.Program:
    alike = evolve(config, collector="", collector_params={}, memory="shmem", duration_s=1.0)
    if barriers.of(config).store is None:
        alike = evolve(alike, barrier="", barrier_params={})
    key = to_json(alike)
    if key not in made:
        made[key] = programs.prepare(config)
    return made[key]


def run(
    ordered: Iterable[Step],
    executor: Executor,
    *,
    machine: str,
    on_done: Callable[[Step, Measured], None] | None = None,
) -> Iterator[Measured]:
    """Run the steps one after the other. An invocation that fails or crashes is an outcome with its error."""
    for step in ordered:
        try:
            measured = executor.submit(session.run, step.job).result()
        except CancelledError:
            raise KeyboardInterrupt from None
        except GcBarrierError as problem:
            outcome = Outcome(invocation=step.job.invocation, machine=machine, error=str(problem))
            measured = Measured(outcome=outcome, events=b"")
        if on_done is not None:
            on_done(step, measured)
        yield measured


def artifacts(ordered: Iterable[Step]) -> dict[Path, bytes]:
    """The compiled files that the steps need, for a machine without a compiler."""
    folders = set()
    for step in ordered:
        for plugin in (step.job.barrier, step.job.program.plugin):
            folders |= {plugin.core, plugin.library.parent}
    return _contents(folders)


def install(files: Mapping[Path, bytes]) -> None:
    """Put compiled files where :func:`artifacts` found them, on another machine."""
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def availability(names: Iterable[str], executor: Executor) -> dict[str, Unavailable | None]:
    """Try each barrier on the executor's machine: None where it works, else why not and the remedy."""
    plugins = {name: barriers.choose(name).compile() for name in names}
    files = _contents({folder for plugin in plugins.values() for folder in (plugin.core, plugin.library.parent)})
    return executor.submit(_availability, plugins, files).result()


def manifest(executor: Executor) -> dict[str, object]:
    """What the executor's machine says of itself."""
    return executor.submit(host.manifest).result()


def _availability(plugins: Mapping[str, build.Plugin], files: Mapping[Path, bytes]) -> dict[str, Unavailable | None]:
    if not all(path.exists() for path in files):
        install(files)
    found: dict[str, Unavailable | None] = {}
    for name, plugin in plugins.items():
        try:
            probe(name, plugin)
            found[name] = None
        except Unavailable as problem:
            found[name] = problem
    return found


def _contents(folders: Iterable[Path]) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in sorted(folders) for path in folder.glob("*.so")}
