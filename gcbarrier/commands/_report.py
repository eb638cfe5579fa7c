"""A run as its experiment shows it: figures into files, numbers onto the terminal."""

from pathlib import Path
from types import ModuleType

from rich.text import Text

from gcbarrier import report
from gcbarrier.commands._progress import waiting
from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery
from gcbarrier.results.lost import losses
from gcbarrier.results.run import Run


def present(run: Run, directory: Path) -> None:
    """Draw the figures of ``run`` into ``directory``, print its numbers, and name what was written.

    Raises GcBarrierError where the experiment's script is gone or incomplete, or the figures can't be written.
    """
    script = _script(run)
    # Both before anything is written: a script that fails leaves all as it was.
    with waiting("drawing"), discovery.blamed("experiments", run.experiment):
        figures, table = dict(script.figures(run)), script.table(run)
        if (across := report.machines_figure(run)) is not None:
            figures[f"{run.experiment}-machines"] = across
        written = report.save(figures, directory) if figures else ()
    report.show(table)
    for more in (
        report.machines_table(run),
        report.verification_table(run),
        report.counted_table(run),
        report.left_out_lines(run),
    ):
        if more is not None:
            report.show(more)
    if any(manifest.get("quick") for manifest in run.manifests):
        report.show(Text("measured with --quick: for a first look, not for a paper", style="bold"))
    for loss in losses(run):
        report.show(Text(loss, style="bold"))
    for path in written:
        print(path)


def _script(united: Run) -> ModuleType:
    """The experiment's script, which knows what its figures are; raises GcBarrierError where it is gone."""
    name = united.experiment
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
