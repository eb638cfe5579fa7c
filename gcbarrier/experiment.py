"""What an experiment script hands to the library.

An experiment is one file, ``experiments/<name>.py``. The first line of its docstring is the question it answers, and
it defines three functions::

    def plan(*, machine: Machine, quick: bool) -> Plan           # what to run there
    def figures(run: Run) -> dict[str, Figure]                   # name -> figure, one machine a figure
    def table(run: Run) -> RenderableType                        # the same numbers, for the terminal

``plan`` is asked once for every machine it may run on, and may answer differently: an emulated machine is slower by an
order of magnitude. Barriers that a machine lacks, and collectors whose library is not there, are taken out by the
runner, which says so; a plan lists all it wants.

A plan holds configurations (sessions: a heap over a barrier under a collector, whose pauses come back) or probes
(functions that look at one barrier by itself, whose readings come back), or both.
"""

from collections.abc import Iterable
from typing import Any

from attrs import Attribute, field, frozen, validators

from gcbarrier.model import Config, Probe, whole


def _several(given: Any) -> tuple[Any, ...]:
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise TypeError(f"a plan's configs and probes are tuples of them, not {given!r:.60}")
    return tuple(given)


def _all(kind: type) -> Any:
    def check(_plan: object, attribute: "Attribute[Any]", value: tuple[object, ...]) -> None:
        for each in value:
            if not isinstance(each, kind):
                raise TypeError(f"a plan's {attribute.name} are {kind.__name__} records, not {each!r:.60}")

    return check


@frozen(kw_only=True)
class Plan:
    """What to run on one machine: every configuration and probe, each in ``invocations`` fresh processes."""

    configs: tuple[Config, ...] = field(default=(), converter=_several, validator=_all(Config))
    probes: tuple[Probe, ...] = field(default=(), converter=_several, validator=_all(Probe))
    invocations: int = field(default=3, validator=[whole, validators.ge(1)])
    """The unit of statistics is the invocation: below three, a figure shows no spread to speak of."""
    essential: tuple[str, ...] = ()
    """Collectors without which the others answer nothing: where the machine lacks one, nothing is run."""
    counted: bool = False
    """Wants instructions counted as well: the lab's guest is emulated with a clock that counts them, and each
    invocation is a boot of its own. Asked of the plan for this machine, that is one more reason to go to the lab."""

    @property
    def parts(self) -> tuple[Config | Probe, ...]:
        """All that it runs."""
        return *self.configs, *self.probes


__all__ = ["Plan"]
