"""The pages that a real program wrote, written again at its pace: a recording that ``gcbarrier record`` made.

The heap has as many pages as the program had (those that were there when watching began or were written since), in
the order of their addresses, each filled with objects of one size that a tree keeps reachable; their other references
lead to random objects. Then it is done what was recorded: in each tick the pages that were written in it are written
again, ``stores_per_page`` stores to random objects of the page. A store redirects a reference that the tree does not
need to a random object, or, where ``reference_share`` says so, writes a word that is no reference. It begins
``anywhere`` in the recording, as the seed has it, so that short invocations see all of the program between them; behind
the last tick comes the first again.

What a recording doesn't tell:

- **when** within its tick a page was written: writes are spread evenly over it. Runs of neighbouring pages come in a
  shuffled order, the pages of a run ascend.
- **how often**: page tables know of the first store to a page in a tick. A software barrier pays for each store, a page
  barrier for the first since it armed: with ``stores_per_page=1`` page barriers look as bad as they can.
- **what the program allocated**: its fresh memory is pages like others, there from the start. So that cycles come,
  ``garbage_per_store`` objects are allocated beside each store, and die when the ring has come round.

``pace`` is a multiple of the recorded one. A mutator that is late by more than a millisecond (a pause, a machine that
is slower than the recording's) moves the timetable and does not hurry. Several mutators share the pages in turn (page p
is mutator p mod n's) and keep to the same timetable, like the threads of one program.

Where the program is larger than ``live_bytes`` a sample is replayed, ``scale`` of its pages: groups of 16 neighbours,
evenly spread over all, so that runs stay runs. It writes that share of the pages in each tick, too. An operation is one
page that is written.

The recorded ticks are a table of runs in memory, 8 bytes each: at most 256 MiB, and what needs more is refused.
"""

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from attrs import evolve, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cache import travelled
from gcbarrier.model import PAGE_BYTES, format_bytes
from gcbarrier.page_traces import corpus, pagesfile
from gcbarrier.page_traces.records import PageTrace

DEFAULT = "cpython"
"""The recording that is replayed where none is named."""

GROUP = 16
"""Pages that are in a sample together, or not: 64 KiB."""

MOST_RUNS = 1 << 25

THREAD_BYTES = 1 << 16
"""A mutator's blocks to allocate in: one for small objects, one for larger ones."""

_Integers = npt.NDArray[np.int64]


@frozen(kw_only=True)
class Params:
    """Which recording, how much of it, and what is done to its pages."""

    recording: str = field(default="", validator=validators.instance_of(str))
    """A recording by its name in the corpus, or the path of a .pages that `gcbarrier record` made; empty: cpython."""
    process: int = field(default=-1, validator=[validators.ge(-1), validators.lt(1 << 31)])
    """The one to replay, by its number in the recording as `gcbarrier pages` lists them; -1: that wrote most pages."""
    ticks: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 31)])
    """Ticks from its beginning that are replayed; 0: all."""
    scale: float = field(default=0.0, validator=[validators.ge(0), validators.le(1)])
    """Share of its pages that are there and are written; 0: as many as fit into ``live_bytes``, all if they do."""
    live_share: float = field(default=0.4, validator=[validators.gt(0), validators.le(0.8)])
    """Share of the heap that the pages may take, where ``scale`` is automatic."""
    live_bytes: int = field(default=0, validator=[validators.ge(0), validators.lt(1 << 40)])
    """Bytes that they may take then, whatever the heap's size; 0: ``live_share`` of it."""
    object_bytes: int = field(default=64, validator=[validators.ge(32), validators.le(PAGE_BYTES)])
    """Size of an object with its header, a power of two: so objects fill pages."""
    references: int = field(default=4, validator=[validators.ge(3), validators.le(PAGE_BYTES // 8)])
    """References of an object; two of them belong to the tree."""
    pace: float = field(default=1.0, validator=[validators.ge(0), validators.le(1e6)])
    """Times the recorded pace; 0: as fast as it can."""
    anywhere: bool = field(default=True, validator=validators.instance_of(bool))
    """Begin at a tick that the run's seed chooses; false: at the first."""
    stores_per_page: int = field(default=1, validator=[validators.ge(1), validators.le(1 << 20)])
    """Stores to a page each time that it is written."""
    reference_share: float = field(default=1.0, validator=[validators.ge(0), validators.le(1)])
    """Share of the stores that write a reference, which software barriers notice; others write a word beside those."""
    garbage_per_store: float = field(default=1.0, validator=[validators.ge(0), validators.le(1000)])
    """Objects allocated beside a store, on average."""
    ring: int = field(default=1024, validator=[validators.ge(1), validators.le(1 << 20)])
    """Of each mutator's fresh objects the last so many stay reachable."""


@frozen(kw_only=True, eq=False)
class Replay:
    """A trace, or a sample of it, as the mutators follow it: its pages have the numbers 0 to ``pages - 1``."""

    pages: int
    begin_ns: _Integers
    """ticks + 1: when each begins, since the first did; the last: when all is over."""
    starts: _Integers
    """ticks + 1: in the two tables of runs that follow."""
    written: _Integers
    """ticks: pages."""
    firsts: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.uint32]
    """Pages that follow one another."""

    def idle(self, mutators: int) -> int:
        """How many of so many mutators would have no page to write."""
        if len(self.lengths) and self.lengths.max() >= mutators:
            return 0
        firsts, lengths = self.firsts.astype(np.int64), self.lengths.astype(np.int64)
        before = np.cumsum(lengths) - lengths
        pages = np.repeat(firsts - before, lengths) + np.arange(lengths.sum())
        return mutators - len(np.unique(pages % mutators))


def resolve(params: Params, *, heap_bytes: int, mutators: int) -> Params:  # noqa: ARG001 - one signature for all heaps
    """The parameters with the automatic share of the pages made concrete."""
    live_bytes = params.live_bytes or int(params.live_share * heap_bytes)
    there = len(trace_of(params).pages) * PAGE_BYTES
    return evolve(params, scale=params.scale or min(1.0, live_bytes / max(there, 1)))


def check(params: Params, *, heap_bytes: int, mutators: int) -> None:
    """Raises GcBarrierError where resolved parameters contradict each other or don't fit into the heap."""
    _check_objects(params)
    replay = replay_of(params)
    name = params.recording or DEFAULT
    if replay.pages == 0 or not len(replay.firsts):
        raise GcBarrierError(
            f"nothing is written in this part of the recording {name}: replay more of its ticks, a larger share of its "
            "pages (scale, or a larger heap) or another process"
        )
    if idle := replay.idle(mutators):
        raise GcBarrierError(
            f"{idle} of {mutators} mutators would have no page to write, since they share those of the recording "
            f"{name} in turn: use fewer mutators or more of its pages"
        )
    # 8 fresh objects may hang behind the oldest one in the ring.
    fresh = mutators * (THREAD_BYTES + 8 * params.ring + (params.ring + 8) * params.object_bytes)
    needed = replay.pages * PAGE_BYTES + fresh
    if needed > 0.9 * heap_bytes:
        raise GcBarrierError(
            f"{replay.pages} pages of the recording {name} and the rings take {format_bytes(needed)}, more than nine "
            f"tenths of the heap's {format_bytes(heap_bytes)}: use a heap of at least "
            f"{int(needed / 0.9 / (1 << 20)) + 1} MiB, or less scale (0 makes it fit) or ring"
        )


def _check_objects(params: Params) -> None:
    if params.object_bytes & (params.object_bytes - 1):
        raise GcBarrierError(
            f"trace can't fill pages with objects of {params.object_bytes} bytes: use a power of two, "
            f"such as object_bytes={1 << params.object_bytes.bit_length() - 1}"
        )
    words = 1 if params.reference_share == 1 else 2
    least = 8 + 8 * params.references + 8 * words
    if params.object_bytes < least:
        said = f"{words} word{'s' * (words > 1)}"
        raise GcBarrierError(
            f"{params.references} references, a header and {said} don't fit into object_bytes={params.object_bytes}: "
            f"use at least {1 << (least - 1).bit_length()} bytes or fewer references"
        )


def blob(params: Params, *, heap_bytes: int, mutators: int) -> npt.NDArray[np.uint8]:  # noqa: ARG001
    """The tables that walk.h names `recording`, behind one another."""
    replay = replay_of(params)
    counts = [replay.pages, len(replay.written), len(replay.firsts)]
    wide = np.concatenate([np.array(counts), replay.starts, replay.begin_ns, replay.written]).astype(np.uint64)
    return np.concatenate([each.view(np.uint8) for each in (wide, replay.firsts, replay.lengths)])


def sample(pages: int, scale: float) -> npt.NDArray[np.bool_]:
    """Which of so many pages are in a sample: the same share of each stretch of them, in groups of neighbours."""
    groups = -(-pages // GROUP)
    # What rounding takes from a whole number must not cost a group.
    before = np.floor(np.arange(groups + 1) * scale + 1e-9)
    return np.repeat(np.diff(before) > 0, GROUP)[:pages]


def replay_of(params: Params) -> Replay:
    """What is replayed with resolved parameters. Raises GcBarrierError where it is too much."""
    path, stamp, process = _file(params)
    return _sampled(path, stamp, process, params.scale, params.ticks)


def trace_of(params: Params) -> PageTrace:
    """The trace that is replayed, as it was recorded. Raises GcBarrierError where it can't be read."""
    return _load(*_file(params))


def _file(params: Params) -> tuple[Path, tuple[int, int], int]:
    """Where the recording lies, what changes when it does, and whose trace is wanted."""
    path = corpus.find(params.recording or DEFAULT)
    try:
        status = travelled(path).stat()
        return path, (status.st_mtime_ns, status.st_size), params.process
    except OSError:
        return path, (0, 0), params.process  # reading it says what is wrong


@functools.lru_cache(maxsize=2)
def _load(path: Path, _stamp: tuple[int, int], process: int) -> PageTrace:
    """Once per file, since resolve(), check() and blob() all need it. What was written stays compressed in it."""
    found = pagesfile.read(path)
    if process < 0:
        return found.main
    if process >= len(found.traces):
        raise GcBarrierError(
            f"the recording {path.stem} has no process {process}: the last of its {len(found.traces)} is number "
            f"{len(found.traces) - 1} (`gcbarrier pages` lists them)"
        )
    return found.traces[process]


@functools.lru_cache(maxsize=2)
def _sampled(path: Path, stamp: tuple[int, int], process: int, scale: float, most_ticks: int) -> Replay:
    trace = _load(path, stamp, process)
    ticks = min(trace.ticks, most_ticks or trace.ticks)
    there = sample(len(trace.pages), scale)
    number = np.cumsum(there) - 1
    firsts, lengths, runs = [], [], 0
    for tick in range(ticks):
        written = trace.written(tick)
        pages = number[written[there[written]]]
        first = np.flatnonzero(np.diff(pages, prepend=-2) != 1)
        firsts.append(pages[first].astype(np.uint32))
        lengths.append(np.diff(np.r_[first, len(pages)]).astype(np.uint32))
        runs += len(first)
        if runs > MOST_RUNS:
            raise GcBarrierError(
                f"the first {tick + 1} ticks of the recording {path.stem} take more than "
                f"{format_bytes(8 * MOST_RUNS)} as the table that mutators follow: set trace.ticks={tick} or fewer, "
                "or a smaller scale"
            )
    begins = trace.begin_ns[:ticks]
    end_ns = trace.begin_ns[ticks] if ticks < trace.ticks else trace.end_ns[-1] if ticks else 0
    return Replay(
        pages=int(there.sum()),
        begin_ns=np.r_[begins, end_ns] - (begins[0] if ticks else 0),
        starts=np.cumsum([0, *map(len, firsts)]),
        written=np.array([each.sum(dtype=np.int64) for each in lengths], dtype=np.int64),
        firsts=np.concatenate([np.empty(0, dtype=np.uint32), *firsts]),
        lengths=np.concatenate([np.empty(0, dtype=np.uint32), *lengths]),
    )
