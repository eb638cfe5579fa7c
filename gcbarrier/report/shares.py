"""A run in shares, each of which a report can tell all cells of apart.

An experiment's figure has room for what its plan varies. What a user sweeps besides would put two cells on one spot:
then there is a figure, and a table, for each value of it. What the swept parameter does not concern, as a baseline, is
in all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, fields, has

from gcbarrier.model import format_bytes
from gcbarrier.report.grammar import Axis, Measure, Names, find
from gcbarrier.report.units import format_number
from gcbarrier.results.run import Run

_KINDS = ("heap", "barrier", "collector")
_DEFAULT = "default"
Point = tuple[Any, ...]
"""Of a configuration, its value of each swept key; None where it has none."""


def shares(run: Run, machine: str, cells: Sequence[Any], parts: Sequence[Any], by: Names) -> list[tuple[str, Run]]:
    """The shares of a run's records on one machine, each with the words for what it is at; ``""`` where it is whole.

    ``cells`` are what the report looks at, ``parts`` its panels and tables.
    """
    keys = _swept(run)
    configs: list[Any] = [outcome.invocation.config for outcome in run.on(machine)]
    configs += [finding.probe for finding in run.found(machine)]
    configs = list(dict.fromkeys(configs))
    varied = [key for key in keys if len({_value(one, key) for one in configs} - {None}) > 1]
    unseen = [key for key in varied if any(_hides(part, key, cells, configs, by) for part in parts)]
    if not unseen:
        return [("", run)]
    points = list(dict.fromkeys(tuple(_value(one, key) for key in unseen) for one in configs))
    whole = [one for one in points if not any(one != other and _within(one, other) for other in points)]
    return [(_words(unseen, point), _share(run, unseen, point)) for point in sorted(whole, key=_rank)]


def _swept(run: Run) -> list[str]:
    """What users set of these runs, and may have set to more than one value."""
    found: dict[str, None] = {}
    for settings in (manifest.get("settings") for manifest in run.manifests):
        if isinstance(settings, Mapping):
            for part in ("choices", "fields", "grid"):
                found |= dict.fromkeys(_keys(settings.get(part)))
            params = settings.get("params")
            for owner, named in params.items() if isinstance(params, Mapping) else ():
                found |= dict.fromkeys(f"{owner}.{name}" for name in _keys(named))
            points = settings.get("points")
            for point in points if isinstance(points, list) else ():
                found |= dict.fromkeys(_keys(point))
            if settings.get("times") or "heap" in found:
                found["heap_times"] = None
    return list(found)


def _keys(part: Any) -> list[str]:
    """Of a part of a manifest, which somebody else may have written."""
    return [str(key) for key in part] if isinstance(part, Mapping) else []


def _value(one: Any, key: str) -> Any:
    """What a configuration, a probe or a cell of these has for a key; None where that is none of its."""
    owner, dot, name = key.partition(".")
    if not dot:
        return find(one, key)
    owned = [kind for kind in _KINDS if find(one, kind) == owner]
    return find(one, f"{owned[0]}_params.{name}", _DEFAULT) if owned else None


def _hides(part: Any, key: str, cells: Sequence[Any], configs: Sequence[Any], by: Names) -> bool:
    """Whether two cells that differ in ``key`` may share a spot of a panel or a row of a table."""
    told = list(_within_part(part, (Axis, Names)))
    if not told:
        return False  # by hand, or a comparison that has a row for each
    if {_value(one, key) for one in configs} - {_value(cell, key) for cell in cells}:
        return True  # the experiment's own records do not even have it
    spots: dict[Point, set[Any]] = {}
    keep, measures = getattr(part, "keep", None), list(_within_part(part, (Measure,)))
    names = [(each.names(cells) if isinstance(each, Names) else {}, each) for each in (by, *told)]
    for cell in cells:
        # What a panel has no number of has no spot on it.
        if (keep is None or keep(cell)) and (not measures or any(each.value(cell) for each in measures)):
            spot = tuple(each.value(cell) if isinstance(each, Axis) else named[id(cell)] for named, each in names)
            spots.setdefault(spot, set()).add(_value(cell, key))
    return any(len(values) > 1 for values in spots.values())


def _within_part(part: Any, kinds: tuple[type, ...]) -> Iterator[Any]:
    """The axes, names or measures that a panel or a table is made of."""
    if isinstance(part, kinds):
        yield part
    elif isinstance(part, list | tuple):
        for each in part:
            yield from _within_part(each, kinds)
    elif has(type(part)) and not isinstance(part, Axis | Names | Measure):
        for each in fields(type(part)):
            yield from _within_part(getattr(part, each.name, None), kinds)


def _within(one: Point, other: Point) -> bool:
    """Whether what is at ``one`` belongs to the share at ``other``."""
    return all(mine is None or mine == value for mine, value in zip(one, other, strict=True))


def _rank(point: Point) -> list[tuple[bool, bool, Any]]:
    return [(value is None, isinstance(value, str), 0 if value is None else value) for value in point]


def _share(run: Run, keys: Sequence[str], point: Point) -> Run:
    def here(one: Any) -> bool:
        return _within(tuple(_value(one, key) for key in keys), point)

    mine = [at for at, outcome in enumerate(run.outcomes) if here(outcome.invocation.config)]
    return evolve(
        run,
        manifest=_planned(run.manifest, here),
        outcomes=tuple(run.outcomes[at] for at in mine),
        event_files=tuple(run.event_files[at] for at in mine),
        findings=tuple(finding for finding in run.findings if here(finding.probe)),
    )


def _planned(manifest: Mapping[str, Any], here: Any) -> dict[str, Any]:
    """The manifest with what was planned of this share: nothing else is missed in it."""
    found = dict(manifest)
    plans = manifest.get("plans")
    if isinstance(plans, Mapping):
        found["plans"] = {
            name: _plan(plan, here) if isinstance(plan, Mapping) else plan for name, plan in plans.items()
        }
    if isinstance(manifest.get("runs"), list):
        found["runs"] = [_planned(one, here) for one in manifest["runs"]]
    return found


def _plan(plan: Mapping[str, Any], here: Any) -> dict[str, Any]:
    lists = {part: plan[part] for part in ("configs", "probes") if isinstance(plan.get(part), list)}
    return {**plan, **{part: [one for one in each if here(one)] for part, each in lists.items()}}


def _words(keys: Sequence[str], point: Point) -> str:
    said = []
    for key, value in zip(keys, point, strict=True):
        if value is None:
            continue
        if key in _KINDS:
            said.append(str(value))
        elif key.endswith("_bytes") and not isinstance(value, str):
            said.append(f"{'heap' if key == 'heap_bytes' else key} {format_bytes(int(value))}")
        elif key == "heap_times":
            said.append(f"heap {value:g}x" if value else "heap as planned")
        else:
            said.append(
                f"{key} {format_number(value, 6) if isinstance(value, float) else 'none' if value == '' else value}"
            )
    return ", ".join(said)


__all__ = ["shares"]
