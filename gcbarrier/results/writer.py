"""Writing a run directory (:mod:`gcbarrier.results.run` says what is in one): all of it or nothing."""

import csv
import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Finding, Measured, Outcome, to_json
from gcbarrier.results.reserve import MANIFEST, Reservation, reserve
from gcbarrier.results.run import FINDINGS, FORMAT, OUTCOMES, events_file
from gcbarrier.results.tables import OF_FINDINGS, OF_OUTCOMES, Table

_UNFINISHED = f"{MANIFEST}.new"
_TABLES = tuple(table.file for table in (*OF_OUTCOMES, *OF_FINDINGS))
_WRITTEN = (OUTCOMES, "events", FINDINGS, *_TABLES, _UNFINISHED)
"""What a run has in its directory before it is complete."""


class RunWriter:
    """Writes one run directory; a context manager that leaves either all of it or nothing.

    ::

        with RunWriter(Path("runs/pause_times-1")) as writer:
            writer.add(measured)
            writer.commit({"experiment": "pause_times", ...})

    The directory is reserved while the block is entered. Leaving it without :meth:`commit`, by an error or Ctrl-C,
    removes what was written.
    """

    def __init__(self, target: Path, *, or_next: bool = False) -> None:
        """Nothing is touched before the block is entered. ``or_next``: another number where the name is taken."""
        self._target = Path(os.path.abspath(target))
        self._or_next = or_next
        self._reservation: Reservation | None = None
        self._outcomes: list[Outcome] = []
        self._findings: list[Finding] = []

    def __enter__(self) -> Self:
        """Raises GcBarrierError where the target is taken or can't be written."""
        with _explained(self._target):
            self._reservation = reserve(self._target, _WRITTEN, or_next=self._or_next)
            self._target = self._reservation.folder
            (self._target / "events").mkdir()
            (self._target / OUTCOMES).touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reservation is not None
        if (self._target / MANIFEST).exists():
            self._reservation.complete()
        else:
            self._reservation.abandon()

    def add(self, measured: Measured) -> None:
        """Keep a session's outcome with its raw events, or a probe's finding.

        Raises GcBarrierError where the disk does not take it.
        """
        record, events = measured.record, measured.events
        if events and not events.startswith(b"\x93NUMPY"):
            raise ValueError("events must be the bytes of an .npy file")
        with _explained(self._target):
            if events:
                events_file(self._target, len(self._outcomes)).write_bytes(events)
            name = OUTCOMES if isinstance(record, Outcome) else FINDINGS
            with (self._target / name).open("a", encoding="utf-8") as lines:
                lines.write(to_json(record) + "\n")
        if isinstance(record, Outcome):
            self._outcomes.append(record)
        else:
            self._findings.append(record)

    def commit(self, manifest: Mapping[str, Any]) -> Path:
        """Write the tables and, last, ``manifest``; return the directory.

        ``manifest`` must hold ``experiment``; where it holds ``machines``, that maps the name of a machine to what
        was found out about it. Raises GcBarrierError where the disk does not take it.
        """
        experiment = str(manifest["experiment"])
        with _explained(self._target):
            self._write_tables(OF_OUTCOMES, self._outcomes, experiment)
            self._write_tables(OF_FINDINGS, self._findings, experiment)
            text = json.dumps({"format": FORMAT, **manifest}, indent=2, default=str)
            (self._target / _UNFINISHED).write_text(text + "\n", encoding="utf-8")
            (self._target / _UNFINISHED).rename(self._target / MANIFEST)
        return self._target

    def _write_tables(self, tables: Iterable[Table], records: Sequence[Any], experiment: str) -> None:
        for table in tables:
            if table.kept is None or any(map(table.kept, records)):
                with (self._target / table.file).open("w", newline="", encoding="utf-8") as file:
                    lines = csv.writer(file, lineterminator="\n")
                    lines.writerow(table.names)
                    lines.writerows(table.rows(records, experiment))


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


__all__ = ["RunWriter"]
