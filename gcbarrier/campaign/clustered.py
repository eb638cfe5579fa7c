"""A run over Dask workers: each is a machine of its own, with its own plan, and blocks go to whoever is free."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from attrs import asdict, evolve

from gcbarrier.campaign.blocks import Begun, Done, Loss, Stage, spread
from gcbarrier.campaign.course import Course
from gcbarrier.campaign.errand import Errand, Prepared, prepare
from gcbarrier.campaign.places import NATIVE
from gcbarrier.campaign.plans import Plan
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.cluster import Cluster, DaskExecutor, MachineLost, connect
from gcbarrier.machines.cluster.executor import as_told
from gcbarrier.machines.cluster.luggage import Luggage, packed
from gcbarrier.results.run import unlike


def on_workers(course: Course) -> None:
    """Run the plan on the workers of the scheduler that the request names.

    Raises GcBarrierError as :func:`gcbarrier.machines.cluster.connect` does, where the plan can't be run on a worker,
    and where no worker is left for what remains; Unavailable where none has what the plan needs.
    """
    request, watch = course.request, course.watch
    if build.sanitizers():
        raise GcBarrierError(f"workers run no sanitized code: leave {build.SANITIZE_VARIABLE} or --on out")
    # A mistake in the plan is told before anybody else is asked.
    course.plan(NATIVE)
    watch.note(f"asking the workers of {request.on}")
    with connect(request.on, _luggage(course), share_hosts=request.share_hosts) as cluster:
        for sentence in cluster.refused.values():
            watch.told(sentence)
        watch.note(f"compiling on {', '.join(executor.facts.name for executor in cluster.executors)}")
        answers = list(_prepared(course, cluster))
        stages = [_stage(course, executor, answer) for executor, answer in answers]
        _measure(course, stages if request.everywhere else _shared(course, stages))
        _refuse_absent(course, stages)


def _refuse_absent(course: Course, stages: Sequence[Stage]) -> None:
    """Raises GcBarrierError where what is to be done on each machine has a rest on one that is not here this time."""
    found = course.recorded
    if found is None or not course.resumed or not course.request.everywhere:
        return
    here = {stage.name for stage in stages}
    if absent := [name for name in found.plans if name not in here and not found.complete(name)]:
        raise GcBarrierError(
            f"{' and '.join(absent)} had begun and can't be asked now: start the worker again under that name, "
            "and go on with --resume"
        )


def _luggage(course: Course) -> Luggage:
    """The user's plug-ins, and the files that are named by what was set or by an earlier run's plans."""
    values: list[object] = [value for params in course.request.settings.params.values() for value in params.values()]
    plans = [course.plan(NATIVE), *(course.recorded.plans.values() if course.recorded else ())]
    values += [value for plan in plans for config in plan.configs for value in config.heap_params.values()]
    return packed(values)


def _prepared(course: Course, cluster: Cluster) -> Iterator[tuple[DaskExecutor, Prepared]]:
    """What each worker answers, all at once; one that lacks too much, or is lost by now, is left out."""
    asked: list[tuple[DaskExecutor, Future[Prepared]]] = []
    for executor in cluster.executors:
        errand = Errand(request=course.request, seed=course.seed, plan=_known(course, executor.facts.name))
        asked.append((executor, executor.submit(prepare, errand)))
    answered, refused = False, GcBarrierError("there is no worker")
    for executor, future in asked:
        name = executor.facts.name
        try:
            answer = future.result()
        except (MachineLost, Unavailable) as problem:
            refused = problem
            course.watch.told(f"nothing is run on {name}: {problem}")
        except GcBarrierError as problem:
            raise GcBarrierError(f"{name}: {problem}") from problem
        else:
            answered = True
            for missing, why in answer.lacking.items():
                course.watch.left_out(name, missing, why)
            yield executor, answer
    if not answered:
        raise refused


def _known(course: Course, name: str) -> Plan | None:
    """The plan that an earlier run had on this machine; where another's is done again, any machine's."""
    if course.recorded is None:
        return None
    plans = course.recorded.plans
    return plans.get(name) or (None if course.resumed else next(iter(plans.values()), None))


def _stage(course: Course, executor: DaskExecutor, answer: Prepared) -> Stage:
    """A worker that is ready, with what it has still to do."""
    name = executor.facts.name
    before = course.recorded.run.facts(name) if course.resumed and course.recorded else {}
    if before and (unlikeness := unlike(before, answer.manifest) or _recompiled(before, answer.manifest)):
        raise GcBarrierError(
            f"{name} is not what it was ({unlikeness}): give another machine another name, or begin anew with "
            "`gcbarrier run --from`"
        )
    course.introduce(name, answer.plan, {**answer.manifest, "worker": as_told(executor.facts)})
    left = {
        index: tuple(step for step in steps if not course.is_done(name, step)) for index, steps in answer.blocks.items()
    }
    begun = {index for index, steps in answer.blocks.items() if 0 < len(left[index]) < len(steps)}
    return Stage(
        name=name,
        executor=executor,
        blocks={index: steps for index, steps in left.items() if steps},
        begun=frozenset(begun),
    )


def _recompiled(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    same = before.get("core", now["core"]) == now["core"]
    return "" if same else "the core, or the compiler there, has changed"


def _shared(course: Course, stages: Sequence[Stage]) -> list[Stage]:
    """The stages without the blocks that some machine has done; the manifest tells which blocks there are."""
    blocks = sorted({index for stage in stages for index in stage.blocks} | (whole := _whole(course)))
    course.writer.note(block_count=len(blocks), blocks=dict(course.writer.manifest.get("blocks", {})))
    return [
        evolve(
            stage,
            blocks={index: steps for index, steps in stage.blocks.items() if index not in whole},
            begun=stage.begun - whole,
        )
        for stage in stages
    ]


def _whole(course: Course) -> set[int]:
    """The blocks of which an earlier run has everything on one machine."""
    if course.recorded is None or not course.resumed:
        return set()
    return {
        index
        for name, plan in course.recorded.plans.items()
        for index in range(plan.invocations)
        if all((name, part, index) in course.done for part in plan.parts)
    }


def _measure(course: Course, stages: Sequence[Stage]) -> None:
    everywhere, manifest = course.request.everywhere, course.writer.manifest
    steps = [step for stage in stages for block in stage.blocks.values() for step in block]
    # Each block is taken once, and no machine knows yet by whom.
    share = 1 if everywhere else max(len(stages), 1)
    course.watch.steps(", ".join(stage.name for stage in stages), steps[: len(steps) // share])
    losses: list[dict[str, Any]] = list(manifest.get("lost_workers", []))
    for event in spread(stages, everywhere=everywhere):
        match event:
            case Done(step=step, measured=measured):
                course.writer.add(measured)
                course.watch.done(step, measured)
            case Begun(machine=name, block=block):
                for loss in losses:
                    if loss["block"] == block and not loss["again_on"]:
                        loss["again_on"] = name
                        course.watch.told(f"block {block} is done again on {name}")
                course.writer.note(
                    lost_workers=losses,
                    **({} if everywhere else {"blocks": _taken(course.writer.manifest, name, block)}),
                )
            case Loss(machine=name, block=block):
                losses.append({**asdict(event), "again_on": ""})
                course.watch.told(str(event))
                course.writer.note(
                    lost_workers=losses,
                    **({} if everywhere else {"blocks": _given_back(course.writer.manifest, name, block)}),
                )


def _taken(manifest: Mapping[str, Any], machine: str, block: int) -> dict[str, list[int]]:
    """Who has which block, once this machine has this one: what another had begun of it is no part of the plan then."""
    blocks = {name: [index for index in each if index != block] for name, each in manifest["blocks"].items()}
    return {**blocks, machine: sorted([*blocks.get(machine, ()), block])}


def _given_back(manifest: Mapping[str, Any], machine: str, block: int) -> dict[str, list[int]]:
    blocks: dict[str, list[int]] = {**manifest["blocks"]}
    return {**blocks, machine: [index for index in blocks.get(machine, ()) if index != block]}


__all__ = ["on_workers"]
