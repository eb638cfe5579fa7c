"""A run's plan without the run: nothing is compiled or measured, and no guest is booted."""

from collections.abc import Iterator

from attrs import evolve, frozen

from gcbarrier.campaign import runner
from gcbarrier.campaign.experiments import script_of
from gcbarrier.campaign.lacking import equipped, lacking_barriers, without
from gcbarrier.campaign.places import NATIVE, this_machine
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.request import Request
from gcbarrier.campaign.watching import UNWATCHED
from gcbarrier.machines import lab
from gcbarrier.model import Config, Machine, Probe


@frozen(kw_only=True)
class Part:
    """What one machine would run."""

    machine: str
    parts: tuple[Config | Probe, ...]
    invocations: int
    estimate_s: float
    """A guess, without compiling, booting a guest and looking for smallest heaps."""
    remarks: tuple[str, ...] = ()


def preview(request: Request) -> Iterator[Part]:
    """What each machine would run. Raises GcBarrierError where the plan can't be run."""
    settings = request.settings
    if request.on:
        plan = _plan(request, NATIVE)
        each = "each worker does all of it" if request.everywhere else "the workers share it, invocation by invocation"
        said = [f"as it is on this machine; each worker of {request.on} is asked for its own", each]
        yield evolve(_part(NATIVE, plan, said), machine=f"workers of {request.on}")
        return
    lacking = {}
    if settings.machine != "lab":
        with this_machine() as place:
            plan, absent = equipped(_plan(request, NATIVE), place, settings, UNWATCHED)
            lacking = lacking_barriers(plan, place.executor, UNWATCHED)
        remarks = [f"{name} is left out: {problem.why}" for name, problem in absent.items()]
        remarks += [f"{name} can't be had here: {problem.why}" for name, problem in lacking.items()]
        if present := without(plan, lacking):
            yield _part(NATIVE, present, remarks)
    if settings.machine == "lab" or (lacking and settings.machine != "native"):
        status = lab.status()
        remarks = [] if status.ready else [f"the lab is not ready: {status.missing}"]
        machine = Machine(name="lab", accelerator="tcg")
        yield _part(machine, _plan(request, machine), [*remarks, "as on an emulated guest"])


def _part(machine: Machine, plan: Plan, remarks: list[str]) -> Part:
    estimates = [runner.estimate_s(one, machine.accelerator) for one in plan.parts]
    if any(config.heap_times and not config.minheap_bytes for config in plan.configs):
        remarks = [*remarks, "before that, the smallest heaps are looked for, which takes some runs of each program"]
    return Part(
        machine=machine.name,
        parts=plan.parts,
        invocations=plan.invocations,
        estimate_s=sum(estimates) * plan.invocations,
        remarks=tuple(remarks),
    )


def _plan(request: Request, machine: Machine) -> Plan:
    return request.plan(script_of(request.experiment), machine)


__all__ = ["Part", "preview"]
