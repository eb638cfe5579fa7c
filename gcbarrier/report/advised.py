"""An advice as a figure: what each barrier costs over the length of a cycle, with its band."""

from collections.abc import Callable, Sequence
from textwrap import wrap

from attrs import evolve, frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcbarrier.costs.advice import Advice, Offer, Range
from gcbarrier.report.advised_table import ordered
from gcbarrier.report.axes import scale
from gcbarrier.report.layout import place
from gcbarrier.report.looks import barrier_look
from gcbarrier.report.page import MARGIN, plain_page
from gcbarrier.report.style import FAINT, INK, TITLE, styled
from gcbarrier.report.units import NS, PERCENT, Unit

_WIDTH, _HEIGHT, _LEFT, _GAP, _HEADING, _BELOW = 2.6, 2.5, 0.55, 0.65, 0.3, 0.45
_SHARE = evolve(PERCENT.log, floor=0.001)


@frozen
class _Panel:
    title: str
    unit: Unit
    number: Callable[[Offer], Range]
    at_least: Callable[[Offer], bool]
    """Whether it is no less, because there may be more stores."""


_PANELS = (
    _Panel(
        "mutators lose, of their processor time",
        _SHARE,
        lambda offer: _percent(offer.mutators),
        lambda offer: offer.at_least,
    ),
    _Panel(
        "mutators and collector, of a processor",
        _SHARE,
        lambda offer: _percent(offer.bill),
        lambda offer: offer.at_least,
    ),
    _Panel("remark pause", NS, lambda offer: offer.remark_ns, lambda offer: offer.granules_at_least),
)


def figure(advice: Advice, name: str, said: Sequence[str]) -> Figure:
    """Curves over the lengths of ``advice``; ``said`` are sentences for the small print."""
    barriers = [offer.barrier for offer in ordered(advice.lengths[0].offers)]
    with styled():
        drawn, top = plain_page(
            f"What each barrier would cost {name}, by the length of a cycle: predicted.",
            lambda letters: "\n".join(line for each in said for line in wrap(each, letters)),
            width=2 * MARGIN + len(_PANELS) * (_LEFT + _WIDTH) + (len(_PANELS) - 1) * (_GAP - _LEFT) + 0.3,
            height=_HEADING + _HEIGHT + _BELOW,
            handles=[[_key(barrier) for barrier in barriers]],
            remarks=[
                "Bands: the interval of 95 of 100 draws. Dashed: no less than this, for nobody knows how many stores "
                "there are. Grey: cycles of which the recording does not hold two."
            ],
        )
        for at, panel in enumerate(_PANELS):
            axes = place(drawn, MARGIN + _LEFT + at * (_WIDTH + _GAP), top + _HEADING, _WIDTH, _HEIGHT)
            _draw(axes, advice, barriers, panel)
    return drawn


def _draw(axes: Axes, advice: Advice, barriers: Sequence[str], panel: _Panel) -> None:
    lengths = [length.period_ns for length in advice.lengths]
    axes.set_label(panel.title)
    axes.set_title(panel.title, loc="left", color=INK, fontsize=TITLE)
    seen: list[float] = []
    for barrier in barriers:
        offers = [next(offer for offer in length.offers if offer.barrier == barrier) for length in advice.lengths]
        ranges = [panel.number(offer) for offer in offers]
        look = barrier_look(barrier)
        # Nothing at all has no place on a logarithmic axis.
        low, centre, high = (
            [max(value, panel.unit.floor or 0.0) for value in values]
            for values in (
                [each.low for each in ranges],
                [each.centre for each in ranges],
                [each.high for each in ranges],
            )
        )
        dashes = (0, (3, 2)) if panel.at_least(offers[0]) else "-"
        axes.fill_between(lengths, low, high, color=look.colour, alpha=0.15, linewidth=0)
        axes.plot(lengths, centre, color=look.colour, linewidth=1.3, linestyle=dashes, label=barrier)
        seen += [value for value in (*low, *high) if value == value]
    scale(axes, "x", NS, lengths, most=4)
    scale(axes, "y", panel.unit, seen)
    beyond = [length.period_ns for length in advice.lengths if length.beyond]
    if beyond:
        axes.axvspan(min(beyond), axes.get_xlim()[1], color=FAINT, alpha=0.12, linewidth=0)
    axes.set_xlabel("length of a cycle", color=INK)
    axes.grid(axis="y")


def _key(barrier: str) -> Line2D:
    return Line2D([], [], color=barrier_look(barrier).colour, linewidth=2.6, label=barrier)


def _percent(share: Range) -> Range:
    return Range(low=100 * share.low, centre=100 * share.centre, high=100 * share.high)


__all__ = ["figure"]
