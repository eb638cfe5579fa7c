"""Outcomes as a notebook shows them: together, and not one record after the other."""

from gcbarrier.displayed import Displayed
from gcbarrier.model import Outcome


class Outcomes(tuple[Outcome, ...], Displayed):
    """A tuple of outcomes; in a notebook a table of their configurations."""

    __slots__ = ()


__all__ = ["Outcomes"]
