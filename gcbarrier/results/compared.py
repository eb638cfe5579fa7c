"""Two runs, or the barriers of one, laid beside each other: ratios, their intervals, and whether it could be chance.

Configurations are matched by all that they say, or by all but the one thing that is compared (``by``). Ratios are B's
over A's, so above 1 is worse. An invocation counts once in each; where the seeds are the same they are pairs. What
distinguishes the runs as wholes, the hour or the machine's neighbours, no test of invocations can tell from what
distinguishes the programs: two runs that were measured one after the other may differ by that alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import converter
from gcbarrier.plugins.discovery import nearest
from gcbarrier.results.differing import Difference, differences, tempers
from gcbarrier.results.intervals import Interval, geometric, interval
from gcbarrier.results.judging import SIGNIFICANT, Pairing, judge, mean
from gcbarrier.results.matched import Match, apart_by, matches, places
from gcbarrier.results.quantities import QUANTITIES
from gcbarrier.results.run import COMPLETE, Run, load
from gcbarrier.results.summarizing import summarize
from gcbarrier.results.summary import Summary, read


@frozen(kw_only=True)
class Ratio:
    """One measure of one configuration in both: B's over A's."""

    machine: str
    what: str
    """The configuration in words: what tells it apart from the others, and what is compared."""
    measure: str
    title: str
    unit: str
    a: Interval
    """The geometric mean of its invocations; the arithmetic one where one of them, or of B's, is 0."""
    b: Interval
    ratio: Interval
    """``kind`` is ``range`` below five invocations, which promises nothing. The ends are nan where an invocation has
    nothing at all, and all of it is where A has."""
    pairing: Pairing
    p: float | None = None
    """How likely a difference like this is by chance, by itself; None where nothing can be told."""
    p_among_all: float | None = None
    """That any of all comparisons comes out like this by chance (:mod:`gcbarrier.results.permuted`)."""
    verdict: str = "unknown"
    """``worse`` or ``better`` where it is hardly chance, ``chance`` where it could be, ``unknown`` where nothing can be
    told."""
    config_a: Mapping[str, Any] = field(factory=dict, repr=False)
    config_b: Mapping[str, Any] = field(factory=dict, repr=False)

    def worse_by(self, share: float) -> bool:
        """Whether it got worse by more than ``share`` with its whole interval, and hardly by chance."""
        if self.verdict != "worse":
            return False
        if self.ratio.low == self.ratio.low:
            return self.ratio.low > 1 + share
        # There is no interval of a ratio where an invocation has nothing at all: B's is to lie beyond all of A's.
        return self.b.low > (1 + share) * self.a.high


@frozen(kw_only=True)
class Compared:
    """What :func:`compare` found."""

    experiment: str
    a: str
    b: str
    by: str = ""
    differences: tuple[Difference, ...] = ()
    """Between the runs as wholes."""
    temper: tuple[Difference, ...] = ()
    """How busy the machines were."""
    ratios: tuple[Ratio, ...] = ()
    apart_by: str = ""
    """What alone what only A has and what only B has differ in, as ``by`` takes it; "": there is no such thing."""
    only_a: tuple[str, ...] = ()
    """Configurations that B lacks."""
    only_b: tuple[str, ...] = ()
    failed: int = 0
    """Invocations of what is compared that failed, and count nowhere."""
    remarks: tuple[str, ...] = ()
    """What makes the runs less than they could be."""
    significant: float = SIGNIFICANT
    """Below which ``p_among_all`` a difference is hardly chance."""

    @property
    def told(self) -> bool:
        """Whether there are invocations enough to tell anything."""
        return any(one.verdict != "unknown" for one in self.ratios)

    def told_as_json(self) -> dict[str, Any]:
        """All of it as JSON has it; what is no number is None."""
        told: dict[str, Any] = _plain(converter.unstructure(self))
        return told

    def worse(self, share: float = 0.0) -> tuple[Ratio, ...]:
        """What got worse by more than that."""
        return tuple(one for one in self.ratios if one.worse_by(share))


Source = Run | Summary | str | Path
"""What stands for a run: what was loaded, a directory, a summary or its file."""


def compare(
    a: Source,
    b: Source | None = None,
    *,
    by: str = "",
    baseline: str = "",
    measures: Sequence[str] = (),
) -> Compared:
    """Compare run ``b`` with run ``a``; of one run, the values of ``by`` (``barrier``, ``heap_params.x``).

    Each is a run directory, a summary's file, or what was loaded of one. ``baseline`` is the value of ``by`` that the
    others are compared with: by default ``none`` for barriers, the least otherwise. ``measures`` are names of
    :data:`gcbarrier.results.quantities.QUANTITIES` or of probes' readings; all that there are by default. Raises
    GcBarrierError where the experiments differ or nothing can be matched.
    """
    other: Source = a if b is None else b
    first, second = as_summary(a), as_summary(other)
    same = b is None or first == second
    if same and not by:
        raise GcBarrierError(
            "a run is compared with another one: name that, or say with --by barrier that the barriers of this one are "
            "to be compared"
        )
    if first.experiment != second.experiment:
        raise GcBarrierError(
            f"{named(a)} holds {first.experiment} and {named(other)} holds {second.experiment}: "
            "only runs of one experiment can be compared"
        )
    for source, one in ((a, first), (other, second)):
        if not any(each.cells for each in one.machines.values()):
            raise GcBarrierError(f"{named(source)} has nothing to compare, as nothing was measured: name another run")
    beside = places(first, second)
    apart = apart_by(first, second, beside) if not (same or by) else ""
    found, only_a, only_b = matches(first, second, beside, by=by, baseline=baseline, one_run=same)
    if not found:
        raise GcBarrierError(
            _nothing(named(a), "" if same else named(other), by or apart, only_a, only_b, told=bool(by))
        )
    ratios = _judged(found, _chosen(found, measures))
    if not ratios:
        asked = ", ".join(measures) or "anything"
        raise GcBarrierError(f"neither run has measured {asked} in what is compared: choose others with --measure")
    return Compared(
        experiment=first.experiment,
        a=named(a),
        b=named(a if same else other),
        by=by,
        differences=differences(first, second, beside) if not same else (),
        temper=tuple(tempers(first, second, beside)) if not same else (),
        ratios=ratios,
        apart_by=apart,
        only_a=only_a,
        only_b=only_b,
        remarks=(*_less("A", first), *_less("B", second)) if not same else tuple(_less("it", first)),
        failed=sum({id(one): one.failed for match in found for one in (match.a, match.b)}.values()),
    )


def _less(name: str, of: Summary) -> Iterator[str]:
    if of.asked.get("quick"):
        yield f"{name} was measured with --quick: for a first look, not for a paper"
    if of.state != COMPLETE:
        yield f"{name} is {of.state}: what had ended until then is compared"


def as_summary(source: Source) -> Summary:
    """Of whatever stands for a run. Raises GcBarrierError where a path leads to neither a run nor a summary."""
    if isinstance(source, Summary):
        return source
    if isinstance(source, Run):
        return summarize(source)
    path = Path(source)
    return read(path) if path.is_file() else summarize(load(path))


def named(source: Source) -> str:
    """What to call it."""
    if isinstance(source, Run):
        return str(source.directory)
    return f"the summary of {source.date}" if isinstance(source, Summary) else str(source)


def _nothing(a: str, b: str, by: str, only_a: Sequence[str], only_b: Sequence[str], *, told: bool) -> str:
    if not b:
        return f"{a} has no two configurations that differ in {by} alone: name another field with --by"
    of_a, of_b = (f"{len(only)} ({', '.join(only[:2])}{' …' * (len(only) > 2)})" for only in (only_a, only_b))
    remedy = f"compare them with --by {by}" if by and not told else "say with --by what they are to differ in"
    return (
        f"{a} and {b} have no configuration in common{f' but for {by}' if by else ''}, of {of_a} and {of_b}: run both "
        f"with the same settings, or {remedy}"
    )


def _chosen(found: Sequence[Match], measures: Sequence[str]) -> tuple[str, ...]:
    there = dict.fromkeys(name for match in found for name in match.a.measures if name in match.b.measures)
    for name in measures:
        if name not in there and name not in QUANTITIES:
            raise GcBarrierError(
                f"nothing in both is called {name!r}; {nearest(name, there)}there are {', '.join(there) or 'none'}"
            )
    return tuple(measures) or tuple(name for name in there if name not in QUANTITIES or QUANTITIES[name].shown)


def _judged(found: Sequence[Match], measures: Sequence[str]) -> tuple[Ratio, ...]:
    drafts, samples = [], []
    for match in found:
        seen: list[Any] = []
        for name in measures:
            one, other = match.a.measures.get(name), match.b.measures.get(name)
            if one is None or other is None:
                continue
            sample = match.samples(name)
            if not sample.a or not sample.b:
                continue
            if not any(one.each) and not any(other.each):
                continue  # Nothing in either: no faults, no waits.
            if (one.each, other.each) in seen:
                continue  # The remark of a cycle without other stops is its longest pause too.
            seen.append((one.each, other.each))
            quantity = QUANTITIES.get(name)
            statistic = geometric if sample.positive else mean
            drafts.append(
                Ratio(
                    machine=match.machine,
                    what=match.what,
                    measure=name,
                    title=quantity.title if quantity else _read_title(name),
                    unit=one.unit,
                    a=interval(sample.a.values(), statistic),
                    b=interval(sample.b.values(), statistic),
                    ratio=Interval(centre=_NAN, low=_NAN, high=_NAN, kind="range", n=min(one.n, other.n)),
                    pairing="none",
                    config_a=dict(match.a.config or match.a.probe or {}),
                    config_b=dict(match.b.config or match.b.probe or {}),
                )
            )
            samples.append(sample)
    judged = judge(samples)
    return tuple(
        evolve(
            draft,
            ratio=each.ratio,
            pairing=each.pairing,
            p=each.p,
            p_among_all=each.p_among_all,
            verdict=each.verdict,
        )
        for draft, each in zip(drafts, judged, strict=True)
    )


_NAN = float("nan")


def _plain(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _plain(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_plain(value) for value in told]
    return None if isinstance(told, float) and not isfinite(told) else told


def _read_title(name: str) -> str:
    what, _, x = name.rpartition("@")
    return f"{what}, {x}" if x not in ("0", "") else what


__all__ = ["Compared", "Ratio", "Source", "as_summary", "compare", "named"]
