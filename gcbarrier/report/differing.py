"""What tells configurations apart, in words: so that no two that differ are called the same."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import fields

from gcbarrier.model import Config, Scalar, evolve
from gcbarrier.report.units import format_number

_NAMES = ("heap", "barrier", "collector")
_SIZE = ("heap_bytes", "heap_times", "minheap_bytes")
_SAID: Mapping[str, Callable[[Any], str]] = {
    "mutators": lambda value: f"{value} mutator{'s' * (value != 1)}",
    "duration_s": lambda value: f"{value:g} s",
    "memory": str,
    "pin": lambda value: f"pinned {value}" if value else "not pinned",
    "verify": lambda value: "verified" if value else "not verified",
    "timed": lambda value: "timed" if value else "not timed",
    "operations": lambda value: f"{value:,} operations" if value else "any number of operations",
}
"""How fields are said; others with their names."""


def workload_words(config: Config, among: Iterable[Config]) -> list[str]:
    """What its fields (not its size) and its heap's parameters say, where not the same in all of its heap."""
    alike = [one for one in among if one.heap == config.heap]
    return [
        *(_say(name, getattr(config, name)) for name in _plain() if len({getattr(one, name) for one in alike}) > 1),
        *_params_words(config, alike, "heap"),
    ]


def pair_words(configs: Sequence[Config]) -> dict[Config, str]:
    """Of each the parameters of barrier and collector that tell it from others of its pair on the same workload."""
    alike: dict[Config, list[Config]] = {}
    for config in configs:
        alike.setdefault(evolve(config, barrier_params={}, collector_params={}), []).append(config)
    # What differs on one workload is said of the pair on all of them.
    differing: dict[tuple[str, str], set[str]] = {}
    for members in alike.values():
        for kind in _NAMES[1:]:
            owner = (kind, getattr(members[0], kind))
            differing.setdefault(owner, set()).update(_differing(members, kind))
    return {
        config: ", ".join(
            _param(config, kind, name) for kind in _NAMES[1:] for name in sorted(differing[kind, getattr(config, kind)])
        )
        for config in configs
    }


def labels(configs: Iterable[Config]) -> dict[Config, str]:
    """``heap/barrier/collector`` of each, and in brackets what tells it from others that are called so."""
    every = list(dict.fromkeys(configs))
    found: dict[Config, str] = {}
    for config in every:
        alike = [one for one in every if one.label == config.label]
        said = [config.size] * (len({one.size for one in alike}) > 1)
        said += [_say(name, getattr(config, name)) for name in _plain() if len({getattr(o, name) for o in alike}) > 1]
        said += [word for kind in _NAMES for word in _params_words(config, alike, kind)]
        found[config] = f"{config.label} ({', '.join(said)})" if said else config.label
    return found


def _plain() -> list[str]:
    """The fields that are neither names nor sizes nor parameters."""
    kinds = [f"{name}_params" for name in _NAMES]
    return [each.name for each in fields(Config) if each.name not in (*_NAMES, *_SIZE, *kinds)]


def _say(name: str, value: Scalar) -> str:
    return _SAID[name](value) if name in _SAID else f"{name} {value}"


def _differing(alike: Sequence[Config], kind: str) -> list[str]:
    """The parameters of a ``kind`` that are not the same in all; not to be set is different too."""
    params = [getattr(one, f"{kind}_params") for one in alike]
    names = dict.fromkeys(name for one in params for name in one)
    return sorted(name for name in names if len({one.get(name) for one in params}) > 1)


def _params_words(config: Config, alike: Sequence[Config], kind: str) -> list[str]:
    same = [one for one in alike if getattr(one, kind) == getattr(config, kind)]
    return [_param(config, kind, name) for name in _differing(same, kind)]


def _param(config: Config, kind: str, name: str) -> str:
    value = getattr(config, f"{kind}_params").get(name, "default")
    # Six digits: 0.1 and 0.10001 are two values.
    return f"{name} {format_number(value, 6) if isinstance(value, float) else value}"


__all__ = ["labels", "pair_words", "workload_words"]
