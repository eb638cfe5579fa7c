"""Small reports of synthetic runs, and what stands on their figures: for tests of what is drawn."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from synthetic import make_manifest, make_outcomes, make_run

from gcbarrier.model import Config
from gcbarrier.report import NS, PER_S, Axis, Lines, Measure, Report
from gcbarrier.results.run import Run

RATE = Axis("stores per second", "heap_params.rate_per_s", PER_S, endless=0.0, short="stores/s")
REMARK = Measure("remark pause", NS, lambda cell: cell.medians("remark"), head="remark")


def rated(barrier: str, rate: float = 1e4, collector: str = "mostly-concurrent", **fields: Any) -> Config:
    return Config(heap="graph_edits", barrier=barrier, collector=collector, heap_params={"rate_per_s": rate}, **fields)


def small_run(*configs: Config, invocations: int = 2, **manifest: Any) -> Run:
    return make_run(make_outcomes(configs, invocations=invocations), {**make_manifest("x"), **manifest})


def drawn(figure_of: Any, run: Run, **fields: Any) -> Figure:
    (figure,) = Report(title="Q?", figure=figure_of, table=Lines(REMARK), **fields).figures(run).values()
    FigureCanvasAgg(figure).draw()
    return figure


def said(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def keys(figure: Figure) -> list[str]:
    return [text.get_text() for key in figure.legends for text in key.get_texts()]


def lines(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.lines if not str(line.get_label()).startswith("_")}


def labels(axis: Any) -> list[str]:
    low, high = sorted(axis.get_view_interval())
    there = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False)
    return [text.get_text() for at, text in there if low <= at <= high and text.get_text()]
