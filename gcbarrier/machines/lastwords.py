"""What a dead process said last, of all that it said: the lines that tell why."""

import re
from collections.abc import Sequence

_TAIL = 20
_REPORT = 60
# Where a report begins that others follow, or that ends in a legend: a sanitizer's, or our own (native/world/crash.c).
_BEGINS = re.compile(
    r"ERROR: \w*Sanitizer|WARNING: \w*Sanitizer|: runtime error: |^where everybody is, |, in (mutator \d|the collector)"
)
# Python's word on its own thread comes right before ours.
_PYTHON = re.compile(r"^(Current thread|Thread|Stack) ?.*\(most recent call first\):$")


def telling(lines: Sequence[str]) -> list[str]:
    """The first report among ``lines``, from where it begins; without one the last of them."""
    for at, line in enumerate(lines):
        if _BEGINS.search(line) or _PYTHON.search(line):
            return list(lines[at : at + _REPORT])
    return list(lines[-_TAIL:])


__all__ = ["telling"]
