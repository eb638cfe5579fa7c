"""What does this write barrier cost, and what pauses does it buy?

From a notebook::

    from gcbarrier import Config, measure, pauses

    outcomes = measure(
        Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent", heap_bytes=256 << 20),
        invocations=5,
    )
    pauses(outcomes)["pause_ns"]        # numpy arrays, a row per pause, with the columns of pauses.csv

    from gcbarrier import run_experiment
    run = run_experiment("pause_times", out=Path("runs/mine"), quick=True)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gcbarrier.campaign.experiments import measure
    from gcbarrier.campaign.experiments import run as run_experiment
    from gcbarrier.errors import GcBarrierError, Unavailable
    from gcbarrier.experiment import Plan
    from gcbarrier.model import Barrier, Config, Outcome, Pause
    from gcbarrier.results import pauses
    from gcbarrier.results.store import Run, load

# Imported when first asked for: `gcbarrier list` needs none of what `measure` does.
_PLACES = {
    "measure": ("campaign.experiments", "measure"),
    "run_experiment": ("campaign.experiments", "run"),
    "GcBarrierError": ("errors", "GcBarrierError"),
    "Unavailable": ("errors", "Unavailable"),
    "Plan": ("experiment", "Plan"),
    "pauses": ("results.pauses", "pauses"),
    "Barrier": ("model", "Barrier"),
    "Config": ("model", "Config"),
    "Outcome": ("model", "Outcome"),
    "Pause": ("model", "Pause"),
    "Run": ("results.store", "Run"),
    "load": ("results.store", "load"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gcbarrier' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(f"gcbarrier.{module}"), attribute)


__all__ = [
    "Barrier",
    "Config",
    "GcBarrierError",
    "Outcome",
    "Pause",
    "Plan",
    "Run",
    "Unavailable",
    "load",
    "measure",
    "pauses",
    "run_experiment",
]
