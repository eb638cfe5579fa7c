"""Progress on a terminal; nothing anywhere else."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gcbarrier.campaign.runner import Step
from gcbarrier.campaign.watching import Watch
from gcbarrier.errors import Unavailable
from gcbarrier.model import Finding, Measured, Outcome
from gcbarrier.results.burden import burden
from gcbarrier.results.busy import REMEDY, taken
from gcbarrier.results.run import Run


class RunProgress:
    """One bar for each machine, which advances with the time that steps were guessed to take; a context manager."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._steps = 0
        self._done = 0
        self._failed = 0
        self._told_busy = False

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    @property
    def watch(self) -> Watch:
        """What :func:`gcbarrier.campaign.experiments.run` is to be watched with."""
        return Watch(
            note=self._note,
            steps=self._begin,
            more=self._go_on,
            done=self._advance,
            lacking=self._tell,
            left_out=self._tell_left_out,
            told=self._say,
            kept=self._tell_kept,
        )

    def _say(self, sentence: str) -> None:
        self._bars.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def _tell_kept(self, run: Run) -> None:
        there = len(run.outcomes) + len(run.findings)
        of = f" of {run.expected}" if run.expected else ""
        self._say(
            f"{there}{of} invocations are kept in {run.directory}: `gcbarrier plot {run.directory}` draws them, "
            f"`gcbarrier run --resume {run.directory}` does the rest"
        )

    def _tell(self, name: str, problem: Unavailable) -> None:
        if not self._bars.disable:
            self._bars.console.print(f"{name} runs in the lab only: here {problem.why}", markup=False, highlight=False)

    def _tell_left_out(self, machine: str, name: str, problem: Unavailable) -> None:
        if not self._bars.disable:
            remedy = f" ({problem.remedy})" if problem.remedy else ""
            said = f"{name} is left out on {machine}: {problem.why}{remedy}"
            self._bars.console.print(said, markup=False, highlight=False)

    def _note(self, text: str) -> None:
        if self._task is not None and self._done < self._steps:
            return
        self._finish()
        self._task = self._bars.add_task(text, total=None, state="")
        self._steps = 0

    def _begin(self, machine: str, steps: Sequence[Step]) -> None:
        total = sum(step.estimate_s for step in steps)
        if steps and not self._bars.disable:
            until = time.strftime("%H:%M", time.localtime(time.time() + total))
            self._say(f"{machine}: {len(steps)} invocations, {said_s(total)}, until {until}")
        self._go_on(machine, steps)

    def _go_on(self, machine: str, steps: Sequence[Step]) -> None:
        self._finish()
        self._steps, self._done = len(steps), 0
        total = sum(step.estimate_s for step in steps)
        self._task = self._bars.add_task(machine, total=total, state=f"0/{len(steps)}")

    def _advance(self, step: Step, measured: Measured) -> None:
        assert self._task is not None
        self._done += 1
        self._failed += bool(measured.record.error)
        self._tell_busy(step.job.label, measured.record)
        state = f"{self._done}/{self._steps} {step.job.label}"
        if self._failed:
            state += f" ({self._failed} failed)"
        self._bars.update(self._task, advance=step.estimate_s, state=state)

    def _tell_busy(self, label: str, record: Outcome | Finding) -> None:
        """Once, and at once: there is still time to stop and to come back when the machine is quiet."""
        found = burden(record) if isinstance(record, Outcome) else None
        if found is None or not found.busy or self._told_busy or self._bars.disable:
            return
        self._told_busy = True
        said = f"this machine is busy: while {label} ran, {taken(found)}; pauses may be longer for it ({REMEDY})"
        self._bars.console.print(said, markup=False, highlight=False)

    def _finish(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


def said_s(seconds: float) -> str:
    """A guess at a time in words: ``some 14 minutes``."""
    if seconds < 90:
        return f"some {max(round(seconds), 1)} seconds"
    return f"some {seconds / 60:.0f} minutes" if seconds < 5400 else f"some {seconds / 3600:.1f} hours"


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show ``what`` and how long it has taken so far."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task(what, total=None)
        yield
