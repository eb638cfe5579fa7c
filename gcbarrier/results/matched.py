"""Which configuration of one run is compared with which of the other, and what to call it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import format_bytes
from gcbarrier.results.judging import Sample
from gcbarrier.results.summary import Entry, Summary

_WITH = {"barrier": ("barrier_params",), "collector": ("collector_params",), "heap": ("heap_params",)}
"""What goes with a name: its parameters."""
_LIMIT = 1e20
"""No measure is as large, but a damaged file's; squares of what is smaller can be summed."""
_BASELINES = {"barrier": "none", "collector": "stop-the-world"}


@frozen(kw_only=True)
class Match:
    """Two configurations that are compared."""

    machine: str
    what: str
    a: Entry
    b: Entry

    def samples(self, measure: str) -> Sample:
        """The invocations' values of one measure."""
        first, second = (self._values(entry, measure) for entry in (self.a, self.b))
        return Sample(a=first, b=second, seeds_a=_seeds(self.a), seeds_b=_seeds(self.b))

    def _values(self, entry: Entry, measure: str) -> dict[int, float]:
        each = entry.measures[measure].each
        numbers = zip(entry.invocations, each, strict=True)
        return {at: value for at, value in numbers if value is not None and abs(value) < _LIMIT}


def _seeds(entry: Entry) -> dict[int, int]:
    return dict(zip(entry.invocations, entry.seeds, strict=False))


def places(a: Summary, b: Summary) -> dict[str, str]:
    """Each machine of A and the one of B beside it: of the same name, or the only ones."""
    same = {name: name for name in a.machines if name in b.machines}
    if same or not a.machines or not b.machines:
        return same
    if len(a.machines) == len(b.machines) == 1:
        return {next(iter(a.machines)): next(iter(b.machines))}
    raise GcBarrierError(
        f"the runs have no machine in common: {', '.join(a.machines)} in one, {', '.join(b.machines)} in the other"
    )


def matches(
    a: Summary, b: Summary, machines: Mapping[str, str], *, by: str, baseline: str, one_run: bool
) -> tuple[tuple[Match, ...], tuple[str, ...], tuple[str, ...]]:
    """The pairs, and the labels of what only A or only B has (of one run: of what has no partner).

    Raises GcBarrierError for a ``by`` that no configuration has, or a ``baseline`` that none is at.
    """
    found: list[tuple[str, Entry, Entry]] = []
    only_a: list[str] = []
    only_b: list[str] = []
    for one, other in machines.items():
        first, second = a.machines[one].cells, b.machines[other].cells
        if by:
            pairs = list(_by(first, second, by, baseline, one_run))
        else:
            known = {_key(entry): entry for entry in first}
            pairs = [(known[key], entry) for entry in second if (key := _key(entry)) in known]
        had_a, had_b = {id(entry) for entry, _ in pairs}, {id(entry) for _, entry in pairs}
        if not one_run:
            only_a += [entry.label for entry in first if id(entry) not in had_a]
        had = had_a | had_b if one_run else had_b
        only_b += [entry.label for entry in second if id(entry) not in had]
        found += [(one, *pair) for pair in pairs]
    words = _words([(entry.told, other.told) for _, entry, other in found])
    made = tuple(
        Match(machine=machine, what=said, a=entry, b=other)
        for (machine, entry, other), said in zip(found, words, strict=True)
    )
    return made, tuple(only_a), tuple(only_b)


def apart_by(a: Summary, b: Summary, machines: Mapping[str, str]) -> str:
    """The one field or parameter that configurations differ in of which A and B have one each; "": there is no such."""
    fields: set[str] = set()
    for one, other in machines.items():
        first, second = a.machines[one].cells, b.machines[other].cells
        known_a, known_b = set(map(_key, first)), set(map(_key, second))
        for entry in (each for each in second if _key(each) not in known_a):
            alike = [each for each in first if _key(each) not in known_b and each.label == entry.label]
            differing = [_differing(each, entry) for each in alike]
            fields |= {name for names in differing if len(names) == 1 for name in names}
    return fields.pop() if len(fields) == 1 else ""


def _differing(one: Entry, other: Entry) -> set[str]:
    """The fields that are not the same in two, and of parameters their names with their owner's."""
    found: set[str] = set()
    for name in one.told.keys() | other.told.keys():
        mine, theirs = one.told.get(name), other.told.get(name)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            owner = one.told.get(name.removesuffix("_params"), name)
            found |= {f"{owner}.{key}" for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}
        elif mine != theirs:
            found.add(name)
    return found


def _key(entry: Entry, without: Sequence[str] = ()) -> str:
    kept = {}
    for name, value in entry.told.items():
        if name in without:
            continue
        if isinstance(value, Mapping):
            value = {key: one for key, one in value.items() if f"{name}.{key}" not in without}
        kept[name] = value
    return json.dumps([entry.probe is not None, kept], sort_keys=True)


def value_of(entry: Entry, by: str) -> Any:
    """What a configuration has at ``by``: a field, ``heap_params.x``, or ``HEAP.x``; None where it has none."""
    where, _, name = by.partition(".")
    told = entry.told
    if not name:
        value = told.get(where)
        return None if isinstance(value, Mapping) else value
    for kind in _WITH:
        if where in (f"{kind}_params", told.get(kind)):
            return told.get(f"{kind}_params", {}).get(name)
    return None


def _fields(by: str) -> tuple[str, ...]:
    where, _, name = by.partition(".")
    if not name:
        return (where, *_WITH.get(where, ()))
    return tuple(f"{kind}_params.{name}" for kind in _WITH)


def _by(
    first: Sequence[Entry], second: Sequence[Entry], by: str, baseline: str, one_run: bool
) -> Iterator[tuple[Entry, Entry]]:
    values = sorted({value for one in (*first, *second) if (value := value_of(one, by)) is not None}, key=_order)
    if not values:
        raise GcBarrierError(
            f"no configuration has {by!r}: --by takes barrier, collector, heap_bytes or another field, or a parameter "
            "such as heap_params.rate_per_s"
        )
    base = _baseline(values, by, baseline)
    for entry in second:
        value = value_of(entry, by)
        if value is None or (one_run and value == base):
            continue
        there = [one for one in first if _key(one, _fields(by)) == _key(entry, _fields(by))]
        found = [one for one in there if value_of(one, by) == base] if one_run or len(there) > 1 else there
        if not found and by == "barrier":
            found = _of_workload(entry, first, base)
        if not found and one_run and not baseline:
            # None of these is at the baseline: they are compared with the first of them.
            least = min(there, key=lambda one: _order(value_of(one, by)))
            found = [least] * (value_of(least, by) != value)
        if found:
            yield found[0], entry


def _of_workload(entry: Entry, first: Sequence[Entry], base: Any) -> list[Entry]:
    """What a barrier is measured against under another collector: the world is stopped where nothing tracks writes."""
    without = (*_fields("barrier"), *_fields("collector"))
    alike = [one for one in first if one.told.get("barrier") == base and _key(one, without) == _key(entry, without)]
    stopped = [one for one in alike if one.told.get("collector") == _BASELINES["collector"]]
    return stopped or (alike if len(alike) == 1 else [])


def _order(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value


def _baseline(values: Sequence[Any], by: str, asked: str) -> Any:
    if not asked:
        usual = _BASELINES.get(by)
        return usual if usual in values else values[0]
    for value in values:
        if str(value) == asked or (not isinstance(value, str | bool) and _number(asked) == value):
            return value
    raise GcBarrierError(f"no configuration has {by}={asked}: there are {', '.join(map(str, values))}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _words(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """Of each pair what tells it apart from the others, and, with an arrow, what its two are told apart by."""
    flat = [(_flat(one), _flat(other)) for one, other in pairs]
    every = [each for pair in flat for each in pair]
    names = dict.fromkeys(name for each in every for name in each if name not in _NAMES)
    open_ = [name for name in names if len({str(each.get(name)) for each in every}) > 1]
    chosen = [name for name in open_ if any(_apart(*pair, name) for pair in flat)]

    def said(with_: Sequence[str]) -> list[str]:
        return [" ".join([*_naming(*pair), *_params(*pair, with_)]) for pair in flat]

    # As few parameters as tell all apart: the one that tells most first.
    while open_ and len(set(said(chosen))) < len(set(map(str, flat))):
        best = max(open_, key=lambda name: len(set(said([*chosen, name]))))
        chosen.append(best)
        open_.remove(best)
    return said(chosen)


_NAMES = ("heap", "function", "heap_bytes", "barrier", "collector")


def _flat(told: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in told.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return flat


def _naming(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for name in _NAMES:
        if name in one or name in other:
            mine, theirs = (_said(name, each.get(name)) for each in (one, other))
            yield mine if mine == theirs else f"{mine} → {theirs}"


def _apart(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    """Whether the two of a pair are told apart by this, and not only because they have other barriers, say."""
    kind = name.partition("_params.")[0]
    return one.get(name) != other.get(name) and one.get(kind) == other.get(kind)


def _params(one: Mapping[str, Any], other: Mapping[str, Any], varying: Sequence[str]) -> Iterator[str]:
    for name in varying:
        if (name in one and name in other) or _apart(one, other, name):
            mine, theirs = (_said(name, each.get(name, "default")) for each in (one, other))
            yield f"{name.rpartition('.')[2]}={mine}" + (f" → {theirs}" if mine != theirs else "")


def _said(name: str, value: Any) -> str:
    if value is None:
        return "nothing"
    if name.endswith("_bytes") and isinstance(value, int):
        return format_bytes(value)
    if name == "function":
        return str(value).rpartition(":")[2]
    return f"{value:g}" if isinstance(value, float) else str(value)


__all__ = ["Match", "matches", "places", "value_of"]
