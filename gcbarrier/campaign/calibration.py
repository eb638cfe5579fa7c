"""The constants of the cost model: measured on this machine, or taken from a run that has them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gcbarrier import barriers
from gcbarrier.bench.costs import is_software, measurable
from gcbarrier.campaign import runner
from gcbarrier.campaign.lacking import lacking_barriers, without
from gcbarrier.campaign.places import this_machine
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.watching import UNWATCHED, Watch
from gcbarrier.core import build
from gcbarrier.costs import kept
from gcbarrier.costs.constants import Constants
from gcbarrier.costs.measured import constants
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import host
from gcbarrier.model import Config, Finding, Outcome, Probe, Scalar
from gcbarrier.results.run import Run, load

MIB = 1 << 20
SIZES = (16 * MIB, 64 * MIB)
"""Of the memory that is probed: of one size alone what a collect takes at all and what each page takes are the same."""
INVOCATIONS = 5
METHOD = "2"
"""Of measuring: constants that were measured by another one are measured anew."""
DENSITIES = "0.1 3 100"
_GRAPH = 64 * MIB
_SEED = 1


def probes(
    *, budget_s: float, names: Collection[str] = (), densities: str = DENSITIES, rounds: int = 3
) -> tuple[Probe, ...]:
    """Everything but the handshake: of every barrier there is, unless some are named, and the marker."""
    arguments: dict[str, Scalar] = {"densities": densities, "budget_s": budget_s, "least": 3, "last": True}
    costs = [
        Probe(
            function="gcbarrier.bench.costs:operations",
            barrier=name,
            heap_bytes=size,
            arguments=arguments,
            estimate_s=0.3 + 10 * budget_s,
        )
        for name in (("none", *names) if names else measurable())
        for size in SIZES
    ]
    marker = Probe(
        function="gcbarrier.bench.marker:marking",
        barrier="none",
        heap_bytes=_GRAPH,
        arguments={"markers": "1", "pages": "1000", "rounds": rounds},
    )
    return *costs, marker


def handshakes(*, duration_s: float, mutators: int = 1) -> Config:
    """A session that stops the world again and again without any barrier, and never for long: little lives."""
    return Config(
        heap="graph_edits",
        heap_bytes=16 * MIB,
        heap_params={"rate_per_s": 10_000.0, "live_bytes": MIB},
        barrier="none",
        collector="stop-the-world",
        collector_params={"every_s": 0.01},
        mutators=mutators,
        duration_s=duration_s,
    )


def plan() -> Plan:
    """About two minutes of both."""
    return Plan(
        configs=[handshakes(duration_s=0.3)],
        probes=probes(budget_s=0.01),
        invocations=INVOCATIONS,
    )


def facts() -> dict[str, str]:
    """What the constants depend on, of this machine, in words."""
    told = host.manifest()
    return _facts(told, str(told["date"]))


def _facts(told: Mapping[str, Any], date: str) -> dict[str, str]:
    huge = told.get("thp")
    return {
        "kernel": str(_in(told, "kernel", "release")),
        "processor": str(_in(told, "cpu", "model")),
        "stepping": str(_in(told, "cpu", "stepping")),
        "huge pages": ", ".join(f"{key} {huge[key]}" for key in sorted(huge)) if isinstance(huge, Mapping) else "",
        "version": str(_in(told, "gcbarrier", "version")),
        "method": METHOD,
        "measured": date,
    }


def measured(*, watch: Watch = UNWATCHED) -> Constants:
    """Those of this machine, measured now and kept. Raises GcBarrierError as running a plan does."""
    build.compiler()
    whole = plan()
    runner.compile_all(whole)
    with this_machine() as place:
        here = without(whole, lacking_barriers(whole, place.executor, watch)) or whole
        steps = runner.steps(here, seed=_SEED, accelerator=place.machine.accelerator)
        watch.steps(place.machine.name, steps)
        done = runner.run(steps, place.executor, machine=place.machine.name, on_done=watch.done)
        records = [each.record for each in done]
    found = _of(
        [each for each in records if isinstance(each, Finding)],
        [each for each in records if isinstance(each, Outcome)],
        facts(),
    )
    kept.keep(found)
    return found


def remembered(*, watch: Watch = UNWATCHED) -> Constants:
    """Those of this machine, measured now unless they were before."""
    return kept.kept(facts()) or measured(watch=watch)


def of_run(source: Path | Run, machine: str = "") -> Constants:
    """Those that a run of ``barrier_costs``, or one of ``prediction``, has measured on a machine of it; the first.

    Raises GcBarrierError where it has none.
    """
    run = source if isinstance(source, Run) else load(source)
    chosen = machine or next((each for each in run.machines if run.found(each)), "")
    if not chosen or not run.found(chosen):
        raise GcBarrierError(
            f"{run.directory} has no readings of probes, which constants are made of: name a run of barrier_costs or "
            "prediction with --constants"
        )
    told = run.facts(chosen)
    return _of(
        run.found(chosen),
        run.on(chosen),
        _facts(told, str(told.get("date", run.manifest.get("date", host.UNKNOWN)))),
    )


def _in(told: Mapping[str, Any], key: str, inner: str) -> Any:
    found = told.get(key)
    return found.get(inner, host.UNKNOWN) if isinstance(found, Mapping) else host.UNKNOWN


def _of(findings: list[Finding] | tuple[Finding, ...], outcomes: Any, about: Mapping[str, str]) -> Constants:
    return constants(
        findings,
        outcomes,
        facts=about,
        granules=lambda name: barriers.choose(name).promises.granule_bytes,
        software=is_software,
        snapshot=lambda name: barriers.choose(name).promises.snapshot,
    )


__all__ = ["DENSITIES", "INVOCATIONS", "facts", "handshakes", "measured", "of_run", "plan", "probes", "remembered"]
