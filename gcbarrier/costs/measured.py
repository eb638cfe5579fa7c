"""All constants of a machine out of one run: of probes alone (``barrier_costs``), or with sessions beside them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from gcbarrier.costs.constants import OBJECTS_PER_PAGE, BarrierConstants, Constant, Constants, Linear, exactly
from gcbarrier.costs.fitting import Row, Sample, difference, line, per, scalar
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES, Config, Finding, Outcome, Pause, Reading
from gcbarrier.results.spread import quartiles

STOPPED = "full"
"""The pause that handshakes are taken from: the world is stopped as for any, and no barrier has a part in it."""


def constants(
    findings: Iterable[Finding],
    outcomes: Iterable[Outcome] = (),
    *,
    facts: Mapping[str, str],
    granules: Callable[[str], int],
    software: Callable[[str], bool],
    snapshot: Callable[[str], bool],
) -> Constants:
    """The constants that ``findings`` of probes and ``outcomes`` of sessions under ``none`` have.

    ``granules``, ``software`` and ``snapshot`` say of a barrier what it promises: this room knows none. Raises
    GcBarrierError where there is no plain store to compare with, or nothing to compare.
    """
    good = [finding for finding in findings if not finding.error]
    by: dict[str, list[Finding]] = {}
    for finding in good:
        by.setdefault(finding.probe.barrier, []).append(finding)
    plain_store, plain_first = (_samples(by.get("none", []), what) for what in ("store", "first-store"))
    if not plain_store or not plain_first:
        raise GcBarrierError(
            "there is no plain store among these readings, which all others are compared with: measure `none` as well, "
            "as `gcbarrier run barrier_costs` does"
        )
    plain = scalar(plain_store), scalar(plain_first)
    left_out = {name: SNAPSHOT for name in by if snapshot(name)}
    found = []
    for name, mine in by.items():
        if name == "none" or name in left_out:
            continue
        one = _barrier(name, mine, plain, granules(name), software(name))
        if one is None:
            left_out[name] = "it was not measured collecting"
        else:
            found.append(one)
    if not found:
        raise GcBarrierError("no barrier was measured collecting: run barrier_costs, or `gcbarrier advise --calibrate`")
    rescans, marks = _samples(good, "rescan"), _samples(good, "marker", x=1)
    stops = _stops(outcomes)
    return Constants(
        facts=dict(facts),
        store=plain[0],
        rescan_page=scalar(rescans, least=0.0) if rescans else None,
        mark_page=per(scalar(marks, least=0.0), 1 / OBJECTS_PER_PAGE) if marks else None,
        handshake=scalar(stops, least=0.0) if stops else None,
        barriers=tuple(sorted(found, key=lambda one: one.name)),
        left_out=left_out,
    )


SNAPSHOT = "it reports what stores overwrite, and the formula is of those that report where they write"


def _barrier(
    name: str, mine: Sequence[Finding], plain: tuple[Constant, Constant], granule_bytes: int, software: bool
) -> BarrierConstants | None:
    collects = _rows(mine, "collect")
    if not collects:
        return None
    collect = line(collects)
    # Measured apart only since the formula is there.
    last = line(rows) if (rows := _rows(mine, "collect-last")) else collect
    return BarrierConstants(
        name=name,
        software=software,
        granule_bytes=granule_bytes,
        store=difference(scalar(_samples(mine, "store")), plain[0]) if software else exactly(0.0),
        first_store=difference(scalar(_samples(mine, "first-store")), plain[1]),
        arm=line(rows) if (rows := _rows(mine, "arm-again")) else _arming(mine),
        collect=collect,
        last=last,
    )


def _arming(mine: Sequence[Finding]) -> Linear:
    """Of one measured with an eighth of the pages written: all of it the pages'."""
    arms = [
        Sample(reading.value / pages, _low(reading) / pages, _high(reading) / pages)
        for reading, pages, _ in _readings(mine, "arm")
    ]
    nothing = exactly(0.0)
    return Linear(fixed=nothing, page=scalar(arms, least=0.0), dirty=nothing, misfit=exactly(1.0))


def _readings(findings: Iterable[Finding], what: str) -> list[tuple[Reading, float, int]]:
    """Each with the pages of its memory, and its invocation."""
    return [
        (reading, finding.probe.heap_bytes / PAGE_BYTES, finding.index)
        for finding in findings
        for reading in finding.readings
        if reading.what == what
    ]


def _samples(findings: Iterable[Finding], what: str, x: float | None = None) -> list[Sample]:
    """One for each invocation: the mean over memories of several sizes, and over what it was drawn against."""
    by: dict[int, list[Reading]] = {}
    for reading, _, index in _readings(findings, what):
        if x is None or reading.x == x:
            by.setdefault(index, []).append(reading)
    return [
        Sample(*(sum(part) / len(some) for part in zip(*((r.value, _low(r), _high(r)) for r in some), strict=True)))
        for some in by.values()
    ]


def _low(reading: Reading) -> float:
    return reading.value if reading.low is None else reading.low


def _high(reading: Reading) -> float:
    return reading.value if reading.high is None else reading.high


def _rows(findings: Iterable[Finding], what: str) -> list[list[Row]]:
    """Of each invocation; a reading's ``x`` is per cent of the pages."""
    by: dict[int, list[Row]] = {}
    for reading, pages, index in _readings(findings, what):
        by.setdefault(index, []).append(Row(pages, reading.x / 100 * pages, reading.value))
    return list(by.values())


def _stops(outcomes: Iterable[Outcome]) -> list[Sample]:
    """Of each invocation, for one mutator: all of a pause but its marking.

    Of the program whose pauses are the shortest: a mutator that is stopped for longer than it spins (2 ms) has to be
    woken, which takes tens of µs, and a remark that is as long has them for a small part.
    """
    by: dict[Config, list[list[Pause]]] = {}
    for outcome in outcomes:
        config = outcome.invocation.config
        stops = [pause for pause in outcome.pauses if pause.kind == STOPPED and not pause.preempted]
        if config.barrier == "none" and not outcome.error and stops:
            by.setdefault(config, []).append(stops)
    if not by:
        return []
    config, shortest = min(by.items(), key=lambda one: median(pause.pause_ns for stops in one[1] for pause in stops))
    found = []
    for stops in shortest:
        low, centre, high = quartiles([(pause.pause_ns - pause.mark_ns) / config.mutators for pause in stops])
        found.append(Sample(centre, low, high))
    return found


__all__ = ["SNAPSHOT", "STOPPED", "constants"]
