"""From a run to its summary (:mod:`gcbarrier.results.summary`)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import fields

from gcbarrier.model import Config, Finding, Outcome, Probe, converter
from gcbarrier.results.busy import busy
from gcbarrier.results.cells import cells
from gcbarrier.results.intervals import geometric, interval, median
from gcbarrier.results.quantities import QUANTITIES
from gcbarrier.results.run import Run
from gcbarrier.results.summary import Entry, Numbers, Place, Summary

_DIGITS = 6
_READ = ("ns", "instructions")
"""Units of readings of which more is worse; what else probes count has its own experiment's verdict."""
TYPICAL = ("remark", "remark-p99", "longest", "longest-p99", "stopped", "stalls")
"""Quantities whose centre is the median of the invocations; the others are costs, and theirs the geometric mean."""

_ELSEWHERE = ("format", "experiment", "date", "machines", "plans", "lacking", "runs", "seed", "state")
"""Keys of a manifest that are told elsewhere, or differ between any two runs."""


def summarize(run: Run) -> Summary:
    """The summary of a loaded run. Takes a second or two for many pauses."""
    names = dict.fromkeys((*run.machines, *run.manifest.get("machines", {})))
    return Summary(
        experiment=run.experiment,
        date=str(run.manifest.get("date", ""))[:10],
        version=_version(run),
        state=run.state,
        asked={key: value for key, value in run.manifest.items() if key not in _ELSEWHERE},
        machines={
            name: Place(
                facts=run.facts(name),
                temper=_temper(run.on(name)),
                cells=(*_sessions(run.on(name)), *_probes(run.found(name))),
            )
            for name in names
            if run.on(name) or run.found(name)
        },
    )


def _temper(outcomes: Sequence[Outcome]) -> str:
    if found := busy(outcomes):
        return found.words
    return "quiet" if any(outcome.temper is not None for outcome in outcomes) else ""


def _version(run: Run) -> str:
    for name in run.machines:
        told = run.facts(name).get("gcbarrier")
        if isinstance(told, Mapping) and "version" in told:
            revision = str(told.get("revision", ""))[:12]
            if revision in ("", "unknown"):
                return str(told["version"])
            return f"{told['version']} ({revision}{', changed' if told.get('dirty') else ''})"
    return ""


def numbers(each: Sequence[float], unit: str, statistic: Any = median) -> Numbers:
    """One per invocation, and their interval; nan is none."""
    found = interval(each, statistic)
    kept = found.centre == found.centre
    return Numbers(
        unit=unit,
        each=tuple(_rounded(one) for one in each),
        centre=_rounded(found.centre) if kept else None,
        low=_rounded(found.low) if kept else None,
        high=_rounded(found.high) if kept else None,
        kind=found.kind,
        n=found.n,
    )


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if abs(value) < float("inf") else None


def _sessions(outcomes: Sequence[Outcome]) -> Iterator[Entry]:
    for cell in cells(outcomes):
        good = cell.good
        measures = {}
        for name, quantity in QUANTITIES.items():
            each = [quantity.of(one) for one in good]
            if any(value == value for value in each):
                measures[name] = numbers(each, quantity.unit, _statistic(name, each))
        yield Entry(
            label=cell.label,
            config=_apart(cell.config),
            invocations=tuple(one.invocation.index for one in good),
            seeds=tuple(one.invocation.seed for one in good),
            failed=len(cell.outcomes) - len(good),
            measures=measures,
        )


def _statistic(name: str, each: Sequence[float]) -> Any:
    # Of a cost that is nothing in some invocation there is no geometric mean.
    return median if name in TYPICAL or min(each, default=0) <= 0 else geometric


def _probes(findings: Sequence[Finding]) -> Iterator[Entry]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(json.dumps(_apart(finding.probe), sort_keys=True), []).append(finding)
    for members in groups.values():
        good = sorted((one for one in members if not one.error), key=lambda one: one.index)
        read: dict[str, tuple[str, dict[int, float]]] = {}
        for place, finding in enumerate(good):
            for reading in finding.readings:
                if reading.unit in _READ:
                    read.setdefault(f"{reading.what}@{reading.x:g}", (reading.unit, {}))[1][place] = reading.value
        yield Entry(
            label=members[0].probe.label,
            probe=_apart(members[0].probe),
            invocations=tuple(one.index for one in good),
            failed=len(members) - len(good),
            measures={
                name: numbers([values.get(place, float("nan")) for place in range(len(good))], unit)
                for name, (unit, values) in read.items()
            },
        )


def _apart(record: Config | Probe) -> dict[str, Any]:
    """Its fields that are not as by default; parameters by their names."""
    plain = {one.name: one.default for one in fields(type(record))}
    told: dict[str, Any] = converter.unstructure(record)
    kept = {name: value for name, value in told.items() if value != plain[name] and value != {}}
    return {name: dict(sorted(value.items())) if isinstance(value, dict) else value for name, value in kept.items()}


__all__ = ["TYPICAL", "numbers", "summarize"]
