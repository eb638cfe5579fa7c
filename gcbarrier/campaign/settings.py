"""What a user changes about an experiment: ``KEY=VALUE`` pairs, applied to the plan.

=============================  ==============================================================================
``heap=a,b``                   these heaps in place of the plan's
``heap=2x,4x``                 heaps of so many times the smallest that each program runs in (``gcbarrier minheap``)
``barrier=a,b``                these barriers in place of the plan's; the baseline ``none`` stays
``collector=a,b``              these collectors in place of the plan's; the baseline's stays
``heap_bytes=1GiB``            and likewise ``duration_s``, ``operations``, ``mutators``, ``memory``: that field of
                               every configuration; with multiples, the heap that automatic sizes are made for
``graph_edits.rate_per_s=0``   a parameter of a heap, a barrier or a collector
``invocations=5``              fresh processes for each configuration
``seed=1``                     of the mutators and of the order of invocations
``machine=native``             or ``lab``: only there
=============================  ==============================================================================
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from attrs import field, frozen

from gcbarrier import barriers, collectors
from gcbarrier.campaign.matching import check
from gcbarrier.campaign.plans import Plan
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import MEMORY_TYPES, MOST_TIMES, Config, Probe, Scalar, evolve, parse_bytes
from gcbarrier.plugins import discovery
from gcbarrier.plugins import params as parameters
from gcbarrier.plugins.discovery import nearest
from gcbarrier.session import program as programs

T = TypeVar("T")

MACHINES = ("native", "lab")

_CHOICES = {"heap": "heaps", "barrier": "barriers", "collector": "collectors"}
_LONGEST_S = 86_400.0
_FIELDS = ("heap_bytes", "duration_s", "operations", "mutators", "memory")
_PROBED = ("heap_bytes", "memory")
"""Those that probes have as well."""
_SIZE = re.compile(r"[\d.]")
"""What a word begins with that is a size and no name."""
_WHOLE = ("invocations", "seed")
_MOST = {"invocations": 10_000, "seed": (1 << 63) - 1, "mutators": 64, "operations": (1 << 63) - 1}


@frozen(kw_only=True)
class Settings:
    """The pairs, read and checked one by one."""

    choices: Mapping[str, tuple[str, ...]] = field(factory=dict)
    fields: Mapping[str, Scalar] = field(factory=dict)
    params: Mapping[str, Mapping[str, Scalar]] = field(factory=dict)
    """By heap, barrier or collector."""
    invocations: int | None = None
    seed: int | None = None
    machine: str = ""
    times: tuple[float, ...] = ()
    """Multiples of the smallest heap."""

    def apply(self, plan: Plan, *, verify: bool = False) -> Plan:
        """``plan`` with these settings. Raises GcBarrierError where it can't be run like that."""
        probes = self._probes(plan)
        if probes and not plan.configs:
            self._refuse_ignored(verify)
        configs: list[Config] = list(plan.configs)
        for kind, names in self.choices.items():
            configs = _unique(each for name in names for each in _chosen(configs, kind, name))
        if self.times:
            configs = _unique(evolve(each, heap_times=times) for times in self.times for each in configs)
        changed = [self._changed(config, verify) for config in configs]
        if not (changed or probes):
            raise GcBarrierError("the experiment plans nothing: its plan needs configs or probes")
        self._refuse_idle(changed, probes)
        for config in changed:
            check(config)
        return evolve(
            plan, configs=tuple(changed), probes=tuple(probes), invocations=self.invocations or plan.invocations
        )

    def _probes(self, plan: Plan) -> list[Probe]:
        probes: list[Probe] = []
        for probe in plan.probes:
            chosen = self.choices.get("barrier", ()) if barriers.promises_of(probe.barrier).tracks else ()
            for name in chosen or (probe.barrier,):
                changed = probe if name == probe.barrier else evolve(probe, barrier=name, barrier_params={})
                changes: dict[str, Any] = {key: self.fields[key] for key in _PROBED if key in self.fields}
                params = {**changed.barrier_params, **self.params.get(name, {})}
                barriers.choose(name, params)
                probes.append(evolve(changed, barrier_params=params, **changes))
        return _unique(probes)

    def _refuse_ignored(self, verify: bool) -> None:
        """What would be set without effect on a plan that has no sessions."""
        ignored = [f"{key}=" for key in (*self.choices, *self.fields) if key not in ("barrier", *_PROBED)]
        ignored += ["heap="] * bool(self.times) + ["--verify"] * verify
        if ignored:
            raise GcBarrierError(
                f"this experiment looks at barriers by themselves, without heap, mutators and collector, so "
                f"{' and '.join(ignored)} would change nothing: leave {'it' if len(ignored) == 1 else 'them'} out"
            )

    def _refuse_idle(self, configs: Sequence[Config], probes: Sequence[Probe]) -> None:
        """A parameter of something that is not run would be set without effect."""
        run = {name for config in configs for name in (config.heap, config.barrier, config.collector)}
        # Beside sessions, what is set of a barrier must concern one of these.
        run |= {probe.barrier for probe in probes} if not configs else set()
        for owner in self.params:
            if owner not in run:
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


def read(pairs: Iterable[str]) -> Settings:
    """The settings in ``KEY=VALUE`` texts. Raises GcBarrierError naming the first that makes no sense."""
    choices: dict[str, tuple[str, ...]] = {}
    fields: dict[str, Scalar] = {}
    params: dict[str, dict[str, Scalar]] = {}
    whole: dict[str, int] = {}
    machine = ""
    times: tuple[float, ...] = ()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise GcBarrierError(f"{pair!r} sets nothing: write KEY=VALUE, such as heap_bytes=1GiB")
        owner, dot, name = key.partition(".")
        if dot:
            _known_owner(owner, name)
            params.setdefault(owner, {})[name] = parameters.parse(value)
        elif key in _CHOICES:
            names = tuple(dict.fromkeys(word.strip() for word in value.split(",")))
            if key == "heap":
                sizes = [word for word in names if word not in discovery.names("heaps") and _SIZE.match(word)]
                times = tuple(map(_times, sizes)) or times
                names = tuple(word for word in names if word not in sizes)
            for each in names:
                discovery.find(_CHOICES[key], each)
            if names:
                choices[key] = names
        elif key in _FIELDS:
            fields[key] = _field(key, value)
        elif key in _WHOLE:
            whole[key] = _whole(key, value)
        elif key == "machine":
            machine = value
            if machine not in MACHINES:
                hint = nearest(machine, MACHINES)
                raise GcBarrierError(f"machine={machine}: {hint}there are {' and '.join(MACHINES)}")
        else:
            known = (*_CHOICES, *_FIELDS, *_WHOLE, "machine")
            raise GcBarrierError(
                f"{key!r} can't be set; {nearest(key, known)}there are {', '.join(known)}, "
                "and parameters as HEAP.NAME, BARRIER.NAME or COLLECTOR.NAME"
            )
    return Settings(choices=choices, fields=fields, params=params, machine=machine, times=times, **whole)


def _chosen(configs: Sequence[Config], kind: str, name: str) -> list[Config]:
    """The configurations of one heap, barrier or collector: the plan's own, or else the plan's first with this one."""
    if kind == "heap":
        own = [config for config in configs if config.heap == name]
        first = [config for config in configs if config.heap == configs[0].heap]
        return own or [_with(config, kind, name) for config in first]
    if kind == "barrier":
        return [one for config in configs for one in _over(config, name, configs)]
    return [_with(config, kind, name) for config in configs]


def _over(config: Config, name: str, configs: Sequence[Config]) -> list[Config]:
    """What takes its place over this barrier: where the plan has some of its own, those: their collectors suit it."""
    if not barriers.promises_of(config.barrier).tracks:
        return [config]
    own = [one for one in configs if one.barrier == name and _workload(one) == _workload(config)]
    return own or [_with(config, "barrier", name)]


def _workload(config: Config) -> Config:
    return evolve(config, barrier="", barrier_params={}, collector="", collector_params={})


def _with(config: Config, kind: str, name: str) -> Config:
    baseline = not barriers.promises_of(config.barrier).tracks
    if kind == "heap":
        return config if config.heap == name else evolve(config, heap=name, heap_params={})
    if baseline:
        return config
    if kind == "collector" and config.collector != name:
        changed = evolve(config, collector=name, collector_params={})
        # One that brings its own memory runs over no barrier of ours.
        own_memory = collectors.find(name).runtime is not None
        return evolve(changed, barrier="none", barrier_params={}, memory=MEMORY_TYPES[0]) if own_memory else changed
    if kind == "collector":
        return config
    return evolve(config, barrier=name, barrier_params={})


def _unique(each: Iterable[T]) -> list[T]:
    found: list[T] = []
    for one in each:
        if one not in found:
            found.append(one)
    return found


def _known_owner(owner: str, name: str) -> None:
    kinds = [kind for kind in _CHOICES.values() if owner in discovery.names(kind)]
    if not kinds:
        everyone: Sequence[str] = [name for kind in _CHOICES.values() for name in discovery.names(kind)]
        raise GcBarrierError(
            f"no heap, barrier or collector is called {owner!r}; {nearest(owner, everyone)}"
            "a parameter is set as HEAP.NAME=VALUE"
        )
    if len(kinds) > 1:
        both = " and ".join(f"a {kind[:-1]} ({discovery.find(kind, owner)})" for kind in kinds)
        raise GcBarrierError(f"{owner}.{name} is ambiguous, as {owner} is the name of {both}: rename yours")
    cls: Any
    match kinds[0]:
        case "heaps":
            cls = programs.heap_module(owner).Params
        case "barriers":
            cls = barriers.params_of(owner)
        case _:
            cls = collectors.find(owner).params
    known = [each.name for each in attrs.fields(cls)]
    if name not in known:
        hint = nearest(name, known)
        raise GcBarrierError(
            f"the {kinds[0][:-1]} {owner} has no parameter {name!r}; {hint}it has {', '.join(known) or 'none'}"
        )


def _times(word: str) -> float:
    """A multiple of the smallest heap."""
    number = word.removesuffix("x")
    try:
        times = float(number)
    except ValueError:
        times = 0.0
    if number == word or not 1 <= times <= MOST_TIMES:
        raise GcBarrierError(
            f"heap={word[:40]!r}: it takes names of heaps, or a number of times the smallest heap, from 1x to "
            f"{MOST_TIMES}x; "
            "a size in bytes is set with heap_bytes="
        )
    return times


def _field(key: str, value: str) -> Scalar:
    if key == "heap_bytes":
        return parse_bytes(value)
    if key == "memory":
        if value not in MEMORY_TYPES:
            hint = nearest(value, MEMORY_TYPES)
            raise GcBarrierError(f"memory={value}: {hint}choose from {', '.join(MEMORY_TYPES)}")
        return value
    parsed = parameters.parse(value)
    if isinstance(parsed, bool | str):
        raise GcBarrierError(f"{key}={value}: it takes a number")
    if key != "duration_s":
        return _whole(key, value)
    if not 0 < parsed <= _LONGEST_S:
        raise GcBarrierError(f"{key}={value}: it takes seconds, more than 0 and at most {_LONGEST_S:.0f}")
    return float(parsed)


def _whole(key: str, value: str) -> int:
    least = 0 if key == "seed" else 1
    # So many digits Python does not even read.
    if not value.isdecimal() or len(value) > 19 or int(value) < least or int(value) > _MOST[key]:
        raise GcBarrierError(f"{key}={value[:40]}: it takes a whole number from {least} to {_MOST[key]}")
    return int(value)
