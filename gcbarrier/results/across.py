"""The same configurations on several machines: what each paid against its own baseline, side by side.

Times of two machines don't compare, but what a barrier costs against no barrier does, within each: that is a claim that
another machine may bear out or not.
"""

from collections.abc import Callable, Iterator, Mapping

from attrs import field, frozen

from gcbarrier.model import Config, evolve
from gcbarrier.results.apart import host_of
from gcbarrier.results.cells import Cell, Workload, workloads
from gcbarrier.results.cost import all_cpu_ns_per_operation, operations_per_second, relative
from gcbarrier.results.run import Run
from gcbarrier.results.spread import Spread, spread

Against = Callable[[Cell, Cell], Spread]
"""What a cell is, measured by the baseline of the same machine: a number for each invocation."""


def stops(cell: Cell, baseline: Cell) -> Spread:
    """All stops of a cycle, over those of the baseline's."""
    reference = baseline.stopped()
    return spread([each / reference.centre for each in cell.stopped().each] if reference else [], ratio=True)


def throughput(cell: Cell, baseline: Cell) -> Spread:
    """Operations per second, stops included, over the baseline's."""
    return relative(cell, baseline, operations_per_second)


def bill(cell: Cell, baseline: Cell) -> Spread:
    """Processor time of mutators and collector per operation, over the baseline's."""
    return relative(cell, baseline, all_cpu_ns_per_operation)


@frozen(kw_only=True, eq=False)
class Shared:
    """A configuration that several machines have run, each with a baseline of its own."""

    workload: Config
    """What it has in common with those that it is compared with."""
    cells: Mapping[str, Cell]
    """By machine, in the run's order."""
    baselines: Mapping[str, Cell] = field(repr=False)

    @property
    def config(self) -> Config:
        """The first machine's; sizes that were found there may be others elsewhere."""
        return next(iter(self.cells.values())).config

    def each(self, against: Against) -> dict[str, Spread]:
        """Of each machine that has it."""
        found = {name: against(cell, self.baselines[name]) for name, cell in self.cells.items()}
        return {name: value for name, value in found.items() if value}

    def over(self, against: Against) -> Spread:
        """The geometric mean of the machines' centres, and from the least to the greatest of them: a spread over
        machines.
        """
        return spread([value.centre for value in self.each(against).values()], ratio=True)


def shared(run: Run) -> tuple[Shared, ...]:
    """What at least two machines have run well, in the order of the first; baselines are no rows of their own.

    Of emulated machines, whose time is none, there is nothing.
    """
    machines = [name for name in run.planned if not str(run.facts(name).get("accelerator", "")).startswith("tcg")]
    if len(machines) < 2:
        return ()
    found: dict[tuple[Config, Config], dict[str, tuple[Cell, Cell]]] = {}
    for name in machines:
        for work in workloads(run.on(name)):
            for key, cell, baseline in _compared(work):
                found.setdefault(key, {})[name] = (cell, baseline)
    return tuple(
        Shared(
            workload=workload,
            cells={name: cell for name, (cell, _) in pairs.items()},
            baselines={name: baseline for name, (_, baseline) in pairs.items()},
        )
        for (workload, _), pairs in found.items()
        if len(pairs) > 1
    )


def _compared(work: Workload) -> Iterator[tuple[tuple[Config, Config], Cell, Cell]]:
    baseline = work.baseline
    if baseline is None:
        return
    for cell in work.cells:
        if cell is not baseline and cell.good:
            yield (_bare(cell.config), _sizeless(cell.config)), cell, baseline


def _bare(config: Config) -> Config:
    return _sizeless(evolve(config, barrier="", barrier_params={}, collector="", collector_params={}))


def _sizeless(config: Config) -> Config:
    """Without what was found out on the machine: a multiple of the smallest heap is the same one anywhere."""
    if not config.minheap_bytes:
        return config
    return evolve(config, heap_bytes=1 << 20, minheap_bytes=0)


def hosts(run: Run, machines: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The machines by the host that they are on, as far as the manifest tells: guests and workers may share one."""
    groups: list[set[str]] = []
    for name in machines:
        facts = run.facts(name)
        near = {name}
        told = facts.get("worker")
        if isinstance(told, Mapping):
            near |= {other for other in told.get("shares_host_with", ()) if other in machines}
        if facts.get("lab") and "native" in machines:
            near.add("native")
        if host := host_of(facts):
            near |= {other for other in machines if host_of(run.facts(other)) == host}
        meeting = [group for group in groups if group & near]
        groups = [group for group in groups if not group & near] + [near.union(*meeting)]
    return tuple(tuple(name for name in machines if name in group) for group in groups)


__all__ = ["Against", "Shared", "bill", "hosts", "shared", "stops", "throughput"]
