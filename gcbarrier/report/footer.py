"""The small print of a figure: where, on what and how often it was measured."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from gcbarrier.model import Finding, Outcome, Scalar, format_bytes
from gcbarrier.report.differing import labels
from gcbarrier.report.text import fold
from gcbarrier.report.units import DASH, TIMES, format_number
from gcbarrier.results import busy, cells
from gcbarrier.results.lost import departed, lost
from gcbarrier.results.run import Run

_NAMED = 3
_LISTED = 4
_UNKNOWN = "not recorded"


def footer(run: Run, machine: str, width: int) -> str:
    """Lines that state what a reader must know before comparing: what the manifest lacks reads ``not recorded``.

    Lines are of at most ``width`` characters.
    """
    outcomes = run.on(machine)
    findings = run.found(machine)
    said = [f"machine {machine}", *about(run.facts(machine))]
    if outcomes:
        said += _samples(outcomes)
    if findings:
        said += _probed(findings)
    said += _settings(outcomes)
    said += left_out(run, machine)
    said += lacking(run, machine)
    said += _how(run, outcomes)
    said += _stopped_at(run, machine)
    said += departed(run, machine)
    said += _beside(run, machine)
    said.append(f"{run.experiment}, {_date(run, machine)}")
    failed = (*_failures(outcomes, width), *_failed_probes(findings, width))
    disturbed = busy(outcomes)
    told = wrap(disturbed.sentence, width) if disturbed else []
    return "\n".join([*fold(said, width), *failed, *told, *wrap(lost(run, machine), width)])


def about(facts: Mapping[str, Any]) -> Iterator[str]:
    """What a machine is, as far as its manifest tells."""
    yield f"kernel {_inside(facts, 'kernel', 'release')}"
    yield f"accelerator {facts.get('accelerator', _UNKNOWN)}"
    if (hypervisor := facts.get("hypervisor", "none")) != "none":
        yield f"hypervisor {hypervisor}"
    processor = _inside(facts, "cpu", "model")
    affinity = facts["cpu"].get("affinity") if processor != _UNKNOWN else None
    count = len(affinity) if isinstance(affinity, list) else 0
    yield f"CPU {f'{count} {TIMES} ' if count else ''}{processor}"
    yield f"THP {_inside(facts, 'thp', 'enabled')}, for shmem {_inside(facts, 'thp', 'shmem_enabled')}"


def _inside(facts: Mapping[str, Any], section: str, key: str) -> str:
    part = facts.get(section)
    return str(part.get(key, _UNKNOWN)) if isinstance(part, Mapping) else _UNKNOWN


def _samples(outcomes: Sequence[Outcome]) -> Iterator[str]:
    configs = [outcome.invocation.config for outcome in outcomes]
    good = [outcome for outcome in outcomes if not outcome.error]
    pauses = [pause for outcome in good for pause in outcome.pauses]
    counts = [len(cell.outcomes) for cell in cells(good)] or [0]
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)}{DASH}{max(counts)}"
    yield f"memory {', '.join(sorted({config.memory for config in configs}))}"
    yield f"heap {_sizes({config.heap_bytes for config in configs})}"
    yield f"mutators {', '.join(str(count) for count in sorted({config.mutators for config in configs}))}"
    yield (
        f"{len(pauses)} pauses ({sum(pause.preempted for pause in pauses)} with a thread descheduled) "
        f"of {len(good)} invocations, {each} per configuration"
    )
    if fell_back := sum(pause.fell_back for pause in pauses):
        yield f"{fell_back} pauses in which a barrier fell back to a slower way"
    if any(pause.prototype for pause in pauses):
        yield "Python ran inside some pauses (prototype)"


def _sizes(found: set[int]) -> str:
    return _shortened([format_bytes(size) for size in sorted(found)])


def _shortened(words: Sequence[str]) -> str:
    """Many values as their ends and their number."""
    return ", ".join(words) if len(words) <= _LISTED else f"{words[0]} to {words[-1]} ({len(words)} values)"


def _settings(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What was set apart from the defaults, of each heap and each pair of barrier and collector."""
    heaps: dict[tuple[str, str], set[Scalar]] = {}
    pairs: dict[tuple[str, str], set[Scalar]] = {}
    for config in (outcome.invocation.config for outcome in outcomes):
        for name, value in config.heap_params.items():
            heaps.setdefault((config.heap, name), set()).add(value)
        for name, value in config.barrier_params.items():
            pairs.setdefault((config.barrier, name), set()).add(value)
        for name, value in config.collector_params.items():
            pairs.setdefault((config.collector, name), set()).add(value)
    for (whose, name), values in sorted(heaps.items()) + sorted(pairs.items()):
        yield f"{whose} {name} {_shortened([_value(value) for value in _ordered(values)])}"


def _ordered(values: set[Scalar]) -> list[Scalar]:
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def _value(value: Scalar) -> str:
    return str(value) if isinstance(value, bool | str) else format_number(value, 6)


def lacking(run: Run, machine: str) -> Iterator[str]:
    """What this machine does not have, and what of the plan was therefore left out."""
    left = run.left_out(machine)
    missing = run.manifest.get("lacking")
    elsewhere = [name for name in missing if name not in left] if isinstance(missing, Mapping) else []
    if machine == "native" and elsewhere:
        yield f"not to be had on this machine: {', '.join(elsewhere)}"
    for name, told in left.items():
        remedy = told.get("remedy", "")
        yield f"left out, not to be had: {name}{f' ({remedy})' if remedy else ''}"


def left_out(run: Run, machine: str) -> Iterator[str]:
    """What the plan says it had to leave out on this machine."""
    settings, plans = run.manifest.get("settings"), run.manifest.get("plans")
    set_by_user = [settings.get(part) for part in ("fields", "grid")] if isinstance(settings, Mapping) else []
    if any(isinstance(part, Mapping) and "heap_bytes" in part for part in set_by_user):
        return  # The sizes are the user's.
    plan = plans.get(machine) if isinstance(plans, Mapping) else None
    if isinstance(plan, Mapping):
        yield from (f"left out: {each}" for each in plan.get("left_out", ()))


def _how(run: Run, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What makes a run's numbers less than they could be."""
    if any(manifest.get("quick") for manifest in run.manifests):
        yield "measured with --quick, for a first look"
    verified = {outcome.invocation.config.verify for outcome in outcomes}
    if True in verified:
        yield f"{'in part ' if False in verified else ''}measured with --verify, which takes time"


def _stopped_at(run: Run, machine: str) -> Iterator[str]:
    """Who stops when intervals are narrow has them a little too narrow: a reader must know."""
    for manifest in run.manifests:
        every = manifest.get("until")
        told = every.get(machine) if isinstance(every, Mapping) else None
        if isinstance(told, Mapping) and isinstance(wanted := told.get("wanted"), float):
            ended = "and did not get there" if told.get("why") != "narrow" else "and no more"
            yield f"invocations were added until intervals were within ±{100 * wanted:g} %, {ended}"


def _beside(run: Run, machine: str) -> Iterator[str]:
    """Who else measured on the same host at the same time."""
    worker = run.facts(machine).get("worker")
    others = worker.get("shares_host_with") if isinstance(worker, Mapping) else None
    if others:
        yield f"it SHARES ITS HOST with {', '.join(others)}, measured at the same time"


def _probed(findings: Sequence[Finding]) -> Iterator[str]:
    probes = [finding.probe for finding in findings]
    yield f"memory {', '.join(sorted({probe.memory for probe in probes}))}"
    yield f"tracked {_sizes({probe.heap_bytes for probe in probes})}"
    readings = [reading for finding in findings for reading in finding.readings]
    counted = any(reading.unit == "instructions" for reading in readings)
    rounds = len({finding.index for finding in findings})
    each = f"{rounds} {'boot' if counted else 'invocation'}{'s' if rounds > 1 else ''}"
    yield f"{len(readings)} readings of {sum(reading.samples for reading in readings):,} samples, {each}"


def _failed_probes(findings: Sequence[Finding], width: int) -> Iterator[str]:
    failed = [finding for finding in findings if finding.error]
    if failed:
        named = [f"{one.probe.label} #{one.index}: {one.error.splitlines()[0][:150]}" for one in failed[:_NAMED]]
        more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        yield from wrap(f"{len(failed)} failed: {'; '.join(named)}{more}", width)


def _date(run: Run, machine: str) -> str:
    found = run.facts(machine).get("date") or run.manifest.get("date") or "date not recorded"
    return str(found)[:10] if found != "date not recorded" else str(found)


def _failures(outcomes: Sequence[Outcome], width: int) -> Iterator[str]:
    failed = [outcome for outcome in outcomes if outcome.error]
    if not failed:
        return
    called = labels(one.invocation.config for one in outcomes)
    named = [
        f"{called[one.invocation.config]} #{one.invocation.index}: {one.error.splitlines()[0][:150]}"
        for one in failed[:_NAMED]
    ]
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    yield from wrap(f"{len(failed)} failed and not drawn: {'; '.join(named)}{more}", width)


__all__ = ["about", "footer", "lacking", "left_out"]
