"""An advice as tables and in sentences. No drawing here."""

from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.costs.advice import Advice, Length, Offer, Range
from gcbarrier.costs.sentences import said_count, said_ns, said_share, sentences
from gcbarrier.report.looks import sort_key
from gcbarrier.report.units import DASH, format_ns

_HEADS = ("barrier", "", "mutators lose", "collector", "both", "remark")


def table(advice: Advice, name: str) -> RenderableType:
    """A table for each length of a cycle, and what one reads from it; ``name`` is the recording's."""
    pages = f"{said_count(advice.pages)} pages, {advice.mutators} mutator{'s' * (advice.mutators > 1)}"
    about = ", ".join(advice.facts[key] for key in ("processor", "kernel") if advice.facts.get(key))
    parts: list[RenderableType] = [
        Text(f"{name}: {said_ns(advice.duration_ns)} recorded, {pages}"),
        Text(f"constants of {about}, measured {advice.facts.get('measured', 'some time')}"),
        Text(),
    ]
    for length in advice.lengths:
        parts += [Text(_title(length)), _offers(length), Text()]
    parts += [Text(KEY), *(Text(line) for line in sentences(advice))]
    return Group(*parts)


KEY = (
    "Predicted: what mutators lose is of their processor time, the rest of one processor's; in brackets the interval "
    "that holds 95 of 100 draws of constants, of windows, and of how much recording has slowed the program; * no other "
    "is better in both bill and remark."
)


def _title(length: Length) -> str:
    written = said_ranged(length.written, said_count)
    return (
        f"cycles of {said_ns(length.period_ns)}: {written} pages written in each, a page in "
        f"{said_count(length.rewrites)} ticks; marking takes {said_ns(length.marking_ns)}"
    )


def _offers(length: Length) -> Table:
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, head in enumerate(_HEADS):
        lines.add_column(Text(head), justify="left" if place < 2 else "right", no_wrap=True)
    for offer in ordered(length.offers):
        words = (
            offer.barrier,
            "*" if offer.in_front else "",
            _least(offer.at_least) + said_ranged(offer.mutators, said_share),
            _least(offer.granules_at_least) + said_ranged(offer.collector, said_share),
            _least(offer.at_least) + said_ranged(offer.bill, said_share),
            _least(offer.granules_at_least) + said_ranged(offer.remark_ns, format_ns),
        )
        lines.add_row(*map(Text, words), style="bold" if offer.in_front else "")
    return lines


def ordered(offers: tuple[Offer, ...]) -> list[Offer]:
    """As barriers are in all tables."""
    return sorted(offers, key=lambda offer: sort_key(offer.barrier))


def _least(no_less: bool) -> str:
    return "at least " if no_less else ""


def said_ranged(number: Range, words: Callable[[float], str]) -> str:
    """The centre with its interval in brackets; a dash where it is not known."""
    if number.centre != number.centre:
        return DASH
    centre, low, high = (words(each) for each in (number.centre, number.low, number.high))
    return centre if low == high else f"{centre} ({low} {DASH} {high})"


__all__ = ["KEY", "ordered", "said_ranged", "table"]
