"""Which points of a sweep come first: the ends of every range, then the middles, then the quarters.

Whoever cuts a sweep short has then seen the whole range, coarsely, rather than the half that happened to come first.
Of several ranges the stages add up, as in a sparse grid: first the corners, then where one of them is at its middle.
"""

from collections.abc import Iterable, Mapping, Sequence

from attrs import fields

from gcbarrier.model import Config, Probe, Scalar


def levels(count: int) -> list[int]:
    """The level of each of ``count`` places in ascending order: 0 at both ends, 1 in the middle, then between these."""
    found = [0] * count
    between, level = [(0, count - 1)], 1
    while between:
        halves = []
        for low, high in between:
            if high - low > 1:
                middle = (low + high) // 2
                found[middle] = level
                halves += [(low, middle), (middle, high)]
        between, level = halves, level + 1
    return found


def stages(parts: Sequence[Config | Probe]) -> list[int]:
    """The stage of each part: the levels of all its numbers, each in the range that it has among the part's like.

    Alike is what has the same names, of heap, barrier and collector or of function and barrier. A number that takes
    two values there is at one end or the other, so what is varied by two changes no order; words have none.
    """
    numbers = [_numbers(part) for part in parts]
    ranges: dict[tuple[str, str], set[float]] = {}
    for part, mine in zip(parts, numbers, strict=True):
        for path, value in mine.items():
            ranges.setdefault((part.label, path), set()).add(value)
    level = {where: dict(zip(sorted(seen), levels(len(seen)), strict=True)) for where, seen in ranges.items()}
    return [
        sum(level[part.label, path][value] for path, value in mine.items())
        for part, mine in zip(parts, numbers, strict=True)
    ]


def _numbers(part: Config | Probe) -> dict[str, float]:
    found: dict[str, float] = {}
    for field in fields(type(part)):
        value = getattr(part, field.name)
        named: Iterable[tuple[str, Scalar]] = (
            ((f"{field.name}.{name}", one) for name, one in value.items())
            if isinstance(value, Mapping)
            else ((field.name, value),)
        )
        found |= {path: one for path, one in named if isinstance(one, int | float) and not isinstance(one, bool)}
    return found


__all__ = ["levels", "stages"]
