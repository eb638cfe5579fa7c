"""A plan under stress (``Config.stress``): in heaps that are small enough for a cycle at every few safepoints."""

from gcbarrier.campaign.matching import check
from gcbarrier.campaign.plans import Plan
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, evolve

HEAP_BYTES = 8 << 20
"""Each cycle marks all that lives and looks at every block: a GiB would be built for hours."""
USUAL = 100
"""Safepoints to a cycle where nobody says how many. Where a mistake is made each time, 1 finds it no sooner."""


def applied(plan: Plan, every: int, *, sized: bool) -> Plan:
    """``plan`` with all its configurations stressed, in heaps of :data:`HEAP_BYTES` unless ``sized``.

    Raises GcBarrierError where it has none, or where one can't be stressed.
    """
    if not plan.configs:
        raise GcBarrierError("this experiment looks at barriers by themselves and has no mutators: leave --stress out")
    stressed = (evolve(config, stress=every) for config in plan.configs)
    return evolve(plan, configs=tuple(config if sized else _small(config) for config in stressed))


def _small(config: Config) -> Config:
    """In the smallest heap that its program takes, of some; one that is a multiple of the smallest stays that."""
    size, refused = HEAP_BYTES, None
    while size < config.heap_bytes and not config.heap_times:
        try:
            check(small := evolve(config, heap_bytes=size))
        except GcBarrierError as problem:
            refused, size = problem, 2 * size
        else:
            return small
    try:
        check(config)
    except GcBarrierError as problem:
        raise problem from refused
    return config


__all__ = ["HEAP_BYTES", "USUAL", "applied"]
