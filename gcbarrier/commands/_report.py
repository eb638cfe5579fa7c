"""A run as its experiment shows it: figures into files, numbers onto the terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier import report
from gcbarrier.campaign.again import find_plugins
from gcbarrier.commands._progress import waiting
from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery
from gcbarrier.results.lost import losses
from gcbarrier.results.run import Run

_SCREEN = 40
"""Rows; a longer table would have the pauses scroll away."""


def present(run: Run, directory: Path, figure: str = "") -> None:
    """Draw the figures of ``run`` into ``directory``, print its numbers, and name what was written.

    ``figure`` is the name of one that there is of any run (:mod:`gcbarrier.report.anyrun`), in place of its
    experiment's own.
    Raises GcBarrierError where the experiment's script is gone or incomplete, or the figures can't be written.
    """
    script = script_of(run) if not figure else _of_any_run(run, figure)
    # Both before anything is written: a script that fails leaves all as it was.
    with waiting("drawing"), discovery.blamed("experiments", run.experiment):
        figures, table = script.figures(run), script.table(run)
        figures = {f"{name}-{figure}" if figure else name: each for name, each in figures.items()}
        if (across := report.machines_figure(run)) is not None:
            figures[f"{run.experiment}-machines"] = across
        written = report.save(figures, directory) if figures else ()
    report.show(table)
    for more in (
        report.machines_table(run),
        report.verification_table(run),
        _counted(run),
        report.left_out_lines(run),
        report.busy_lines(run),
    ):
        if more is not None:
            report.show(more)
    if any(manifest.get("quick") for manifest in run.manifests):
        report.show(Text("measured with --quick: for a first look, not for a paper", style="bold"))
    for line in reached(run):
        report.show(Text(line))
    for loss in losses(run):
        report.show(Text(loss, style="bold"))
    for path in written:
        print(path)


def _counted(run: Run) -> RenderableType | None:
    """What was counted beside the pauses, or where it is if that is more than a screen holds."""
    table = report.counted_table(run)
    if isinstance(table, Table) and table.row_count > _SCREEN:
        where = " and ".join(sorted(name for name in ("notes.csv", "tallies.csv") if (run.directory / name).exists()))
        kept = f"{where or 'the run directory'}, and `gcbarrier report` shows it"
        return Text(f"{table.row_count} numbers were counted beside the pauses: they are in {kept}")
    return table


def reached(run: Run) -> Iterator[str]:
    """How precise the numbers of each machine became, where invocations were added until they are."""
    for manifest in run.manifests:
        found = manifest.get("until")
        for told in found.values() if isinstance(found, Mapping) else ():
            if isinstance(told, Mapping) and told.get("words"):
                yield str(told["words"])


def _of_any_run(run: Run, figure: str) -> Any:
    from gcbarrier.report.anyrun import figure_of

    return figure_of(run, figure)


def script_of(united: Run) -> Any:
    """The experiment's script, which knows what its figures are, or the run's own copy of it.

    Raises GcBarrierError where it is gone."""
    name = united.experiment
    if name not in discovery.names("experiments"):
        find_plugins(united)
    known = discovery.names("experiments")
    if name not in known:
        raise GcBarrierError(
            f"{united.directory} was measured by the experiment {name!r}, which isn't here any more: "
            f"{discovery.nearest(name, known)}put {name}.py back into experiments/, or name with --path the folder "
            "whose experiments/ has it"
        )
    script = discovery.module("experiments", name)
    for function in ("figures", "table"):
        if not callable(getattr(script, function, None)):
            file = discovery.find("experiments", name)
            raise GcBarrierError(f"{file} has no function {function}(run): an experiment needs one to be drawn")
    return script
