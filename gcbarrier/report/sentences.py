"""What is said of cells in words: where something is true of them, and sentences that are filled in from them."""

from collections.abc import Callable, Sequence
from string import Formatter
from typing import Any

from attrs import field, frozen

from gcbarrier.model import format_bytes
from gcbarrier.report.grammar import BARRIER, Axis, Column, failed, find
from gcbarrier.report.units import format_number

Sentence = str | Callable[[Sequence[Any]], str | Sequence[str]]
"""Words about the cells: with ``{heap_bytes}`` and other paths in it, or a function of them."""


@frozen
class Flag:
    """Something that is true of some cells: their points are hollow."""

    title: str
    of: Callable[[Any], bool]
    why: str = field(default="", kw_only=True)
    """When it is true, as a sentence for the small print."""

    def holds(self, cell: Any) -> bool:
        """Whether it is true of a cell from which there is anything to tell."""
        return not failed(cell) and self.of(cell)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of a table."""
        return (Column(head=self.title, words=lambda cell: "yes" if self.holds(cell) else ""),)

    def first(self, axis: Axis, template: str) -> "Sentence":
        """A sentence for each barrier of which it is true, with ``{x}`` for the least value where it is."""

        def sentences(cells: Sequence[Any]) -> list[str]:
            said = []
            for name, mine in BARRIER.groups(cells):
                if true := [cell for cell in mine if self.holds(cell)]:
                    least = axis.say(min(axis.value(cell) for cell in true))
                    said.append(template.format(barrier=name, x=least))
            return said

        return sentences


def sentences(what: Sentence | Sequence[Sentence], cells: Sequence[Any]) -> list[str]:
    """All of ``what``, filled in from the cells; what is empty is left out."""
    if isinstance(what, str):
        return [fill(what, cells)] if what else []
    if callable(what):
        said = what(cells)
        return [each for each in ([said] if isinstance(said, str) else said) if each]
    return [each for one in what for each in sentences(one, cells)]


def fill(template: str, cells: Sequence[Any]) -> str:
    """``template`` with what the cells have at the paths in braces: ``{heap_bytes}``, ``{heap_params.pages}``."""
    said = []
    for literal, where, _, _ in Formatter().parse(template):
        said.append(literal)
        if where:
            values = sorted({value for cell in cells if (value := find(cell, where)) is not None})
            said.append(" or ".join(_say(where, value) for value in values) or "nothing")
    return "".join(said)


def _say(where: str, value: Any) -> str:
    if where.endswith("_bytes"):
        return format_bytes(int(value))
    return value if isinstance(value, str) else format_number(float(value))


__all__ = ["Flag", "Sentence", "fill", "sentences"]
