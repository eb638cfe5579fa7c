"""What an advice comes to in words: what is best at which cycle length, and what can't be told."""

import math
from collections.abc import Iterator

from gcbarrier.costs.advice import SURE, Advice, Best, Crossing, Length, Offer


def said_ns(value: float) -> str:
    """A length in words: ``100 ms``."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} ns"


def said_share(value: float) -> str:
    """A share in per cent, two digits."""
    return f"{100 * value:.2g} %" if value < 0.995 else f"{100 * value:.0f} %"


def said_count(value: float) -> str:
    """A count, two digits at most."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def sentences(advice: Advice) -> Iterator[str]:
    """All of them, those about each length together."""
    for length in advice.lengths:
        yield from _length(advice, length)
    yield from _program(advice)
    if advice.lacking:
        yield (
            f"The constants are without {' and '.join(advice.lacking)}: what hangs on that is left blank. "
            "`--calibrate` measures all of them."
        )
    for name, why in sorted(advice.left_out.items()):
        yield f"{name} is not among them: {why}."


def _length(advice: Advice, length: Length) -> Iterator[str]:
    at = f"In cycles of {said_ns(length.period_ns)}"
    if length.busy_ns > length.period_ns * 1.0000001:
        yield (
            f"{at} there is not time enough: arming, marking and looking for what was written take "
            f"{said_ns(length.busy_ns)} at least, "
            "and what is said is of cycles that follow one another."
        )
    if length.beyond:
        yield (
            f"{at} nothing is known for certain: the recording holds {length.windows:.2g} of them, and what two of "
            "them have in common it does not show. What is said goes on from shorter ones; record for longer."
        )
    named = {offer.barrier: offer for offer in length.offers}
    front = [offer for offer in length.offers if offer.in_front]
    if length.lowest_bill is not None and front:
        yield _bill(at, length, named, front)
    if length.shortest_remark is not None:
        yield _remark(at, length, length.shortest_remark, named)
        if length.coarse:
            yield (
                f"{at} a tick of the recording is longer than marking or the last round: what is said of remarks is "
                "uncertain; record with a smaller --every."
            )
    if length.holding:
        yield (
            f"{at} rounds of {', '.join(length.holding)} may not find less and less by themselves: the collector "
            "holds mutators up then, and what that costs them is not in their loss."
        )
    for crossing in length.crossings:
        yield _crossing(advice, length, crossing)


def _bill(at: str, length: Length, named: dict[str, Offer], front: list[Offer]) -> str:
    best = length.lowest_bill
    assert best is not None
    bill = named[best.barrier].bill
    said = (
        f"{at} {best.barrier} has the lowest bill{_among(length)}, {said_share(bill.centre)} of a processor for "
        f"mutators and collector together{_doubt(best)}"
    )
    others = [offer for offer in sorted(front, key=lambda each: each.bill.centre) if offer.barrier != best.barrier]
    if not others:
        return f"{said}; none of them has a shorter remark."
    dearer = ", ".join(
        f"{each.barrier} ({said_ns(each.remark_ns.centre)} for {said_share(each.bill.centre)})" for each in others
    )
    return f"{said}; a shorter remark than its {said_ns(named[best.barrier].remark_ns.centre)} costs more: {dearer}."


def _among(length: Length) -> str:
    return " of page barriers" if any(offer.at_least for offer in length.offers) else ""


def _remark(at: str, length: Length, best: Best, named: dict[str, Offer]) -> str:
    return (
        f"{at} {best.barrier} has the shortest remark{_among(length) or ' of all'}, "
        f"{said_ns(named[best.barrier].remark_ns.centre)}{_doubt(best)}."
    )


def _doubt(best: Best) -> str:
    if best.sure >= SURE:
        return ""
    why = "the recording is too short to tell it from" if best.short else "these constants can't tell it from"
    return f" ({why} {best.rival}: it is ahead in {100 * best.sure:.0f} of 100 draws)"


def _crossing(advice: Advice, length: Length, crossing: Crossing) -> str:
    stores, at = crossing.stores, f"in a cycle of {said_ns(length.period_ns)}"
    who = f"{crossing.page} is cheaper than {crossing.software}"
    if math.isnan(stores.centre):
        return (
            f"From how many stores on {who} {at} can't be told: rounds of {crossing.software} do not find less there, "
            "and the collector holds mutators up."
        )
    if stores.high <= 1:
        return f"{who} {at} however often a written page is stored to."
    if stores.centre == math.inf:
        return f"{who} {at} for no number of stores that could be told: they can't be told from plain ones."
    ends = f"{said_count(stores.low)} to {said_count(stores.high)}"
    if stores.high == math.inf:
        ends = f"from {said_count(stores.low)} on: its stores can't be told from plain ones for certain"
    said = f"{who} where a page that is written gets more than {said_count(stores.centre)} stores {at} ({ends})"
    if advice.stores_per_page:
        given = advice.stores_per_page
        place = "more" if given > stores.high else "fewer" if given < stores.low else "about as many"
        return f"{said}; with the {said_count(given)} given, there are {place}."
    seen = f"a page that is written gets {said_count(length.rewrites)} at least, a tick each"
    if length.rewrites > stores.high:
        return f"{said}; {seen}, so it is."
    return f"{said}; {seen}, and more than that a recording of pages can't tell: --stores-per-page says it."


def _program(advice: Advice) -> Iterator[str]:
    if 0 < advice.processors < advice.mutators:
        yield (
            f"While it was recorded the program used {advice.processors:.2g} processors: if it waited for one, and not "
            "for its own requests, it writes more pages in a cycle where it need not."
        )
    slowed = advice.stretch
    if advice.stretch_known and slowed.high > 1:
        doubt = f"{slowed.low:.3g} to {slowed.high:.3g}, by its repetitions"
        if slowed.low == slowed.high:
            doubt = "how far off that is nothing tells: repeat it more often"
        yield (
            f"While it was recorded the program took {slowed.centre:.3g} times as long ({doubt}); its own time is "
            "reckoned by that, as if all of it had been slowed alike."
        )
    elif not advice.stretch_known:
        yield (
            "How much recording has slowed the program was not measured: it may write more in a second than was seen "
            "(`gcbarrier record --slow-down 3` measures it)."
        )


__all__ = ["said_count", "said_ns", "said_share", "sentences"]
