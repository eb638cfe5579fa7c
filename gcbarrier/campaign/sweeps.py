"""``--sweep FILE``: what a command line can't hold, in a TOML file::

invocations = 5                     # and `seed`, `machine`: as with --set, which goes before the file

[set]                               # of every configuration; keys are those of --set
duration_s = 2
graph_edits.move_share = 0.0

[experiments.stalls]                # of that experiment alone, in place of what is above
invocations = 3
set.duration_s = 5

[grid]                              # each value with each
mutators = [1, 2, 4]
heap_bytes = ["64MiB", "256MiB"]

[[points]]                          # what goes together, rather than each with each; all of the grid with each
barrier = "cards"
collector = "generational"

[[points]]
barrier = "uffd-wp-log"
collector = "mostly-concurrent"
mostly-concurrent.rounds = 4

[[exclude]]                         # configurations of which all of this is true are left out
mutators = 4
heap_bytes = "64MiB"
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NewType

import cattrs
from attrs import field, fields, frozen

from gcbarrier.campaign import pairs
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import regular
from gcbarrier.model import Scalar
from gcbarrier.plugins import discovery
from gcbarrier.plugins.discovery import nearest

Table = NewType("Table", dict[str, tuple[str, ...]])
"""By key the words that it is set to, as if they were typed."""
Point = NewType("Point", dict[str, str])
"""By key the one word."""


@frozen(kw_only=True)
class Base:
    """What is set of one experiment."""

    invocations: int | None = None
    seed: int | None = None
    machine: str | None = None
    set: Table = field(factory=lambda: Table({}))

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """All of it by key."""
        once = {key: getattr(self, key) for key in pairs.ONCE}
        return {**{key: (str(value),) for key, value in once.items() if value is not None}, **self.set}


@frozen(kw_only=True)
class SweepFile(Base):
    """All that a file may hold."""

    grid: Table = field(factory=lambda: Table({}))
    points: tuple[Point, ...] = ()
    exclude: tuple[Point, ...] = ()
    experiments: Mapping[str, Base] = field(factory=dict)


@frozen(kw_only=True)
class Sweep:
    """What a file says about one experiment, checked."""

    words: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """Set for all of it, or its grid: by key one word or several."""
    points: tuple[Mapping[str, Scalar], ...] = ()
    exclude: tuple[Mapping[str, Scalar], ...] = ()


def load(path: Path, experiment: str) -> Sweep:
    """What the file says. Raises GcBarrierError naming file and key where it can't be read or makes no sense."""
    file = _parsed(path)
    for name in file.experiments:
        _within(f"{path}, experiments.{name}", lambda name=name: discovery.find("experiments", name))
    own = file.experiments.get(experiment, Base())
    words = {**file.words, **own.words}
    for table, where in ((file.set, "set"), (own.set, f"experiments.{experiment}.set")):
        for key, several in table.items():
            if len(several) > 1 or key in pairs.ONCE:
                remedy = "stands at the top of the file" if key in pairs.ONCE else "is swept in [grid]"
                raise GcBarrierError(f"{path}, {where}.{key}: what is set has one value here; {key} {remedy}")
            if key in file.grid:
                raise GcBarrierError(f"{path}, {where}.{key}: the grid sweeps it, so it can't be set; leave one out")
    for key in file.grid:
        if key in pairs.ONCE:
            raise GcBarrierError(f"{path}, grid.{key}: a run has one {key}; set it at the top of the file")
        for number, point in enumerate(file.points, start=1):
            if key in point:
                raise GcBarrierError(
                    f"{path}, points[{number}].{key}: the grid sweeps it with every point; leave one out"
                )
    values: dict[str, tuple[Scalar, ...]] = {}
    for key, several in {**words, **file.grid}.items():
        where = "grid." if key in file.grid else "" if key in pairs.ONCE else "set."
        values[key] = _within(f"{path}, {where}{key}", lambda key=key, several=several: pairs.values(key, several))
    points = tuple(_point(path, f"points[{at}]", one) for at, one in enumerate(file.points, start=1))
    exclude = tuple(_point(path, f"exclude[{at}]", one) for at, one in enumerate(file.exclude, start=1))
    for at, left_out in enumerate(exclude, start=1):
        for key, value in left_out.items():
            there = {*values.get(key, ()), *(one[key] for one in points if key in one)}
            if there and value not in there:
                raise GcBarrierError(
                    f"{path}, exclude[{at}].{key}: {value} is none of the values that it has in this sweep"
                )
    return Sweep(words={**words, **file.grid}, points=points, exclude=exclude)


def _point(path: Path, where: str, words: Point) -> dict[str, Scalar]:
    if not words:
        raise GcBarrierError(f"{path}, {where}: it says nothing; give it keys, or leave it out")
    found: dict[str, Scalar] = {}
    for key, word in words.items():
        if key in pairs.ONCE:
            raise GcBarrierError(f"{path}, {where}.{key}: a run has one {key}; set it at the top of the file")
        found[key] = _within(f"{path}, {where}.{key}", lambda key=key, word=word: pairs.value(key, word))
    return found


def _within(where: str, read: Any) -> Any:
    try:
        return read()
    except GcBarrierError as problem:
        raise GcBarrierError(f"{where}: {problem}") from problem


def _parsed(path: Path) -> SweepFile:
    try:
        table = tomllib.loads(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise GcBarrierError(f"{path} can't be read as a sweep: {reason}; it is a TOML file") from problem
    try:
        return _CONVERTER.structure(table, SweepFile)
    except (cattrs.BaseValidationError, TypeError, ValueError, AttributeError) as problem:
        told = cattrs.transform_error(problem, format_exception=_told) if _found(problem) else [str(problem)]
        said, _, where = told[0].rpartition(" @ $")
        raise GcBarrierError(f"{path}{f', {where[1:]}' if where else ''}: {said or told[0]}") from problem


def _found(problem: Exception) -> bool:
    return isinstance(problem, cattrs.BaseValidationError)


def _told(problem: BaseException, kind: type[Any] | None) -> str:
    if isinstance(problem, cattrs.ForbiddenExtraKeysError):
        known = [each.name for each in fields(problem.cl)]
        key = min(problem.extra_fields)
        return f"there is no {key!r} here; {nearest(key, known)}there are {', '.join(known)}"
    return str(problem) if isinstance(problem, ValueError) else cattrs.v.format_exception(problem, kind)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"{value!r:.40} is no value: write a number, true or false, or a text")


def _flat(table: object) -> dict[str, object]:
    """``{"lru": {"live_share": 0.1}}``, which TOML makes of ``lru.live_share = 0.1``, by whole keys."""
    if not isinstance(table, dict):
        raise ValueError(f"{table!r:.40} is no table of keys and values")
    found: dict[str, object] = {}
    for key, value in table.items():
        inner = value.items() if isinstance(value, dict) else ()
        found |= {f"{key}.{name}": one for name, one in inner} if isinstance(value, dict) else {key: value}
    return found


def _table(value: object, _type: object) -> Table:
    found: dict[str, tuple[str, ...]] = {}
    for key, one in _flat(value).items():
        many = one if isinstance(one, list) else [one]
        if not many:
            raise ValueError(f"{key} has no value: list at least one")
        found[key] = tuple(_keyed(key, each) for each in many)
    return Table(found)


def _one_point(value: object, _type: object) -> Point:
    return Point({key: _keyed(key, one) for key, one in _flat(value).items()})


def _keyed(key: str, value: object) -> str:
    try:
        return _word(value)
    except ValueError as problem:
        raise ValueError(f"{key}: {problem}") from problem


def _strict(wanted: type, said: str) -> Any:
    def hook(value: object, _type: object) -> object:
        if type(value) is not wanted:
            raise ValueError(f"it takes {said}, not {value!r:.40}")
        return value

    return hook


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(int, _strict(int, "a whole number"))
_CONVERTER.register_structure_hook(str, _strict(str, "a text"))
_CONVERTER.register_structure_hook(Table, _table)
_CONVERTER.register_structure_hook(Point, _one_point)

__all__ = ["Sweep", "load"]
