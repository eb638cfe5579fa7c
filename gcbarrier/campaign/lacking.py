"""What a machine lacks of a plan, and what is left of it there."""

from collections.abc import Mapping
from concurrent.futures import Executor

import attrs

from gcbarrier import barriers, collectors
from gcbarrier.campaign.availability import availability
from gcbarrier.campaign.places import NATIVE, Place
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.settings import Settings
from gcbarrier.campaign.watching import Watch
from gcbarrier.errors import Unavailable
from gcbarrier.machines import lab


def lacking_barriers(plan: Plan, executor: Executor, watch: Watch) -> dict[str, Unavailable]:
    """The plan's barriers that the executor's machine lacks something for.

    Raises GcBarrierError for one that does not work though nothing is lacking: no other machine would help.
    """
    watch.note("trying the barriers")
    memories = {one.barrier: one.memory for one in plan.parts}
    lacking: dict[str, Unavailable] = {}
    for name, problem in availability(memories, executor).items():
        if isinstance(problem, Unavailable):
            lacking[name] = problem
        elif problem is not None:
            raise problem
    return lacking


def without(plan: Plan, lacking: dict[str, Unavailable]) -> Plan | None:
    """What is left of a plan; nothing if that is only the baseline."""
    configs = tuple(config for config in plan.configs if config.barrier not in lacking)
    probes = tuple(probe for probe in plan.probes if probe.barrier not in lacking)
    left = attrs.evolve(plan, configs=configs, probes=probes)
    return None if lacking and not any(barriers.promises_of(one.barrier).tracks for one in left.parts) else left


def equipped(plan: Plan, place: Place, settings: Settings, watch: Watch) -> tuple[Plan, dict[str, Unavailable]]:
    """The plan without the collectors whose library is not on that machine, and these.

    Raises Unavailable where one of them was named by the user, or nothing is left that answers the plan's question.
    """
    absent = absent_collectors(plan, place)
    configs = tuple(config for config in plan.configs if config.collector not in absent)
    for name, problem in absent.items():
        asked_for = name in settings.named("collector")
        if asked_for or name in plan.essential or not (configs or plan.probes):
            raise problem
        watch.left_out(place.machine.name, name, problem)
    return attrs.evolve(plan, configs=configs), absent


def compilable(plan: Plan) -> Plan:
    """The plan without the collectors whose library is not here, where everything is compiled."""
    absent = collectors.lacking(_foreign(plan))
    return attrs.evolve(plan, configs=tuple(config for config in plan.configs if config.collector not in absent))


def absent_collectors(plan: Plan, place: Place) -> dict[str, Unavailable]:
    """The plan's collectors whose library is not on that machine."""
    names = _foreign(plan)
    # It is compiled here, wherever it runs.
    absent = collectors.lacking(names)
    rest = sorted(names - set(absent))
    if rest and place.machine != NATIVE:
        absent |= place.executor.submit(collectors.lacking, rest).result()
    return absent


def _foreign(plan: Plan) -> set[str]:
    return {config.collector for config in plan.configs if collectors.of(config).runtime is not None}


def refuse_lacking(missing: dict[str, Unavailable], plan: Plan, settings: Settings) -> None:
    """Raises Unavailable where the lab lacks a barrier that must be there.

    Sessions want one machine with all of them, and so does who has named them; probes make do with what there is.
    """
    for name, problem in missing.items():
        if plan.configs or name in settings.named("barrier") or without(plan, missing) is None:
            raise problem


def require_lab(settings: Settings, lacking: dict[str, Unavailable]) -> None:
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


def as_told(lacking: Mapping[str, Unavailable]) -> dict[str, dict[str, str]]:
    """For the manifest."""
    return {name: {"what": one.what, "why": one.why, "remedy": one.remedy} for name, one in lacking.items()}
