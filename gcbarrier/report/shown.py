"""What a figure or a table shows the width of, and what that width is, in words.

Whatever draws a bar or puts ends in brackets notes it here. So the words below a table are of what stands in it, and
who adds invocations until a report is precise knows what the report shows.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from attrs import frozen

from gcbarrier.results import ENOUGH, LEVEL, Spread


@frozen(kw_only=True)
class Shown:
    """A number of a cell whose width is shown."""

    cell: Any
    what: str
    """The measure's title, on one line."""
    value: Spread


_noting: ContextVar[tuple[list[Shown], ...]] = ContextVar("noting", default=())


@contextmanager
def noting() -> Iterator[list[Shown]]:
    """Collects what is shown while the block is entered, in its order; a thing that is shown twice is in it twice."""
    found: list[Shown] = []
    token = _noting.set((*_noting.get(), found))
    try:
        yield found
    finally:
        _noting.reset(token)


def note(cell: Any, what: str, value: Spread) -> None:
    """This number's width is shown now."""
    for found in _noting.get():
        found.append(Shown(cell=cell, what=" ".join(what.split()), value=value))


def spans(values: Iterable[Spread]) -> str:
    """What the ends of ``values`` are: ``95 % bootstrap intervals over 5 invocations``, ``ranges of 3 invocations``.

    Both where there are both; "" where nothing has two ends.
    """
    there = [value for value in values if len(value.each) > 1 and value.kind != "samples"]
    several = sorted({len(value.each) for value in there if value.kind == "interval"})
    few = sorted({len(value.each) for value in there if value.kind == "range"})
    said = [f"{100 * LEVEL:g} % bootstrap intervals over {_count(several)} invocations"] if several else []
    if few:
        said.append(f"ranges of {_count(few)} invocations{_why(few, several)}")
    return ", ".join(said)


def _count(numbers: list[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _why(few: list[int], several: list[int]) -> str:
    return f" where there are fewer than {ENOUGH}" if several and few[-1] < ENOUGH else ""


__all__ = ["Shown", "note", "noting", "spans"]
