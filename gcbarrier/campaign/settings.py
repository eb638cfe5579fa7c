"""What a user changes about an experiment: ``KEY=VALUE`` pairs, applied to the plan.

=============================  ==============================================================================
``heap=a,b``                   these heaps in place of the plan's
``barrier=a,b``                these barriers in place of the plan's; the baseline ``none`` stays
``collector=a,b``              these collectors in place of the plan's; the baseline's stays
``heap_bytes=1GiB``            and likewise ``duration_s``, ``mutators``, ``memory``: that field of every configuration
``graph_edits.rate_per_s=0``   a parameter of a heap, a barrier or a collector
``invocations=5``              fresh processes for each configuration
``seed=1``                     of the mutators and of the order of invocations
``machine=native``             or ``lab``: only there
=============================  ==============================================================================
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from gcbarrier import barriers, collectors
from gcbarrier.errors import GcBarrierError
from gcbarrier.experiment import Plan
from gcbarrier.model import MEMORY_TYPES, Config, Scalar, evolve, parse_bytes
from gcbarrier.plugins import discovery
from gcbarrier.plugins import params as parameters
from gcbarrier.plugins.discovery import nearest
from gcbarrier.session import program as programs

MACHINES = ("native", "lab")

_CHOICES = {"heap": "heaps", "barrier": "barriers", "collector": "collectors"}
_LONGEST_S = 86_400.0
_FIELDS = ("heap_bytes", "duration_s", "mutators", "memory")
_WHOLE = ("invocations", "seed")
_MOST = {"invocations": 10_000, "seed": (1 << 63) - 1, "mutators": 64}
# By a barrier's ``snapshot`` and ``fork``: what it reports, and a collector for that.
_PAIRS = {
    (False, False): ("where stores write", "mostly-concurrent"),
    (True, False): ("what stores overwrite", "snapshot-concurrent"),
    (True, True): ("nothing and leaves the marking to a forked child", "fork-snapshot"),
}


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

    def apply(self, plan: Plan, *, verify: bool = False) -> Plan:
        """``plan`` with these settings. Raises GcBarrierError where a configuration can't be run like that."""
        configs: list[Config] = list(plan.configs)
        for kind, names in self.choices.items():
            configs = _unique(each for name in names for each in _chosen(configs, kind, name))
        changed = [self._changed(config, verify) for config in configs]
        self._refuse_idle(changed)
        for config in changed:
            check(config)
        return Plan(configs=tuple(changed), invocations=self.invocations or plan.invocations)

    def _refuse_idle(self, configs: Sequence[Config]) -> None:
        """A parameter of something that is not run would be set without effect."""
        run = {name for config in configs for name in (config.heap, config.barrier, config.collector)}
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
            for each in names:
                discovery.find(_CHOICES[key], each)
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
    return Settings(choices=choices, fields=fields, params=params, machine=machine, **whole)


def check(config: Config) -> None:
    """Raises GcBarrierError where this heap, barrier and collector can't be run together or a parameter is wrong."""
    collector = collectors.of(config)
    chosen = barriers.of(config)
    barrier = chosen.promises
    if collector.runtime is not None and (config.barrier, config.memory) != ("none", MEMORY_TYPES[0]):
        raise GcBarrierError(
            f"the collector {config.collector} brings its own memory, which {config.barrier} on {config.memory} memory "
            f"does not watch: choose the barrier none and {MEMORY_TYPES[0]}"
        )
    collector.require()
    chosen.require_memory(config.memory)
    wanted, promised = (collector.needs_snapshot, collector.needs_fork), (barrier.snapshot, barrier.fork)
    if collector.needs_tracking and barrier.tracks and wanted != promised:
        reports, partner = _PAIRS[promised]
        raise GcBarrierError(
            f"the collector {config.collector} can't run over {config.barrier}, which reports {reports}: "
            f"choose {partner} or another barrier"
        )
    if collector.needs_tracking and not barrier.tracks:
        raise GcBarrierError(
            f"the collector {config.collector} marks while mutators run and needs a barrier that tracks, and "
            f"{config.barrier} does not: choose another barrier, or the collector stop-the-world"
        )
    collectors.params_of(config)
    programs.resolved(config)


def _chosen(configs: Sequence[Config], kind: str, name: str) -> list[Config]:
    """The configurations of one heap, barrier or collector: the plan's own, or else the plan's first with this one."""
    if kind == "heap":
        own = [config for config in configs if config.heap == name]
        first = [config for config in configs if config.heap == configs[0].heap]
        return own or [_with(config, kind, name) for config in first]
    return [_with(config, kind, name) for config in configs]


def _with(config: Config, kind: str, name: str) -> Config:
    baseline = not barriers.load(config.barrier).tracks
    if kind == "heap":
        return config if config.heap == name else evolve(config, heap=name, heap_params={})
    if baseline:
        return config
    if kind == "collector" and config.collector != name:
        changed = evolve(config, collector=name, collector_params={})
        # One that brings its own memory runs over no barrier of ours.
        own_memory = collectors.load(name).runtime is not None
        return evolve(changed, barrier="none", barrier_params={}, memory=MEMORY_TYPES[0]) if own_memory else changed
    if kind == "collector":
        return config
    return config if config.barrier == name else evolve(config, barrier=name, barrier_params={})


def _unique(configs: Iterable[Config]) -> list[Config]:
    found: list[Config] = []
    for config in configs:
        if config not in found:
            found.append(config)
    return found


def _known_owner(owner: str, name: str) -> None:
    kinds = [kind for kind in _CHOICES.values() if owner in discovery.names(kind)]
    if not kinds:
        everyone: Sequence[str] = [name for kind in _CHOICES.values() for name in discovery.names(kind)]
        raise GcBarrierError(
            f"no heap, barrier or collector is called {owner!r}; {nearest(owner, everyone)}"
            "a parameter is set as HEAP.NAME=VALUE"
        )
    cls: Any
    match kinds[0]:
        case "heaps":
            cls = programs.load(owner).Params
        case "barriers":
            cls = barriers.params_of(owner)
        case _:
            cls = collectors.load(owner).params
    known = [each.name for each in attrs.fields(cls)]
    if name not in known:
        hint = nearest(name, known)
        raise GcBarrierError(
            f"the {kinds[0][:-1]} {owner} has no parameter {name!r}; {hint}it has {', '.join(known) or 'none'}"
        )


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
