"""Runs as flat columns: a row per invocation (or pause, cycle, reading), a column per parameter and number.

Columns are lists of equal length by name, which ``pandas.DataFrame``, ``polars.DataFrame`` and ``pyarrow.table`` take
as they are. A column is of one type; None stands where a row has no such thing, and where a parameter was left to its
plug-in. Numbers are in base units that end their names: ``pause_ns``, ``heap_bytes``, ``duration_s``.

Every row begins with where and of what it is: ``run`` (its directory's name), ``experiment``, ``machine``, the fields
of the configuration by their names (but ``operations_asked`` is what each mutator was asked for), ``invocation``,
``seed``, ``failed``, and parameters as ``heap_params.rate_per_s``, ``barrier_params.x``, ``collector_params.rounds``.
What follows is of the row's own: the fields of an outcome, pause, cycle or reading, and of an invocation and a cycle
what their pauses come to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, get_args

from attrs import field, fields, frozen, has

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Cycle, Finding, Outcome, Pause, Scalar, Word
from gcbarrier.plugins.discovery import nearest
from gcbarrier.results.cost import (
    all_cpu_ns_per_operation,
    cpu_ns_per_operation,
    faults_per_operation,
    operations_per_second,
)
from gcbarrier.results.spread import percentile

if TYPE_CHECKING:
    from gcbarrier.results.run import Run

Value = Scalar | None
Part = dict[str, Value]

_RENAMED = {"operations": "operations_asked"}
_UNSET = ("operations", "heap_times", "minheap_bytes", "pin")
"""Fields of a configuration whose 0 or "" means that there is none."""
_WORDS = ("error", "note", "pin")
"""Texts whose "" means that there is none."""


@frozen
class _Row:
    """What one row has, in three parts, so that columns of a kind stay together."""

    where: Part
    params: Part
    own: Part = field(factory=dict)


def table(runs: "Sequence[Run]", per: str = "invocation") -> dict[str, list[Any]]:
    """The columns of several runs, one after the other; without rows, none.

    ``per``: ``invocation``, ``pause``, ``cycle``, or ``reading`` (of probes). Raises GcBarrierError for another.
    """
    if per not in PER:
        raise GcBarrierError(f"there are no rows per {per!r}; {nearest(per, PER)}there are {', '.join(PER)}")
    rows = [row for run, name in zip(runs, _names(runs), strict=True) for row in PER[per](run, name)]
    columns: dict[str, list[Any]] = {}
    for part in ("where", "params", "own"):
        parts: list[Part] = [getattr(row, part) for row in rows]
        names = dict.fromkeys(name for one in parts for name in one)
        for name in sorted(names) if part == "params" else names:
            # Never in place of what is there.
            free = f"{per}.{name}" if name in columns else name
            columns[free] = _of_one_kind([one.get(name) for one in parts])
    return columns


def kind_of(name: str, values: Sequence[Value]) -> type[Scalar]:
    """What a column of :func:`table` is of; one without any value of what its name promises."""
    there = next((type(value) for value in values if value is not None), None)
    if there is not None:
        return there
    return str if name in _WORDS else int if unit_of(name) in ("ns", "bytes") or name in _RENAMED.values() else float


def unit_of(name: str) -> str:
    """The unit that a column's name ends in; "" where it is a count, a share or no number."""
    for ending, unit in (("_per_s", "1/s"), ("_ns", "ns"), ("_bytes", "bytes"), ("_s", "s")):
        if name.endswith(ending):
            return unit
    return ""


def _names(runs: "Sequence[Run]") -> list[str]:
    """Of their directories, with the folders before them where these are needed to tell them apart."""
    names = [run.directory.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.directory) for run in runs]


def _of_one_kind(values: list[Value]) -> list[Value]:
    """All of the widest type that occurs: whole numbers become floats beside floats, and all are texts beside texts."""
    kinds = {type(value) for value in values if value is not None}
    fits = all(-(1 << 63) <= value < 1 << 63 for value in values if type(value) is int)
    if len(kinds) < 2 and fits:
        return values
    if kinds <= {int, float} and fits:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else _text(value) for value in values]


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _config(config: Config) -> tuple[Part, Part]:
    """Its fields, and its parameters."""
    plain: Part = {}
    params: Part = {}
    for each in fields(Config):
        value = getattr(config, each.name)
        if isinstance(value, Mapping):
            params |= {f"{each.name}.{name}": one for name, one in value.items()}
        else:
            plain[_RENAMED.get(each.name, each.name)] = None if each.name in _UNSET and not value else value
    return plain, params


def _scalars(record: Any, before: str = "", leave: Sequence[str] = ()) -> Part:
    """The fields of a record that are one value, those of records and mappings in it as ``name.inner``."""
    found: Part = {}
    for each in fields(type(record)):
        name, value = f"{before}{each.name}", getattr(record, each.name)
        if each.name in leave:
            continue
        if has(type(value)):
            found |= _scalars(value, f"{name}.")
        elif isinstance(value, Mapping):
            found |= {f"{name}.{key}": _known(key, one) for key, one in value.items() if isinstance(one, Scalar)}
        elif each.type is Word:
            found[name] = f"{value:016x}"  # 64 bits without a sign are no number to most tools
        elif isinstance(value, Scalar) or (value is None and not any(map(has, get_args(each.type)))):
            found[name] = _known(each.name, value)
    return found


def _known(name: str, value: Value) -> Value:
    """None for what is none."""
    return None if value != value or (name in _WORDS and not value) else value


def _numbers(found: Mapping[str, float]) -> Part:
    return {name: _known(name, value) for name, value in found.items()}


def _of_outcome(run: "Run", name: str, outcome: Outcome) -> _Row:
    plain, params = _config(outcome.invocation.config)
    where: Part = {"run": name, "experiment": run.experiment, "machine": outcome.machine, **plain}
    where |= {"invocation": outcome.invocation.index, "seed": outcome.invocation.seed, "failed": bool(outcome.error)}
    return _Row(where, params)


def _invocations(run: "Run", name: str) -> Iterator[_Row]:
    for outcome in run.outcomes:
        row = _of_outcome(run, name, outcome)
        own = {**_scalars(outcome, leave=("invocation", "machine")), **_summed(outcome)}
        yield _Row(row.where, row.params, own)


def _summed(outcome: Outcome) -> Part:
    """What an invocation's pauses, waits and cycles come to."""
    found = _numbers(
        {
            "operations_per_s": operations_per_second(outcome),
            "cpu_per_operation_ns": cpu_ns_per_operation(outcome),
            "all_cpu_per_operation_ns": all_cpu_ns_per_operation(outcome),
            "faults_per_operation": faults_per_operation(outcome),
        }
    )
    cycles: dict[int, int] = {}
    for pause in outcome.pauses:
        cycles[pause.cycle] = cycles.get(pause.cycle, 0) + pause.pause_ns
    stalls = [stall.stall_ns for stall in outcome.stalls]
    found |= {"cycles": len(outcome.cycles), "stalls": len(stalls), "stalled_ns": sum(stalls)}
    found |= {"stall_max_ns": max(stalls, default=None), "stopped_ns": sum(cycles.values())}
    found["stopped_per_cycle_median_ns"] = float(median(cycles.values())) if cycles else None
    found |= _pauses_of("", outcome.pauses)
    for kind in sorted({pause.kind for pause in outcome.pauses}):
        found |= _pauses_of(f"{kind}.", [pause for pause in outcome.pauses if pause.kind == kind])
    for note in sorted({note.name for note in outcome.notes}):
        found[f"notes.{note}.median"] = float(median(one.value for one in outcome.notes if one.name == note))
    return found


def _pauses_of(before: str, pauses: Sequence[Pause]) -> Part:
    took = [pause.pause_ns for pause in pauses]
    return {
        f"{before}pauses": len(took),
        f"{before}preempted": sum(pause.preempted for pause in pauses),
        f"{before}pause_median_ns": float(median(took)) if took else None,
        f"{before}pause_p95_ns": float(percentile(took, 95)) if took else None,
        f"{before}pause_max_ns": max(took, default=None),
    }


def _pauses(run: "Run", name: str) -> Iterator[_Row]:
    for outcome in run.outcomes:
        row = _of_outcome(run, name, outcome)
        for pause in outcome.pauses:
            yield _Row(row.where, row.params, _scalars(pause))


def _cycles(run: "Run", name: str) -> Iterator[_Row]:
    for outcome in run.outcomes:
        row = _of_outcome(run, name, outcome)
        for cycle in outcome.cycles:
            yield _Row(row.where, row.params, {**_scalars(cycle), **_in_cycle(outcome, cycle)})


def _in_cycle(outcome: Outcome, cycle: Cycle) -> Part:
    pauses = [pause.pause_ns for pause in outcome.pauses if pause.cycle == cycle.cycle]
    found: Part = {"round_dirty_granules": sum(cycle.round_dirty), "pauses": len(pauses), "stopped_ns": sum(pauses)}
    return found | {f"notes.{note.name}": note.value for note in outcome.notes if note.cycle == cycle.cycle}


def _readings(run: "Run", name: str) -> Iterator[_Row]:
    for finding in run.findings:
        where, params = _of_finding(run, name, finding)
        for reading in finding.readings:
            yield _Row(where, params, _scalars(reading))


def _of_finding(run: "Run", name: str, finding: Finding) -> tuple[Part, Part]:
    where: Part = {"run": name, "experiment": run.experiment, "machine": finding.machine}
    probe = _scalars(finding.probe, leave=("estimate_s",))
    params = {key: value for key, value in probe.items() if "." in key}
    where |= {key: value for key, value in probe.items() if key not in params}
    return where | {"invocation": finding.index, "failed": bool(finding.error)}, params


PER: Mapping[str, Callable[["Run", str], Iterator[_Row]]] = {
    "invocation": _invocations,
    "pause": _pauses,
    "cycle": _cycles,
    "reading": _readings,
}
"""What a row may be of."""

__all__ = ["PER", "kind_of", "table", "unit_of"]
