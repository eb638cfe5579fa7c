"""Two runs beside each other as a table and in sentences. No drawing here."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier.report.units import DASH, TIMES, format_ns, format_number, format_ratio
from gcbarrier.results.compared import Compared, Ratio
from gcbarrier.results.differing import Difference
from gcbarrier.results.intervals import ENOUGH, Interval

_STYLES = {"worse": "bold red", "better": "bold green", "unknown": "dim", "chance": ""}
_SAID = {"worse": "worse", "better": "better", "unknown": "can't be told", "chance": "could be chance"}


def table(found: Compared) -> RenderableType:
    """What differs, each ratio, and what one reads from it."""
    parts: list[RenderableType] = [Text(f"{found.experiment}: {_who(found)}"), Text()]
    if found.a != found.b:
        parts += [_differences(found), Text()]
    for machine in dict.fromkeys(one.machine for one in found.ratios):
        parts += [Text(machine), _ratios([one for one in found.ratios if one.machine == machine]), Text()]
    parts += [Text(line) for line in sentences(found)]
    return Group(*parts)


def _who(found: Compared) -> str:
    if found.a == found.b:
        return f"{found.a} by {found.by}; ratios are of what the arrow leads to over what it comes from"
    return f"A = {found.a}, B = {found.b}; ratios are B / A, above 1 B is worse"


def _differences(found: Compared) -> RenderableType:
    rows = [*found.differences, *found.temper]
    if not rows:
        return Text("Nothing that the manifests tell differs between the runs.")
    lines = _plain(("differs between the runs", "A", "B"), left=3)
    for each in rows:
        lines.add_row(*map(Text, (each.what, each.a or DASH, each.b or DASH)))
    return lines


def _plain(heads: tuple[str, ...], left: int) -> Table:
    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, head in enumerate(heads):
        lines.add_column(Text(head), justify="left" if place < left else "right", no_wrap=place >= left)
    return lines


def _ratios(ratios: list[Ratio]) -> Table:
    lines = _plain(("configuration", "measure", "A", "B", f"ratio, {TIMES}", "interval", "p", ""), left=2)
    before = ""
    for one in ratios:
        words = (
            "" if one.what == before else one.what,
            one.title,
            number(one.a.centre, one.unit),
            number(one.b.centre, one.unit),
            times(one),
            ends(one.ratio),
            DASH if one.p_among_all is None else chance(one.p_among_all),
            _SAID[one.verdict],
        )
        lines.add_row(*map(Text, words), style=_STYLES[one.verdict])
        before = one.what
    return lines


def number(value: float, unit: str) -> str:
    """A value of a measure."""
    return format_ns(value) if unit == "ns" else format_number(value)


def times(one: Ratio) -> str:
    """The ratio in words."""
    if one.ratio.centre == one.ratio.centre:
        return format_ratio(one.ratio.centre)
    return "from none" if not one.a.centre else DASH


def ends(of: Interval) -> str:
    """Low and high; of a range it says that it is one."""
    if of.low != of.low:
        return DASH
    if of.n == 1:
        return "of one each"
    said = f"{format_ratio(of.low)} {DASH} {format_ratio(of.high)}"
    return said if of.kind == "interval" else f"range {said}"


def chance(p: float) -> str:
    """A probability, as precisely as it is known."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def sentences(found: Compared) -> Iterator[str]:
    """How to read it, and what came of it."""
    told = [one for one in found.ratios if one.verdict != "unknown"]
    untold = len(found.ratios) - len(told)
    if untold:
        what = f"Of {untold} ratios nothing" if told else "Nothing"
        yield (
            f"{what} can be told: fewer than {ENOUGH} invocations in A or B. Ranges are what was seen, and promise "
            f"nothing; measure with --set invocations={ENOUGH}, or more."
        )
    if told:
        counted = {verdict: sum(one.verdict == verdict for one in told) for verdict in ("worse", "better", "chance")}
        yield (
            f"Of {len(told)} ratios {counted['worse']} {'is' if counted['worse'] == 1 else 'are'} worse and "
            f"{counted['better']} better; {counted['chance']} could be chance."
        )
        yield how(found)
    yield from (f"{remark[0].upper()}{remark[1:]}." for remark in found.remarks)
    for name, only in (("A", found.only_a), ("B", found.only_b)):
        if only:
            more = f" and {len(only) - 3} more" if len(only) > 3 else ""
            where = f"Only {name} has" if found.a != found.b else "Nothing is to be compared with"
            yield f"{where} {', '.join(only[:3])}{more}."
    if found.apart_by:
        yield f"These differ in {found.apart_by} alone: `--by {found.apart_by}` lays them beside each other."
    if found.failed:
        plural = found.failed > 1
        yield f"{found.failed} invocation{'s' * plural} failed and count{'s' * (not plural)} nowhere."


def how(found: Compared) -> str:
    """What intervals and p are."""
    paired = sum(one.pairing == "seed" for one in found.ratios)
    pairs = "invocations of one seed are pairs" if paired == len(found.ratios) else "no seeds are the same"
    if 0 < paired < len(found.ratios):
        pairs = f"in {paired} ratios invocations of one seed are pairs"
    return (
        "Ratios of geometric means with 95 % bootstrap intervals; of arithmetic ones, without, where an invocation has "
        f"nothing at all; {pairs}. p: that any of all these ratios comes out like this by chance (permutation test, "
        "Westfall and Young's step-down maxT); a difference is called where p "
        f"is at most {found.significant:g} and the interval does not hold 1."
    )


def failing(found: Compared, share: float) -> str:
    """What got worse by more than ``share``, as a sentence; "" where nothing did."""
    worse = found.worse(share)
    if not worse:
        return ""
    named = [f"{one.what}: {one.title} {times(one)} ({ends(one.ratio)})" for one in worse[:3]]
    more = f" and {len(worse) - 3} more" if len(worse) > 3 else ""
    return f"worse by more than {format_number(100 * share)} %: {'; '.join(named)}{more}"


__all__ = ["Difference", "chance", "ends", "failing", "how", "number", "sentences", "table", "times"]
