"""A plan's invocations over several machines: in blocks, each of which one machine does alone.

A block is all configurations with one invocation's number. They face the same program and are compared with each other,
so they stay on one machine; who is free takes the next block. Where a machine is lost, what it had finished stays, and
the block that it was at is done again by another.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

from attrs import define, evolve, field, frozen

from gcbarrier.campaign import runner
from gcbarrier.campaign.deadlines import Deadlines
from gcbarrier.campaign.kept import KeptJob
from gcbarrier.campaign.runner import Step
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cluster.executor import MachineLost, SchedulerLost
from gcbarrier.machines.fresh import Within
from gcbarrier.model import Config, Measured


@frozen(kw_only=True)
class Stage:
    """A machine that is ready to measure."""

    name: str
    executor: Executor
    blocks: Mapping[int, Sequence[Step]] = field(repr=False)
    """What is still to be done of each block, should it do that."""
    begun: frozenset[int] = frozenset()
    """Blocks of which it has done a part already: nobody else takes them while it is there."""


@frozen(kw_only=True)
class Begun:
    """A machine has taken a block."""

    machine: str
    block: int


@frozen(kw_only=True)
class Done:
    """A step that was taken."""

    stage: Stage
    step: Step
    measured: Measured


@frozen(kw_only=True)
class Loss:
    """A machine that went away in the middle."""

    machine: str
    block: int
    """What it was at."""
    finished: int
    """Invocations of that block, which stay."""

    def __str__(self) -> str:
        kept = f" after {self.finished} of its invocations, which stay" if self.finished else ""
        return f"{self.machine} was lost in block {self.block}{kept}"


@define
class _Work:
    stage: Stage
    block: int
    steps: deque[Step]
    finished: int = 0
    begun_s: float = 0.0
    """When its last step was asked for."""


def spread(stages: Sequence[Stage], *, everywhere: bool = False) -> Iterator[Begun | Done | Loss]:
    """Do every block once, on whichever machine is free, or with ``everywhere`` once on each.

    Raises GcBarrierError where no machine is left that could do what remains, or nobody can be asked any more.
    """
    shared = deque(sorted({index for stage in stages for index in stage.blocks}))
    queues = {stage.name: deque(sorted(stage.blocks)) if everywhere else shared for stage in stages}
    alive = {stage.name: stage for stage in stages}
    running: dict[Future[Measured], tuple[_Work, Step]] = {}
    deadlines = {stage.name: Deadlines() for stage in stages}

    def begin(work: _Work) -> None:
        step = work.steps.popleft()
        if config := _config(step):
            step = evolve(step, deadline_s=deadlines[work.stage.name].limit_s(config, step.deadline_s))
        work.begun_s = time.monotonic()
        future = work.stage.executor.submit(Within(step.deadline_s, runner.take), step.job, {})
        running[future] = (work, step)

    def next_blocks() -> Iterator[Begun]:
        busy = {work.stage.name for work, _ in running.values()}
        for stage in [stage for stage in alive.values() if stage.name not in busy]:
            others = () if everywhere else alive.values()
            if (index := _chosen(stage, queues[stage.name], others)) is not None:
                queues[stage.name].remove(index)
                begin(_Work(stage=stage, block=index, steps=deque(stage.blocks[index])))
                yield Begun(machine=stage.name, block=index)

    yield from next_blocks()
    while running:
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            work, step = running.pop(future)
            stage = work.stage
            try:
                measured = future.result()
            except MachineLost:
                del alive[stage.name]
                queues[stage.name].appendleft(work.block)
                yield Loss(machine=stage.name, block=work.block, finished=work.finished)
                continue
            except SchedulerLost:
                raise
            except GcBarrierError as problem:
                measured = runner.failed(step, stage.name, problem)
            else:
                if (config := _config(step)) and not measured.record.error:
                    deadlines[stage.name].took(config, time.monotonic() - work.begun_s)
            work.finished += 1
            # Kept before anything new begins.
            yield Done(stage=stage, step=step, measured=measured)
            if work.steps:
                begin(work)
        yield from next_blocks()
    left = sum(map(len, queues.values())) if everywhere else len(shared)
    if left:
        raise GcBarrierError(
            f"no machine is left for {left} of the plan's blocks: what was finished is kept; "
            "start the workers again and go on with --resume"
        )


def _config(step: Step) -> Config | None:
    return step.job.config if isinstance(step.job, KeptJob) else step.config


def _chosen(stage: Stage, queue: Sequence[int], alive: Iterable[Stage]) -> int | None:
    """What it goes on with, or else the first block that none of these has begun."""
    others = {index for other in alive if other is not stage for index in other.begun}
    mine = [index for index in queue if index in stage.blocks]
    first = [index for index in mine if index in stage.begun]
    return next(iter([*first, *(index for index in mine if index not in others)]), None)


__all__ = ["Begun", "Done", "Loss", "Stage", "spread"]
