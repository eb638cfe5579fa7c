"""What a user changes about an experiment: ``KEY=VALUE`` pairs, applied to the plan.

=============================  ==============================================================================
``heap=a,b``                   these heaps in place of the plan's
``heap=2x,4x``                 heaps of so many times the smallest that each program runs in (``gcbarrier minheap``)
``barrier=a,b``                these barriers in place of the plan's; the baseline ``none`` stays
``collector=a,b``              these collectors in place of the plan's, with its ``trigger`` and ``every_s`` where they
                               have them; the baseline's stays
``heap_bytes=1GiB``            and likewise ``duration_s``, ``operations``, ``mutators``, ``memory``: that field of
                               every configuration; with multiples, the heap that automatic sizes are made for
``pin=apart``                  where threads run: ``apart``, ``together``, ``none``, or processors such as ``0/1-3``,
                               the collector's and the mutators'
``timed=true``                 time each operation, for ``gcbarrier latency``
``graph_edits.rate_per_s=0``   a parameter of a heap, a barrier or a collector
``probe.graph=app.graph.npz``  an argument of the plan's probes that have it
``mutators=1,2,4``             a sweep, of any of those: the plan once for each value; several sweeps are a grid,
                               each value with each; a comma that is part of a text is written ``\\,``
``invocations=5``              fresh processes for each configuration
``seed=1``                     of the mutators and of the order of invocations
``machine=native``             or ``lab``: only there
=============================  ==============================================================================

Each key once. The ends of what is swept are measured first, then the middles. What no command line holds (values that
go together, what is left out, settings of one experiment) is in a file, `--sweep FILE`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from attrs import field, frozen

from gcbarrier import barriers
from gcbarrier.campaign import pairs as words
from gcbarrier.campaign import sweeps
from gcbarrier.campaign.matching import check
from gcbarrier.campaign.pairs import MACHINES
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.replacing import chosen
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Probe, Scalar, evolve
from gcbarrier.plugins.params import parse, typed

T = TypeVar("T")

_MOST_POINTS = 10_000
_PROBED = ("heap_bytes", "memory")
"""Those fields that probes have as well."""


@frozen(kw_only=True)
class Settings:
    """What is set, read and checked one by one."""

    choices: Mapping[str, tuple[str, ...]] = field(factory=dict)
    fields: Mapping[str, Scalar] = field(factory=dict)
    params: Mapping[str, Mapping[str, Scalar]] = field(factory=dict)
    """By heap, barrier or collector."""
    invocations: int | None = None
    seed: int | None = None
    machine: str = ""
    times: tuple[float, ...] = ()
    """Multiples of the smallest heap."""
    grid: Mapping[str, tuple[Scalar, ...]] = field(factory=dict)
    """What is swept: fields, and parameters as ``owner.name``, with several values each."""
    points: tuple[Mapping[str, Scalar], ...] = ()
    """What is set together, beside the rest; all of the grid with each."""
    exclude: tuple[Mapping[str, Scalar], ...] = ()
    """Configurations of which all of this is true are left out."""

    def named(self, kind: str) -> tuple[str, ...]:
        """The heaps, barriers or collectors (``kind`` in the singular) that are asked for by name."""
        points = (
            str(point[kind]) for point in self.points if kind in point and not words.is_size(kind, str(point[kind]))
        )
        return tuple(dict.fromkeys((*self.choices.get(kind, ()), *points)))

    @property
    def keys(self) -> tuple[str, ...]:
        """All fields, and parameters as ``owner.name``, that have one value or several from the user."""
        params = (f"{owner}.{name}" for owner, named in self.params.items() for name in named)
        found = (*self.fields, *params, *self.grid, *(key for point in self.points for key in point))
        return tuple(dict.fromkeys(key for key in found if key not in words.CHOICES))

    def each(self) -> Iterator["Settings"]:
        """The settings of each point of the sweep by itself; without a sweep, these."""
        for point in self.points or ({},):
            for values in product(*self.grid.values()):
                yield self._at({**point, **dict(zip(self.grid, values, strict=True))})

    def apply(self, plan: Plan, *, verify: bool = False) -> Plan:
        """``plan`` with these settings. Raises GcBarrierError where it can't be run like that."""
        if (count := math.prod(map(len, self.grid.values())) * max(len(self.points), 1)) > _MOST_POINTS:
            raise GcBarrierError(f"that is a sweep of {count:,} points, more than {_MOST_POINTS:,}: leave some out")
        if plan.probes and not plan.configs:
            self._refuse_ignored(verify)
        changed: dict[Config, Settings] = {}
        probes: dict[Probe, None] = {}
        for one in self.each():
            for config in one._configs(plan, verify):
                changed.setdefault(config, one)
            probes |= dict.fromkeys(one._probes(plan))
        if not (changed or probes):
            raise GcBarrierError("the experiment plans nothing: its plan needs configs or probes")
        configs = [config for config in changed if not any(_fits(config, each) for each in self.exclude)]
        if not (configs or probes):
            raise GcBarrierError("all that would be run is excluded: leave some of `exclude` out")
        self._refuse_idle(configs, list(probes))
        for config in configs:
            changed[config]._check(config, swept=bool(self.grid or self.points))
        return evolve(
            plan,
            configs=tuple(configs),
            probes=tuple(probes),
            invocations=self.invocations or plan.invocations,
            spare=(),
        )

    def _at(self, point: Mapping[str, Scalar]) -> "Settings":
        """With what is set at one point of the sweep in place of these."""
        choices, fields = dict(self.choices), dict(self.fields)
        params = {owner: dict(named) for owner, named in self.params.items()}
        times = self.times
        for key, value in point.items():
            owner, dot, name = key.partition(".")
            if dot:
                params.setdefault(owner, {})[name] = value
            elif words.is_size(key, str(value)):
                times = (words.times(str(value)),)
            elif key in words.CHOICES:
                choices[key] = (str(value),)
            else:
                fields[key] = value
        return evolve(self, choices=choices, fields=fields, params=params, times=times, grid={}, points=())

    def _configs(self, plan: Plan, verify: bool) -> list[Config]:
        configs: list[Config] = list(plan.configs)
        for kind, names in self.choices.items():
            configs = _unique(each for name in names for each in chosen(configs, kind, name, plan.spare))
        if self.times:
            configs = _unique(evolve(each, heap_times=times) for times in self.times for each in configs)
        return [self._changed(config, verify) for config in configs]

    def _check(self, config: Config, *, swept: bool) -> None:
        try:
            check(config)
        except GcBarrierError as problem:
            if not swept:
                raise
            there = {
                **self.fields,
                **{f"{owner}.{name}": one for owner in self.params for name, one in self.params[owner].items()},
            }
            where = ", ".join(f"{key}={value}" for key, value in there.items())
            raise GcBarrierError(f"{problem} (of the sweep, at {where})") from problem

    def _probes(self, plan: Plan) -> list[Probe]:
        probes: list[Probe] = []
        for probe in plan.probes:
            chosen = self.choices.get("barrier", ()) if barriers.promises_of(probe.barrier).tracks else ()
            for name in chosen or (probe.barrier,):
                changed = probe if name == probe.barrier else evolve(probe, barrier=name, barrier_params={})
                changes: dict[str, Any] = {key: self.fields[key] for key in _PROBED if key in self.fields}
                params = {**changed.barrier_params, **self.params.get(name, {})}
                barriers.choose(name, params)
                changes["arguments"] = {**probe.arguments, **self._arguments(probe)}
                probes.append(evolve(changed, barrier_params=params, **changes))
        return _unique(probes)

    def _arguments(self, probe: Probe) -> dict[str, Scalar]:
        """What is set of a probe's arguments, as it takes them."""
        given = ((name, str(word)) for name, word in self.params.get(words.PROBE, {}).items())
        return {
            name: word if (kind := type(probe.arguments[name])) is str else typed(name, parse(word), kind, "the probe")
            for name, word in given
            if name in probe.arguments
        }

    def _refuse_ignored(self, verify: bool) -> None:
        """What would be set without effect on a plan that has no sessions."""
        asked = dict.fromkeys((*self.choices, *self.fields, *self.grid, *(key for one in self.points for key in one)))
        ignored = [f"{key}=" for key in asked if "." not in key and key not in ("barrier", *_PROBED)]
        ignored += ["heap="] * (bool(self.times) and "heap" not in asked) + ["--verify"] * verify
        if ignored:
            raise GcBarrierError(
                f"this experiment looks at barriers by themselves, without heap, mutators and collector, so "
                f"{' and '.join(ignored)} would change nothing: leave {'it' if len(ignored) == 1 else 'them'} out"
            )

    def _refuse_idle(self, configs: Sequence[Config], probes: Sequence[Probe]) -> None:
        """A parameter of something that is not run would be set without effect."""
        run = {name for config in configs for name in (config.heap, config.barrier, config.collector)}
        known = {name for probe in probes for name in probe.arguments}
        for key in self.keys:
            if key.startswith(f"{words.PROBE}.") and key.partition(".")[2] not in known:
                has = f"they have {', '.join(sorted(known))}" if known else "there is nothing to set"
                raise GcBarrierError(f"no probe of this plan has an argument {key.partition('.')[2]!r}: {has}")
        # Beside sessions, what is set of a barrier must concern one of these.
        run |= {probe.barrier for probe in probes} if not configs else set()
        for owner in dict.fromkeys(key.partition(".")[0] for key in self.keys if "." in key):
            if owner not in run and owner != words.PROBE:
                raise GcBarrierError(
                    f"{owner} is not part of this plan, so its parameters can't be set: leave them out"
                )

    def _changed(self, config: Config, verify: bool) -> Config:
        try:
            changes: dict[str, Any] = dict(self.fields)
            config = evolve(config, **changes, verify=config.verify or verify)
        except (ValueError, TypeError) as problem:
            raise GcBarrierError(f"{problem.args[0]}; set another value") from problem
        return evolve(
            config,
            heap_params={**config.heap_params, **self.params.get(config.heap, {})},
            barrier_params={**config.barrier_params, **self.params.get(config.barrier, {})},
            collector_params={**config.collector_params, **self.params.get(config.collector, {})},
        )


def read(pairs: Iterable[str], *, sweep: Path | None = None, experiment: str = "") -> Settings:
    """The settings in ``KEY=VALUE`` texts, and in the file of a ``sweep`` what is said about the ``experiment``.

    What a pair sets takes the place of what the file says of its key. Raises GcBarrierError naming the first that
    makes no sense.
    """
    given = words.split(pairs)
    file = sweeps.load(sweep, experiment) if sweep is not None else sweeps.Sweep()
    for key in given:
        if any(key in point for point in file.points):
            raise GcBarrierError(f"{key} is part of the points of {sweep}: set it there, or leave it out of --set")
    values = {key: words.values(key, said) for key, said in {**file.words, **given}.items()}
    return _settings(values, file)


def _settings(values: Mapping[str, tuple[Scalar, ...]], file: sweeps.Sweep) -> Settings:
    choices: dict[str, tuple[str, ...]] = {}
    times: tuple[float, ...] = ()
    once: dict[str, Any] = {}
    one: dict[str, Scalar] = {}
    grid: dict[str, tuple[Scalar, ...]] = {}
    for key, several in values.items():
        if key in words.CHOICES:
            named = [str(word) for word in several if not words.is_size(key, str(word))]
            times = tuple(words.times(str(word)) for word in several if words.is_size(key, str(word))) or times
            choices |= {key: tuple(named)} if named else {}
        elif key in words.ONCE:
            (once[key],) = several
        elif len(several) > 1:
            grid[key] = several
        else:
            (one[key],) = several
    plain = Settings(choices=choices, times=times, **once)._at(one)
    return evolve(plain, grid=grid, points=file.points, exclude=file.exclude)


def _fits(config: Config, wanted: Mapping[str, Scalar]) -> bool:
    """Whether all of it is true of a configuration."""
    return all(_has(config, key, value) for key, value in wanted.items())


def _has(config: Config, key: str, value: Scalar) -> bool:
    owner, dot, name = key.partition(".")
    if not dot and words.is_size(key, str(value)):
        return config.heap_times == words.times(str(value))
    if not dot:
        return bool(getattr(config, key) == value)
    owned = [getattr(config, f"{kind}_params") for kind in words.CHOICES if getattr(config, kind) == owner]
    return any(params.get(name) == value for params in owned)


def _unique(each: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(each))


__all__ = ["MACHINES", "Settings", "read"]
