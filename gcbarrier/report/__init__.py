"""Figures and tables out of a run, in the words of whoever asks: what is drawn against what, and told apart by what.

An experiment says what it shows of a run, and exports that::

    from gcbarrier.campaign.plans import Plan, choose, product
    from gcbarrier.report import NS, PER_S, Axis, Curves, Flag, Lines, Measure, Report

    RATE = Axis("stores per second asked for", "heap_params.rate_per_s", PER_S, endless=0.0, short="stores/s")
    REMARK = Measure("remark pause", NS, lambda cell: cell.medians("remark"), head="remark")
    STOPS = Measure("all stops of a cycle", NS, lambda cell: cell.stopped(), head="all stops")
    LONG = Flag("longer than a millisecond", lambda cell: REMARK.value(cell).centre > 1e6)

    def plan(*, machine, quick):
        at = choose(machine, quick)
        pairs = [(barrier, "mostly-concurrent", {"every_s": 0.05}) for barrier in ("uffd-wp-log", "soft-dirty")]
        rates = [{"rate_per_s": rate} for rate in (1e4, 1e5, 0.0)]
        configs = product(heap="graph_edits", heap_params=rates, pairs=pairs)
        return Plan(configs=configs, invocations=at(full=3, quick=1))

    REPORT = Report(
        title="Random stores per second over {heap_bytes}.",
        figure=Curves(x=RATE, y=(REMARK, STOPS), hollow=LONG),
        table=Lines(RATE, REMARK.ranged, STOPS),
        closing=LONG.first(RATE, "{barrier}: longer than a millisecond from {x} on"),
    )
    figures, table = REPORT.figures, REPORT.table

Keys, captions, what failed, what a machine lacks or has no room for, and the small print come of themselves. So do more
figures and tables, one for each value, where a user sweeps what these panels and columns don't tell apart.

What is looked at are **cells**: those of sessions (:class:`gcbarrier.results.Cell`) or, where there are only probes,
their points (:class:`gcbarrier.results.points.Point`). ``Report(cells=...)`` takes any function of a run and a machine;
records of the experiment's own do as well, for all words only ask them for what they are told to.

Of a cell:

- :class:`Measure`, a number: title, unit, a function that gives a :class:`gcbarrier.results.Spread`. ``.ranged`` is its
  column with its interval or range beside it. :func:`reading` is one of probes, in each reading's own unit;
  :func:`agreement` as a remark says whether counts repeat.
- :class:`Axis`, a number that was set: label, where it is found, unit; ``endless`` is the value without an end.
- :class:`Names`, a name: whose curve, or which row. :data:`BARRIER` is the one that most reports tell apart by.
- :class:`Flag`, something that is true of some: their points are hollow; ``.first`` says from where on.
- :class:`Column`, any other words for a table.

A unit (``NS``, ``PER_S``, ``COUNT``, ``BYTES``, ``RATIO``, ``PERCENT``, ``SHARE``, ``INSTRUCTIONS``; ``NS.linear``,
``COUNT.log``) decides an axis' scale and ticks, and how a table writes it.

Panels, of which a figure has one, several side by side, or rows of these (``[[...], [...]]``): :class:`Curves` against
an axis, :class:`Rows` of marks, :class:`Tails` of whole distributions, a :class:`Grid` of verdicts; or any function of
axes and cells, as it is or with the room it wants (:class:`Drawn`). ``per`` gives each value of an axis its own.
:class:`Comparison` is a whole figure: pauses, their phases and their bill, a row for each workload. So are
:class:`Utilisation`, of cells with what their mutators lost (``Report(cells=watched)``), and :class:`Latency`, of cells
whose operations were timed (``Report(cells=served)``); :mod:`gcbarrier.report.anyrun` has both for any run.

Tables: :class:`Lines`, one for each cell; :class:`Across`, one name by another; :class:`Pauses`, the comparison's
numbers; or any function of the machine's name and the cells.

Figures are :class:`matplotlib.figure.Figure` objects that no window system knows of; a notebook shows them, one or all
(``displayed``), and :func:`save` writes them as PNG and SVG. Tables and units need no matplotlib, which is not imported
before a report or a panel is asked for. The page of ``gcbarrier report`` (``html``) shows figures and tables; its first
sentence is of ``verdict``, or of the experiment itself where that exports ``verdict(run) -> str``.

Where two machines or more have the same configurations, ``gcbarrier run`` and ``plot`` draw one figure more that shows
how the same claim came out on each: :func:`machines_figure`, and :func:`machines_table` with its numbers.

May import ``results``, ``machines.cache`` and the records; what is run, and where, it is told.
"""

import contextlib
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gcbarrier.report.agreement import agreement
from gcbarrier.report.counted import counted_table
from gcbarrier.report.grammar import BARRIER, Axis, Column, Measure, Names, point_spread, reading
from gcbarrier.report.looks import Look
from gcbarrier.report.pause_table import Pauses
from gcbarrier.report.sentences import Flag
from gcbarrier.report.tables import Across, Lines
from gcbarrier.report.text import show
from gcbarrier.report.units import BYTES, COUNT, INSTRUCTIONS, NS, PER_S, PERCENT, RATIO, SHARE, Unit
from gcbarrier.report.verified import busy_lines, left_out_lines, verification_table
from gcbarrier.report.workplace import writable_folder

if TYPE_CHECKING:
    from gcbarrier.report.comparison import Comparison
    from gcbarrier.report.files import save
    from gcbarrier.report.machines import machines_figure, machines_table
    from gcbarrier.report.panels import Drawn
    from gcbarrier.report.panels.curves import Curves
    from gcbarrier.report.panels.grid import Grid
    from gcbarrier.report.panels.latency import Latency
    from gcbarrier.report.panels.rows import Rows
    from gcbarrier.report.panels.tails import Tails
    from gcbarrier.report.panels.utilisation import Utilisation
    from gcbarrier.report.report import Report

# Before matplotlib is imported: where it can't write to its own folder it warns, and takes longer each time.
if "MPLCONFIGDIR" not in os.environ:
    os.environ["MPLCONFIGDIR"] = writable_folder()

# A notebook exports its window system to all that is started in it, and matplotlib refuses to be imported where the
# module of that name is not installed. Where it is, whoever imports us keeps it.
if "matplotlib" not in sys.modules and (backend := os.environ.pop("MPLBACKEND", "")):
    import matplotlib as mpl

    os.environ["MPLBACKEND"] = backend
    with contextlib.suppress(ValueError):
        mpl.rcParams["backend"] = backend

_DRAWING = {
    "Comparison": "comparison",
    "Curves": "panels.curves",
    "Drawn": "panels",
    "Grid": "panels.grid",
    "Latency": "panels.latency",
    "Report": "report",
    "Rows": "panels.rows",
    "Tails": "panels.tails",
    "Utilisation": "panels.utilisation",
    "machines_figure": "machines",
    "machines_table": "machines",
    "save": "files",
}


def __getattr__(name: str) -> Any:
    if name not in _DRAWING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_DRAWING[name]}"), name)


__all__ = [
    "BARRIER",
    "BYTES",
    "COUNT",
    "INSTRUCTIONS",
    "NS",
    "PERCENT",
    "PER_S",
    "RATIO",
    "SHARE",
    "Across",
    "Axis",
    "Column",
    "Comparison",
    "Curves",
    "Drawn",
    "Flag",
    "Grid",
    "Latency",
    "Lines",
    "Look",
    "Measure",
    "Names",
    "Pauses",
    "Report",
    "Rows",
    "Tails",
    "Unit",
    "Utilisation",
    "agreement",
    "busy_lines",
    "counted_table",
    "left_out_lines",
    "machines_figure",
    "machines_table",
    "point_spread",
    "reading",
    "save",
    "show",
    "verification_table",
]
