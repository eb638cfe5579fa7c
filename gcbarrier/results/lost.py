"""How much of its plan is in a run: what has not been run yet, and what is not there any more."""

from collections.abc import Iterator, Mapping

from gcbarrier.results.run import COMPLETE, KILLED, PARTS, RUNNING, STOPPED, Run

_RECORDS = {"configs": "outcomes", "probes": "findings"}
_STATES = {RUNNING: "the run is still going on", STOPPED: "the run was stopped", KILLED: "the run was killed"}


def lost(run: Run, machine: str) -> str:
    """What of the plan's records of ``machine`` is not there, as a sentence ("" where none is known to be missing).

    What a plan does not tell, as those of older runs, is not missed.
    """
    there = {"configs": len(run.on(machine)), "probes": len(run.found(machine))}
    wanted = {part: run.expected_of(machine, part) for part in PARTS}
    missing = [part for part in PARTS if there[part] < wanted[part]]
    if not missing:
        return ""
    if run.state == COMPLETE:
        said = (f"{wanted[part] - there[part]:,} of {wanted[part]:,} {_RECORDS[part]}" for part in missing)
        return f"{' and '.join(said)} are missing from the run directory: what is shown rests on the others"
    said = (f"{there[part]:,} of {wanted[part]:,} {_RECORDS[part]}" for part in missing)
    return f"{_STATES[run.state]}: {' and '.join(said)} are there"


def losses(run: Run) -> Iterator[str]:
    """Those of all machines, each with the machine's name, and what else is to be said of a run that has not ended."""
    if run.state != COMPLETE:
        cause = run.manifest.get("stopped") if run.state == STOPPED else ""
        goes_on = f"; `gcbarrier run --resume {run.directory}` does the rest" if run.state != RUNNING else ""
        yield f"{_STATES[run.state]}{f' ({cause})' if cause else ''}{goes_on}"
    yield from departed(run)
    for machine in run.planned:
        if said := lost(run, machine):
            yield f"{machine}: {said}"
    for machine in awaited(run):
        yield f"{machine}: had no turn yet"


def departed(run: Run, machine: str = "") -> Iterator[str]:
    """A sentence for each worker that was lost in the middle; ``machine``: if that one or its block is concerned."""
    for manifest in run.manifests:
        told = manifest.get("lost_workers")
        for loss in told if isinstance(told, list) else ():
            if machine and machine not in (loss["machine"], loss["again_on"]):
                continue
            kept = f" after {loss['finished']} of its invocations, which stay" if loss["finished"] else ""
            again = f"done again on {loss['again_on']}" if loss["again_on"] else "not done again"
            yield f"{loss['machine']} was lost in block {loss['block']}{kept}; the block was {again}"


def awaited(run: Run) -> tuple[str, ...]:
    """Machines of the plan that had no turn before the run stopped."""
    said = [manifest.get("awaited") for manifest in run.manifests if isinstance(manifest, Mapping)]
    names = [str(name) for each in said if isinstance(each, list) for name in each]
    return tuple(names) if run.state != COMPLETE else ()


__all__ = ["awaited", "departed", "losses", "lost"]
