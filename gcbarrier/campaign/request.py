"""What ``gcbarrier run`` was asked for, as one record: a run's manifest keeps it, and so it can be asked for again."""

from types import ModuleType

from attrs import field, frozen, validators

from gcbarrier.campaign import stressing
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.settings import Settings
from gcbarrier.campaign.until import BUDGET_S
from gcbarrier.core.build import SANITIZERS
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Machine, whole
from gcbarrier.plugins import discovery


@frozen(kw_only=True)
class Request:
    """An experiment, and everything that its plan is changed by."""

    experiment: str
    quick: bool = False
    verify: bool = False
    settings: Settings = field(factory=Settings)
    until: float = 0.0
    """Add invocations until the intervals that the report shows are as narrow: the half width as a share of the centre
    (:mod:`gcbarrier.campaign.until`). 0: the plan's invocations and no more."""
    budget_s: float = BUDGET_S
    """For how long a machine may take then, the plan's own invocations included."""
    on: str = ""
    """The address of a Dask scheduler, on whose workers it is run; "": here, and in the lab."""
    everywhere: bool = False
    """All of the plan on each worker, and not each block on one of them."""
    share_hosts: bool = False
    """Several workers on one host are several machines, which the results tell."""
    stress: int = field(default=0, validator=[whole, validators.ge(0)])
    """``Config.stress`` of every configuration, in heaps that are small enough for it."""
    sanitize: str = field(default="", validator=validators.in_(("", *SANITIZERS)))
    """The sanitizer that everything is compiled with (:func:`gcbarrier.core.build.sanitize`); "": none."""

    def __attrs_post_init__(self) -> None:
        """Raises GcBarrierError where one thing that was asked for can't be had with another."""
        if self.until and self.on:
            what = "--until looks at one machine after the other, and --on has several measure at once"
            raise GcBarrierError(f"{what}: leave one out; --set invocations=10 asks for more of them")
        if self.until and self.stress:
            raise GcBarrierError("--until narrows what was measured, and --stress is no measurement: leave one out")
        if self.on and self.settings.machine:
            raise GcBarrierError(f"machine={self.settings.machine} is not among the workers of --on: leave one out")

    def plan(self, script: ModuleType, machine: Machine) -> Plan:
        """What the experiment's script plans for a machine, with the settings applied.

        Raises GcBarrierError where it plans nothing or that can't be run.
        """
        with discovery.blamed("experiments", self.experiment):
            plan = script.plan(machine=machine, quick=self.quick)
        if not isinstance(plan, Plan):
            file = discovery.find("experiments", self.experiment)
            what = f"the experiment {self.experiment!r} has no plan: {file}'s plan() must return a Plan"
            raise GcBarrierError(what)
        return self.apply(plan)

    def apply(self, plan: Plan) -> Plan:
        """An experiment's plan as it was asked for. Raises GcBarrierError where it can't be run like that."""
        plan = self.settings.apply(plan, verify=self.verify)
        if not self.stress:
            return plan
        sized = "heap_bytes" in self.settings.keys
        return stressing.applied(plan, self.stress, sized=sized)


__all__ = ["Request"]
