"""Machines of one name that are not one machine."""

from collections.abc import Mapping
from typing import Any

import pytest

from gcbarrier.results.apart import names_apart

A: Mapping[str, Any] = {"host": "aaaa", "kernel": "6.1"}
B: Mapping[str, Any] = {"host": "bbbb", "kernel": "6.1"}
OLD: Mapping[str, Any] = {"kernel": "6.1"}
NEWER: Mapping[str, Any] = {"kernel": "6.2"}


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return "kernel" if one.get("kernel") != other.get("kernel") else ""


@pytest.mark.parametrize(
    ("facts", "known", "name"),
    [
        (A, {"native": A}, "native"),
        (B, {"native": A}, "native@bbbb"),
        (OLD, {"native": A}, "native"),  # nothing says that it is another
        (NEWER, {"native": A}, "native-2"),
        ({**A, "kernel": "6.2"}, {"native": A}, "native@aaaa"),
        (B, {"native": A, "native@bbbb": B}, "native@bbbb"),
        (NEWER, {"native": A, "native-2": NEWER}, "native-2"),
        ({"kernel": "6.3"}, {"native": A, "native-2": NEWER}, "native-3"),
        (A, {"other": B}, "native"),
    ],
)
def test_what_a_machine_is_called_among_others(facts: Any, known: Any, name: str) -> None:
    assert names_apart({"native": facts}, known, unlike) == {"native": name}


def test_two_of_one_run_stay_two() -> None:
    found = names_apart({"w0": B, "w1": B}, {"w0": A}, unlike)
    assert found == {"w0": "w0@bbbb", "w1": "w1"}
