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
        same = [other for other, theirs in known.items() if _called(other, name) and not differs(facts, theirs, unlike)]
        found[name] = same[0] if same else _free(name, facts, taken)
        taken.setdefault(found[name], facts)
    return found


def differs(one: Facts, other: Facts, unlike: Callable[[Facts, Facts], str]) -> str:
    """How two machines are not the same ("" where nothing says so)."""
    if said := unlike(one, other):
        return said
    mine, theirs = one.get("host"), other.get("host")
    return f"host: {mine} and {theirs}" if mine and theirs and mine != theirs else ""


def _called(other: str, name: str) -> bool:
    """Whether a machine has this name, or has been given one apart from it."""
    return other == name or other.startswith(f"{name}@") or other.removeprefix(f"{name}-").isdecimal()


def _free(name: str, facts: Facts, taken: Mapping[str, Facts]) -> str:
    tried = (name, *([f"{name}@{facts['host']}"] if facts.get("host") else ()))
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain(tried, numbered) if each not in taken)


__all__ = ["differs", "names_apart"]
