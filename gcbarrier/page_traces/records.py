"""What a recording of page writes holds."""

from collections.abc import Iterator
from collections.abc import Mapping as Facts
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from attrs import field, frozen, validators

from gcbarrier.page_traces.coding import Runs, collapsed, encoded, expanded, merged
from gcbarrier.page_traces.kept import KeptRuns

_whole = [validators.instance_of(int), validators.ge(0), validators.lt(1 << 63)]  # as nanoseconds are kept
_address = [validators.instance_of(int), validators.ge(0), validators.lt(1 << 64)]
_wholes = validators.deep_iterable(validators.and_(*_whole), validators.instance_of(tuple))
_words = validators.deep_iterable(validators.instance_of(str), validators.instance_of(tuple))

UFFD, SOFT_DIRTY = "uffd-wp-async", "soft-dirty"
TRACKERS = (UFFD, SOFT_DIRTY)
BEGINNINGS = ("start", "fork", "exec", "attach")

COLUMNS = ("begin_ns", "end_ns", "collect_ns", "cpu_ns", "faults")
"""What is known of a tick, besides its pages."""

_Integers = npt.NDArray[np.int64]
_Array = TypeVar("_Array", bound=npt.NDArray[Any])


@frozen(kw_only=True)
class Mapping:
    """A private mapping of a program, while it was there; one that changes its ends is another."""

    start: int = field(validator=_address)
    """First address, in bytes."""
    end: int = field(validator=_address)
    """The address behind the last byte."""
    name: str = field(default="", validator=validators.instance_of(str))
    """As ``/proc/PID/maps`` has it: ``[heap]``, ``[stack]``, a file's path; anonymous ones have none."""
    since: int = field(default=0, validator=_whole)
    """The tick that it was first seen at."""
    until: int | None = field(default=None, validator=validators.optional(validators.and_(*_whole)))
    """The tick that it was gone at; None: it was there to the end."""


@frozen(kw_only=True)
class Slowdown:
    """How long the program took, watched at one interval or not at all."""

    every_ns: int = field(validator=_whole)
    """0: not watched."""
    wall_ns: tuple[int, ...] = field(validator=_wholes)
    """From its start to its end, a repetition each."""
    cpu_ns: tuple[int, ...] = field(validator=_wholes)
    """Processor time of it and of its children, in user and kernel mode, a repetition each."""


@frozen(kw_only=True, eq=False, slots=False)  # slots would leave no place for what is only computed when asked for
class PageTrace:
    """Which pages one process wrote, tick by tick. A fork begins a new one, and so does executing another program.

    A page counts as written in a tick where it was stored to at least once; how often, page tables don't tell.
    """

    pid: int = field(validator=_whole)
    parent_pid: int | None = field(default=None, validator=validators.optional(validators.and_(*_whole)))
    began: str = field(default="start", validator=validators.in_(BEGINNINGS))
    command: tuple[str, ...] = field(default=(), validator=_words)
    ended: str = field(default="", validator=validators.instance_of(str))
    """``exit 0``, ``signal 9``, ``exec``, ``still running``, or a sentence."""
    page_bytes: int = field(default=4096, validator=validators.in_([1 << bits for bits in range(12, 22)]))
    mappings: tuple[Mapping, ...] = field(
        default=(), validator=validators.deep_iterable(validators.instance_of(Mapping), validators.instance_of(tuple))
    )
    begin_ns: _Integers
    """int64[ticks]: when a tick began, since the recording did (as the other columns: read-only)."""
    end_ns: _Integers
    collect_ns: _Integers
    """How long the recorder took to read what was written and to arm it again, at the tick's end."""
    cpu_ns: _Integers
    """The process's own processor time within the tick, in user and kernel mode."""
    faults: _Integers
    """Its minor page faults within the tick."""
    _kept: KeptRuns = field(alias="kept", repr=False)
    _before: KeptRuns = field(alias="before", repr=False)

    def __attrs_post_init__(self) -> None:
        for name in COLUMNS:
            getattr(self, name).setflags(write=False)

    @cached_property
    def pages(self) -> npt.NDArray[np.uint64]:
        """Address in bytes of every page that was written, or there when watching began; ascending."""
        return _read_only(expanded(merged([self._kept.union, self._before.union])) * np.uint64(self.page_bytes))

    @cached_property
    def initial(self) -> npt.NDArray[np.uint32]:
        """Indices into ``pages``: written before watching began."""
        return _read_only(self._indices(self._before.union))

    @cached_property
    def counts(self) -> _Integers:
        """int64[ticks]: pages written in each tick."""
        return _read_only(self._kept.pages())

    @property
    def ticks(self) -> int:
        """How many there are."""
        return len(self.begin_ns)

    @property
    def duration_ns(self) -> int:
        """From the beginning of its first tick to the end of its last one."""
        return int(self.end_ns[-1] - self.begin_ns[0]) if self.ticks else 0

    def written(self, tick: int) -> npt.NDArray[np.uint32]:
        """Ascending indices into ``pages``. Quick where ticks are asked for in order: they are kept compressed."""
        return self._indices(self._kept.runs(tick))

    def runs(self, tick: int) -> Runs:
        """The same as runs of addresses: uint64[n, 2], first byte and the byte behind the last, ascending."""
        runs = self._kept.runs(tick) * np.uint64(self.page_bytes)
        return np.stack([runs[:, 0], runs[:, 0] + runs[:, 1]], axis=1)

    def writes(self) -> Iterator[npt.NDArray[np.uint32]]:
        """``written`` of each tick."""
        return (self.written(tick) for tick in range(self.ticks))

    def _indices(self, runs: Runs) -> npt.NDArray[np.uint32]:
        firsts = np.searchsorted(self.pages, runs[:, 0] * np.uint64(self.page_bytes)).astype(np.uint64)
        return expanded(np.stack([firsts, runs[:, 1]], axis=1)).astype(np.uint32)

    @classmethod
    def of(cls, writes: list[npt.ArrayLike], *, every_ns: int, pid: int = 1, **rest: Any) -> "PageTrace":
        """A trace that nobody recorded: of each tick the numbers of the pages written, for tests and what-ifs."""
        runs = [collapsed(np.unique(np.asarray(each, dtype=np.uint64))) for each in writes]
        coded = [encoded(each) for each in runs]
        kept = KeptRuns.of(
            [(gaps, lengths, np.array([len(each)])) for (gaps, lengths), each in zip(coded, runs, strict=True)]
        )
        begins = np.arange(len(writes), dtype=np.int64) * every_ns
        zeros = np.zeros(len(writes), dtype=np.int64)
        columns = {
            "begin_ns": begins,
            "end_ns": begins + every_ns,
            "collect_ns": zeros,
            "cpu_ns": zeros,
            "faults": zeros,
        }
        return cls(
            pid=pid,
            kept=kept,
            before=KeptRuns.of([]),
            **{**columns, **rest},
        )


@frozen(kw_only=True, eq=False)
class Recording:
    """Everything that one call of ``gcbarrier record`` saw."""

    command: tuple[str, ...] = field(validator=_words)
    every_ns: int = field(validator=[validators.instance_of(int), validators.gt(0)])
    """The interval that was asked for; what it became is in each trace's ``begin_ns``."""
    tracker: str = field(validator=validators.in_(TRACKERS))
    facts: Facts[str, str] = field(factory=dict)
    """Kernel, processor, date and the like, in words."""
    notes: tuple[str, ...] = field(default=(), validator=_words)
    """What could not be followed, or was otherwise than asked; sentences."""
    slowdowns: tuple[Slowdown, ...] = field(default=())
    traces: tuple[PageTrace, ...] = field(validator=validators.min_len(1))
    """In the order in which they began."""

    @property
    def main(self) -> PageTrace:
        """The process that wrote most pages, over all ticks."""
        return max(self.traces, key=lambda trace: int(trace.counts.sum()))


def _read_only(array: _Array) -> _Array:
    array.setflags(write=False)
    return array
