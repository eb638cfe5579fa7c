"""Outcomes in groups: the invocations of one configuration, and the configurations that may be compared."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from attrs import fields, frozen
from numpy.typing import NDArray

from gcbarrier.displayed import Displayed
from gcbarrier.model import Config, Cycle, Outcome, evolve
from gcbarrier.results.intervals import of_percentile
from gcbarrier.results.pauses import pauses, stopped_per_cycle
from gcbarrier.results.spread import Spread, percentile, spread

Where = Callable[[NDArray[Any]], NDArray[np.bool_]]
"""Which rows of a table of pauses count."""


# With a __dict__, for what is cached.
@frozen(kw_only=True, eq=False, slots=False)
class Cell(Displayed):
    """All invocations of one configuration on one machine."""

    machine: str
    config: Config
    outcomes: tuple[Outcome, ...]

    @property
    def label(self) -> str:
        """``heap/barrier/collector``."""
        return self.config.label

    @property
    def good(self) -> tuple[Outcome, ...]:
        """The invocations that did not fail; only these count in any statistic."""
        return tuple(outcome for outcome in self.outcomes if not outcome.error)

    @property
    def foreign(self) -> bool:
        """Whether its collector brings its own memory: it compares with others, and is nobody's baseline."""
        return any(outcome.facts.get("foreign") for outcome in self.good)

    @cached_property
    def _percentiles(self) -> dict[tuple[float, str, str], Spread]:
        return {}

    @cached_property
    def _table(self) -> NDArray[Any]:
        return pauses(self.good)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of pauses seen: those that end a cycle (``full``, ``remark``) first, then the rest by name."""
        kinds = [str(kind) for kind in np.unique(self._table["kind"])]
        return tuple(sorted(kinds, key=lambda kind: (kind not in ("full", "remark"), kind)))

    def pauses(self, kind: str = "") -> NDArray[Any]:
        """The pauses (of one ``kind``) of the good invocations, as :func:`gcbarrier.results.pauses` gives them."""
        return self._table[self._table["kind"] == kind] if kind else self._table

    def medians(self, kind: str = "", column: str = "pause_ns", where: Where | None = None) -> Spread:
        """The median of ``column`` over the pauses of each invocation; one without such pauses adds nothing.

        ``where`` says of a table of pauses which of them count.
        """
        table = self.pauses(kind)
        table = table if where is None else table[where(table)]
        by = table["invocation"]
        return self.each(lambda outcome: percentile(table[column][by == outcome.invocation.index], 50))

    def percentile(self, q: float, kind: str = "", column: str = "pause_ns") -> Spread:
        """The ``q``-th percentile of ``column`` over the pauses of all good invocations together.

        Its interval is hierarchical (:func:`gcbarrier.results.of_percentile`); ``each`` has the invocations' own.
        """
        if (q, kind, column) not in self._percentiles:
            table = self.pauses(kind)
            groups = [table[column][table["invocation"] == outcome.invocation.index] for outcome in self.good]
            found, each = of_percentile(groups, q), tuple(percentile(group, q) for group in groups if len(group))
            self._percentiles[q, kind, column] = Spread(
                centre=found.centre, low=found.low, high=found.high, each=each, kind=found.kind
            )
        return self._percentiles[q, kind, column]

    def each(self, number: Callable[[Outcome], float]) -> Spread:
        """A number of each good invocation; nan adds nothing."""
        return spread([number(one) for one in self.good], seeds=[one.invocation.seed for one in self.good])

    def cycles(self, number: Callable[[Cycle], float]) -> Spread:
        """The median of a number over the cycles of each good invocation."""
        return self.each(lambda outcome: percentile([number(cycle) for cycle in outcome.cycles], 50))

    @property
    def stalls_ns(self) -> NDArray[np.int64]:
        """How long each wait of a mutator for memory took, in the good invocations."""
        return np.array([stall.stall_ns for outcome in self.good for stall in outcome.stalls], np.int64)

    def stopped(self) -> Spread:
        """The median over the cycles of each invocation of the time that all pauses of a cycle take together, in ns."""
        by = self._table["invocation"]
        return self.each(lambda one: percentile(stopped_per_cycle(self._table[by == one.invocation.index]), 50))


@frozen(kw_only=True)
class Workload:
    """Cells that differ in nothing but barrier and collector, on one machine: what a panel compares."""

    machine: str
    config: Config
    """Of any of its cells; barrier and collector say nothing here."""
    cells: tuple[Cell, ...]

    @property
    def baseline(self) -> Cell | None:
        """The cell whose mutators pay for no barrier (``none``), if it has a good invocation."""
        plain = (cell for cell in self.cells if cell.config.barrier == "none" and cell.good and not cell.foreign)
        return next(plain, None)


def cells(outcomes: Iterable[Outcome]) -> tuple[Cell, ...]:
    """``outcomes`` by machine and configuration.

    Machines come in order of first appearance, the configurations of each sorted by what they say; a run is shuffled,
    and its order means nothing. So do the invocations of a cell, by their number.
    """
    groups: dict[tuple[str, Config], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.machine, outcome.invocation.config), []).append(outcome)
    machines = list(dict.fromkeys(machine for machine, _ in groups))
    found = [
        Cell(
            machine=machine,
            config=members[0].invocation.config,
            outcomes=tuple(sorted(members, key=lambda outcome: outcome.invocation.index)),
        )
        for (machine, _), members in groups.items()
    ]
    return tuple(sorted(found, key=lambda cell: (machines.index(cell.machine), _rank(cell.config))))


def workloads(outcomes: Iterable[Outcome]) -> tuple[Workload, ...]:
    """The cells of ``outcomes`` by what may be compared, sorted by heap and size."""
    groups: dict[tuple[str, Config], list[Cell]] = {}
    for cell in cells(outcomes):
        same = evolve(cell.config, barrier="", barrier_params={}, collector="", collector_params={})
        groups.setdefault((cell.machine, same), []).append(cell)
    found = [
        Workload(machine=machine, config=members[0].config, cells=tuple(members))
        for (machine, _), members in groups.items()
    ]
    return tuple(sorted(found, key=lambda work: (work.machine, work.config.heap, work.config.heap_bytes)))


def _rank(config: Config) -> list[Any]:
    """The place of a configuration among others: numbers by their size, words by their letters, none before any."""
    ranked: list[Any] = []
    # What a workload is comes before what is compared on it.
    for name in sorted((each.name for each in fields(Config)), key=lambda name: name.startswith(("barrier", "coll"))):
        value = getattr(config, name)
        if isinstance(value, Mapping):
            ranked.append([(key, isinstance(one, str), one) for key, one in sorted(value.items())])
        else:
            ranked.append(value)
    return ranked


__all__ = ["Cell", "Workload", "cells", "workloads"]
