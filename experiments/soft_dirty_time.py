"""How long do the steps of asynchronous write-protection take beside soft-dirty's?

``soft_dirty`` in time instead of counted instructions: the same steps, figure and tables. It has what counts leave out
(misses, flushes, traps), and is to be read with care in the lab: emulated, on a busy host, a first store differs
tenfold from invocation to invocation, and nothing is told that lies closer than that. On a kernel that has both ways
it needs no lab.
"""

from attrs import evolve

from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Machine
from gcbarrier.plugins import discovery

counted = discovery.module("experiments", "soft_dirty")


def plan(*, machine: Machine, quick: bool) -> Plan:
    """That experiment's, on a clock that tells time."""
    planned: Plan = counted.plan(machine=machine, quick=quick)
    return evolve(planned, counted=False, invocations=1 if quick else 5)


figures, table = counted.figures, counted.table
