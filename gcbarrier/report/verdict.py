"""What a run found, in a sentence for each machine: a pause with its range, and the bill beside it.

An experiment that has a better sentence exports ``verdict(run) -> str``; this one is made of cells and points alone.
"""

from collections.abc import Iterator, Sequence

from attrs import frozen

from gcbarrier.report.units import NS, RATIO, Unit, format_number, format_ratio, unit_named
from gcbarrier.results import (
    LEVEL,
    Cell,
    Spread,
    Workload,
    all_cpu_ns_per_operation,
    cpu_ns_per_operation,
    geometric_mean,
    over,
    relative,
    spread,
    workloads,
)
from gcbarrier.results.points import Point, points
from gcbarrier.results.run import Run

_ENDS = ("remark", "flip", "minor", "full")
"""Kinds of pauses that end a cycle: a collector is judged by the one that it has most of."""


def _decimal(value: float, digits: int = 2) -> str:
    return (
        f"{float(f'{value:.{digits}g}'):.10f}".rstrip("0").rstrip(".") if value < 0.001 else format_ratio(value, digits)
    )


_SMALL = Unit("ratio", _decimal)
"""Ratios that may be very small, in a sentence."""

_WIDTHS = {"interval": f"{100 * LEVEL:g} % interval", "range": "range", "samples": "samples"}
"""What the ends of a spread are, by its kind."""


def verdict(run: Run) -> str:
    """A line for each machine that measured something, with the machine's name where there are several."""
    said = [(machine, _of(run, machine)) for machine in run.machines]
    several = len(run.machines) > 1
    return "\n".join(f"On {machine}, {words}" if several else _begun(words) for machine, words in said if words)


def _begun(words: str) -> str:
    # A name begins as it is written.
    return f"The{words[3:]}" if words.startswith("the ") else words


def _of(run: Run, machine: str) -> str:
    ended = [one for work in workloads(run.on(machine)) for one in _ended(work)]
    concurrent = [one for one in ended if one.kind != "full"]
    if concurrent:
        return _shortest(concurrent)
    if ended:
        return _shortest(ended)
    return _read(points(run, machine))


@frozen(kw_only=True)
class Ended:
    """How the cycles of a cell end, and what its workload gives to compare with."""

    name: str
    kind: str
    cell: Cell
    work: Workload
    pause: Spread

    @property
    def bound(self) -> Spread:
        """The pause of stopping the world for all of it, where that was measured on the same workload."""
        base = self.work.baseline
        return base.medians("full") if base is not None and base is not self.cell else spread([])

    @property
    def share(self) -> Spread:
        """Of that bound; empty where there is none."""
        return over(self.pause, self.bound)


def _ended(work: Workload) -> Iterator[Ended]:
    under: dict[str, set[str]] = {}
    for cell in work.cells:
        under.setdefault(cell.config.barrier, set()).add(cell.config.collector)
    for cell in work.cells:
        counts = {kind: len(cell.pauses(kind)) for kind in _ENDS}
        kind = max(counts, key=lambda one: counts[one]) if any(counts.values()) else ""
        pause = cell.medians(kind) if kind else spread([])
        if pause:
            config = cell.config
            plain = config.barrier != "none" and len(under[config.barrier]) == 1
            name = config.barrier if plain else _under(config.barrier, config.collector)
            yield Ended(name=name, kind=kind, cell=cell, work=work, pause=pause)


def _under(barrier: str, collector: str) -> str:
    return collector if barrier == "none" else f"{barrier} under {collector}"


def _shortest(found: Sequence[Ended]) -> str:
    """Of those that most workloads have, the one with the shortest pauses, on all its workloads together."""
    by: dict[str, list[Ended]] = {}
    for one in found:
        by.setdefault(one.name, []).append(one)
    most = max(map(len, by.values()))
    best = min(
        (mine for mine in by.values() if len(mine) == most),
        key=lambda mine: geometric_mean([one.pause.centre for one in mine]),
    )
    first = best[0]
    where = "" if most == 1 else f" over {most} workloads"
    rivals = "" if len(by) == 1 else f", the shortest of {len(by)},"
    whose = f"{first.name}'s {first.kind}" if " " not in first.name else f"the {first.kind} of {first.name}"
    pause = f"{whose}{rivals} is {_spoken([one.pause for one in best], NS)}{where}"
    bounds = [one for one in best if one.share]
    beside = ""
    if bounds:
        base = bounds[0].work.baseline
        assert base is not None
        stopped = f"{base.config.collector}'s {_ends([one.bound.centre for one in bounds], NS)}"
        beside = f", {_times([one.share for one in bounds], _SMALL)} times {stopped}"
    return f"{pause}{beside}; {_bill(best)}."


def _bill(best: Sequence[Ended]) -> str:
    mutators = [relative(one.cell, one.work.baseline, cpu_ns_per_operation) for one in best if one.bound]
    together = [relative(one.cell, one.work.baseline, all_cpu_ns_per_operation) for one in best if one.bound]
    if any(mutators) and any(together):
        return (
            f"its mutators take {_times(mutators)} times as much processor time for an operation, "
            f"and with the collector's {_times(together)} times"
        )
    costs = [one.cell.each(cpu_ns_per_operation) for one in best]
    whole = [one.cell.each(all_cpu_ns_per_operation) for one in best]
    if any(costs):
        return (
            f"its mutators take {_ends([one.centre for one in costs if one], NS)} of a processor for an operation, "
            f"and with the collector's time {_ends([one.centre for one in whole if one], NS)}"
        )
    return "what its mutators pay was not measured"


def _times(found: Sequence[Spread], unit: Unit = RATIO) -> str:
    there = [one for one in found if one]
    if len(there) > 1:
        return _ends([one.centre for one in there], unit)
    (only,) = there
    return f"{unit.words(only.centre, 2)}{_between(only, unit, counted=False)}"


def _spoken(found: Sequence[Spread], unit: Unit) -> str:
    if len(found) == 1:
        return unit.words(found[0].centre, 2) + _between(found[0], unit)
    fewest = min(len(one.each) for one in found)
    return f"{_ends([one.centre for one in found], unit)} ({_invocations(fewest)}{' or more' * _differ(found)} each)"


def _differ(found: Sequence[Spread]) -> bool:
    return len({len(one.each) for one in found}) > 1


def _between(value: Spread, unit: Unit, *, counted: bool = True) -> str:
    """The interval or the range in brackets, and of how many."""
    parts = []
    if value.low < value.high:
        parts.append(f"{_WIDTHS[value.kind]} {unit.words(value.low, 2)} \N{EN DASH} {unit.words(value.high, 2)}")
    if counted:
        parts.append(_invocations(len(value.each)))
    return f" ({', '.join(parts)})" if parts else ""


def _invocations(count: int) -> str:
    return f"{count} invocation{'s' * (count != 1)}"


def _ends(values: Sequence[float], unit: Unit) -> str:
    low, high = min(values), max(values)
    words = unit.words(low, 2), unit.words(high, 2)
    return words[0] if words[0] == words[1] else f"{words[0]} to {words[1]}"


def _read(found: Sequence[Point]) -> str:
    """Of probes: the first thing that they read of more than one barrier, from the least to the most."""
    for what in dict.fromkeys(point.what for point in found):
        there = [point for point in found if point.what == what and point.value]
        last = max((point.x for point in there), default=0.0)
        there = [point for point in there if point.x == last and point.unit == there[0].unit]
        if len({point.barrier for point in there}) > 1:
            least, most = (pick(there, key=lambda point: point.value.centre) for pick in (min, max))
            at = f" at {format_number(last)}" if any(p.x != last for p in found if p.what == what) else ""
            unit = unit_named(there[0].unit)
            said = [f"{unit.words(p.value.centre, 2)} with {p.barrier}{_between(p.value, unit)}" for p in (least, most)]
            return f"{what}{at} is from {said[0]} to {said[1]}."
    return ""


__all__ = ["verdict"]
