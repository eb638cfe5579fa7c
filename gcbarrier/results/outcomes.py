"""Outcomes as a notebook shows them: together, and not one record after the other."""

from gcbarrier.model import Outcome
from gcbarrier.shown import Shown


class Outcomes(tuple[Outcome, ...], Shown):
    """A tuple of outcomes; in a notebook a table of their configurations."""

    __slots__ = ()


__all__ = ["Outcomes"]
