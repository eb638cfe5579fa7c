"""How much of every window of time do mutators have to themselves, when not only pauses count?

Minimum mutator utilisation counts pauses, and a pause of a microsecond hides much: a mutator that faults on every page
it writes, is held up at its safepoints so that the last rounds get shorter, or waits for memory. Each barrier is drawn
twice, by pauses only and by all that its mutators lost, beside the speed that was measured: against the same program
with no barrier and no collector at all where it only edits, and with the world stopped where it allocates.
"""

from gcbarrier.campaign.plans import Plan, choose, product
from gcbarrier.model import Machine
from gcbarrier.report.anyrun import UTILISATION, utilisation_verdict

MIB = 1 << 20
BARRIERS = ("uffd-wp-log", "uffd-wp-async", "mprotect", "cards")
ONLY_REDIRECTS = {"move_share": 0.0, "replace_share": 0.0, "garbage_per_edit": 0.0}


def plan(*, machine: Machine, quick: bool) -> Plan:
    """Edits as fast as the mutator can over a heap that is marked every so often, and requests that fill theirs."""
    at = choose(machine, quick)
    # Where a kernel lacks it, soft-dirty is measured in the lab, which takes its minutes.
    names = at(full=(*BARRIERS, "soft-dirty"), quick=BARRIERS, emulated=(*BARRIERS, "soft-dirty"))
    concurrent = [(name, "mostly-concurrent") for name in names]
    duration_s = at(full=3.0, quick=0.8, emulated=4.0, emulated_quick=1.5)
    edits = product(
        heap="graph_edits",
        heap_bytes=at(full=256 * MIB, quick=64 * MIB, emulated=32 * MIB),
        heap_params=ONLY_REDIRECTS,
        pairs=[("none", "never"), *((*pair, {"every_s": 0.1}) for pair in concurrent)],
        duration_s=duration_s,
    )
    requests = product(
        heap="requests",
        heap_bytes=at(full=256 * MIB, quick=64 * MIB, emulated=32 * MIB),
        pairs=[("none", "stop-the-world"), *concurrent],
        duration_s=duration_s,
    )
    return Plan(configs=(*edits, *requests), invocations=at(full=3, quick=1))


figures, table, verdict = UTILISATION.figures, UTILISATION.table, utilisation_verdict
