"""Adding invocations until the intervals that an experiment's report shows are narrow enough, or a budget ends.

What the report shows decides, not a list of quantities: after each round (one more invocation of every configuration)
its figures and tables are made of what is there, and note each interval that they show
(:mod:`gcbarrier.report.shown`). The n-th invocation of a run has the same seed however many there are, so that a run
that was extended is the run that a larger plan would have been.

Who looks after each round and stops when he likes what he sees, stops a little too often where chance has made the
interval narrow: it then holds the truth less often than its level says. The width is what decides here, and not
whether anything differs from anything, which is the lesser evil; a run with a fixed number of invocations has none.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf, isnan
from typing import Any

from attrs import evolve, fields, frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config
from gcbarrier.plugins import discovery
from gcbarrier.report.shown import Shown, noting
from gcbarrier.results import ENOUGH
from gcbarrier.results.run import Run

BUDGET_S = 1800.0
"""Of a machine's part of a run, where nobody says."""

MOST = 1000
"""Invocations; what is not narrow by then never will be."""

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@frozen(kw_only=True)
class Reached:
    """How far invocations were added on one machine, and why no further."""

    machine: str
    wanted: float
    """The half width that no interval was to exceed, as a share of its centre."""
    invocations: int
    why: str
    """``narrow``, ``budget``, ``most`` (invocations), or ``nothing``: no interval is shown."""
    half_width: float = 0.0
    """Of the widest; infinite where there is only a range as yet."""
    widest: str = ""
    wider: int = 0
    """Intervals that are not as narrow as was wanted."""
    shown: int = 0
    around_zero: int = 0
    """Intervals of which the centre is 0, so that they have no relative width: they do not count."""
    budget_s: float = 0.0

    @property
    def words(self) -> str:
        """All of that in a sentence."""
        there = f"{self.machine}, {self.invocations} invocations"
        if self.why == "nothing":
            return f"{there}: the report shows no interval over invocations that could be narrowed"
        left = f"; {self.around_zero} around 0 have no relative width" if self.around_zero else ""
        widest = f"the widest, {self.widest}, is {_share(self.half_width)}{left}"
        if self.why == "narrow":
            return f"{there}: each of the {self.shown} intervals shown is within {_share(self.wanted)}; {widest}"
        ended = f"the budget of {_time(self.budget_s)} ended" if self.why == "budget" else "no more are added"
        wider = f"{self.wider} of {self.shown} intervals wider than {_share(self.wanted)}"
        return f"{there}: {ended} with {wider}; {widest}"


def grow(
    machine: str,
    add: Callable[[int], None],
    shown: Callable[[], Sequence[Shown]],
    *,
    wanted: float,
    budget_s: float,
    invocations: int,
    spent_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Reached:
    """Call ``add`` with the number of the next invocation until all that is ``shown`` is narrow, or a budget ends.

    ``invocations`` are there already, and took ``spent_s`` of the budget. A round that would most likely end beyond
    the budget is not begun. Below :data:`gcbarrier.results.ENOUGH` invocations there is nothing to look at.
    """
    begun, longest_s = clock() - spent_s, spent_s / invocations
    while True:
        found = _looked(machine, shown(), wanted, invocations) if invocations >= ENOUGH else None
        if found is not None and found.why in ("narrow", "nothing"):
            return found
        if invocations >= MOST or clock() - begun + longest_s > budget_s:
            found = found or _looked(machine, shown(), wanted, invocations)
            why = "most" if invocations >= MOST else "budget"
            return found if found.why == "nothing" else evolve(found, why=why, budget_s=budget_s)
        before = clock()
        add(invocations)
        longest_s = max(longest_s, clock() - before)
        invocations += 1


def shown_by(script: Any, run: Run, machine: str) -> list[Shown]:
    """What an experiment's figures and tables show of one machine."""
    own = [at for at, outcome in enumerate(run.outcomes) if outcome.machine == machine]
    alone = evolve(
        run,
        outcomes=tuple(run.outcomes[at] for at in own),
        event_files=tuple(run.event_files[at] for at in own),
        findings=run.found(machine),
    )
    with noting() as found, discovery.blamed("experiments", run.experiment):
        script.figures(alone)
        script.table(alone)
    return found


def half_width(one: Shown) -> float:
    """Of an interval, as a share of its centre; infinite of a range of too few; nan where there is nothing to narrow.

    That is where a number is not one per invocation, or a range for another reason than that these are too few.
    """
    value = one.value
    if value.kind == "interval":
        return 0.0 if value.low == value.high else value.half_width
    return inf if value.kind == "range" and 1 < len(value.each) < ENOUGH else float("nan")


def _looked(machine: str, shown: Sequence[Shown], wanted: float, invocations: int) -> Reached:
    widths = {(id(one.cell), one.what): (half_width(one), one) for one in shown}
    known = [(width, one) for width, one in widths.values() if not isnan(width)]
    zero = sum(one.value.kind == "interval" and isnan(width) for width, one in widths.values())
    about: dict[str, Any] = {"machine": machine, "wanted": wanted, "invocations": invocations, "around_zero": zero}
    if not known:
        return Reached(why="nothing", **about)
    width, widest = max(known, key=lambda pair: pair[0])
    return Reached(
        why="narrow" if width <= wanted else "wide",
        half_width=width,
        widest=_name(widest, [one.cell for _, one in known]),
        wider=sum(each > wanted for each, _ in known),
        shown=len(known),
        **about,
    )


def _name(one: Shown, cells: Sequence[Any]) -> str:
    """What is shown, and of which cell: with those of its settings in which the cells differ."""
    config = getattr(one.cell, "config", None)
    if not isinstance(config, Config):
        return one.what
    others = [_settings(each.config) for each in cells if isinstance(getattr(each, "config", None), Config)]
    mine = _settings(config)
    said = [f"{name}={value}" for name, value in mine.items() if any(each.get(name) != value for each in others)]
    return f"{one.what} of {config.label}" + (f" ({', '.join(said)})" if said else "")


def _settings(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (each.name for each in fields(Config)):
        value = getattr(config, name)
        if isinstance(value, Mapping):
            found |= value
        elif name not in ("heap", "barrier", "collector"):
            found[name] = value
    return found


def promise(wanted: float, budget_s: float) -> str:
    """What will be added, before it is."""
    return (
        f"then more invocations, until all intervals that the report shows are within {_share(wanted)}: at least "
        f"{ENOUGH} in all, and for at most {_time(budget_s)} on a machine"
    )


def read_share(text: str) -> float:
    """``5%`` as 0.05. Raises GcBarrierError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    share = float(found[1]) / 100 if found else 0.0
    if not 0 < share < 1:
        raise GcBarrierError(f"--until {text}: say how narrow intervals are to be, in per cent, as 5%")
    return share


def read_time(text: str) -> float:
    """``30min``, ``90s`` or ``1.5h`` in seconds. Raises GcBarrierError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", text)
    if not found or not float(found[1]):
        raise GcBarrierError(f"--budget {text}: say how long invocations may be added, as 90s, 30min or 2h")
    return float(found[1]) * _UNITS[found[2]]


def _share(value: float) -> str:
    return "a range as yet" if value == inf else f"±{100 * value:.2g} %"


def _time(seconds: float) -> str:
    unit = "h" if seconds >= 7200 else "min" if seconds >= 120 else "s"
    return f"{seconds / _UNITS[unit]:g} {unit}"
