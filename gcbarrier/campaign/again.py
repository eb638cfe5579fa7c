"""Going on with a run that stopped, and running another's plan again: with its plug-ins, or it says what changed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gcbarrier.campaign import provenance
from gcbarrier.campaign.course import Done, Recorded, identity, recorded
from gcbarrier.campaign.places import NATIVE
from gcbarrier.campaign.plans import Plan
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import host
from gcbarrier.model import Config, evolve
from gcbarrier.plugins import discovery
from gcbarrier.results.reserve import MANIFEST
from gcbarrier.results.run import COMPLETE, RUNNING, Run, load, unlike
from gcbarrier.results.writer import SOURCES


def to_resume(directory: Path) -> tuple[Recorded, Done]:
    """A run to go on with, and what of it is done.

    Raises GcBarrierError where it has ended or is still going on, and where anything that decides its results is not
    what it was: a plug-in, the core, a graph, this machine.
    """
    run = load(directory)
    if run.state == COMPLETE:
        raise GcBarrierError(f"{directory} is complete: `gcbarrier run --from {directory}` runs it again")
    if run.state == RUNNING:
        raise GcBarrierError(f"{directory} is still being written: wait until that run has ended")
    found = recorded(run)
    build.sanitize(found.request.sanitize)
    find_plugins(run)
    differing = [*differences(found), *_lost_files(found)]
    native = run.facts(NATIVE.name)
    if native and (unlikeness := unlike(native, host.manifest(build.cflags()))):
        differing.append(f"this is another machine ({unlikeness})")
    if differing:
        raise GcBarrierError(
            f"{directory} can't be gone on with: {'; '.join(differing)}: put it back as it was, or begin anew with "
            f"`gcbarrier run --from {directory}`"
        )
    return found, frozenset(map(identity, run.records))


def to_repeat(source: Path) -> tuple[Recorded, list[str]]:
    """A run, or its manifest alone, whose plan is to be run here; and what is not as it was then.

    A plug-in that is not here is taken from the run's copies. Raises GcBarrierError where it does not tell its plan.
    """
    run = _of_manifest(source) if source.is_file() else load(source)
    found = recorded(run)
    build.sanitize(found.request.sanitize)
    find_plugins(run)
    found = evolve(found, plans={name: _with_copies(plan, found) for name, plan in found.plans.items()})
    return found, list(differences(found))


def differences(found: Recorded) -> Iterator[str]:
    """What of a run's plug-ins, core and files is not now what it was then, in words."""
    then = provenance.told(found.run.manifest)
    there = [name for name in then if name.split("/")[1] in discovery.names(name.split("/")[0])]
    now = provenance.sources(found.request.experiment, found.plans.values()) if len(there) == len(then) else {}
    yield from provenance.changed(then, now or {name: then[name] for name in there})
    machines = found.run.manifest.get("machines", {})
    # Workers compile for themselves, and are asked themselves.
    cores = {name: facts.get("core") for name, facts in machines.items() if "worker" not in facts}
    current = provenance.core()
    for name, core in cores.items():
        if isinstance(core, Mapping) and core.get("name") != current["name"]:
            yield f"the core has changed, or its compiler ({name} had {core.get('name')}, here is {current['name']})"
            break
    files = provenance.given(found.plans.values())
    for value, sha256 in found.run.manifest.get("given", {}).items():
        if value in files and provenance.digest(files[value]) != sha256:
            yield f"{value} has changed"
        elif value not in files and not (found.folder / provenance.copy_of(value)).is_file():
            yield f"{value} is not there any more"


def _lost_files(found: Recorded) -> Iterator[str]:
    """The files of which there is nothing but the run's copy. Its configurations name the file, not the copy."""
    there = provenance.given(found.plans.values())
    for value in found.run.manifest.get("given", {}):
        copy = found.folder / provenance.copy_of(value)
        if value not in there and copy.is_file():
            yield f"{value} is not there any more (a copy is {copy})"


def find_plugins(run: Run) -> None:
    """Search where the run did, or in its copies, for the user's plug-ins that are not found without.

    Raises GcBarrierError where some are here and others are not.
    """
    copies, told = run.directory / SOURCES, provenance.told(run.manifest)
    wanted = [name.split("/") for name, source in told.items() if not source.shipped]
    for folder in (*map(Path, run.manifest.get("search_path", ())), copies):
        missing = [(kind, name) for kind, name in wanted if name not in discovery.names(kind)]
        if missing and any((folder / kind).is_dir() for kind, _ in missing):
            if len(missing) < len(wanted) and folder == copies:
                # The copies have all of them, and two of a name are refused.
                raise GcBarrierError(
                    f"{'/'.join(missing[0])} of {run.directory} is not here, though others of its plug-ins are: "
                    "put it back, or leave --path out so that the run's own copies serve"
                )
            discovery.add_path(folder)
        elif not told and run.experiment not in discovery.names("experiments") and (folder / "experiments").is_dir():
            # It was killed before it said what it was made with.
            discovery.add_path(folder)


def _with_copies(plan: Plan, found: Recorded) -> Plan:
    """The plan with the run's own copies for the files that are named in it and are not here."""
    return evolve(plan, configs=tuple(_from_copies(config, found) for config in plan.configs))


def _from_copies(config: Config, found: Recorded) -> Config:
    told: Any = found.run.manifest.get("given", {})
    params = dict(config.heap_params)
    for name, value in config.heap_params.items():
        copy = found.folder / provenance.copy_of(value) if isinstance(value, str) and value in told else None
        if copy is not None and copy.is_file() and not Path(str(value)).expanduser().is_file():
            params[name] = str(copy)
    return evolve(config, heap_params=params) if params != dict(config.heap_params) else config


def _of_manifest(path: Path) -> Run:
    """A run of which there is nothing but its manifest, under whatever name."""
    if path.name == MANIFEST and (path.parent / "outcomes.jsonl").exists():
        return load(path.parent)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise GcBarrierError(f"{path} can't be read as a run's manifest ({problem}): name another") from problem
    if not isinstance(manifest, dict) or not isinstance(manifest.get("experiment"), str):
        raise GcBarrierError(f"{path} is not the manifest of a run: it lacks `experiment`")
    return Run(directory=path.parent, manifest=manifest, outcomes=(), event_files=())


__all__ = ["differences", "find_plugins", "to_repeat", "to_resume"]
