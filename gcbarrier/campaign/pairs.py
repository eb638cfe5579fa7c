"""``KEY=VALUE,VALUE`` as a user types it: which keys there are, and their values with their types."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from gcbarrier import barriers, collectors
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import placement
from gcbarrier.model import MEMORY_TYPES, MOST_TIMES, Scalar, parse_bytes
from gcbarrier.plugins import discovery
from gcbarrier.plugins import params as parameters
from gcbarrier.plugins.discovery import nearest
from gcbarrier.session import program as programs

MACHINES = ("native", "lab")
CHOICES = {"heap": "heaps", "barrier": "barriers", "collector": "collectors"}
FIELDS = ("heap_bytes", "duration_s", "operations", "mutators", "memory", "pin", "timed")
ONCE = ("invocations", "seed", "machine")
"""What a run has one of."""

PROBE = "probe"
"""Whose parameters are the arguments of a plan's probes."""

_LONGEST_S = 86_400.0
_COMMA = re.compile(r"(?<!\\),")
_SIZE = re.compile(r"[\d.]")
"""What a word begins with that is a size and no name."""
_MOST = {"invocations": 10_000, "seed": (1 << 63) - 1, "mutators": 64, "operations": (1 << 63) - 1}


def split(pairs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each key with the words it is set to. Raises GcBarrierError where one sets nothing or is there twice."""
    found: dict[str, tuple[str, ...]] = {}
    given: dict[tuple[str, bool], str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise GcBarrierError(f"{pair!r} sets nothing: write KEY=VALUE, such as heap_bytes=1GiB")
        words = tuple(word.strip().replace("\\,", ",") for word in _COMMA.split(value))
        if not all(words):
            raise GcBarrierError(
                f"{key}={value[:40]}: there is nothing beside a comma; values are separated by one, and "
                "one that is part of a text is written \\,"
            )
        # Heaps by name and multiples of the smallest are two things under one key.
        for which in {(key, is_size(key, word)) for word in words}:
            if before := given.get(which):
                both = "" if key in ONCE else f", or to both as {key}={before[:40]},{value[:40]}"
                raise GcBarrierError(f"{key} is set twice, to {before[:40]} and to {value[:40]}: set it once{both}")
            given[which] = value
        found[key] = (*found.get(key, ()), *words)
    return found


def values(key: str, words: Sequence[str]) -> tuple[Scalar, ...]:
    """What the words mean as values of ``key``, each once. Raises GcBarrierError naming the first that is none."""
    if len(words) > 1 and key in ONCE:
        raise GcBarrierError(f"{key}={','.join(words)[:40]}: a run has one {key}; set one value")
    return tuple(dict.fromkeys(value(key, word) for word in words))


def value(key: str, word: str) -> Scalar:
    """What one word means."""
    owner, dot, name = key.partition(".")
    if dot:
        return _parameter(owner, name, word)
    if key in CHOICES:
        if not is_size(key, word):
            discovery.find(CHOICES[key], word)
        else:
            times(word)
        return word
    if key in FIELDS:
        return _field(key, word)
    if key in ("invocations", "seed"):
        return _whole(key, word)
    if key == "machine":
        if word not in MACHINES:
            raise GcBarrierError(f"machine={word}: {nearest(word, MACHINES)}there are {' and '.join(MACHINES)}")
        return word
    known = (*CHOICES, *FIELDS, *ONCE)
    raise GcBarrierError(
        f"{key!r} can't be set; {nearest(key, known)}there are {', '.join(known)}, "
        "parameters as HEAP.NAME, BARRIER.NAME or COLLECTOR.NAME, and arguments of probes as probe.NAME"
    )


def is_size(key: str, word: str) -> bool:
    """Whether it is a number of times the smallest heap rather than a heap's name."""
    return key == "heap" and bool(_SIZE.match(word)) and word not in discovery.names("heaps")


def times(word: str) -> float:
    """A multiple of the smallest heap."""
    number = word.removesuffix("x")
    try:
        found = float(number)
    except ValueError:
        found = 0.0
    if number == word or not 1 <= found <= MOST_TIMES:
        raise GcBarrierError(
            f"heap={word[:40]!r}: it takes names of heaps, or a number of times the smallest heap, from 1x to "
            f"{MOST_TIMES}x; "
            "a size in bytes is set with heap_bytes="
        )
    return found


def _parameter(owner: str, name: str, word: str) -> Scalar:
    """Of a heap, a barrier or a collector, of the type that it has there."""
    kinds = [kind for kind in CHOICES.values() if owner in discovery.names(kind)]
    if owner == PROBE and not kinds:
        return word  # of the type that it has in the plan
    if not kinds:
        everyone: Sequence[str] = [name for kind in CHOICES.values() for name in discovery.names(kind)]
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
    known = {each.name: each.type for each in attrs.fields(cls)}
    if name not in known:
        hint = nearest(name, known)
        raise GcBarrierError(
            f"the {kinds[0][:-1]} {owner} has no parameter {name!r}; {hint}it has {', '.join(known) or 'none'}"
        )
    # A text stays as it was typed: 007 is no number there.
    parsed = word if known[name] is str else parameters.parse(word)
    return parameters.typed(name, parsed, known[name], f"the {kinds[0][:-1]} {owner}")


def _field(key: str, word: str) -> Scalar:
    if key == "heap_bytes":
        return parse_bytes(word)
    if key == "memory":
        if word not in MEMORY_TYPES:
            hint = nearest(word, MEMORY_TYPES)
            raise GcBarrierError(f"memory={word}: {hint}choose from {', '.join(MEMORY_TYPES)}")
        return word
    if key == "pin":
        return placement.check(word)
    parsed = parameters.parse(word)
    if key == "timed":
        if not isinstance(parsed, bool):
            raise GcBarrierError(f"{key}={word[:40]}: it takes true or false")
        return parsed
    if isinstance(parsed, bool | str):
        raise GcBarrierError(f"{key}={word}: it takes a number")
    if key != "duration_s":
        return _whole(key, word)
    if not 0 < parsed <= _LONGEST_S:
        raise GcBarrierError(f"{key}={word}: it takes seconds, more than 0 and at most {_LONGEST_S:.0f}")
    return float(parsed)


def _whole(key: str, word: str) -> int:
    least = 0 if key == "seed" else 1
    # So many digits Python does not even read.
    if not word.isdecimal() or len(word) > 19 or int(word) < least or int(word) > _MOST[key]:
        raise GcBarrierError(f"{key}={word[:40]}: it takes a whole number from {least} to {_MOST[key]}")
    return int(word)


__all__ = ["CHOICES", "FIELDS", "MACHINES", "ONCE", "PROBE", "is_size", "split", "times", "value", "values"]
