"""How long do requests take, and how long does one wait for them, behind each barrier?

``requests`` serves so many from a long-lived store, as fast as it can. Simple latency is what a request takes: a pause
makes one of them slow. Metered latency takes requests to arrive at an even rate, so that those that queue behind a
pause are slow as well; the wider the window over which the rate is even, the longer a slow spell is held against what
comes after it.
"""

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Machine
from gcbarrier.report.anyrun import LATENCY, latency_verdict

MIB = 1 << 20
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "mprotect", "cards")


def plan(*, machine: Machine, quick: bool) -> Plan:
    """A number of requests, all of which are kept, in a heap that they fill many times."""
    at = choose(machine, quick)
    concurrent = [(name, "mostly-concurrent") for name in BARRIERS]
    configs = product(
        heap="requests",
        heap_bytes=at(full=256 * MIB, quick=64 * MIB, emulated=32 * MIB),
        pairs=[("none", "stop-the-world"), *concurrent],
        operations=at(full=400_000, quick=60_000, emulated=20_000, emulated_quick=5_000),
        timed=True,
    )
    return Plan(configs=configs, invocations=at(full=5, quick=1))


figures, table, verdict = LATENCY.figures, LATENCY.table, latency_verdict
