"""The small print of a figure: where, on what and how often it was measured."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from gcbarrier.model import Finding, Outcome, format_bytes
from gcbarrier.plotting.layout import fold
from gcbarrier.plotting.style import DASH, TIMES
from gcbarrier.results import cells
from gcbarrier.results.lost import lost
from gcbarrier.results.store import Run

_NAMED = 3
_UNKNOWN = "not recorded"


def footer(run: Run, machine: str, width: int) -> str:
    """Lines that state what a reader must know before comparing: what the manifest lacks reads ``not recorded``.

    Lines are of at most ``width`` characters.
    """
    outcomes = run.on(machine)
    findings = run.found(machine)
    said = [f"machine {machine}", *_about(run.facts(machine))]
    if outcomes:
        said += _samples(outcomes)
    if findings:
        said += _probed(findings)
    said += _settings(outcomes)
    said += _lacking(run, machine)
    said.append(f"{run.experiment}, {_date(run, machine)}")
    failed = (*_failures(outcomes, width), *_failed_probes(findings, width))
    return "\n".join([*fold(said, width), *failed, *wrap(lost(run, machine), width)])


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
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
    yield f"heap {', '.join(format_bytes(size) for size in sorted({config.heap_bytes for config in configs}))}"
    yield f"mutators {', '.join(str(count) for count in sorted({config.mutators for config in configs}))}"
    yield (
        f"{len(pauses)} pauses ({sum(pause.preempted for pause in pauses)} with a thread descheduled) "
        f"of {len(good)} invocations, {each} per configuration"
    )
    if fell_back := sum(pause.fell_back for pause in pauses):
        yield f"{fell_back} pauses in which a barrier fell back to a slower way"
    if any(pause.prototype for pause in pauses):
        yield "Python ran inside some pauses (prototype)"


def _settings(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What was set apart from the defaults, of each heap and each pair of barrier and collector."""
    heaps: dict[str, None] = {}
    pairs: dict[str, None] = {}
    for config in (outcome.invocation.config for outcome in outcomes):
        heaps |= {f"{config.heap} {name} {value}": None for name, value in config.heap_params.items()}
        pairs |= {f"{config.barrier} {name} {value}": None for name, value in config.barrier_params.items()}
        pairs |= {f"{config.collector} {name} {value}": None for name, value in config.collector_params.items()}
    yield from (*heaps, *pairs)


def _lacking(run: Run, machine: str) -> Iterator[str]:
    left_out = run.left_out(machine)
    lacking = run.manifest.get("lacking")
    elsewhere = [name for name in lacking if name not in left_out] if isinstance(lacking, Mapping) else []
    if machine == "native" and elsewhere:
        yield f"not to be had on this machine: {', '.join(elsewhere)}"
    for name, told in left_out.items():
        remedy = told.get("remedy", "")
        yield f"left out, not to be had: {name}{f' ({remedy})' if remedy else ''}"


def _probed(findings: Sequence[Finding]) -> Iterator[str]:
    probes = [finding.probe for finding in findings]
    yield f"memory {', '.join(sorted({probe.memory for probe in probes}))}"
    yield f"tracked {', '.join(format_bytes(size) for size in sorted({probe.heap_bytes for probe in probes}))}"
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
    named = [
        f"{one.invocation.config.label} #{one.invocation.index}: {one.error.splitlines()[0][:150]}"
        for one in failed[:_NAMED]
    ]
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    yield from wrap(f"{len(failed)} failed and not drawn: {'; '.join(named)}{more}", width)


__all__ = ["footer"]
