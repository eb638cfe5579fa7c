"""The tables of a run, each defined once: its CSV file and its structured array both come from its columns.

A table has a row for each thing in a record: for each pause in an outcome, say. Columns tell of the record around the
thing or of the thing itself.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from gcbarrier.model import Finding, Outcome, Reading, Scalar, to_json
from gcbarrier.results.burden import is_busy, others_share, steal_share

_DTYPES = {bool: "?", int: "i8", float: "f8"}


@frozen
class Around:
    """A record, and the experiment that it is of."""

    record: Any
    experiment: str


@frozen
class Column:
    """One column: its name, the type of its values, and how to get one."""

    name: str
    kind: type[Scalar]
    get: Callable[[Any], Scalar]
    around: bool = False
    """Whether it is got from what is :class:`Around` the row's thing: once for all of a record's rows."""


# With a __dict__, for what is cached.
@frozen(kw_only=True, slots=False)
class Table:
    """Columns, and what the rows are of."""

    file: str
    """Its name in a run directory."""
    things: Callable[[Any], Iterable[Any]] = field(repr=False)
    """What in a record has a row."""
    columns: tuple[Column, ...] = field(repr=False)
    kept: Callable[[Any], bool] | None = field(default=None, repr=False)
    """The file is there where this holds of some record; None: in every run."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)

    def rows(self, records: Iterable[Any], experiment: str = "") -> Iterator[tuple[Scalar, ...]]:
        """A tuple per row, in the order of the columns."""
        for record in records:
            here = Around(record, experiment)
            gets = [_known(column.get(here)) if column.around else column.get for column in self.columns]
            for thing in self.things(record):
                yield tuple(get(thing) for get in gets)

    def array(self, records: Iterable[Any], experiment: str = "") -> NDArray[Any]:
        """The rows as a structured array, shape ``(n,)``; texts are as wide as the longest."""
        rows = list(self.rows(records, experiment))
        dtype = []
        for index, column in enumerate(self.columns):
            if column.kind is str:
                longest = max((len(str(row[index])) for row in rows), default=1)
                dtype.append((column.name, f"U{max(longest, 1)}"))
            else:
                dtype.append((column.name, _DTYPES[column.kind]))
        return np.array(rows, dtype=dtype)


def _known(value: Scalar) -> Callable[[Any], Scalar]:
    return lambda _thing: value


def _own(kind: type[Scalar], *names: str) -> tuple[Column, ...]:
    """Columns that are called like fields of the row's thing, and hold them."""
    return tuple(Column(name, kind, attrgetter(name)) for name in names)


def _config(kind: type[Scalar], *names: str) -> tuple[Column, ...]:
    """Columns with fields of the outcome's configuration."""
    return tuple(Column(name, kind, attrgetter(f"record.invocation.config.{name}"), around=True) for name in names)


def _settings(around: Around) -> str:
    config = json.loads(to_json(around.record.invocation.config))
    return json.dumps({name: config[name] for name in _REST}, sort_keys=True)


_REST = (
    *("heap_params", "barrier_params", "collector_params", "mutators", "duration_s", "verify", "timed"),
    *("operations", "heap_times", "minheap_bytes", "pin"),
)

_MACHINE = Column("machine", str, attrgetter("record.machine"), around=True)
_EXPERIMENT = Column("experiment", str, attrgetter("experiment"), around=True)
_HEAD = (
    *(_MACHINE, _EXPERIMENT),
    *_config(str, "heap"),
    *_config(int, "heap_bytes"),
    *_config(str, "memory", "barrier", "collector"),
    Column("invocation", int, attrgetter("record.invocation.index"), around=True),
)
"""What a row about something in an outcome begins with."""

_TAIL = (
    Column("failed", bool, lambda around: bool(around.record.error), around=True),
    Column("settings", str, _settings, around=True),
)
"""What it ends with.

``failed``: the invocation did not end well, and no statistic counts it. ``settings``: the rest of the configuration
(parameters, mutators, duration, verify, timed, operations, multiple, pin) as JSON, which tells rows apart that are
otherwise alike.
"""

# New columns go to the end of a table: other people's scripts count on these.

PAUSES = Table(
    file="pauses.csv",
    things=lambda outcome: outcome.pauses,
    columns=(
        *_HEAD,
        *_own(int, "cycle", "pause_ns", "ttsp_ns", "roots_ns", "collect_ns", "rescan_ns", "mark_ns", "resume_ns"),
        *_own(int, "dirty_granules", "rounds"),
        *_own(bool, "preempted"),
        *_own(str, "kind"),
        *_own(int, "start_ns"),
        *_own(bool, "prototype"),
        *_TAIL,
        *_own(bool, "fell_back"),
        Column("busy", str, lambda around: is_busy(around.record), around=True),
        Column("others_cpu_share", float, lambda around: others_share(around.record), around=True),
        Column("steal_share", float, lambda around: steal_share(around.record), around=True),
    ),
)
"""A row per pause; pauses of failed invocations are pauses too.

``busy`` is ``yes`` or ``no``, or ``unknown`` as in runs from before it was asked: whether the machine was at something
else while the invocation ran (:mod:`gcbarrier.results.burden`). ``others_cpu_share`` and ``steal_share``: of the
processors that it may use, what everybody else used of them and what a hypervisor took; ``nan`` where that is unknown.
"""

STALLS = Table(
    file="stalls.csv",
    things=lambda outcome: outcome.stalls,
    columns=(*_HEAD, *_own(int, "cycle", "mutator", "start_ns", "stall_ns", "request_bytes"), *_TAIL),
)
"""A mutator's waits for memory, which are no pauses and stop it all the same."""


def _timed(outcome: Outcome) -> bool:
    return bool(outcome.operation_times)


def _buckets(outcome: Outcome) -> Iterator[tuple[Scalar, ...]]:
    for times in outcome.operation_times:
        for low_ns, high_ns, count in zip(times.low_ns, times.high_ns, times.counts, strict=True):
            yield times.phase, low_ns, high_ns, count


OPERATIONS = Table(
    file="operations.csv",
    things=_buckets,
    columns=(
        *_HEAD,
        Column("phase", str, lambda bucket: bucket[0]),
        Column("low_ns", int, lambda bucket: bucket[1]),
        Column("high_ns", int, lambda bucket: bucket[2]),
        Column("count", int, lambda bucket: bucket[3]),
        *_TAIL,
    ),
    kept=_timed,
)
"""A row for each bucket of the histograms of the mutators' operations."""

SLOW_OPERATIONS = Table(
    file="slow_operations.csv",
    things=lambda outcome: outcome.slow_operations,
    columns=(
        *_HEAD,
        *_own(int, "mutator", "start_ns", "end_ns", "operation_ns"),
        *_own(str, "phase"),
        *_own(bool, "preempted", "blocked"),
        Column("during", str, lambda slow: " ".join(slow.during)),
        *_TAIL,
    ),
    kept=_timed,
)
"""A row for each of the slowest; ``during`` has the events' names."""


NOTES = Table(
    file="notes.csv",
    things=lambda outcome: outcome.notes,
    columns=(*_HEAD, *_own(int, "cycle"), *_own(str, "name"), *_own(float, "value"), *_TAIL),
    kept=lambda outcome: bool(outcome.notes),
)
"""What collectors recorded of their cycles."""

TALLIES = Table(
    file="tallies.csv",
    things=lambda outcome: outcome.tallies.items(),
    columns=(
        *_HEAD,
        Column("name", str, lambda tally: tally[0]),
        Column("count", int, lambda tally: tally[1]),
        *_TAIL,
    ),
    kept=lambda outcome: bool(outcome.tallies),
)
"""What barriers counted beside their reports, in an invocation as a whole."""


def _low(reading: Reading) -> float:
    return reading.value if reading.low is None else reading.low


def _high(reading: Reading) -> float:
    return reading.value if reading.high is None else reading.high


def _always(_finding: Finding) -> bool:
    return True


MEASUREMENTS = Table(
    file="measurements.csv",
    things=lambda finding: finding.readings,
    columns=(
        *(_MACHINE, _EXPERIMENT),
        Column("barrier", str, attrgetter("record.probe.barrier"), around=True),
        Column("memory", str, attrgetter("record.probe.memory"), around=True),
        *_own(str, "what"),
        *_own(float, "x", "value"),
        *_own(str, "unit"),
        Column("invocation", int, attrgetter("record.index"), around=True),
        Column("low", float, _low),
        Column("high", float, _high),
        *_own(int, "samples"),
        Column("heap_bytes", int, attrgetter("record.probe.heap_bytes"), around=True),
        *_own(str, "note"),
    ),
    kept=_always,
)
"""A row per reading of a probe; where there are no samples, low and high are the value.

What a failed probe had read until then is there as well.
"""

OF_OUTCOMES = (PAUSES, STALLS, OPERATIONS, SLOW_OPERATIONS, NOTES, TALLIES)
OF_FINDINGS = (MEASUREMENTS,)

__all__ = [
    "MEASUREMENTS",
    "NOTES",
    "OF_FINDINGS",
    "OF_OUTCOMES",
    "OPERATIONS",
    "PAUSES",
    "SLOW_OPERATIONS",
    "STALLS",
    "TALLIES",
    "Around",
    "Column",
    "Table",
]
