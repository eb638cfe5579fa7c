"""Runs as a suite of the module pyperf: a benchmark for each configuration, a run of it for each good invocation."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import fields

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, format_bytes
from gcbarrier.plugins.discovery import nearest
from gcbarrier.results import flat

if TYPE_CHECKING:
    from gcbarrier.results.run import Run

_UNITS = {"ns": ("second", 1e-9), "s": ("second", 1.0), "bytes": ("byte", 1.0)}
_COUNTED = ("integer", 1.0)
_KINDS = ("heap", "barrier", "collector")
_SAID = (*_KINDS, *(f"{kind}_params" for kind in _KINDS), "heap_bytes", "heap_times", "minheap_bytes")


def measures(runs: "Sequence[Run]") -> tuple[str, ...]:
    """The columns of :func:`gcbarrier.results.flat.table` that are numbers of which less is better."""
    columns = flat.table(runs)
    numbers = (name for name, values in columns.items() if flat.kind_of(name, values) in (int, float))
    names = list(columns)
    own = names.index("failed") if "failed" in names else 0
    return tuple(
        name
        for name in numbers
        if names.index(name) > own and flat.unit_of(name) != "1/s" and not name.partition(".")[0].endswith("_params")
    )


def suite(runs: "Sequence[Run]", measure: str) -> str:
    """The suite as JSON, for ``python -m pyperf compare_to``.

    Benchmarks have names that depend on their configuration alone, so that those of two suites meet. Raises
    GcBarrierError where there is no such measure, or no good invocation has a value above 0 of it.
    """
    known = measures(runs)
    if measure not in known:
        hint = nearest(measure, known)
        raise GcBarrierError(f"--measure {measure}: no number is called that; {hint}there are {', '.join(known)}")
    unit, factor = _UNITS.get(flat.unit_of(measure), _COUNTED)
    values = flat.table(runs)[measure]
    outcomes = [outcome for run in runs for outcome in run.outcomes]
    found: dict[str, list[float]] = {}
    for outcome, value in zip(outcomes, values, strict=True):
        # pyperf has no place for nothing.
        if not outcome.error and value is not None and value > 0:
            found.setdefault(_name(outcome.machine, outcome.invocation.config), []).append(float(value) * factor)
    if not found:
        raise GcBarrierError(f"no invocation that ended well has a {measure} above 0: name another with --measure")
    benchmarks = [
        {"metadata": {"name": name, "unit": unit}, "runs": [{"values": [value]} for value in each]}
        for name, each in sorted(found.items())
    ]
    metadata = {"description": measure, "gcbarrier_experiments": ", ".join(sorted({run.experiment for run in runs}))}
    return json.dumps({"version": "1.0", "metadata": metadata, "benchmarks": benchmarks}, indent=1) + "\n"


def _name(machine: str, config: Config) -> str:
    who = "/".join(f"{getattr(config, kind)}{_params(getattr(config, f'{kind}_params'))}" for kind in _KINDS)
    # The smallest heap differs a little from run to run; how many times that it is, does not.
    size = f"{config.heap_times:g}x" if config.heap_times else format_bytes(config.heap_bytes)
    apart = [each for each in fields(Config) if each.name not in _SAID and getattr(config, each.name) != each.default]
    said = [f"{each.name}={getattr(config, each.name)}" for each in apart]
    return " ".join([*([machine] if machine != "native" else []), who, size, *said])


def _params(params: Mapping[str, Any]) -> str:
    return f"({', '.join(f'{name}={params[name]}' for name in sorted(params))})" if params else ""


__all__ = ["measures", "suite"]
