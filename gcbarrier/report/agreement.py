"""Whether counts repeat: said of machines that count instructions."""

from collections.abc import Sequence
from math import isnan

from gcbarrier.results.points import Point

_AGREE = 0.02


def agreement(found: Sequence[Point]) -> list[str]:
    """A remark where instructions were counted: whether the boots agree within 2 %."""
    counted = [point for point in found if point.unit == "instructions"]
    apart = [(point.disagreement, point) for point in counted if not isnan(point.disagreement)]
    if not counted:
        return []
    if not apart:
        return ["One boot only: whether counts repeat is not known."]
    beyond = sorted((share, f"{point.barrier} {point.what}") for share, point in apart if share > _AGREE)
    if not beyond:
        return [f"All {len(apart)} counts of the boots agree within {100 * _AGREE:.0f} %."]
    names = list(dict.fromkeys(name for _, name in reversed(beyond)))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return [
        f"{len(beyond)} of {len(apart)} counts differ between the boots by more than {100 * _AGREE:.0f} %, at most by "
        f"{100 * beyond[-1][0]:.0f} %: {', '.join(names[:4])}{more}."
    ]


__all__ = ["agreement"]
