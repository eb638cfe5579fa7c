"""What of a plan a machine can do: its barriers are tried there, and its collectors looked for."""

import signal
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path

from gcbarrier import barriers
from gcbarrier.bench.trial import try_out
from gcbarrier.campaign.shipping import artifacts, install
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.fresh import Within

_TRIAL_S = 20.0


def availability(memories: Mapping[str, str], executor: Executor) -> dict[str, GcBarrierError | None]:
    """Try each barrier on the executor's machine: None where it works, else why not.

    Unavailable where the machine lacks something, GcBarrierError where it has all that the barrier needs.
    ``memories`` says on which memory each is to be tried. One that crashes or never ends takes no other with it.
    """
    plugins: dict[str, build.Plugin] = {}
    broken: dict[str, GcBarrierError | None] = {}
    for name in memories:
        try:
            plugins[name] = barriers.choose(name).compile()
        except Unavailable as problem:
            broken[name] = Unavailable(f"the barrier {name}", f"it needs {problem.what}: {problem.why}", problem.remedy)
        except GcBarrierError as problem:
            broken[name] = problem
    if not plugins:
        return broken  # nothing to boot a guest for
    return {**_tried(plugins, memories, executor), **broken}


def _tried(
    plugins: Mapping[str, build.Plugin], memories: Mapping[str, str], executor: Executor
) -> dict[str, GcBarrierError | None]:
    """All in one process, which is quick; where that does not end well, each in a process of its own."""
    try:
        return executor.submit(Within(_TRIAL_S, _try_all), plugins, memories, artifacts(plugins.values())).result()
    except GcBarrierError as problem:
        if len(plugins) == 1:
            (name,) = plugins
            why = f"it does not survive being tried: {' '.join(str(problem).split())}"
            if signal.SIGALRM.name in why:
                why = f"it did not end within {_TRIAL_S:g} s when it was tried"
            return {name: GcBarrierError(f"the barrier {name} can't be used: {why}")}
    found: dict[str, GcBarrierError | None] = {}
    for name, plugin in plugins.items():
        found |= _tried({name: plugin}, memories, executor)
    return found


def _try_all(
    plugins: Mapping[str, build.Plugin], memories: Mapping[str, str], files: Mapping[Path, bytes]
) -> dict[str, GcBarrierError | None]:
    install(files)
    found: dict[str, GcBarrierError | None] = {}
    for name, plugin in plugins.items():
        try:
            try_out(name, plugin, memories[name])
            found[name] = None
        except GcBarrierError as problem:
            found[name] = problem
    return found
