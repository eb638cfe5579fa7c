"""Does an experiment get from its plan to its figure?"""

from gcbarrier.campaign.plans import Plan
from gcbarrier.model import Config, Machine
from gcbarrier.report import Comparison, Pauses, Report


def plan(*, machine: Machine, quick: bool) -> Plan:  # noqa: ARG001
    """Two barriers and the baseline on the smallest heap."""
    shared = {"heap": "ring", "heap_bytes": 8 << 20, "duration_s": 0.1 if quick else 0.2}
    configs = [Config(barrier="none", collector="stop-the-world", **shared)]
    configs += [Config(barrier=name, collector="once-more", **shared) for name in ("uffd-wp-async", "soft-dirty")]
    return Plan(configs=tuple(configs), invocations=2)


REPORT = Report(title="A tiny experiment.", figure=Comparison(), table=Pauses())
figures, table = REPORT.figures, REPORT.table
