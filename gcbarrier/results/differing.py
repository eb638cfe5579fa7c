"""What differs between two runs as wholes: machine, kernel, code, settings."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from gcbarrier.results.summary import Summary

_PASSING = {
    *("date", "load_average", "minheaps", "lacking", "temper", "uid", "machine"),
    *("memory.available", "memory.swap_free", "clock.read_ns", "clock.resolution_ns"),
}
"""Facts that differ between any two hours on one machine, or follow from others."""
_HOW = {"state", "awaited", "command_line", "search_path", "repeats", "resumed"}
"""What a manifest tells of how its run came about, and not of what was run."""
_DIGEST = 12
"""Characters of a digest that are shown."""


@frozen
class Difference:
    """One thing that is not the same in both; "" where one of them does not tell."""

    what: str
    a: str
    b: str


def differences(a: Summary, b: Summary, machines: Mapping[str, str]) -> tuple[Difference, ...]:
    """Of all that the manifests tell; ``machines`` has for each machine of ``a`` that of ``b`` beside it."""
    settings = "settings" in a.asked and "settings" in b.asked
    found = [*_between("", _asked(a), _asked(b), settings=settings)]
    if not any(each.what.startswith("gcbarrier") for each in found) and a.version != b.version:
        found.insert(0, Difference("gcbarrier", a.version, b.version))
    for one, other in machines.items():
        prefix = f"{one}: " if len(machines) > 1 else ""
        found += _between(prefix, _facts(a, one), _facts(b, other))
    return tuple(found)


def tempers(a: Summary, b: Summary, machines: Mapping[str, str]) -> Iterator[Difference]:
    """How busy each machine was when its run began and during it: part of the result, and no two runs are alike."""
    for one, other in machines.items():
        first, second = a.machines[one], b.machines[other]
        prefix = f"{one}: " if len(machines) > 1 else ""
        told = {"load at the start": (_load(first.facts), _load(second.facts)), "temper": (first.temper, second.temper)}
        yield from (Difference(prefix + what, *both) for what, both in told.items() if any(both))


def _load(facts: Mapping[str, Any]) -> str:
    loads = facts.get("load_average")
    return f"{float(loads[0]):.1f}" if isinstance(loads, list | tuple) and loads else ""


def _asked(summary: Summary) -> dict[str, str]:
    flat = dict(_flat({key: value for key, value in summary.asked.items() if key not in _HOW}))
    found = {}
    for key, value in flat.items():
        asked, _, what = key.partition("request.")
        if asked or what not in {*flat, "experiment"}:
            found[_called(key)] = value
    return found


def _called(key: str) -> str:
    """As a user has it: ``--set duration_s``, ``barriers/cards.c``."""
    key = key.removeprefix("request.")
    for pattern, what in ((r"settings\.(?:choices\.|fields\.|params\.)?", "--set "), (r"sources\.[^.]*\.files\.", "")):
        key = re.sub(f"^{pattern}", what, key)
    return key


def _facts(summary: Summary, machine: str) -> dict[str, str]:
    flat = dict(_flat(summary.machines[machine].facts))
    return {k: value for k, value in flat.items() if k not in _PASSING and k.partition(".")[0] not in _PASSING}


def _flat(told: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(told, Mapping):
        for key in sorted(told, key=str):
            yield from _flat(told[key], f"{path}.{key}" if path else str(key))
    elif told not in (None, "", [], ()):
        yield path, _shown(told)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_shown(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    whole_digest = len(text) >= 2 * _DIGEST and all(letter in "0123456789abcdef" for letter in text)
    return text[:_DIGEST] if whole_digest else text


def _between(
    prefix: str, one: Mapping[str, str], other: Mapping[str, str], *, settings: bool = False
) -> Iterator[Difference]:
    """``settings``: both tell all of theirs, so that one that is not told was not made."""
    for key in dict.fromkeys((*one, *other)):
        mine, theirs = one.get(key, ""), other.get(key, "")
        # A summary tells less than a run, and an old run less than a new one: no difference is known by that.
        known = (key in one and key in other) or (settings and key.startswith("--set "))
        if mine != theirs and known:
            yield Difference(prefix + key, mine, theirs)


__all__ = ["Difference", "differences", "tempers"]
