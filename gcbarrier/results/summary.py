"""A run in few numbers: what was measured of each configuration, one number per invocation, and where.

A summary is small and readable where a run directory is large: it is committed, and the next one laid beside it. Runs
are compared by their summaries (:mod:`gcbarrier.results.compared`), so that a file of one does as well as the run.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields, frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import regular
from gcbarrier.model import Config, Finding, Outcome, Probe, converter
from gcbarrier.results.cells import cells
from gcbarrier.results.intervals import Interval, geometric, interval, median
from gcbarrier.results.quantities import QUANTITIES
from gcbarrier.results.run import Run

FORMAT = 1
"""Version of the file; a reader refuses what is newer than itself."""

_DIGITS = 6
_READ = ("ns", "instructions")
"""Units of readings of which more is worse; what else probes count has its own experiment's verdict."""
TYPICAL = ("remark", "remark-p99", "longest", "longest-p99", "stopped", "stalls")
"""Quantities whose centre is the median of the invocations; the others are costs, and theirs the geometric mean."""


@frozen(kw_only=True)
class Numbers:
    """One quantity of a configuration."""

    unit: str
    each: tuple[float | None, ...]
    """Of each invocation, in the order of the configuration's; None where one does not tell."""
    centre: float | None = None
    low: float | None = None
    high: float | None = None
    kind: str = "range"
    """What ``low`` and ``high`` are (:class:`gcbarrier.results.intervals.Interval`)."""
    n: int = 0
    """Invocations that tell."""

    @property
    def interval(self) -> Interval:
        """With nan where there is no number."""
        centre, low, high = (float("nan") if one is None else one for one in (self.centre, self.low, self.high))
        return Interval(
            centre=centre, low=low, high=high, kind="interval" if self.kind == "interval" else "range", n=self.n
        )


@frozen(kw_only=True)
class Entry:
    """What was measured of one configuration, or by one probe, in the invocations that did not fail."""

    label: str
    config: Mapping[str, Any] | None = None
    """What of a session's configuration is not as by default."""
    probe: Mapping[str, Any] | None = None
    """Of a probe likewise."""
    invocations: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    """Of the invocations; none where they have none, as probes."""
    failed: int = 0
    """Invocations that did not end well, and count nowhere."""
    measures: Mapping[str, Numbers] = field(factory=dict)
    """By the names of :data:`gcbarrier.results.quantities.QUANTITIES`; of a probe by what was read, and ``@x``."""

    @property
    def told(self) -> dict[str, Any]:
        """The configuration or the probe with all its fields; ``{}`` where this version knows it no longer."""
        record: Any = Config if self.config is not None else Probe
        try:
            whole = converter.unstructure(converter.structure(dict(self.config or self.probe or {}), record))
        except Exception:  # whatever cattrs or a validator says of a field that is gone or new
            return dict(self.config or self.probe or {})
        return dict(whole)


@frozen(kw_only=True)
class Place:
    """One machine of a run: what its manifest told of it, and what was measured on it."""

    facts: Mapping[str, Any] = field(factory=dict)
    cells: tuple[Entry, ...] = ()


@frozen(kw_only=True)
class Summary:
    """Of one run, or of several that were united."""

    format: int = FORMAT
    experiment: str
    date: str = ""
    """Of the day on which it was measured."""
    version: str = ""
    """Of gcbarrier, with the revision where that is known."""
    asked: Mapping[str, Any] = field(factory=dict)
    """What the manifest holds besides: settings, ``quick``, ``verify``, digests ..."""
    machines: Mapping[str, Place] = field(factory=dict)


_ELSEWHERE = ("format", "experiment", "date", "machines", "plans", "lacking", "runs", "seed")
"""Keys of a manifest that are told elsewhere, or differ between any two runs."""


def summarize(run: Run) -> Summary:
    """The summary of a loaded run. Takes a second or two for many pauses."""
    names = dict.fromkeys((*run.machines, *run.manifest.get("machines", {})))
    return Summary(
        experiment=run.experiment,
        date=str(run.manifest.get("date", ""))[:10],
        version=_version(run),
        asked={key: value for key, value in run.manifest.items() if key not in _ELSEWHERE},
        machines={
            name: Place(facts=run.facts(name), cells=(*_sessions(run.on(name)), *_probes(run.found(name))))
            for name in names
            if run.on(name) or run.found(name)
        },
    )


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


_IDENTITY = (
    "accelerator",
    "hypervisor",
    "kernel",
    "cpu",
    "memory",
    "thp",
    "python",
    "packages",
    "compiler",
    "gcbarrier",
)
_OF_EACH = {
    "kernel": ("release",),
    "cpu": ("model", "architecture", "online", "governor"),
    "memory": ("total",),
    "thp": ("enabled", "shmem_enabled"),
    "python": ("version",),
    "compiler": ("version",),
}


def public(summary: Summary) -> Summary:
    """What is to be committed of it: of machines only what results depend on, and nothing of whose they are."""
    machines = {name: evolve(place, facts=_public(place.facts)) for name, place in summary.machines.items()}
    asked = {key: summary.asked[key] for key in ("quick", "verify", "settings") if key in summary.asked}
    return evolve(summary, machines=machines, asked=asked)


def _public(facts: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name in _IDENTITY:
        told = facts.get(name)
        if isinstance(told, Mapping):
            kept[name] = {key: told[key] for key in _OF_EACH.get(name, tuple(told)) if key in told}
        elif told is not None:
            kept[name] = told
    if "kernel" in kept:
        # What follows the version tells who built it for what.
        number = re.match(r"\d+(\.\d+)*", str(kept["kernel"].get("release", "")))
        kept["kernel"] = {"release": number[0] if number else "unknown"}
    return kept


def write(summary: Summary, path: Path) -> None:
    """As a file that :func:`read` reads. Raises OSError where it can't be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = converter.unstructure(summary)
    for place in told["machines"].values():
        place["cells"] = [{key: value for key, value in cell.items() if value is not None} for cell in place["cells"]]
    text = json.dumps(told, indent=1)
    # Innermost lists and records stand on one line.
    for brackets in (r"(\[)\s+([^][{}]*?)\s+(\])", r"(\{)\s+([^{}]*?)\s+(\})"):
        text = re.sub(brackets, _on_one_line, text)
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


def _on_one_line(found: re.Match[str]) -> str:
    return f"{found[1]}{' '.join(found[2].split())}{found[3]}"


def read(path: Path) -> Summary:
    """The summary in a file. Raises GcBarrierError where it can't be read, is none, or is too new."""
    try:
        told = json.loads(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise GcBarrierError(f"{path} can't be read as a summary: {problem}") from problem
    version = told.get("format") if isinstance(told, dict) else None
    if not isinstance(version, int) or "machines" not in told:
        raise GcBarrierError(f"{path} is no summary: name one that `gcbarrier summary` wrote, or a run directory")
    if version > FORMAT:
        raise GcBarrierError(f"{path} was written by a newer gcbarrier (format {version}): update this one")
    try:
        return converter.structure(told, Summary)
    except Exception as problem:
        raise GcBarrierError(f"{path} is damaged: write the summary again") from problem


__all__ = [
    "FORMAT",
    "TYPICAL",
    "Entry",
    "Numbers",
    "Place",
    "Summary",
    "numbers",
    "public",
    "read",
    "summarize",
    "write",
]
