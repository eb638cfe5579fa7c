"""Writing a run directory (:mod:`gcbarrier.results.run` says what is in one), so that what was finished is kept.

The manifest is there from the first second, and every record is on the disk before the next is measured. However a run
ends, its directory can be loaded; what of its plan is missing, its manifest tells.
"""

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Finding, Measured, Outcome, to_json
from gcbarrier.results import durable
from gcbarrier.results.reserve import MANIFEST, Reservation, reopen, reserve
from gcbarrier.results.run import COMPLETE, FINDINGS, FORMAT, OUTCOMES, RUNNING, STOPPED, Run, events_file, load
from gcbarrier.results.tables import OF_FINDINGS, OF_OUTCOMES

SOURCES = "sources"
"""The folder with copies of the plug-ins that a run was made with."""

_UNFINISHED = f"{MANIFEST}.new"
_TABLES = tuple(table.file for table in (*OF_OUTCOMES, *OF_FINDINGS))
_WRITTEN = (OUTCOMES, "events", FINDINGS, SOURCES, *_TABLES, _UNFINISHED, MANIFEST)
"""What a run has in its directory."""


class RunWriter:
    """Writes one run directory; a context manager.

    ::

        with RunWriter(Path("runs/pause_times-1"), {"experiment": "pause_times", ...}) as writer:
            writer.add(measured)
            writer.note(machines=...)
            writer.commit()

    The directory is reserved and its manifest written while the block is entered. Left without :meth:`commit`, by an
    error or Ctrl-C, it is kept where a record was added, and removed where there is nothing to keep.
    """

    def __init__(self, target: Path, manifest: Mapping[str, Any], *, or_next: bool = False) -> None:
        """Nothing is touched before the block is entered.

        ``manifest`` holds ``experiment``; where it holds ``machines``, that maps a machine's name to what was found out
        about it. ``or_next``: another number where the name is taken.
        """
        self._target = Path(os.path.abspath(target))
        self._or_next = or_next
        self._resumed = False
        self._expected: Run | None = None
        self._reservation: Reservation | None = None
        self._manifest: dict[str, Any] = {"format": FORMAT, **manifest}
        self._outcomes = 0
        self._findings = 0
        self._whole = False

    @classmethod
    def resume(cls, directory: Path, expected: Run | None = None) -> Self:
        """Go on with a run that was stopped or killed: what it has stays, and so does its manifest.

        ``expected``: as whoever goes on has seen it; another may have gone on with it since.
        """
        writer = cls(directory, {})
        writer._resumed, writer._expected = True, expected
        return writer

    def __enter__(self) -> Self:
        """Raises GcBarrierError where the target is taken or can't be written, or is no run that could go on."""
        with _explained(self._target):
            if self._resumed:
                self._reopen()
            else:
                self._reserve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reservation is not None
        if self._whole:
            self._reservation.complete()
        elif self._resumed or self._has_records():
            self._stop(problem)
        else:
            self._reservation.abandon()

    @property
    def directory(self) -> Path:
        """Where it is written to, once the block is entered."""
        return self._target

    @property
    def manifest(self) -> Mapping[str, Any]:
        """As it was last written."""
        return self._manifest

    def note(self, **changes: Any) -> None:
        """Change what the manifest says. Raises GcBarrierError where the disk does not take it."""
        changed = {**self._manifest, **changes}
        text = json.dumps(changed, indent=2, default=str) + "\n"
        with _explained(self._target):
            durable.replace(self._target / MANIFEST, text.encode("utf-8"), unfinished=self._target / _UNFINISHED)
        self._manifest = changed

    def add(self, measured: Measured) -> None:
        """Keep a session's outcome with its raw events, or a probe's finding.

        Raises GcBarrierError where the disk does not take it; what was added before is whole then.
        """
        record, events = measured.record, measured.events
        if events and not events.startswith(b"\x93NUMPY"):
            raise ValueError("events must be the bytes of an .npy file")
        with _explained(self._target):
            if events:
                # Before the record: one that is there has its events, and events without a record are nobody's.
                file = events_file(self._target, self._outcomes)
                durable.replace(file, events, unfinished=file.with_suffix(".new"))
            name = OUTCOMES if isinstance(record, Outcome) else FINDINGS
            durable.append(self._target / name, to_json(record) + "\n")
            if isinstance(record, Outcome):
                self._outcomes += 1
            else:
                self._findings += 1
            self._tabulate(record)

    def keep(self, copies: Mapping[str, Path]) -> None:
        """Copy files into the directory's :data:`SOURCES`, each under its relative name.

        Raises GcBarrierError where one can't be read or the disk does not take it.
        """
        for name, source in copies.items():
            target = self._target / SOURCES / name
            with _explained(self._target):
                # A run that goes on may have nothing but these very copies.
                if target.exists() and target.samefile(source):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def commit(self, **changes: Any) -> Path:
        """The run is whole: say so in its manifest, with these ``changes``, and return the directory.

        Raises GcBarrierError where the disk does not take it.
        """
        self.note(**changes, state=COMPLETE)
        self._whole = True
        return self._target

    def _reserve(self) -> None:
        self._reservation = reserve(self._target, _WRITTEN, or_next=self._or_next)
        self._target = self._reservation.folder
        try:
            self.note(state=RUNNING)
            (self._target / "events").mkdir()
            (self._target / OUTCOMES).touch()
            self._begin_tables()
        except BaseException:
            self._reservation.abandon()
            raise

    def _reopen(self) -> None:
        """Go on where another process stopped; what it was writing at that moment is cut off."""
        self._reservation = reopen(self._target)
        try:
            # A run may be killed right after its manifest was written.
            (self._target / OUTCOMES).touch()
            for name in (OUTCOMES, FINDINGS):
                durable.whole_lines(self._target / name)
            found = load(self._target)
            self._refuse_another(found)
            (self._target / "events").mkdir(exist_ok=True)
            self._manifest = dict(found.manifest)
            self._outcomes, self._findings = len(found.outcomes), len(found.findings)
            self._tabulate_anew(found)
            self.note(state=RUNNING)
        except BaseException:
            self._reservation.leave()
            raise

    def _refuse_another(self, found: Run) -> None:
        """Raises GcBarrierError where the run, locked by now, is not what was to be gone on with."""
        before = self._expected
        if before and (found.manifest.get("state") == COMPLETE or len(found.records) != len(before.records)):
            raise GcBarrierError(f"another process has gone on with {self._target} meanwhile: look how far it came")

    def _has_records(self) -> bool:
        # The files know: Ctrl-C may come between a record's writing and its counting.
        files = (self._target / OUTCOMES, self._target / FINDINGS)
        return any(file.exists() and file.stat().st_size for file in files)

    def _stop(self, problem: BaseException | None) -> None:
        assert self._reservation is not None
        try:
            if isinstance(problem, KeyboardInterrupt):
                # It may have come between a record and its rows.
                self._tabulate_anew(load(self._target))
            self.note(state=STOPPED, stopped=_cause(problem))
        except GcBarrierError:
            # A full disk has no room for this either: a lock that nobody holds tells that the run has ended.
            self._reservation.leave()
        else:
            self._reservation.complete()

    def _tabulate_anew(self, found: Run) -> None:
        with _explained(self._target):
            for name in _TABLES:
                (self._target / name).unlink(missing_ok=True)
            self._begin_tables()
            for record in found.records:
                self._tabulate(record)

    def _begin_tables(self) -> None:
        """Those that every run has, though it may never have a row for them."""
        for table in OF_OUTCOMES:
            if table.kept is None:
                durable.append(self._target / table.file, _lines([table.names]))

    def _tabulate(self, record: Outcome | Finding) -> None:
        """The rows of one record. A table that not every run has begins with the first record that asks for it."""
        for table in OF_OUTCOMES if isinstance(record, Outcome) else OF_FINDINGS:
            file = self._target / table.file
            if not file.exists():
                if table.kept is not None and not table.kept(record):
                    continue
                durable.append(file, _lines([table.names]))
            if rows := _lines(table.rows([record], str(self._manifest["experiment"]))):
                durable.append(file, rows)


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cause(problem: BaseException | None) -> str:
    """Why a run stopped, for its manifest."""
    if problem is None:
        return "it was left before its end"
    return "interrupted" if isinstance(problem, KeyboardInterrupt) else str(problem) or type(problem).__name__


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """What the file system refuses, as the one sentence a user meets."""
    try:
        yield
    except OSError as problem:
        remedy = "choose a folder you can write to with --out"
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "free some space or choose another place with --out"
        reason = os.strerror(problem.errno) if problem.errno else problem
        raise GcBarrierError(f"{target} can't be written: {reason}; {remedy}") from problem


__all__ = ["SOURCES", "RunWriter"]
