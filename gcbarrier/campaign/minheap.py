"""The smallest heap that a program runs in, found by bisection, and plans whose heaps are multiples of it.

A program is a heap with its parameters and a number of operations. It runs in a heap if every invocation ends without
an error, and within :data:`PATIENCE` times what it took in the heap that it was made for: with less than that left
over it does nothing but collect. By default that is under ``stop-the-world`` without a barrier, which needs the least
memory; a barrier's or a collector's own need for more is then in what it costs at a multiple.
"""

import math
from collections.abc import Callable
from time import monotonic

from attrs import field, frozen

from gcbarrier.campaign import runner
from gcbarrier.campaign.lacking import absent_collectors, lacking_barriers
from gcbarrier.campaign.places import Place, guest_for, this_machine
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.watching import UNWATCHED, Watch
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Outcome, evolve, format_bytes, to_json
from gcbarrier.session import program as programs
from gcbarrier.session.ours import SessionJob

PATIENCE = 10.0
"""A heap in which a run takes so many times as long as in the one that its program was made for is too small."""

MIB = 1 << 20
_HUGE_MIB = 2
_DEADLINE_S = 600.0

Attempt = Callable[[Config, int, float], Outcome]
"""Runs a configuration: its seed's number, and after how many seconds it counts as hung."""


@frozen(kw_only=True)
class Trial:
    """A heap that the program was tried in."""

    heap_bytes: int
    error: str = ""
    """Why it does not run there; "": it does."""


@frozen(kw_only=True)
class Minheap:
    """The smallest heap of a program, and how it was found."""

    config: Config
    """The program, all of its parameters concrete; ``heap_bytes`` is the heap that they were made for."""
    operations: int
    """Of each mutator, in each trial."""
    minheap_bytes: int
    """Whole MiB."""
    trials: tuple[Trial, ...] = field(default=())
    """In the order in which they were made."""

    @property
    def too_small(self) -> Trial | None:
        """The largest heap in which it does not run; None where it runs in a single MiB."""
        failed = [trial for trial in self.trials if trial.error]
        return max(failed, key=lambda trial: trial.heap_bytes, default=None)


def search(config: Config, attempt: Attempt, *, attempts: int = 1) -> Minheap:
    """Bisect whole MiB, up to ``config.heap_bytes``; in each heap ``attempts`` invocations must end well.

    Where the configuration has no number of operations, it is what a first run of ``duration_s`` completes. Raises
    GcBarrierError where it does not run in ``heap_bytes``.
    """
    began = monotonic()
    first = attempt(config, 0, _DEADLINE_S)
    patience_s = PATIENCE * (monotonic() - began)
    operations = config.operations or max(first.operations // config.mutators, 1)
    same = evolve(config, operations=operations)

    def error_in(size: int, indices: range) -> str:
        """Of the first of these invocations that does not end well."""
        for index in indices:
            started = monotonic()
            error = attempt(evolve(same, heap_bytes=size), index, patience_s).error
            if error and monotonic() - started > patience_s:
                return f"it took more than {PATIENCE:g} times as long as in {format_bytes(config.heap_bytes)}"
            if error:
                return error
        return ""

    if error := first.error or error_in(config.heap_bytes, range(1, attempts)):
        raise GcBarrierError(
            f"{config.heap} does not run in {format_bytes(config.heap_bytes)}, so a smallest heap can't be looked for "
            f"below that: {error}; set a larger heap_bytes"
        )
    trials = [Trial(heap_bytes=config.heap_bytes)]
    least, most = 0, config.heap_bytes // MIB
    while most - least > 1:
        middle = (least + most) // 2
        trials.append(Trial(heap_bytes=middle * MIB, error=error_in(middle * MIB, range(attempts))))
        least, most = (middle, most) if trials[-1].error else (least, middle)
    return Minheap(config=config, operations=operations, minheap_bytes=most * MIB, trials=tuple(trials))


def find(config: Config, place: Place, *, seed: int = 0, attempts: int = 1) -> Minheap:
    """The smallest heap of the configuration's program under its barrier and collector, on a machine that is up.

    Raises GcBarrierError as :func:`search` does, and as compiling does.
    """
    if config.memory == "hugetlb":
        raise GcBarrierError(
            "the smallest heap is looked for in steps of 1 MiB, and huge pages have 2: set other memory"
        )
    whole = evolve(programs.fixed(config), heap_times=0.0, minheap_bytes=0, verify=False, timed=False)
    plan = Plan(configs=(whole,), invocations=attempts)
    steps = runner.steps(plan, seed=seed, accelerator=place.machine.accelerator)

    def attempt(tried: Config, index: int, deadline_s: float) -> Outcome:
        job = steps[index].job
        assert isinstance(job, SessionJob)
        # Made for the whole heap: what a heap's own check() says of a smaller one is a guess, and this finds out.
        invocation = evolve(job.invocation, config=tried, operations=tried.operations)
        step = evolve(steps[index], job=evolve(job, invocation=invocation), deadline_s=deadline_s)
        machine, here = place.machine.name, place.has_compiler
        (measured,) = runner.run([step], place.executor, machine=machine, has_compiler=here)
        assert isinstance(measured.record, Outcome)
        return measured.record

    return search(whole, attempt, attempts=attempts)


def smallest(
    config: Config, *, machine: str = "native", seed: int = 0, attempts: int = 1, watch: Watch = UNWATCHED
) -> Minheap:
    """The smallest heap that a configuration runs in, ``native`` or in the ``lab``.

    Raises GcBarrierError as :func:`search` does, Unavailable where its barrier or collector can't be had there.
    """
    plan = Plan(configs=(config,), invocations=attempts)
    build.compiler()
    with guest_for([plan], watch) if machine == "lab" else this_machine() as place:
        for missing in (
            *absent_collectors(plan, place).values(),
            *lacking_barriers(plan, place.executor, watch).values(),
        ):
            raise missing
        watch.note(f"looking for the smallest heap of {config.heap}")
        return find(config, place, seed=seed, attempts=attempts)


def program_of(config: Config) -> Config:
    """What the smallest heap of a configuration in a plan is found with: its program alone, the world stopped."""
    return evolve(
        programs.fixed(config),
        barrier="none",
        barrier_params={},
        collector="stop-the-world",
        collector_params={},
        memory="shmem",
        heap_times=0.0,
        verify=False,
        timed=False,
    )


def sized(plan: Plan, place: Place, known: dict[str, Minheap], *, seed: int = 0, watch: Watch = UNWATCHED) -> Plan:
    """The plan with each multiple turned into bytes; the smallest heaps are looked for once per program.

    ``known`` are those of this machine, by program; what is found goes there. Raises GcBarrierError as :func:`find`
    does.
    """
    configs = []
    for config in plan.configs:
        if not config.heap_times or config.minheap_bytes:
            configs.append(config)
            continue
        program = program_of(config)
        key = to_json(program)
        if key not in known:
            watch.note(f"looking for the smallest heap of {config.heap}")
            known[key] = find(program, place, seed=seed)
        configs.append(_multiple(config, known[key]))
    return evolve(plan, configs=tuple(configs))


def _multiple(config: Config, found: Minheap) -> Config:
    unit = MIB * (_HUGE_MIB if config.memory == "hugetlb" else 1)
    # Rounded up, but not for the last bit of a product such as 1.1 x 10.
    units = math.ceil(config.heap_times * found.minheap_bytes / unit - 1e-6)
    return evolve(
        config,
        heap_params=found.config.heap_params,
        heap_bytes=units * unit,
        minheap_bytes=found.minheap_bytes,
    )


__all__ = ["PATIENCE", "Attempt", "Minheap", "Trial", "find", "program_of", "search", "sized", "smallest"]
