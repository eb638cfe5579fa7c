"""Records as lines of JSON, and back."""

import json
from typing import Any, TypeVar

import cattrs

from gcbarrier.errors import GcBarrierError
from gcbarrier.model.asked import Number, Scalar
from gcbarrier.model.seen import Word

T = TypeVar("T")

converter = cattrs.Converter(forbid_extra_keys=True)
converter.register_structure_hook(Scalar, lambda value, _type: _within(value, 64) if type(value) is int else value)
converter.register_structure_hook(
    Number, lambda value, _type: _within(value, 63) if type(value) is int else float(value)
)
converter.register_structure_hook(int, lambda value, _type: _within(int(value), 63))
converter.register_structure_hook(Word, lambda value, _type: _within(int(value), 64))
# To cattrs, a bool is an int where nobody says otherwise.
converter.register_structure_hook(bool, lambda value, _type: bool(value))


class _TooLarge(ValueError):  # noqa: N818 - it reads as what it says
    """A whole number that numpy's arrays do not hold."""


def _within(value: int, bits: int) -> int:
    if not -(1 << 63) <= value < 1 << bits:
        raise _TooLarge("beyond the whole numbers of 64 bits")
    return value


def _worded(problem: BaseException, kind: type[Any] | None) -> str:
    return str(problem) if isinstance(problem, _TooLarge) else cattrs.v.format_exception(problem, kind)


def to_json(record: Any) -> str:
    """Any record of the model as one line of JSON."""
    return json.dumps(converter.unstructure(record))


def from_json(text: str, cls: type[T]) -> T:
    """The record that :func:`to_json` wrote. Raises GcBarrierError naming what does not fit."""
    try:
        return converter.structure(json.loads(text), cls)
    except (
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        cattrs.BaseValidationError,
    ) as problem:
        found = isinstance(problem, cattrs.BaseValidationError)
        why = "; ".join(cattrs.transform_error(problem, format_exception=_worded)) if found else problem
        raise GcBarrierError(f"that is no {cls.__name__} record: {why}") from problem
