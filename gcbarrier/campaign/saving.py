"""What :func:`gcbarrier.measure` returned, kept as a run directory like an experiment's."""

import datetime
import os
from collections.abc import Iterable
from pathlib import Path

from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import host
from gcbarrier.model import Measured, Outcome
from gcbarrier.plugins import discovery
from gcbarrier.results.run import Run, load
from gcbarrier.results.writer import RunWriter


def save(outcomes: Iterable[Outcome], out: str | os.PathLike[str], *, experiment: str = "pause_times") -> Run:
    """Write the outcomes as the run directory ``out``, which is returned loaded.

    ``experiment`` is the one whose figures ``gcbarrier plot`` draws of it. There are no raw events in it, and of a
    guest that is gone it does not tell what it was. Raises GcBarrierError where ``out`` is taken or can't be written,
    or the experiment isn't there.
    """
    discovery.find("experiments", experiment)
    kept = tuple(outcomes)
    if not kept:
        raise GcBarrierError("there is no outcome to save: hand over what measure() returned")
    here = host.machine_name()
    machines = {
        name: host.manifest(build.cflags()) if name == here else {}
        for name in dict.fromkeys(one.machine for one in kept)
    }
    manifest = {
        "experiment": experiment,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machines": machines,
    }
    with RunWriter(Path(out), manifest) as writer:
        for outcome in kept:
            writer.add(Measured(record=outcome))
        writer.commit()
    return load(Path(out))


__all__ = ["save"]
