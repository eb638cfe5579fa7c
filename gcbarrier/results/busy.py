"""What a busy machine may have done to a run: how many invocations, how many of their pauses, and by how much."""

from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from gcbarrier.model import Outcome
from gcbarrier.results.burden import Burden, burden
from gcbarrier.results.cells import cells
from gcbarrier.results.run import Run
from gcbarrier.results.spread import geometric_mean, percentile

REMEDY = "`gcbarrier doctor --quiet-machine` says what to mend"


@frozen(kw_only=True)
class Busy:
    """Of the good invocations on one machine whose temper is known."""

    known: int
    invocations: int
    """While which the machine was busy with something else."""
    worst: Burden
    """Of these, the one from which most was taken."""
    pauses: int
    """In these."""
    met: int
    """At most so many of them may be longer for it: those with a thread descheduled, and all where a hypervisor or a
    quota stopped the invocation, since nothing tells in which."""
    times: tuple[float, ...]
    """For each configuration with busy and with quiet invocations: the median pause of the first by the second's."""

    @property
    def words(self) -> str:
        """For a heading: ``busy in 3 of 15 invocations``."""
        return f"busy in {self.invocations} of {self.known} invocations"

    @property
    def sentence(self) -> str:
        """All of it."""
        return (
            f"the machine was {self.words}: {taken(self.worst)} in the worst; up to {self.met:,} of their "
            f"{self.pauses:,} pauses may be longer for it, {self._by_how_much}; {REMEDY}"
        )

    @property
    def _by_how_much(self) -> str:
        if not self.times:
            return "and no configuration has quiet invocations as well, to tell by how much"
        typical = f"and median pauses are {geometric_mean(self.times):.2g} times those of quiet invocations"
        apart = f" ({min(self.times):.2g} to {max(self.times):.2g} over {len(self.times)} configurations)"
        return typical + (apart if len(self.times) > 1 else "")


def busy(outcomes: Iterable[Outcome]) -> Busy | None:
    """Of invocations on one machine; None where none is known to have run beside something else."""
    good = [outcome for outcome in outcomes if not outcome.error]
    burdens = [(outcome, found) for outcome in good if (found := burden(outcome)) is not None]
    disturbed = [(outcome, found) for outcome, found in burdens if found.busy]
    if not disturbed:
        return None
    return Busy(
        known=len(burdens),
        invocations=len(disturbed),
        worst=max((found for _, found in disturbed), key=lambda found: max(found.taken, found.absent)),
        pauses=sum(len(outcome.pauses) for outcome, _ in disturbed),
        met=sum(_met(outcome, found) for outcome, found in disturbed),
        times=tuple(_times(good, {id(outcome) for outcome, _ in disturbed})),
    )


def told(run: Run) -> Iterator[str]:
    """A sentence for each machine of a run that was busy."""
    for machine in run.machines:
        if (found := busy(run.on(machine))) is not None:
            yield f"{machine}: {found.sentence}"


def _met(outcome: Outcome, found: Burden) -> int:
    if found.stopped:
        return len(outcome.pauses)
    return sum(pause.preempted for pause in outcome.pauses)


def _times(good: Sequence[Outcome], disturbed: set[int]) -> Iterable[float]:
    for cell in cells(good):
        medians: dict[bool, list[float]] = {True: [], False: []}
        for outcome in cell.outcomes:
            if outcome.pauses and burden(outcome) is not None:
                lengths = [pause.pause_ns for pause in outcome.pauses]
                medians[id(outcome) in disturbed].append(percentile(lengths, 50))
        quiet = percentile(medians[False], 50)
        if medians[True] and quiet > 0:
            yield percentile(medians[True], 50) / quiet


def taken(found: Burden) -> str:
    """What was taken, and from how many threads, as a part of a sentence."""
    said = []
    if found.others > 0:
        said.append(f"others used {found.others * found.processors:.2g} of the {found.processors} processors")
    if found.robbed:
        said.append(f"the hypervisor took {found.stolen * found.processors:.2g}")
    if found.absent > found.own:
        said.append(f"right before, its processors were not there for {100 * found.absent:.2g} % of the time")
    if found.throttled > 0:
        said.append("a control group's quota stopped it")
    waited = f", and its {found.threads} threads waited {100 * found.waited:.2g} % of their time"
    return " and ".join(said) + (waited if found.waited == found.waited else "")


__all__ = ["Busy", "busy", "taken", "told"]
