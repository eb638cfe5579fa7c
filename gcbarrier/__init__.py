"""What does this write barrier cost, and what pauses does it buy?

From a notebook::

    from gcbarrier import Config, measure, pauses, save

    outcomes = measure(
        Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent", heap_bytes=256 << 20),
        invocations=5,
    )
    pauses(outcomes)["pause_ns"]        # numpy arrays, a row per pause, with the columns of pauses.csv
    save(outcomes, "runs/mine")         # as a run directory, for load() and `gcbarrier plot`

    from gcbarrier import run_experiment
    run = run_experiment("pause_times", out=Path("runs/first"), quick=True)

    from gcbarrier import compare
    compare("runs/before", "runs/after").worse(0.05)     # what got worse by more than 5 %, hardly by chance
"""

import importlib
from typing import TYPE_CHECKING, Any

from gcbarrier import displayed

if TYPE_CHECKING:
    from gcbarrier.campaign.experiments import measure
    from gcbarrier.campaign.experiments import run as run_experiment
    from gcbarrier.campaign.plans import Plan, choose, product
    from gcbarrier.campaign.saving import save
    from gcbarrier.errors import GcBarrierError, Unavailable
    from gcbarrier.model import Barrier, Config, Outcome, Pause
    from gcbarrier.plugins.discovery import add_path
    from gcbarrier.results import pauses
    from gcbarrier.results.compared import Compared, compare
    from gcbarrier.results.run import Run, load
    from gcbarrier.tracked import Tracked
    from gcbarrier.write_watch import WriteWatch

# Imported when first asked for: `gcbarrier list` needs none of what `measure` does.
_PLACES = {
    "measure": ("campaign.experiments", "measure"),
    "run_experiment": ("campaign.experiments", "run"),
    "add_path": ("plugins.discovery", "add_path"),
    "GcBarrierError": ("errors", "GcBarrierError"),
    "Unavailable": ("errors", "Unavailable"),
    "Plan": ("campaign.plans", "Plan"),
    "choose": ("campaign.plans", "choose"),
    "product": ("campaign.plans", "product"),
    "pauses": ("results.pauses", "pauses"),
    "Barrier": ("model", "Barrier"),
    "Config": ("model", "Config"),
    "Outcome": ("model", "Outcome"),
    "Pause": ("model", "Pause"),
    "Compared": ("results.compared", "Compared"),
    "compare": ("results.compared", "compare"),
    "Run": ("results.run", "Run"),
    "load": ("results.run", "load"),
    "save": ("campaign.saving", "save"),
    "Tracked": ("tracked", "Tracked"),
    "WriteWatch": ("write_watch", "WriteWatch"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gcbarrier' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(f"gcbarrier.{module}"), attribute)


def _in_a_notebook(record: object) -> str | None:
    from gcbarrier.report.html.notebook import html

    return html(record)


displayed.by(_in_a_notebook)


def __dir__() -> list[str]:
    # help() shows what is listed here, with its documentation.
    return sorted({*globals(), *_PLACES})


__all__ = [
    "Barrier",
    "Compared",
    "Config",
    "GcBarrierError",
    "Outcome",
    "Pause",
    "Plan",
    "Run",
    "Tracked",
    "Unavailable",
    "WriteWatch",
    "add_path",
    "choose",
    "compare",
    "load",
    "measure",
    "pauses",
    "product",
    "run_experiment",
    "save",
]
