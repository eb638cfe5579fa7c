"""Does one barrier work here, and how would one know? Its needs, its memories, and cycles that the oracle checks."""

from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from attrs import frozen

from gcbarrier import barriers
from gcbarrier.bench.trial import try_out
from gcbarrier.campaign import runner
from gcbarrier.campaign.matching import partner
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.shipping import artifacts, install
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import features
from gcbarrier.machines.fresh import Within
from gcbarrier.model import Config, Outcome
from gcbarrier.plugins import discovery

_TRIAL_S = 20.0
_HEAP: dict[str, Any] = {
    "heap": "graph_edits",
    "heap_params": {"rate_per_s": 0.0},
    "heap_bytes": 8 << 20,
    "collector_params": {"every_s": 0.005},
    "duration_s": 0.5,
}
"""As many stores as two mutators can make, and cycle upon cycle, so that they race with the barrier."""


@frozen(kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    works: bool
    told: str
    """What came out; where it does not work, why."""
    remedy: str = ""


@frozen(kw_only=True)
class Checkup:
    """All that was looked at of a barrier."""

    barrier: str
    summary: str
    findings: tuple[Finding, ...]

    @property
    def works(self) -> bool:
        """On some memory, with all that it needs, and with nothing lost."""
        memories = [each.works for each in self.findings if each.what.startswith("on ")]
        return any(memories) and all(each.works for each in self.findings if not each.what.startswith("on "))


def checkup(name: str, executor: Executor) -> Checkup:
    """Look at the barrier called ``name``. Raises GcBarrierError where there is none or it can't be compiled."""
    chosen = barriers.choose(name)
    promises = chosen.promises
    found = [_need(need) for need in promises.needs]
    tracks = "marks with the world stopped" if not promises.tracks else "lets marking go on while mutators run"
    rearms = "" if not promises.tracks else ", re-arms " + ("at once" if promises.atomic else "with the world stopped")
    found += [Finding(what="promises", works=True, told=f"{tracks}{rearms}")]
    found += [
        Finding(what=what, works=True, told=f"{circumstance}, by its own word")
        for what, circumstance in (("loses writes", promises.loses), ("reports too much", promises.overreports))
        if circumstance
    ]
    plugin = chosen.compile()
    found += [_memory(name, plugin, memory, executor) for memory in promises.memories]
    if working := [each.what.removeprefix("on ") for each in found if each.what.startswith("on ") and each.works]:
        found.append(_verified(name, working[0], executor))
    return Checkup(barrier=name, summary=discovery.summary("barriers", name), findings=tuple(found))


def _need(name: str) -> Finding:
    tried = features.feature(name)
    return Finding(
        what=f"needs {name}", works=tried.works, told="is here" if tried.works else tried.why, remedy=tried.remedy
    )


def _memory(name: str, plugin: build.Plugin, memory: str, executor: Executor) -> Finding:
    try:
        files = artifacts([plugin])
        surplus: int | None = executor.submit(Within(_TRIAL_S, _try_out), name, plugin, memory, files).result()
    except Unavailable as problem:
        return Finding(what=f"on {memory}", works=False, told=problem.why, remedy=problem.remedy)
    except GcBarrierError as problem:
        return Finding(what=f"on {memory}", works=False, told=str(problem))
    told = "it reports no pages, so there is nothing to try by itself"
    if surplus is not None:
        more = f"{surplus} granules too many" if surplus else "nothing else"
        told = f"reports what was written, after arming and after re-arming, and {more}"
    return Finding(what=f"on {memory}", works=True, told=told)


def _try_out(name: str, plugin: build.Plugin, memory: str, files: Mapping[Path, bytes]) -> int | None:
    """In a process of its own: how many granules too many; None where there is nothing to try."""
    install(files)
    chosen = barriers.choose(name)
    surplus = try_out(name, plugin, memory)
    idle = not chosen.promises.tracks or chosen.promises.snapshot or chosen.store_header is not None
    return None if idle else surplus


def _verified(name: str, memory: str, executor: Executor) -> Finding:
    collector = partner(name)
    config = Config(barrier=name, collector=collector, memory=memory, mutators=2, verify=True, **_HEAP)
    (step,) = runner.steps(Plan(configs=(config,), invocations=1), seed=1, accelerator="native")
    (measured,) = runner.run([step], executor, machine="native")
    outcome = measured.record
    assert isinstance(outcome, Outcome)
    what = f"under {collector}"
    if outcome.error or outcome.verification is None:
        return Finding(what=what, works=False, told=outcome.error)
    checked = outcome.verification
    told = f"{checked.cycles_checked} cycles of 2 mutators with {checked.objects_checked:,} objects checked, none lost"
    return Finding(what=what, works=True, told=told)


__all__ = ["Checkup", "Finding", "checkup"]
