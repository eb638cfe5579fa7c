"""Was the machine busy with something else while an invocation ran? Judged by what was recorded of its temper alone.

An invocation needs a processor for each of its threads, in a cycle at least: what others use beyond the processors
that are then free, they take from it; and so does a hypervisor that runs something else, or a quota that stops it.
**Busy** is an invocation from which more was taken in that way than the machine's own interrupts and the kernel's short
jobs take from any thread (``Gaps.short_share``, seen right before in that very process), and more than the kernel's
ticks can tell from nothing. So is one before which a clock had gaps, for a larger share of the time than that, in which
no thread had the processor, as in a guest whose host is busy. No number that was chosen decides it.
"""

from attrs import frozen

from gcbarrier.model import Outcome, Temper

_NAN = float("nan")


@frozen(kw_only=True)
class Burden:
    """What was taken from an invocation, in shares of the time of all processors that it may use."""

    processors: int
    threads: int
    """Of the invocation: those that ran."""
    others: float
    """What everybody else used; nan where the kernel does not tell, as all of these."""
    stolen: float
    throttled: float
    to_others: float
    """Of what others used, what the invocation would have needed, as far as the kernel's ticks can tell."""
    taken: float
    """That, and what a hypervisor and a quota have taken for certain."""
    absent: float
    """Of the time of threads that did nothing but read the clock, right before: when a processor was not there at all,
    and no thread of this machine had it. A guest's kernel may not know."""
    own: float
    """What the machine alone takes from a thread."""
    waited: float
    """Of the time in which its threads used a processor or could have: the share in which they had none. They may have
    waited for one another, where they are more than the processors."""

    robbed: bool
    """Whether a hypervisor took more than the kernel's ticks can tell from nothing."""
    stopped: bool
    """Whether a hypervisor or a quota stopped all of its threads at times, which no pause can tell."""

    @property
    def busy(self) -> bool:
        """Whether others took more than the machine itself does."""
        return max(self.taken, self.absent) > self.own


def burden(outcome: Outcome) -> Burden | None:
    """What was taken from this invocation; None where nothing is known of that."""
    temper = outcome.temper
    if temper is None:
        return None
    return weighed(temper, len(temper.ran) or outcome.invocation.config.mutators + 1)


def weighed(temper: Temper, threads: int) -> Burden | None:
    """The same, of so many threads that need a processor each."""
    if temper.wall_ns <= 0 or (temper.others_ns is None and temper.steal_ns is None):
        return None
    whole_ns = temper.processors * temper.wall_ns
    # Of each count, a tick of each processor may belong before what is measured, and one after it.
    blurred_ns = 2 * temper.tick_ns * temper.processors
    free_ns = max(temper.processors - threads, 0) * temper.wall_ns
    beyond_ns = max((temper.others_ns or 0) - blurred_ns - free_ns, 0)
    stolen_ns = max((temper.steal_ns or 0) - blurred_ns, 0)
    throttled_ns = temper.throttled_ns or 0
    own = temper.gaps.short_share if temper.gaps else 0.0
    absent = temper.gaps.absent_share if temper.gaps else 0.0
    return Burden(
        processors=temper.processors,
        threads=threads,
        others=_share(temper.others_ns, whole_ns),
        stolen=_share(temper.steal_ns, whole_ns),
        throttled=_share(temper.throttled_ns, whole_ns),
        to_others=beyond_ns / whole_ns,
        taken=(beyond_ns + stolen_ns + throttled_ns) / whole_ns,
        robbed=stolen_ns > 0,
        stopped=stolen_ns + throttled_ns > 0 or absent > own,
        absent=absent,
        own=own,
        waited=_waited(temper),
    )


def _waited(temper: Temper) -> float:
    told = [one.waited_ns for one in temper.ran if one.waited_ns is not None]
    wanted_ns = temper.own_ns + sum(told)
    return sum(told) / wanted_ns if told and wanted_ns else _NAN


def _share(part_ns: int | None, whole_ns: int) -> float:
    return _NAN if part_ns is None else part_ns / whole_ns


def is_busy(outcome: Outcome) -> str:
    """``yes``, ``no``, or ``unknown``: for a column."""
    found = burden(outcome)
    return "unknown" if found is None else "yes" if found.busy else "no"


def others_share(outcome: Outcome) -> float:
    """What everybody else used of the processors that it may use; nan where that is not known."""
    found = burden(outcome)
    return _NAN if found is None else found.others


def steal_share(outcome: Outcome) -> float:
    """What a hypervisor took of them; nan where that is not known."""
    found = burden(outcome)
    return _NAN if found is None else found.stolen


__all__ = ["Burden", "burden", "is_busy", "others_share", "steal_share", "weighed"]
