"""Heaps, barriers and collectors of the user's in place of a plan's."""

from collections.abc import Sequence

from gcbarrier import barriers, collectors
from gcbarrier.campaign import triggers
from gcbarrier.model import MEMORY_TYPES, Config, evolve


def chosen(configs: Sequence[Config], kind: str, name: str, spare: Sequence[Config] = ()) -> list[Config]:
    """The configurations of one heap, barrier or collector: the plan's own, or else the plan's first with this one.

    ``spare``: what the plan has for heaps that it does not run by itself.
    """
    if kind == "heap":
        own = [config for config in (*configs, *spare) if config.heap == name]
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
        changed = evolve(config, collector=name, collector_params=triggers.inherited(config, name))
        # One that brings its own memory runs over no barrier of ours.
        own_memory = collectors.find(name).runtime is not None
        return evolve(changed, barrier="none", barrier_params={}, memory=MEMORY_TYPES[0]) if own_memory else changed
    if kind == "collector":
        return config
    return evolve(config, barrier=name, barrier_params={})


__all__ = ["chosen"]
