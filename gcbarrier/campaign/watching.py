"""Who is told how a run comes along."""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from gcbarrier.campaign.runner import Step
from gcbarrier.errors import Unavailable
from gcbarrier.model import Measured
from gcbarrier.results.run import Run


def _silent(*_: Any) -> None:
    """Nobody watches."""


@frozen(kw_only=True)
class Watch:
    """Who is told how a run comes along; all are called in the thread that runs it."""

    note: Callable[[str], None] = _silent
    """What happens next, as a sentence's beginning."""
    steps: Callable[[str, Sequence[Step]], None] = _silent
    """The machine's name, and the steps that are to be taken there."""
    more: Callable[[str, Sequence[Step]], None] = _silent
    """The same of steps that are added because the report is not precise enough yet."""
    done: Callable[[Step, Measured], None] = _silent
    lacking: Callable[[str, Unavailable], None] = _silent
    """A barrier of the plan that this kernel does not have: it runs in the lab."""
    told: Callable[[str], None] = _silent
    """Something that whoever began the run should know, as a sentence."""
    kept: Callable[[Run], None] = _silent
    """A run that stops before its end: what it has, as it is kept."""
    left_out: Callable[[str, str, Unavailable], None] = _silent
    """The machine's name, and what of the plan is not run there because it can't be had."""


UNWATCHED = Watch()
