"""What an experiment script hands to the library.

An experiment is one file, ``experiments/<name>.py``. The first line of its docstring is the question it answers, and
it defines three functions::

    def plan(*, machine: Machine, quick: bool) -> Plan           # what to run there
    def figures(run: Run) -> dict[str, Figure]                   # name -> figure, one machine a figure
    def table(run: Run) -> RenderableType                        # the same numbers, for the terminal

``plan`` is asked once for every machine it may run on, and may answer differently: an emulated machine is slower by an
order of magnitude (:func:`choose` says what differs there). Barriers that a machine lacks, and collectors whose library
is not there, are taken out by the runner, which says so; a plan lists all it wants.

A plan holds configurations (sessions: a heap over a barrier under a collector, whose pauses come back) or probes
(functions that look at one barrier by itself, whose readings come back), or both. :func:`product` makes configurations
out of what is varied. What figures and tables are made of is in :mod:`gcbarrier.report`: most experiments end with::

    figures, table = REPORT.figures, REPORT.table
"""

from collections.abc import Iterable
from itertools import product as combinations
from typing import Any, Protocol, TypeVar

from attrs import Attribute, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.host import fits, machine_name
from gcbarrier.model import Config, Machine, Probe, format_bytes, whole


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
    """The unit of statistics is the invocation: from five on, figures show intervals, and below that ranges."""
    essential: tuple[str, ...] = ()
    """Collectors without which the others answer nothing: where the machine lacks one, nothing is run."""
    counted: bool = False
    """Wants instructions counted as well: the lab's guest is emulated with a clock that counts them, and each
    invocation is a boot of its own. Asked of the plan for this machine, that is one more reason to go to the lab."""
    spare: tuple[Config, ...] = field(default=(), converter=_several, validator=_all(Config))
    """What is run only where a user asks for its heap (``--set heap=NAME``). Of a heap that has nothing here, the first
    heap's configurations are run with that name in place of its own, which know nothing of what it needs."""
    left_out: tuple[str, ...] = ()
    """What this machine has no room for, in words; figures and tables repeat them."""

    @property
    def parts(self) -> tuple[Config | Probe, ...]:
        """All that it runs."""
        return *self.configs, *self.probes


T = TypeVar("T")


class At(Protocol):
    """What :func:`choose` returns."""

    def __call__(
        self, *, full: T, quick: T | None = None, emulated: T | None = None, emulated_quick: T | None = None
    ) -> T:
        """The nearest that is given."""


def choose(machine: Machine, quick: bool) -> At:
    """How a plan says what differs between machines, and with ``--quick``::

        at = choose(machine, quick)
        at(full=5, quick=1)                      # emulated as anywhere
        at(full=GIB, quick=256 * MIB, emulated=32 * MIB)

    Where the one that fits is not given, the nearest is: emulated and quick takes ``emulated``, then ``quick``.
    """
    hurry = quick

    def at(*, full: T, quick: T | None = None, emulated: T | None = None, emulated_quick: T | None = None) -> T:
        wanted = [(emulated_quick, machine.emulated and hurry), (emulated, machine.emulated), (quick, hurry)]
        return next((value for value, applies in wanted if applies and value is not None), full)

    return at


def product(**fields: Any) -> tuple[Config, ...]:
    """The configurations that differ in what is given as a list or tuple, the last such changing fastest::

        product(heap="graph_edits", heap_params=[{"rate_per_s": rate} for rate in RATES], duration_s=2.0,
                pairs=[("none", "never"), *((each, "mostly-concurrent", {"every_s": 0.05}) for each in BARRIERS)])

    ``pairs`` are barriers with their collectors and, if need be, the collectors' parameters. A function is called
    with what was chosen before it, by name: ``duration_s=lambda at: 1 + at["heap_bytes"] / GIB``.
    """
    varied = {name: each if isinstance(each, list | tuple) else [each] for name, each in fields.items()}
    return tuple(_config(dict(zip(varied, point, strict=True))) for point in combinations(*varied.values()))


def _config(point: dict[str, Any]) -> Config:
    chosen: dict[str, Any] = {}
    for name, value in point.items():
        if name == "pairs":
            chosen |= zip(("barrier", "collector", "collector_params"), value, strict=False)
        else:
            chosen[name] = value(chosen) if callable(value) else value
    return Config(**chosen)


def fitting(sizes: Iterable[int], machine: Machine) -> tuple[list[int], tuple[str, ...]]:
    """The heap sizes that there is memory for, and what a plan's ``left_out`` says of the others.

    It is asked of this machine alone: what another one has is not known here.
    """
    wanted = list(sizes)
    there = [size for size in wanted if machine.name != machine_name() or _fits(size)]
    names = ", ".join(format_bytes(size) for size in wanted if size not in there)
    return there, (f"{names}, which did not fit into memory",) if names else ()


def _fits(size: int) -> bool:
    try:
        fits(size)
    except GcBarrierError:
        return False
    return True


__all__ = ["At", "Plan", "choose", "fitting", "product"]
