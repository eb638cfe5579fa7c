"""When each mutator of an invocation lost time to the collector, and to what: what utilisation curves are made of.

Two ways to count. **Pauses only**, as the field does: all mutators lose all of every pause. **All that was lost**, by
mutator: while a stop held it (from its arrival at a safepoint to the moment it ran again; none of it where it was
asleep of its own will), while it helped or was held up at its safepoints, while it waited for memory, and what its page
faults took. What the store itself costs, the software log's and the cards', caches and TLBs that were emptied, and a
processor that the collector had are in neither: a mutator's speed against one over no barrier shows these, beside.

A pause begins before a mutator has arrived and ends when the collector knows that all run again, which on a busy
machine may be long after they do: there a mutator may have lost less than its pauses.

Of faults the kernel tells how many there were between two looks, not when each was: each takes what a first store was
measured to take in that process (``fault_cost_ns``), spread evenly over the time between the looks in which the mutator
was not stopped. Looks are when a stop holds the mutator, before the collector arms and before each of its rounds but
the last few. Where the kernel counts none, since a signal handler takes them (``mprotect``) or code of the store
(``cards``, ``log``), they are as many as the granules that were reported, evenly from one report to the next and by
mutator. A run that was recorded before there were such events has its faults evenly between arming and remark, whole
pauses for held mutators, and no help.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Outcome
from gcbarrier.model.kinds import Kind
from gcbarrier.results.cells import Cell, cells
from gcbarrier.results.run import Run
from gcbarrier.results.utilisation import Timeline, timeline

LOSSES = ("stopped", "helping", "waiting", "faults")
"""What a mutator loses time to."""

_Spans = NDArray[np.float64]
"""Rows of begin and end, from the beginning of the run, and the share of that which is lost."""


@frozen(kw_only=True, eq=False, slots=False)
class Lost:
    """What the mutators of one invocation lost."""

    length_ns: float
    """Of the run, from the moment the heap was built."""
    pauses: _Spans = field(repr=False)
    """Of all mutators alike."""
    by_mutator: Sequence[dict[str, _Spans]] = field(repr=False)
    """For each, what it lost by :data:`LOSSES`."""

    @cached_property
    def classic(self) -> Timeline:
        """Pauses only: the same for each mutator."""
        return _timeline(self.length_ns, self.pauses)

    @cached_property
    def whole(self) -> tuple[Timeline, ...]:
        """All that was lost, by mutator."""
        return tuple(_timeline(self.length_ns, *own.values()) for own in self.by_mutator)

    def share(self, what: str) -> float:
        """Of the time of all mutators, what was lost to one of :data:`LOSSES`, were there none of the others."""
        lost = [1 - _timeline(self.length_ns, own[what]).utilisation for own in self.by_mutator]
        return float(np.mean(lost)) if lost else float("nan")


@frozen(kw_only=True, eq=False, slots=False)
class Watched(Cell):
    """A cell whose invocations' raw events are there to be looked at."""

    lost: tuple[Lost, ...] = field(repr=False)
    """Of each good invocation that ran at all."""
    bare: int = 0
    """Good invocations without events: theirs is what their records tell."""


def watched(run: Run, machine: str) -> tuple[Watched, ...]:
    """The cells of one machine with what their mutators lost."""
    place = {id(outcome): index for index, outcome in enumerate(run.outcomes)}
    found = []
    for cell in cells(run.on(machine)):
        events = [_events(run, place[id(outcome)]) for outcome in cell.good]
        lost = [lost_time(outcome, own) for outcome, own in zip(cell.good, events, strict=True) if outcome.wall_ns]
        found.append(
            Watched(
                machine=cell.machine,
                config=cell.config,
                outcomes=cell.outcomes,
                lost=tuple(lost),
                bare=sum(own is None for own in events),
            )
        )
    return tuple(found)


def _events(run: Run, index: int) -> NDArray[Any] | None:
    """None: they are not there, or are no events."""
    try:
        events = run.events(index)
    except GcBarrierError:
        return None
    names = events.dtype.names or ()
    return events if {"start_ns", "end_ns", "value", "cycle", "kind", "thread"} <= set(names) else None


def lost_time(outcome: Outcome, events: NDArray[Any] | None = None) -> Lost:
    """What the mutators of ``outcome`` lost; without its raw ``events`` what the outcome tells by itself."""
    mutators = outcome.invocation.config.mutators
    start_ns = _start_ns(outcome, events)
    own = _Own(outcome, events, start_ns)
    pauses = _spans([(one.start_ns - start_ns, one.start_ns + one.pause_ns - start_ns) for one in outcome.pauses])
    found: list[dict[str, _Spans]] = []
    for mutator in range(mutators):
        # A core that records who was held records it of every stop: without, none of this mutator was.
        held = own.of(Kind.HELD, mutator) if own.tells else pauses
        helped = own.of(Kind.HELP, mutator, shared=True)
        stalls = [(one.start_ns, one.start_ns + one.stall_ns) for one in outcome.stalls if one.mutator == mutator]
        waits = _spans([(begin - start_ns, end - start_ns) for begin, end in stalls])
        stood = _timeline(outcome.wall_ns, held, helped, waits)
        faults = own.faults(mutator, stood)
        found.append({"stopped": held, "helping": helped, "waiting": waits, "faults": faults})
    return Lost(length_ns=float(outcome.wall_ns), pauses=pauses, by_mutator=found)


def _start_ns(outcome: Outcome, events: NDArray[Any] | None) -> int:
    """When the mutators began; of a run that does not tell, so that all that it does tell of is in it."""
    if "started_ns" in outcome.facts:
        return int(outcome.facts["started_ns"])
    seen = [
        *((one.start_ns, one.pause_ns) for one in outcome.pauses),
        *((one.start_ns, one.stall_ns) for one in outcome.stalls),
        *((one.start_ns, one.duration_ns) for one in outcome.cycles),
    ]
    if not seen:
        return int(events["start_ns"].min()) if events is not None and len(events) else 0
    return min(min(start for start, _ in seen), max(start + took for start, took in seen) - outcome.wall_ns)


class _Own:
    """The events of one invocation's run, by mutator."""

    def __init__(self, outcome: Outcome, events: NDArray[Any] | None, start_ns: int) -> None:
        self._outcome = outcome
        self._start_ns = start_ns
        self._cost_ns = float(outcome.facts.get("fault_cost_ns", 0))
        # What began while the heap was built is the builder's.
        self._events = events[events["start_ns"] >= start_ns] if events is not None else None
        self.tells = events is not None and "started_ns" in outcome.facts and not outcome.facts.get("foreign")

    def of(self, kind: Kind, mutator: int, *, shared: bool = False) -> _Spans:
        """Its own of one kind; ``shared``: ``value`` says how many of the ns between the ends they stand for."""
        if self._events is None:
            return _spans([])
        own = self._events[(self._events["kind"] == kind) & (self._events["thread"] == mutator + 1)]
        begin, end = self._since(own["start_ns"]), self._since(own["end_ns"])
        share = np.minimum(own["value"] / np.maximum(end - begin, 1), 1) if shared else np.ones(len(own))
        return np.column_stack([begin, end, share])

    def faults(self, mutator: int, stood: Timeline) -> _Spans:
        """What they took, over the time in which it did not stand still."""
        if self.tells and len(found := self.of(Kind.FAULTS, mutator)):
            events = self._events[self._events["kind"] == Kind.FAULTS]  # type: ignore[index]
            return self._spread(found, events["value"][events["thread"] == mutator + 1], stood)
        if self.tells and self._kernel_counts:
            return _spans([])
        if self.tells:
            return self._reported(stood)
        return self._between_arming_and_remark(stood)

    @property
    def _kernel_counts(self) -> bool:
        return self._events is not None and bool((self._events["kind"] == Kind.FAULTS).any())

    def _reported(self, stood: Timeline) -> _Spans:
        """One for each granule of a report, since the report or the arming before it."""
        assert self._events is not None
        looks = np.sort(self._events[np.isin(self._events["kind"], (Kind.ARM, Kind.COLLECT))], order="start_ns")
        reports = np.flatnonzero(looks["kind"] == Kind.COLLECT)
        reports = reports[reports > 0]
        end = self._since(looks["end_ns"])
        spans = np.column_stack([end[reports - 1], end[reports], np.ones(len(reports))])
        return self._spread(spans, looks["value"][reports] / self._outcome.invocation.config.mutators, stood)

    def _between_arming_and_remark(self, stood: Timeline) -> _Spans:
        """All that the run counted, evenly over its cycles: by the events where there are any, else by the records."""
        armed = self._armed()
        spans = _spans(armed or [(0, self._outcome.wall_ns)])
        long = spans[:, 1] - spans[:, 0]
        each = self._outcome.minor_faults / self._outcome.invocation.config.mutators
        return self._spread(spans, each * long / max(long.sum(), 1.0), stood)

    def _armed(self) -> list[tuple[float, float]]:
        if self._events is None:
            return [
                (float(one.start_ns - self._start_ns), float(one.start_ns + one.duration_ns - self._start_ns))
                for one in self._outcome.cycles
            ]
        found = []
        for arm in self._events[self._events["kind"] == Kind.ARM]:
            stops = self._events[(self._events["kind"] == Kind.PAUSE) & (self._events["cycle"] == arm["cycle"])]
            if len(stops):
                ends = self._since(np.array([arm["start_ns"], stops["end_ns"].max()]))
                found.append((float(ends[0]), float(ends[1])))
        return found

    def _spread(self, spans: _Spans, counts: NDArray[Any], stood: Timeline) -> _Spans:
        free = (spans[:, 1] - spans[:, 0]) - (stood.lost(spans[:, 1]) - stood.lost(spans[:, 0]))
        share = np.minimum(counts * self._cost_ns / np.maximum(free, 1), 1)
        return np.column_stack([spans[:, :2], share])

    def _since(self, stamps: NDArray[Any]) -> NDArray[np.float64]:
        # Whole numbers first: floats would round stamps of a machine that has been up for months.
        return (stamps.astype(np.int64) - self._start_ns).astype(np.float64)


def _spans(found: Iterable[tuple[float, float]]) -> _Spans:
    rows = [(begin, end, 1.0) for begin, end in found]
    return np.array(rows, np.float64).reshape(-1, 3)


def _timeline(length_ns: float, *spans: _Spans) -> Timeline:
    rows = np.concatenate([_spans([]), *spans])
    return timeline(length_ns, rows[:, 0], rows[:, 1], rows[:, 2])


__all__ = ["LOSSES", "Lost", "Watched", "lost_time", "watched"]
