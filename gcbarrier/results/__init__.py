"""The run directory, and numbers out of it, as numpy arrays; no drawing here.

``run`` reads a run and ``writer`` writes it, into the folder that ``reserve`` has reserved; what rows it has of what is
in ``tables``, and what of its plan is missing, ``lost`` tells. Of ``pauses``, ``cells``, ``operations``, ``points``,
``cost`` and ``spread`` figures and tables are made; of raw events what mutators lost (``mutators``) and their
``utilisation``, operations' ``latency`` (as files: ``hgrm``), and a ``trace``. May import ``machines.cache`` and the
records; figures are next door in ``report``.

::

    run = gcbarrier.load("runs/...")
    p = pauses(run)                              # structured array, a row per pause
    p["pause_ns"][p["barrier"] == "soft-dirty"]
    for cell in cells(run.outcomes):
        print(cell.label, percentile(cell.pauses("remark")["pause_ns"], 99))
"""

from gcbarrier.results.cells import Cell, Workload, cells, workloads
from gcbarrier.results.cost import (
    Cost,
    all_cpu_ns_per_operation,
    cpu_ns_per_operation,
    faults_per_operation,
    lower_bound,
    operations_per_second,
    over_bound,
    relative,
    running_ns_per_operation,
    wall_ns_per_operation,
)
from gcbarrier.results.operations import IN_CYCLE, Histogram, cause, causes, histogram
from gcbarrier.results.pauses import PAUSE_PHASES, pauses, phase_split, stopped_per_cycle
from gcbarrier.results.spread import Spread, geometric_mean, percentile, spread, tail

__all__ = [
    "IN_CYCLE",
    "PAUSE_PHASES",
    "Cell",
    "Cost",
    "Histogram",
    "Spread",
    "Workload",
    "all_cpu_ns_per_operation",
    "cause",
    "causes",
    "cells",
    "cpu_ns_per_operation",
    "faults_per_operation",
    "geometric_mean",
    "histogram",
    "lower_bound",
    "operations_per_second",
    "over_bound",
    "pauses",
    "percentile",
    "phase_split",
    "relative",
    "running_ns_per_operation",
    "spread",
    "stopped_per_cycle",
    "tail",
    "wall_ns_per_operation",
    "workloads",
]
