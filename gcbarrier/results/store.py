"""The run directory: what an experiment measured, in files that outlive the program that wrote them.

::

    manifest.json    what was run, where and with what
    outcomes.jsonl   one Outcome record a line
    events/<n>.npy   the raw events of the n-th outcome, as the invocation recorded them
    pauses.csv       a row per pause, for any other tool
    findings.jsonl   one Finding record a line, where the plan had probes
    measurements.csv a row per reading of these
    stalls.csv       a row for each time a mutator waited for memory
    operations.csv   a row per bucket of the histograms of operations' times, where these were measured
    slow_operations.csv  a row for each of the slowest
    figures/         drawn afterwards, and again by ``gcbarrier plot``

A directory with a manifest is complete: it is written last, under a temporary name, and renamed. Until then the
directory is reserved (:mod:`gcbarrier.results.reserve`).
"""

import csv
import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import regular
from gcbarrier.model import Finding, Measured, Outcome, Scalar, evolve, from_json, to_json
from gcbarrier.results.reserve import MANIFEST, Reservation, reserve, writer_of

T = TypeVar("T")

FORMAT = 1
"""Version of the layout; a reader refuses what is newer than itself."""

PAUSE_COLUMNS = (
    "machine",
    "experiment",
    "heap",
    "heap_bytes",
    "memory",
    "barrier",
    "collector",
    "invocation",
    "cycle",
    "pause_ns",
    "ttsp_ns",
    "roots_ns",
    "collect_ns",
    "rescan_ns",
    "mark_ns",
    "resume_ns",
    "dirty_granules",
    "rounds",
    "preempted",
    "kind",
    "start_ns",
    "prototype",
    "failed",
    "settings",
    "fell_back",
)
"""The columns of ``pauses.csv``. New ones go to the end: other people's scripts count on these.

``failed``: the invocation did not end well, and no statistic counts it. ``settings``: the rest of the configuration
(parameters, mutators, duration, verify, timed) as JSON, which tells rows apart that are otherwise alike.
"""

STALL_COLUMNS = (*PAUSE_COLUMNS[:8], "cycle", "mutator", "start_ns", "stall_ns", "request_bytes", "failed", "settings")
"""The columns of ``stalls.csv``: a mutator's waits for memory, which are no pauses and stop it all the same."""

OPERATION_COLUMNS = (*PAUSE_COLUMNS[:8], "phase", "low_ns", "high_ns", "count", "failed", "settings")
"""The columns of ``operations.csv``: a row for each bucket of the histograms of the mutators' operations."""

SLOW_COLUMNS = (
    *PAUSE_COLUMNS[:8],
    "mutator",
    "start_ns",
    "end_ns",
    "operation_ns",
    "phase",
    "preempted",
    "blocked",
    "during",
    "failed",
    "settings",
)
"""The columns of ``slow_operations.csv``: a row for each of the slowest; ``during`` has the events' names."""

MEASUREMENT_COLUMNS = (
    "machine",
    "experiment",
    "barrier",
    "memory",
    "what",
    "x",
    "value",
    "unit",
    "invocation",
    "low",
    "high",
    "samples",
    "heap_bytes",
    "note",
)
"""The columns of ``measurements.csv``, under the same rule."""

_OUTCOMES, _FINDINGS = "outcomes.jsonl", "findings.jsonl"
_UNFINISHED = f"{MANIFEST}.new"
_WRITTEN = (
    *(_OUTCOMES, "events", "pauses.csv", _FINDINGS, "measurements.csv", "stalls.csv"),
    *("operations.csv", "slow_operations.csv", _UNFINISHED),
)
"""What a run has in its directory before it is complete."""
_FROM_PAUSE = PAUSE_COLUMNS[PAUSE_COLUMNS.index("cycle") : PAUSE_COLUMNS.index("failed")]
_FROM_SLOW = SLOW_COLUMNS[SLOW_COLUMNS.index("mutator") : SLOW_COLUMNS.index("during")]
_FROM_STALL = STALL_COLUMNS[STALL_COLUMNS.index("cycle") : STALL_COLUMNS.index("failed")]
_REST = ("heap_params", "barrier_params", "collector_params", "mutators", "duration_s", "verify", "timed")


def pause_rows(outcomes: Iterable[Outcome], experiment: str = "") -> Iterator[tuple[Scalar, ...]]:
    """A tuple per pause in the order of PAUSE_COLUMNS; pauses of failed invocations are pauses too."""
    for outcome in outcomes:
        head, tail = _around(outcome, experiment)
        for pause in outcome.pauses:
            yield (*head, *(getattr(pause, name) for name in _FROM_PAUSE), *tail, pause.fell_back)


def stall_rows(outcomes: Iterable[Outcome], experiment: str = "") -> Iterator[tuple[Scalar, ...]]:
    """A tuple per stall in the order of STALL_COLUMNS."""
    for outcome in outcomes:
        head, tail = _around(outcome, experiment)
        for stall in outcome.stalls:
            yield (*head, *(getattr(stall, name) for name in _FROM_STALL), *tail)


def operation_rows(outcomes: Iterable[Outcome], experiment: str = "") -> Iterator[tuple[Scalar, ...]]:
    """A tuple per bucket in the order of OPERATION_COLUMNS."""
    for outcome in outcomes:
        head, tail = _around(outcome, experiment)
        for times in outcome.operation_times:
            for low_ns, high_ns, count in zip(times.low_ns, times.high_ns, times.counts, strict=True):
                yield (*head, times.phase, low_ns, high_ns, count, *tail)


def slow_rows(outcomes: Iterable[Outcome], experiment: str = "") -> Iterator[tuple[Scalar, ...]]:
    """A tuple per slow operation in the order of SLOW_COLUMNS."""
    for outcome in outcomes:
        head, tail = _around(outcome, experiment)
        for slow in outcome.slow_operations:
            yield (*head, *(getattr(slow, name) for name in _FROM_SLOW), " ".join(slow.during), *tail)


def _around(outcome: Outcome, experiment: str) -> tuple[tuple[Scalar, ...], tuple[Scalar, ...]]:
    """What a row about something in this outcome begins and ends with."""
    config = outcome.invocation.config
    head = (
        outcome.machine,
        experiment,
        config.heap,
        config.heap_bytes,
        config.memory,
        config.barrier,
        config.collector,
        outcome.invocation.index,
    )
    rest = {name: value for name, value in json.loads(to_json(config)).items() if name in _REST}
    return head, (bool(outcome.error), json.dumps(rest, sort_keys=True))


def measurement_rows(findings: Iterable[Finding], experiment: str = "") -> Iterator[tuple[Scalar, ...]]:
    """A tuple per reading in the order of MEASUREMENT_COLUMNS; where there are no samples, low and high are the value.

    What a failed probe had read until then is there as well.
    """
    for finding in findings:
        probe = finding.probe
        for one in finding.readings:
            low = one.value if one.low is None else one.low
            high = one.value if one.high is None else one.high
            where = (finding.machine, experiment, probe.barrier, probe.memory)
            read = (one.what, one.x, one.value, one.unit, finding.index, low, high, one.samples)
            yield (*where, *read, probe.heap_bytes, one.note)


@frozen(kw_only=True)
class Run:
    """What :func:`load` read: one run directory, or the union of several (:func:`unite`)."""

    directory: Path
    manifest: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]
    event_files: tuple[Path, ...] = field(repr=False)
    """The raw events of each outcome; a failed invocation may have left no such file."""
    findings: tuple[Finding, ...] = ()
    """What the plan's probes brought back."""

    @property
    def experiment(self) -> str:
        """The experiment's name, as in ``experiments/<name>.py``."""
        return str(self.manifest["experiment"])

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines with outcomes or findings, in order of first appearance."""
        names = [outcome.machine for outcome in self.outcomes] + [finding.machine for finding in self.findings]
        return tuple(dict.fromkeys(names))

    def on(self, machine: str) -> tuple[Outcome, ...]:
        """The outcomes of one machine."""
        return tuple(outcome for outcome in self.outcomes if outcome.machine == machine)

    def found(self, machine: str) -> tuple[Finding, ...]:
        """The findings of one machine."""
        return tuple(finding for finding in self.findings if finding.machine == machine)

    @property
    def measurements(self) -> NDArray[Any]:
        """A structured array, a row per reading of a probe, with the columns of ``measurements.csv``."""
        rows = list(measurement_rows(self.findings, self.experiment))
        numbers = {"x": "<f8", "value": "<f8", "low": "<f8", "high": "<f8"}
        numbers |= dict.fromkeys(("invocation", "samples", "heap_bytes"), "<i8")
        kinds = []
        for index, name in enumerate(MEASUREMENT_COLUMNS):
            longest = max((len(str(row[index])) for row in rows), default=0)
            kinds.append((name, numbers.get(name, f"<U{max(longest, 1)}")))
        return np.array(rows, dtype=kinds)

    def facts(self, machine: str) -> Mapping[str, Any]:
        """What the manifest knows about ``machine``: kernel, accelerator, THP ... Empty where it says nothing."""
        machines = self.manifest.get("machines")
        facts = machines.get(machine) if isinstance(machines, Mapping) else None
        return facts if isinstance(facts, Mapping) else {}

    def left_out(self, machine: str) -> Mapping[str, Mapping[str, str]]:
        """What the plan asked for and no machine of the run had: by name the ``what``, ``why`` and ``remedy``."""
        lacking = self.facts(machine).get("lacking")
        if not isinstance(lacking, Mapping):
            return {}
        configs = [outcome.invocation.config for outcome in self.outcomes]
        had = {name for config in configs for name in (config.barrier, config.collector)}
        had |= {finding.probe.barrier for finding in self.findings}
        return {name: told for name, told in lacking.items() if name not in had and isinstance(told, Mapping)}

    def events(self, index: int) -> NDArray[Any]:
        """The raw events of ``outcomes[index]`` as a structured array, read now.

        Raises GcBarrierError where the invocation left none or the file is damaged.
        """
        path = self.event_files[index]
        try:
            events: NDArray[Any] = np.load(regular(path), allow_pickle=False)
        except FileNotFoundError:
            label = self.outcomes[index].invocation.config.label
            why = self.outcomes[index].error or "none were recorded"
            raise GcBarrierError(f"outcome {index} ({label}) has no raw events: {why}") from None
        except (OSError, ValueError, EOFError) as problem:
            raise GcBarrierError(f"{path} can't be read as raw events: {problem}") from problem
        return events


class RunWriter:
    """Writes one run directory; a context manager that leaves either all of it or nothing.

    ::

        with RunWriter(Path("runs/pause_times-1")) as writer:
            writer.add(measured)
            writer.commit({"experiment": "pause_times", ...})

    The directory is reserved while the block is entered. Leaving it without :meth:`commit`, by an error or Ctrl-C,
    removes what was written.
    """

    def __init__(self, target: Path, *, or_next: bool = False) -> None:
        """Nothing is touched before the block is entered. ``or_next``: another number where the name is taken."""
        self._target = Path(os.path.abspath(target))
        self._or_next = or_next
        self._reservation: Reservation | None = None
        self._outcomes: list[Outcome] = []
        self._findings: list[Finding] = []

    def __enter__(self) -> Self:
        """Raises GcBarrierError where the target is taken or can't be written."""
        with _explained(self._target):
            self._reservation = reserve(self._target, _WRITTEN, or_next=self._or_next)
            self._target = self._reservation.folder
            (self._target / "events").mkdir()
            (self._target / _OUTCOMES).touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reservation is not None
        if (self._target / MANIFEST).exists():
            self._reservation.complete()
        else:
            self._reservation.abandon()

    def add(self, measured: Measured) -> None:
        """Keep a session's outcome with its raw events, or a probe's finding.

        Raises GcBarrierError where the disk does not take it.
        """
        record, events = measured.record, measured.events
        if events and not events.startswith(b"\x93NUMPY"):
            raise ValueError("events must be the bytes of an .npy file")
        with _explained(self._target):
            if events:
                _events_file(self._target, len(self._outcomes)).write_bytes(events)
            name = _OUTCOMES if isinstance(record, Outcome) else _FINDINGS
            with (self._target / name).open("a", encoding="utf-8") as lines:
                lines.write(to_json(record) + "\n")
        if isinstance(record, Outcome):
            self._outcomes.append(record)
        else:
            self._findings.append(record)

    def commit(self, manifest: Mapping[str, Any]) -> Path:
        """Write the tables and, last, ``manifest``; return the directory.

        ``manifest`` must hold ``experiment``; where it holds ``machines``, that maps the name of a machine to what
        was found out about it. Raises GcBarrierError where the disk does not take it.
        """
        experiment = str(manifest["experiment"])
        with _explained(self._target):
            self._write_csv("pauses.csv", PAUSE_COLUMNS, pause_rows(self._outcomes, experiment))
            self._write_csv("stalls.csv", STALL_COLUMNS, stall_rows(self._outcomes, experiment))
            if any(outcome.operation_times for outcome in self._outcomes):
                self._write_csv("operations.csv", OPERATION_COLUMNS, operation_rows(self._outcomes, experiment))
                self._write_csv("slow_operations.csv", SLOW_COLUMNS, slow_rows(self._outcomes, experiment))
            if self._findings:
                self._write_csv("measurements.csv", MEASUREMENT_COLUMNS, measurement_rows(self._findings, experiment))
            text = json.dumps({"format": FORMAT, **manifest}, indent=2, default=str)
            (self._target / _UNFINISHED).write_text(text + "\n", encoding="utf-8")
            (self._target / _UNFINISHED).rename(self._target / MANIFEST)
        return self._target

    def _write_csv(self, name: str, columns: Sequence[str], rows: Iterable[tuple[Scalar, ...]]) -> None:
        with (self._target / name).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(columns)
            table.writerows(rows)


def load(directory: Path) -> Run:
    """The run in ``directory``. Raises GcBarrierError where there is none, it is damaged, or it is too new."""
    directory = Path(directory)
    manifest = _manifest(directory)
    outcomes = tuple(_records(directory / _OUTCOMES, Outcome))
    files = tuple(_events_file(directory, index) for index in range(len(outcomes)))
    found = directory / _FINDINGS
    # A run without probes has none.
    findings = tuple(_records(found, Finding)) if found.exists() else ()
    return Run(directory=directory, manifest=manifest, outcomes=outcomes, event_files=files, findings=findings)


def unite(runs: Sequence[Run]) -> Run:
    """Several runs of one experiment as one; invocations are renumbered so that they stay apart.

    The manifest is the first one's, with the ``machines`` of all and every manifest under ``runs``. Raises
    GcBarrierError where the experiments differ, or where two runs call different machines by one name.
    """
    if not runs:
        raise ValueError("there is no run to unite")
    first, *others = runs
    if not others:
        return first
    machines = dict(first.manifest.get("machines", {}))
    outcomes, findings = list(first.outcomes), list(first.findings)
    for run in others:
        if any(_same_run(run, one) for one in runs if one is not run):
            raise GcBarrierError(f"{run.directory} is a copy of another of these runs: its samples would count twice")
        if run.experiment != first.experiment:
            raise GcBarrierError(
                f"{first.directory} holds {first.experiment} and {run.directory} holds {run.experiment}: "
                "only runs of one experiment can share a figure"
            )
        for name in run.machines:
            if difference := _unlike(first.facts(name), run.facts(name)):
                raise GcBarrierError(
                    f"the machine {name} of {first.directory} is not that of {run.directory} ({difference}): "
                    "draw them one by one, as figures never mix machines"
                )
        machines = {**run.manifest.get("machines", {}), **machines}
        offset = 1 + max((outcome.invocation.index for outcome in outcomes), default=-1)
        for outcome in run.outcomes:
            moved = evolve(outcome.invocation, index=outcome.invocation.index + offset)
            outcomes.append(evolve(outcome, invocation=moved))
        offset = 1 + max((finding.index for finding in findings), default=-1)
        findings += [evolve(finding, index=finding.index + offset) for finding in run.findings]
    return Run(
        directory=first.directory,
        manifest={**first.manifest, "machines": machines, "runs": [dict(run.manifest) for run in runs]},
        outcomes=tuple(outcomes),
        event_files=tuple(path for run in runs for path in run.event_files),
        findings=tuple(findings),
    )


def _same_run(one: Run, other: Run) -> bool:
    return all(one.manifest.get(key) and one.manifest.get(key) == other.manifest.get(key) for key in ("date", "seed"))


_IDENTITY = (("kernel", "release"), ("cpu", "model"), ("accelerator",), ("hypervisor",))
"""Where :func:`gcbarrier.machines.host.manifest` keeps what makes results of two machines incomparable."""


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """How two descriptions of a machine contradict each other ("" where they don't)."""
    for keys in _IDENTITY:
        mine, theirs = _at(one, keys), _at(other, keys)
        if mine is not None and theirs is not None and mine != theirs:
            return f"{' '.join(keys)}: {mine} and {theirs}"
    return ""


def _at(facts: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        facts = facts.get(key) if isinstance(facts, Mapping) else None
    return facts


_INCOMPLETE = {
    "alive": "the run that writes it has not ended yet; wait for it",
    "dead": "the run that wrote it was killed; run the experiment again",
}


def _manifest(directory: Path) -> dict[str, Any]:
    path = directory / MANIFEST
    try:
        manifest = json.loads(regular(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        what = "it has no manifest.json" if directory.is_dir() else "there is no such directory"
        if writer := writer_of(directory):
            raise GcBarrierError(f"{directory} is incomplete: {_INCOMPLETE[writer]}") from None
        raise GcBarrierError(f"{directory} is no run directory: {what}; name one that `gcbarrier run` wrote") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise GcBarrierError(f"{path} can't be read ({problem}): run the experiment again") from problem
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(version, int) or not isinstance(manifest.get("experiment"), str):
        raise GcBarrierError(f"{path} is not the manifest of a run: it lacks `format` or `experiment`")
    machines = manifest.get("machines", {})
    if not isinstance(machines, dict) or not all(isinstance(facts, dict) for facts in machines.values()):
        raise GcBarrierError(f"{path} is not the manifest of a run: its `machines` are no records")
    if version > FORMAT:
        raise GcBarrierError(
            f"{directory} was written by a newer gcbarrier (format {version}; this one reads {FORMAT}): update it"
        )
    return dict(manifest)


def _records(path: Path, cls: type[T]) -> Iterator[T]:
    try:
        lines = regular(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as problem:
        raise GcBarrierError(f"{path} can't be read ({problem}): run the experiment again") from problem
    for number, line in enumerate(lines, start=1):
        try:
            yield from_json(line, cls)
        except GcBarrierError as problem:
            raise GcBarrierError(f"{path}, line {number}: {problem}") from problem


def _events_file(directory: Path, index: int) -> Path:
    return directory / "events" / f"{index}.npy"


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """What the file system refuses, as the one sentence a user meets."""
    try:
        yield
    except OSError as problem:
        remedy = "choose a folder you can write to with --out"
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "free some space or choose another place with --out"
        reason = os.strerror(problem.errno) if problem.errno else problem
        raise GcBarrierError(f"{target} can't be written: {reason}; {remedy}") from problem


__all__ = [
    "FORMAT",
    "MEASUREMENT_COLUMNS",
    "OPERATION_COLUMNS",
    "PAUSE_COLUMNS",
    "SLOW_COLUMNS",
    "STALL_COLUMNS",
    "Run",
    "RunWriter",
    "load",
    "measurement_rows",
    "operation_rows",
    "pause_rows",
    "slow_rows",
    "stall_rows",
    "unite",
]
