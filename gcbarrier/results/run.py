"""The run directory: what an experiment measured, in files that outlive the program that wrote them.

::

    manifest.json    what was run, where and with what
    outcomes.jsonl   one Outcome record a line
    events/<n>.npy   the raw events of the n-th outcome, as the invocation recorded them; where its operations were
                     timed their stamps follow in the same file (:mod:`gcbarrier.results.latency`)
    pauses.csv       a row per pause, for any other tool
    findings.jsonl   one Finding record a line, where the plan had probes
    measurements.csv a row per reading of these
    stalls.csv       a row for each time a mutator waited for memory
    operations.csv   a row per bucket of the histograms of operations' times, where these were measured
    slow_operations.csv  a row for each of the slowest
    notes.csv        a row per number that a collector recorded of a cycle, where one did
    tallies.csv      a row per number that a barrier counted beside its reports, where one did
    sources/         copies of the plug-ins that it was made with
    figures/         drawn afterwards, and again by ``gcbarrier plot``

The manifest is there from the first second; its ``state`` tells whether the run has ended (:attr:`Run.state`). Until
then the directory is reserved (:mod:`gcbarrier.results.reserve`). :mod:`gcbarrier.results.writer` writes it; the
columns of the CSV files are in :mod:`gcbarrier.results.tables`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from gcbarrier.displayed import Displayed
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import regular
from gcbarrier.model import Finding, Outcome, evolve, from_json
from gcbarrier.results.apart import names_apart, renamed
from gcbarrier.results.reserve import MANIFEST, writer_of
from gcbarrier.results.tables import MEASUREMENTS

T = TypeVar("T")

FORMAT = 1
"""Version of the layout; a reader refuses what is newer than itself."""

OUTCOMES, FINDINGS = "outcomes.jsonl", "findings.jsonl"

COMPLETE, RUNNING, STOPPED, KILLED = "complete", "running", "stopped", "killed"
"""The states of a run. ``killed`` stands in no manifest: it says ``running``, and nobody is writing any more."""


PARTS = ("configs", "probes")
"""Of a plan; each invocation of one leaves a record, whether it ended well or not."""


@frozen(kw_only=True)
class Run(Displayed):
    """What :func:`load` read: one run directory, or the union of several (:func:`unite`)."""

    directory: Path
    manifest: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]
    event_files: tuple[Path, ...] = field(repr=False)
    """The raw events of each outcome; a failed invocation may have left no such file."""
    findings: tuple[Finding, ...] = ()
    """What the plan's probes brought back."""
    state: str = COMPLETE
    """``complete``; ``running``, ``stopped`` (Ctrl-C, an error) or ``killed``: then what is here is what had ended."""

    @property
    def experiment(self) -> str:
        """The experiment's name, as in ``experiments/<name>.py``."""
        return str(self.manifest["experiment"])

    @property
    def records(self) -> tuple[Outcome | Finding, ...]:
        """All outcomes and then all findings."""
        return *self.outcomes, *self.findings

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines with outcomes or findings, in order of first appearance."""
        names = [outcome.machine for outcome in self.outcomes] + [finding.machine for finding in self.findings]
        return tuple(dict.fromkeys(names))

    @property
    def manifests(self) -> tuple[Mapping[str, Any], ...]:
        """Those of the runs that were united; of one run its own."""
        united = self.manifest.get("runs")
        every = united if isinstance(united, list) else [self.manifest]
        return tuple(manifest for manifest in every if isinstance(manifest, Mapping))

    @property
    def expected(self) -> int:
        """How many outcomes and findings the plans ask for, those of machines that had their turn; 0: not known."""
        taken = sum(self.expected_of(machine, part) for machine in self.planned for part in PARTS)
        return taken + sum(_untaken(manifest) for manifest in self.manifests)

    def expected_of(self, machine: str, part: str) -> int:
        """How many records of a machine's ``configs`` or ``probes`` the plan asks for; 0 where it does not tell."""
        wanted = 0
        for manifest in self.manifests:
            plan = _at(manifest, ("plans", machine))
            if isinstance(plan, Mapping):
                parts, invocations = plan.get(part), plan.get("invocations")
                if isinstance(blocks := manifest.get("blocks"), Mapping):
                    # Over several machines, each does some of the invocations.
                    invocations = len(blocks.get(machine, ()))
                wanted += len(parts) * invocations if isinstance(parts, list) and isinstance(invocations, int) else 0
        return wanted

    @property
    def planned(self) -> tuple[str, ...]:
        """The machines that have a plan, and then those that have records all the same."""
        plans = [manifest.get("plans") for manifest in self.manifests]
        names = [name for each in plans if isinstance(each, Mapping) for name in each]
        return tuple(dict.fromkeys((*names, *self.machines)))

    def on(self, machine: str) -> tuple[Outcome, ...]:
        """The outcomes of one machine."""
        return tuple(outcome for outcome in self.outcomes if outcome.machine == machine)

    def found(self, machine: str) -> tuple[Finding, ...]:
        """The findings of one machine."""
        return tuple(finding for finding in self.findings if finding.machine == machine)

    @property
    def measurements(self) -> NDArray[Any]:
        """A structured array, a row per reading of a probe, with the columns of ``measurements.csv``."""
        return MEASUREMENTS.array(self.findings, self.experiment)

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

    def table(self, per: str = "invocation") -> dict[str, list[Any]]:
        """All of it as flat columns, a row per ``invocation``, ``pause``, ``cycle`` or (of probes) ``reading``.

        ``pandas.DataFrame(run.table())``; :mod:`gcbarrier.results.flat` says which columns there are. Raises
        GcBarrierError for any other ``per``.
        """
        from gcbarrier.results import flat

        return flat.table([self], per)

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


def _untaken(manifest: Mapping[str, Any]) -> int:
    """The invocations of blocks that no machine has taken yet, as the first one's plan has them."""
    blocks, plans = manifest.get("blocks"), manifest.get("plans")
    if not isinstance(blocks, Mapping) or not isinstance(plans, Mapping) or not plans:
        return 0
    plan = next(iter(plans.values()))
    left = int(manifest.get("block_count", 0)) - sum(len(each) for each in blocks.values())
    return max(left, 0) * sum(len(plan.get(part, ())) for part in PARTS)


def load(directory: Path) -> Run:
    """The run in ``directory``. Raises GcBarrierError where there is none, it is damaged, or it is too new."""
    directory = Path(directory)
    manifest = _manifest(directory)
    state = _state(directory, manifest)
    if state == KILLED:
        # Or it has ended between the look at its manifest and that at its lock.
        manifest = _manifest(directory)
        state = _state(directory, manifest)
    # The last line of what is being written, or was when it was killed, may be half of one.
    torn = state in (RUNNING, KILLED)
    written = not torn or (directory / OUTCOMES).exists()
    outcomes = tuple(_records(directory / OUTCOMES, Outcome, torn=torn)) if written else ()
    files = tuple(events_file(directory, index) for index in range(len(outcomes)))
    found = directory / FINDINGS
    # A run without probes has none.
    findings = tuple(_records(found, Finding, torn=torn)) if found.exists() else ()
    return Run(
        directory=directory,
        manifest=manifest,
        outcomes=outcomes,
        event_files=files,
        findings=findings,
        state=state,
    )


def unite(runs: Sequence[Run]) -> Run:
    """Several runs of one experiment as one; invocations are renumbered so that they stay apart.

    The manifest is the first one's, with the ``machines`` of all and every manifest under ``runs``. Different machines
    that two runs call by one name get names apart (:mod:`gcbarrier.results.apart`). Raises GcBarrierError where the
    experiments differ, or where a run is there twice.
    """
    if not runs:
        raise ValueError("there is no run to unite")
    first, *others = runs
    if not others:
        return first
    machines = dict(first.manifest.get("machines", {}))
    outcomes, findings, manifests = list(first.outcomes), list(first.findings), [dict(first.manifest)]
    for run in others:
        if any(same_run(run, one) for one in runs if one is not run):
            raise GcBarrierError(f"{run.directory} is a copy of another of these runs: its samples would count twice")
        if run.experiment != first.experiment:
            raise GcBarrierError(
                f"{first.directory} holds {first.experiment} and {run.directory} holds {run.experiment}: "
                "only runs of one experiment can share a figure"
            )
        names = names_apart({name: run.facts(name) for name in run.planned}, machines, unlike)
        manifests.append(renamed(run.manifest, names))
        machines = {**manifests[-1].get("machines", {}), **machines}
        offset = 1 + max((outcome.invocation.index for outcome in outcomes), default=-1)
        for outcome in run.outcomes:
            moved = evolve(outcome.invocation, index=outcome.invocation.index + offset)
            outcomes.append(evolve(outcome, machine=names[outcome.machine], invocation=moved))
        offset = 1 + max((finding.index for finding in findings), default=-1)
        for finding in run.findings:
            findings.append(evolve(finding, machine=names[finding.machine], index=finding.index + offset))
    return Run(
        directory=first.directory,
        manifest={**first.manifest, "machines": machines, "runs": manifests},
        outcomes=tuple(outcomes),
        event_files=tuple(path for run in runs for path in run.event_files),
        findings=tuple(findings),
        state=next((run.state for run in runs if run.state != COMPLETE), COMPLETE),
    )


def same_run(one: Run, other: Run) -> bool:
    """Whether one is a copy of the other."""
    return all(one.manifest.get(key) and one.manifest.get(key) == other.manifest.get(key) for key in ("date", "seed"))


_IDENTITY = (("kernel", "release"), ("cpu", "model"), ("accelerator",), ("hypervisor",))
"""Where :func:`gcbarrier.machines.host.manifest` keeps what makes results of two machines incomparable."""


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """How two descriptions of a machine in manifests contradict each other ("" where they don't)."""
    for keys in _IDENTITY:
        mine, theirs = _at(one, keys), _at(other, keys)
        if mine is not None and theirs is not None and mine != theirs:
            return f"{' '.join(keys)}: {mine} and {theirs}"
    return ""


def _at(facts: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        facts = facts.get(key) if isinstance(facts, Mapping) else None
    return facts


def _state(directory: Path, manifest: Mapping[str, Any]) -> str:
    """Runs of before there were states had a manifest at their end only."""
    said = manifest.get("state", COMPLETE)
    if said == RUNNING:
        return RUNNING if writer_of(directory) == "alive" else KILLED
    return STOPPED if said == STOPPED else COMPLETE


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


def _records(path: Path, cls: type[T], *, torn: bool = False) -> Iterator[T]:
    try:
        text = regular(path).read_text(encoding="utf-8", errors="replace" if torn else "strict")
        lines = (text[: text.rfind("\n") + 1] if torn else text).splitlines()
    except (OSError, ValueError) as problem:
        raise GcBarrierError(f"{path} can't be read ({problem}): run the experiment again") from problem
    for number, line in enumerate(lines, start=1):
        try:
            yield from_json(line, cls)
        except GcBarrierError as problem:
            raise GcBarrierError(f"{path}, line {number}: {problem}") from problem


def events_file(directory: Path, index: int) -> Path:
    """Where the raw events of the outcome with this number are."""
    return directory / "events" / f"{index}.npy"


__all__ = [
    "COMPLETE",
    "FINDINGS",
    "FORMAT",
    "KILLED",
    "OUTCOMES",
    "RUNNING",
    "STOPPED",
    "Run",
    "events_file",
    "load",
    "same_run",
    "unite",
    "unlike",
]
