"""Does an experiment get from its plan to its figure?"""

from matplotlib.figure import Figure
from rich.console import RenderableType

from gcbarrier.experiment import Plan
from gcbarrier.model import Config, Machine
from gcbarrier.plotting import comparisons, pause_table
from gcbarrier.results.store import Run


def plan(*, machine: Machine, quick: bool) -> Plan:  # noqa: ARG001
    """Two barriers and the baseline on the smallest heap."""
    shared = {"heap": "ring", "heap_bytes": 8 << 20, "duration_s": 0.1 if quick else 0.2}
    configs = [Config(barrier="none", collector="stop-the-world", **shared)]
    configs += [Config(barrier=name, collector="once-more", **shared) for name in ("uffd-wp-async", "soft-dirty")]
    return Plan(configs=tuple(configs), invocations=2)


def figures(run: Run) -> dict[str, Figure]:
    """One for each machine."""
    return comparisons(run, "A tiny experiment.")


def table(run: Run) -> RenderableType:
    """Its numbers."""
    return pause_table(run)
