"""What an experiment script hands to the library.

An experiment is one file, ``experiments/<name>.py``. The first line of its docstring is the question it answers, and
it defines three functions::

    def plan(*, machine: Machine, quick: bool) -> Plan           # what to run there
    def figures(run: Run) -> dict[str, Figure]                   # name -> figure, one machine a figure
    def table(run: Run) -> RenderableType                        # the same numbers, for the terminal

``plan`` is asked once for every machine it may run on, and may answer differently: an emulated machine is slower by an
order of magnitude. Barriers that a machine lacks are taken out by the runner, which says so; a plan lists all it wants.
"""

from attrs import field, frozen, validators

from gcbarrier.model import Config


@frozen(kw_only=True)
class Plan:
    """What to run on one machine: every configuration, each in ``invocations`` fresh processes."""

    configs: tuple[Config, ...] = field(validator=validators.min_len(1))
    invocations: int = field(default=3, validator=validators.ge(1))
    """The unit of statistics is the invocation: below three, a figure shows no spread to speak of."""


__all__ = ["Plan"]
