"""Was the machine busy with something else while an invocation ran? Judged by what was recorded of its temper alone.

An invocation needs a processor for each of its threads, in a cycle at least: what others use beyond the processors
that are then free, they take from it; and so does a hypervisor that runs something else, or a quota that stops it.
**Busy** is an invocation from which more was taken in that way than the machine's own interrupts and the kernel's short
jobs take from any thread (``Gaps.short_share``, seen right before in that very process), and more than the kernel's
ticks can tell from nothing. So no number that was chosen decides it.
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
    taken: float
    """Of these, what the invocation would have needed, as far as the kernel's ticks can tell."""
    own: float
    """What the machine alone takes from a thread."""
    waited: float
    """Of the time in which its threads used a processor or could have: the share in which they had none. They may have
    waited for one another, where they are more than the processors."""

    stopped: bool
    """Whether a hypervisor or a quota stopped all of its threads at times, which no pause can tell."""

    @property
    def busy(self) -> bool:
        """Whether others took more than the machine itself does."""
        return self.taken > self.own


def burden(outcome: Outcome) -> Burden | None:
    """What was taken from this invocation; None where nothing is known of that."""
    temper = outcome.temper
    if temper is None or temper.wall_ns <= 0 or (temper.others_ns is None and temper.steal_ns is None):
        return None
    whole_ns = temper.processors * temper.wall_ns
    return Burden(
        processors=temper.processors,
        threads=_threads(temper, outcome.invocation.config.mutators),
        others=_share(temper.others_ns, whole_ns),
        stolen=_share(temper.steal_ns, whole_ns),
        throttled=_share(temper.throttled_ns, whole_ns),
        taken=_taken_ns(temper, outcome.invocation.config.mutators) / whole_ns,
        stopped=_stolen_ns(temper) > 0 or bool(temper.throttled_ns),
        own=temper.gaps.short_share if temper.gaps else 0.0,
        waited=_waited(temper),
    )


def _taken_ns(temper: Temper, mutators: int) -> int:
    free_ns = max(temper.processors - _threads(temper, mutators), 0) * temper.wall_ns
    others_ns = max((temper.others_ns or 0) - _blurred_ns(temper) - free_ns, 0)
    return others_ns + _stolen_ns(temper) + (temper.throttled_ns or 0)


def _stolen_ns(temper: Temper) -> int:
    return max((temper.steal_ns or 0) - _blurred_ns(temper), 0)


def _blurred_ns(temper: Temper) -> int:
    """Of each count, a tick of each processor may belong before what is measured, and one after it."""
    return 2 * temper.tick_ns * temper.processors


def _threads(temper: Temper, mutators: int) -> int:
    return len(temper.ran) or mutators + 1


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


__all__ = ["Burden", "burden", "is_busy", "others_share", "steal_share"]
