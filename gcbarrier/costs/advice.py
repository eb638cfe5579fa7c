"""What the constants and a recording come to: every barrier's cost, in cycles of several lengths."""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from gcbarrier.costs import formula
from gcbarrier.costs.constants import BarrierConstants, Constants, Floats, interval
from gcbarrier.costs.curves import Curve
from gcbarrier.costs.formula import Prediction, predict
from gcbarrier.costs.traces import Program
from gcbarrier.model import PAGE_BYTES, evolve

SURE = 0.95
"""Of the draws, in which one must be ahead to be called so."""


@frozen(kw_only=True)
class Range:
    """A predicted number and its interval."""

    low: float
    centre: float
    high: float


@frozen(kw_only=True)
class Offer:
    """What one barrier would cost in cycles of one length."""

    barrier: str
    software: bool
    mutators: Range
    """What mutators lose, of the processor time that they need without it."""
    collector: Range
    """What the collector does for its sake, of the time of one processor."""
    bill: Range
    """Both, of the time of one processor."""
    remark_ns: Range
    faults: Range
    """First stores to granules in a cycle."""
    at_least: bool
    """The mutators' loss is no less: how many stores there are isn't known, and each costs."""
    granules_at_least: bool
    """Nor are the collector's work and the remark: more stores meet more of a page's granules."""
    in_front: bool
    """No other has both a lower bill and a shorter remark, by the centres."""


@frozen(kw_only=True)
class Crossing:
    """From how many stores to a written page in a cycle on a page barrier's bill is the lower one; nan: the formula
    does not tell."""

    page: str
    software: str
    stores: Range


@frozen(kw_only=True)
class Best:
    """Who is ahead in something, and whether that is more than luck."""

    barrier: str
    sure: float
    """The share of the draws in which it is."""
    sure_of_constants: float
    """The same were the recording all that there is to know of the program: what is missing is then the constants'."""
    rival: str
    """Who is ahead most often otherwise; "" where nobody is."""
    coarse: bool = False
    """It hangs on windows shorter than a tick of the recording."""
    held: bool = False
    """It is a remark before which mutators may be held up (:attr:`Length.holding`)."""

    @property
    def told(self) -> bool:
        """Whether it is ahead of all others in nearly all draws, and they are of what was seen."""
        return self.sure >= SURE and not self.coarse and not self.held

    @property
    def short(self) -> bool:
        """Whether a longer recording would tell."""
        return self.sure < SURE and self.sure_of_constants >= SURE


@frozen(kw_only=True)
class Length:
    """Cycles of one length."""

    period_ns: float
    """As asked for."""
    marking_ns: float
    coarse: bool
    """Marking, or the last window before a remark, is shorter than a tick of the recording."""
    busy_ns: float
    """What a cycle takes at least, with the barrier that needs least: it can't be shorter."""
    windows: float
    """So many such cycles are in the recording, as long as they are at least."""
    beyond: bool
    """Two of them are not: what is said is extrapolated."""
    written: Range
    """Pages that are written in a cycle."""
    rewrites: float
    """Ticks of a cycle in which a page is written that is written in it: it gets as many stores at least."""
    holding: tuple[str, ...]
    """Barriers under which the collector may hold mutators up for so long that it counts: the formula has it not."""
    offers: tuple[Offer, ...]
    lowest_bill: Best | None
    """Among those whose bill is known: software barriers only where the stores to a page are. None, as with the next
    one, where what it takes was not measured."""
    shortest_remark: Best | None
    """Among the same."""
    crossings: tuple[Crossing, ...]
    """Of the page barrier with the lowest bill, with each software barrier."""


@frozen(kw_only=True)
class Advice:
    """All of it."""

    lengths: tuple[Length, ...]
    mutators: int
    pages: float
    stores_per_page: float
    """As given; 0: not known."""
    processors: float
    """That the program used while it was recorded; 0: not known."""
    stretch: Range
    stretch_known: bool
    duration_ns: float
    lacking: tuple[str, ...]
    left_out: Mapping[str, str]
    facts: Mapping[str, str]
    """Of the constants: where and when they were measured."""


def advise(
    program: Program,
    machine: Constants,
    periods_ns: Sequence[float],
    *,
    heap_bytes: int = 0,
    mutators: int = 1,
    stores_per_page: float = 0.0,
    crossed: bool = True,
) -> Advice:
    """What each barrier of ``machine`` would cost ``program`` in cycles of each length; ``crossed``: with crossings,
    which take most of the time."""
    asked = {"heap_bytes": heap_bytes, "mutators": mutators, "stores_per_page": stores_per_page}
    workload = program.workload(period_ns=periods_ns[0], **asked)  # type: ignore[arg-type]
    return Advice(
        lengths=tuple(_length(program, machine, period, asked, crossed=crossed) for period in periods_ns),
        mutators=mutators,
        pages=workload.pages,
        stores_per_page=stores_per_page,
        processors=program.processors,
        stretch=_range(program.stretch),
        stretch_known=program.stretch_known,
        duration_ns=program.duration_ns,
        lacking=machine.lacking,
        left_out=machine.left_out,
        facts=machine.facts,
    )


def _length(
    program: Program, machine: Constants, period_ns: float, asked: Mapping[str, float], *, crossed: bool
) -> Length:
    mark = marking_ns(program, machine, period_ns, asked)
    found = _predictions(program, machine, period_ns, mark, asked)
    busy_ns = min(float(one.period_ns[0]) for one in found.values())
    asked_ns, period_ns = period_ns, max(period_ns, busy_ns)
    if period_ns > asked_ns:
        # What is stored to a page is for a cycle as long as it then is.
        found = _predictions(program, machine, period_ns, mark, asked)
    exact = evolve(program, written=_centre(program.written), writes_per_ns=program.writes_per_ns[0])
    certain = _predictions(exact, machine, period_ns, mark, asked)
    comparable = [one for one in machine.barriers if asked["stores_per_page"] or not one.software]
    names = [one.name for one in comparable] or [one.name for one in machine.barriers]
    bill = _best({n: found[n].bill for n in names}, {n: certain[n].bill for n in names})
    remark = _best({n: found[n].remark_ns for n in names}, {n: certain[n].remark_ns for n in names})
    holding = tuple(name for name, one in found.items() if np.mean(one.doubtful) > 1 - SURE)
    shortest_ns = min([mark, *(float(found[name].last_window_ns[0]) for name in names)])
    coarse = shortest_ns < float(program.written.windows_ns[0])
    written = program.written.at(period_ns)
    pages = [one for one in machine.barriers if not one.software]
    crossings: tuple[Crossing, ...] = ()
    if crossed and pages and bill is not None:
        workload = program.workload(period_ns=period_ns, **asked)  # type: ignore[arg-type]
        cheapest = min(pages, key=lambda one: _centre_of(found[one.name].bill))
        crossings = tuple(
            Crossing(
                page=cheapest.name,
                software=other.name,
                stores=_range(
                    formula.crossing(
                        found[cheapest.name], workload, other, machine, period_ns=period_ns, marking_ns=mark
                    )
                ),
            )
            for other in machine.barriers
            if other.software
        )
    return Length(
        period_ns=asked_ns,
        marking_ns=mark,
        coarse=coarse,
        busy_ns=busy_ns,
        windows=program.duration_ns / period_ns,
        beyond=period_ns > program.written.longest_ns,
        written=_range(written),
        rewrites=float(program.writes_per_ns[0]) * period_ns / max(float(written[0]), 1e-9),
        holding=holding,
        offers=_offers(machine.barriers, found, least=not asked["stores_per_page"], judged=names),
        lowest_bill=bill,
        shortest_remark=remark and evolve(remark, coarse=coarse, held=remark.barrier in holding),
        crossings=crossings,
    )


def marking_ns(program: Program, machine: Constants, period_ns: float, asked: Mapping[str, float]) -> float:
    """How long marking takes: all of the heap's pages, however long a cycle is; all of the cycle where not measured."""
    if machine.mark_page is None:
        return period_ns
    pages = asked["heap_bytes"] / PAGE_BYTES if asked["heap_bytes"] else program.pages
    return machine.mark_page.value * pages


def _predictions(
    program: Program, machine: Constants, period_ns: float, mark: float, asked: Mapping[str, float]
) -> dict[str, Prediction]:
    workload = program.workload(period_ns=period_ns, **asked)  # type: ignore[arg-type]
    return {one.name: predict(workload, one, machine, period_ns=period_ns, marking_ns=mark) for one in machine.barriers}


def _centre(written: Curve) -> Curve:
    """What was seen, as if there were no doubt."""
    return evolve(
        written,
        pages=np.tile(written.pages[:1], (len(written.pages), 1)),
        below=np.broadcast_to(written.below, (len(written.pages),))[0],
        clock=1.0,
    )


def _offers(
    barriers: Sequence[BarrierConstants], found: Mapping[str, Prediction], *, least: bool, judged: Sequence[str]
) -> tuple[Offer, ...]:
    places = {name: (_centre_of(found[name].bill), _centre_of(found[name].remark_ns)) for name in judged}
    return tuple(
        Offer(
            barrier=one.name,
            software=one.software,
            mutators=_range(found[one.name].mutator_share),
            collector=_range(found[one.name].collector_share),
            bill=_range(found[one.name].bill),
            remark_ns=_range(found[one.name].remark_ns),
            faults=_range(found[one.name].faults),
            at_least=least and one.software,
            granules_at_least=least and one.software and one.granule_bytes < PAGE_BYTES,
            in_front=one.name in places
            and not np.isnan(places[one.name]).any()
            and not _beaten(places[one.name], list(places.values())),
        )
        for one in barriers
    )


def _beaten(place: tuple[float, float], places: Sequence[tuple[float, float]]) -> bool:
    """By one that is no worse in either and better in one."""
    return any(all(a <= b for a, b in zip(other, place, strict=True)) and other != place for other in places)


def _best(found: Mapping[str, Floats], certain: Mapping[str, Floats]) -> Best | None:
    """Who has the least of something; None where nothing of it is known."""
    table = np.array(list(found.values()))
    if np.isnan(table[:, 0]).any():
        return None
    names = list(found)
    ahead = int(np.argmin(table[:, 0]))
    wins = np.bincount(np.argmin(table[:, 1:], axis=0), minlength=len(names)) / (table.shape[1] - 1)
    surely = np.argmin(np.array(list(certain.values()))[:, 1:], axis=0)
    others = [at for at in np.argsort(-wins) if at != ahead and wins[at] > 0]
    return Best(
        barrier=names[ahead],
        sure=float(wins[ahead]),
        sure_of_constants=float(np.mean(surely == ahead)),
        rival=names[others[0]] if others else "",
    )


def _centre_of(values: Floats) -> float:
    return float(values[0])


def _range(values: Floats) -> Range:
    low, centre, high = interval(values)
    return Range(low=low, centre=centre, high=high)


__all__ = ["SURE", "Advice", "Best", "Crossing", "Length", "Offer", "Range", "advise"]
