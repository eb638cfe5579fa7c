"""Machines of several runs that have one name and are not one machine: they get names of their own."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

Facts = Mapping[str, Any]


def names_apart(
    machines: Mapping[str, Facts], known: Mapping[str, Facts], unlike: Callable[[Facts, Facts], str]
) -> dict[str, str]:
    """What the machines of one more run are called among those that are ``known``.

    One that is known keeps its name, or has that under which it is known already; one that only shares a name with
    another gets its host behind it (``native@1a2b3c4d``), or a number where the manifest does not tell the host.
    """
    taken = dict(known)
    found: dict[str, str] = {}
    for name, facts in machines.items():
        # Its own name before any that was made of it.
        called = [name] * (name in known) + [other for other in known if other != name and _called(other, name)]
        same = [other for other in called if not differs(facts, known[other], unlike)]
        found[name] = same[0] if same else _free(name, facts, taken)
        taken.setdefault(found[name], facts)
    return found


def differs(one: Facts, other: Facts, unlike: Callable[[Facts, Facts], str]) -> str:
    """How two machines are not the same ("" where nothing says so)."""
    if said := unlike(one, other):
        return said
    mine, theirs = host_of(one), host_of(other)
    return f"host: {mine} and {theirs}" if mine and theirs and mine != theirs else ""


def host_of(facts: Facts) -> str:
    """The host that a machine is on or is, as its manifest calls it; "" where that does not tell."""
    told = facts.get("host")
    return told if isinstance(told, str) and told != "unknown" else ""


def _called(other: str, name: str) -> bool:
    """Whether a machine has been given a name apart from this one."""
    return other.startswith(f"{name}@") or other.removeprefix(f"{name}-").isdecimal()


def _free(name: str, facts: Facts, taken: Mapping[str, Facts]) -> str:
    host = host_of(facts)
    tried = [name, f"{name}@{host}"] if host else [name]
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    for each in itertools.chain(tried, numbered):
        if each not in taken:
            return each
    raise AssertionError("there is always another number")


def renamed(manifest: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A run's manifest with its machines called otherwise."""
    changed = dict(manifest)
    for key in ("machines", "plans", "blocks"):
        if isinstance(told := manifest.get(key), Mapping):
            changed[key] = {names.get(name, name): each for name, each in told.items()}
    return changed


__all__ = ["differs", "host_of", "names_apart", "renamed"]
