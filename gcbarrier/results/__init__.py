"""The run directory, and numbers out of it, as numpy arrays; no drawing here.

``run`` reads a run and ``writer`` writes it, into the folder that ``reserve`` has reserved; what rows it has of what is
in ``tables``, and what of its plan is missing, ``lost`` tells. Of ``pauses``, ``cells``, ``operations``, ``points``,
``cost``, ``spread`` and ``intervals`` figures and tables are made; whether the machine was at something else meanwhile,
``burden`` says of an invocation and ``busy`` of a run. ``summary`` is a run in few numbers, those of
``quantities``, and ``summarizing`` makes it; ``compared`` lays two of these beside each other: ``matched`` says what
belongs together, ``judging`` and ``permuted`` whether it could be chance, ``differing`` what the runs differ in. May
import ``plugins``, ``machines.cache`` and the records; figures are next door in ``report``. Of raw events
there are what mutators lost (``mutators``), their ``utilisation``, and a ``trace``; of operations their ``latency`` (as
files: ``hgrm``). ``flat`` and ``pyperf`` are for other programs.

::

    run = gcbarrier.load("runs/...")
    p = pauses(run)                              # structured array, a row per pause
    p["pause_ns"][p["barrier"] == "soft-dirty"]
    for cell in cells(run.outcomes):
        print(cell.label, percentile(cell.pauses("remark")["pause_ns"], 99))
"""

from gcbarrier.results.burden import Burden, burden
from gcbarrier.results.busy import Busy, busy
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
from gcbarrier.results.intervals import ENOUGH, LEVEL, Interval, geometric, interval, median, of_percentile, ratio
from gcbarrier.results.operations import IN_CYCLE, Histogram, cause, causes, histogram
from gcbarrier.results.pauses import PAUSE_PHASES, pauses, phase_split, stopped_per_cycle
from gcbarrier.results.spread import Spread, geometric_mean, over, percentile, spread, tail

__all__ = [
    "ENOUGH",
    "IN_CYCLE",
    "LEVEL",
    "PAUSE_PHASES",
    "Burden",
    "Busy",
    "Cell",
    "Cost",
    "Histogram",
    "Interval",
    "Spread",
    "Workload",
    "all_cpu_ns_per_operation",
    "burden",
    "busy",
    "cause",
    "causes",
    "cells",
    "cpu_ns_per_operation",
    "faults_per_operation",
    "geometric",
    "geometric_mean",
    "histogram",
    "interval",
    "lower_bound",
    "median",
    "of_percentile",
    "operations_per_second",
    "over",
    "over_bound",
    "pauses",
    "percentile",
    "phase_split",
    "ratio",
    "relative",
    "running_ns_per_operation",
    "spread",
    "stopped_per_cycle",
    "tail",
    "wall_ns_per_operation",
    "workloads",
]
