"""A run in few numbers: what was measured of each configuration, one number per invocation, and where.

A summary is small and readable where a run directory is large: it is committed, and the next one laid beside it. Runs
are compared by their summaries (:mod:`gcbarrier.results.compared`), so that a file of one does as well as the run.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import regular
from gcbarrier.model import Config, Probe, converter
from gcbarrier.results.intervals import Interval

FORMAT = 1
"""Version of the file; a reader refuses what is newer than itself."""


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
    temper: str = ""
    """Whether it was busy with something else while it measured, in words; "" where that is not known."""
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
    state: str = "complete"
    """Of the run, as :attr:`gcbarrier.results.run.Run.state` has it."""
    asked: Mapping[str, Any] = field(factory=dict)
    """What the manifest holds besides: settings, ``quick``, ``verify``, digests ..."""
    machines: Mapping[str, Place] = field(factory=dict)


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
    machines = {
        name: evolve(place, facts=_public(place.facts), cells=tuple(map(_pathless, place.cells)))
        for name, place in summary.machines.items()
    }
    asked = {key: summary.asked[key] for key in ("quick", "verify") if key in summary.asked}
    return evolve(summary, machines=machines, asked=asked)


def _pathless(entry: Entry) -> Entry:
    """A file that a parameter names is told by its name alone: where it lay is nobody's."""
    if entry.config is None:
        return entry
    config = {
        name: {key: Path(one).name if isinstance(one, str) and "/" in one else one for key, one in value.items()}
        if isinstance(value, Mapping)
        else value
        for name, value in entry.config.items()
    }
    return evolve(entry, config=config)


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
        summary = converter.structure(told, Summary)
        whole = all(map(_whole, (cell for place in summary.machines.values() for cell in place.cells)))
    except Exception as problem:
        raise GcBarrierError(f"{path} is damaged: write the summary again") from problem
    if not whole:
        raise GcBarrierError(f"{path} is damaged, of some invocations numbers are missing: write the summary again")
    return summary


def _whole(cell: Entry) -> bool:
    count = len(cell.invocations)
    one_of_two = (cell.config is None) != (cell.probe is None)
    return (
        one_of_two and len(cell.seeds) in (0, count) and all(len(one.each) == count for one in cell.measures.values())
    )


__all__ = ["FORMAT", "Entry", "Numbers", "Place", "Summary", "public", "read", "write"]
