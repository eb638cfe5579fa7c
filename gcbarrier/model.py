"""The records everything else is made of: what is run, and what came back.

All of them are frozen, take keywords only and are checked when they are made; cattrs turns them into JSON and
back (:func:`to_json`, :func:`from_json`). Sizes are bytes, times are nanoseconds unless a name says otherwise.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NewType, TypeVar

import cattrs
from attrs import Attribute, evolve, field, frozen, validators

from gcbarrier.errors import GcBarrierError

Scalar = bool | int | float | str
Number = int | float
Word = NewType("Word", int)
"""64 bits without a sign; all other whole numbers of records have one, as in numpy's arrays."""
PAGE_BYTES = 4096
MEMORY_TYPES = ("shmem", "shmem-thp", "anonymous", "anonymous-thp", "hugetlb")
"""Where a heap may lie (``native/memory/view.c``), in the order of ``gcb_memory``.

``shmem``: shared, in two views, the mutators' with small pages and the collector's with huge ones where there are any.
``shmem-thp``: the mutators' view has huge pages too, until it is write-protected for the first time, when the kernel
splits its mapping. ``anonymous``: private, small pages, one view. ``anonymous-thp``: the same with huge pages; each is
split at its first tracked store. ``hugetlb``: from the pool of huge pages that root has set aside, one view; these are
never split, and tracked as a whole.
"""

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_bytes(text: str | int) -> int:
    """``"64MiB"``, ``"1g"``, ``"4096"`` as a number of bytes; units are powers of two. Raises GcBarrierError."""
    if isinstance(text, int):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text, re.IGNORECASE)
    if match is None:
        raise GcBarrierError(f"{text!r} is not a size: write a number and a unit, such as 64MiB or 1GiB")
    size = float(match[1]) * _UNITS[match[2].lower()]
    if size >= 1 << 63:
        raise GcBarrierError(f"{text[:40]!r} is too large a size: write one such as 64MiB or 1GiB")
    return int(size)


def format_bytes(count: int) -> str:
    """The shortest exact-looking form: ``1 GiB``, ``64 MiB``, ``1.5 KiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.4g} {unit}"
        value /= 1024
    raise AssertionError


def whole(_record: object, attribute: "Attribute[Any]", value: object) -> None:
    """A validator: a whole number, and none that only looks like one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{attribute.name} must be a whole number, not {value!r:.40}")


def _scalars(_record: object, attribute: "Attribute[Any]", value: object) -> None:
    fits = isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(each, Scalar) for name, each in value.items()
    )
    if not fits:
        raise TypeError(f"{attribute.name} must map names to numbers, truths or texts, not be {value!r:.40}")


_TEXT = validators.instance_of(str)


@frozen(kw_only=True)
class Config:
    """One point of an experiment: a heap over a barrier under a collector."""

    heap: str = field(validator=_TEXT)
    barrier: str = field(validator=_TEXT)
    collector: str = field(validator=_TEXT)
    heap_bytes: int = field(default=64 << 20, validator=[whole, validators.ge(1 << 20)])
    heap_params: Mapping[str, Scalar] = field(factory=dict, validator=_scalars)
    barrier_params: Mapping[str, Scalar] = field(factory=dict, validator=_scalars)
    collector_params: Mapping[str, Scalar] = field(factory=dict, validator=_scalars)
    memory: str = field(default="shmem", validator=validators.in_(MEMORY_TYPES))
    mutators: int = field(default=1, validator=[whole, validators.ge(1), validators.le(64)])
    duration_s: float = field(default=1.0, validator=validators.gt(0))
    verify: bool = False
    timed: bool = False
    """Time each operation: ``Outcome.operation_times``. It costs the mutators some tens of nanoseconds each."""

    @heap_bytes.validator
    def _whole_pages(self, _attribute: object, value: int) -> None:
        if value % (1 << 20):
            raise ValueError(f"heap_bytes must be a whole number of MiB, not {value}")

    @property
    def label(self) -> str:
        """``heap/barrier/collector``, for progress and errors."""
        return f"{self.heap}/{self.barrier}/{self.collector}"


@frozen(kw_only=True)
class Barrier:
    """What a barrier promises and needs: its capabilities."""

    needs: tuple[str, ...] = ()
    """Kernel features, by their names in :mod:`gcbarrier.machines.features`."""
    tracks: bool = True
    """False: it reports nothing, and only a stopped world can be marked."""
    atomic: bool = False
    """It reports and re-arms in one step, so that it may do so while mutators run."""
    snapshot: bool = False
    """It reports what stores overwrite and not where they write: for collectors that mark a snapshot."""
    fork: bool = False
    """A ``snapshot`` that the kernel's copy-on-write keeps: for collectors that fork. It reports nothing at all."""
    memories: tuple[str, ...] = field(default=("shmem",))
    """The :data:`MEMORY_TYPES` that it can watch, the first by default."""
    granule_bytes: int = PAGE_BYTES
    """What one report covers at least; results record what was measured."""
    loses: str = ""
    """In which circumstances it loses writes; "" where it never does."""
    overreports: str = ""
    """In which circumstances it reports what was not written."""

    @memories.validator
    def _known(self, _attribute: object, value: object) -> None:
        if not isinstance(value, tuple) or not value or not set(value) <= set(MEMORY_TYPES):
            raise ValueError(f"memories={value!r}: name one or more of {', '.join(MEMORY_TYPES)} in a tuple")


@frozen(kw_only=True)
class Invocation:
    """One fresh process's worth of a configuration."""

    config: Config
    index: int = field(validator=validators.ge(0))
    seed: int = field(validator=validators.ge(0))
    operations: int = 0
    """Stop each mutator after this many operations (0: when ``duration_s`` is over)."""


@frozen(kw_only=True)
class Pause:
    """One stop of the world. ``pause_ns`` runs from the request to the moment the last mutator ran again."""

    cycle: int
    kind: str
    """``remark``, ``rearm`` (a barrier that can't re-arm with mutators running), ``snapshot``, ``fork``,
    ``flip`` (a forked child has marked), or ``full``."""
    start_ns: int
    pause_ns: int
    ttsp_ns: int
    roots_ns: int
    collect_ns: int
    rescan_ns: int
    mark_ns: int
    resume_ns: int
    dirty_granules: int
    rounds: int
    """Concurrent rescan rounds that came before it in its cycle."""
    preempted: bool
    """Whether a thread that took part was involuntarily descheduled around it."""
    prototype: bool = False
    """Whether Python ran inside it."""
    fell_back: bool = False
    """Whether its collect was done in another, slower way than the barrier's own; ``Outcome.tallies`` may tell why."""


@frozen(kw_only=True)
class Stall:
    """One wait of a mutator for memory: no pause of the collector's making, and none the less a stop."""

    cycle: int
    """The last one that had ended."""
    mutator: int
    start_ns: int
    stall_ns: int
    request_bytes: int


@frozen(kw_only=True)
class Cycle:
    """One collection, as its phases outside the pauses saw it."""

    cycle: int
    cause: str
    start_ns: int
    duration_ns: int
    rounds: int
    marked_objects: int
    """Objects visited by the marker, concurrently and in pauses."""
    mark_ns: int
    """Time in the marker, concurrently and in pauses."""
    live_bytes: int
    round_dirty: tuple[int, ...] = ()
    """Granules that each concurrent round collected."""


@frozen(kw_only=True)
class Note:
    """A number that the collector recorded of one of its cycles."""

    cycle: int
    name: str
    value: Number


PHASES = ("no cycle", "cycle", "mark", "sweep", "rescan", "arm", "collect", "pause")
"""What the collector is at while an operation is done (``gcb_phase``): ``cycle`` is between two of the others.

An operation that meets more than one counts to the later one here. One that slept through a pause has met it.
"""


@frozen(kw_only=True)
class OperationTimes:
    """How many operations took how long while the collector was in one phase: a histogram without its empty buckets.

    ``counts[i]`` operations took ``low_ns[i]`` or longer and less than ``high_ns[i]``, without what the mutator slept
    of its own will; buckets are at most a 64th of their lower bound wide.
    """

    phase: str
    low_ns: tuple[int, ...] = ()
    high_ns: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()


@frozen(kw_only=True)
class SlowOperation:
    """One of the slowest operations, and what it met."""

    mutator: int
    start_ns: int
    end_ns: int
    operation_ns: int
    """Without what the mutator slept of its own will."""
    phase: str
    during: tuple[str, ...] = ()
    """The collector's events, and the mutator's own waits for memory, that overlap it."""
    preempted: bool = False
    """The mutator was descheduled involuntarily."""
    blocked: bool = False
    """It waited in the kernel: for a lock, for the world to go on, for memory."""


@frozen(kw_only=True)
class Verification:
    """What the oracle found; a reachable object left unmarked never gets here: it is an error."""

    cycles_checked: int
    objects_checked: int
    reported_granules: int
    written_granules: int
    false_dirty_granules: int
    """Reported dirty, yet no store was logged there."""
    lost_granules: int
    """A store was logged there, yet neither its own nor the next collect reported it."""
    checksum_matches: bool


@frozen(kw_only=True)
class Outcome:
    """What one invocation brought back. ``error`` is set where it failed; the rest is then what was seen until then."""

    invocation: Invocation
    machine: str
    error: str = ""
    pauses: tuple[Pause, ...] = ()
    cycles: tuple[Cycle, ...] = ()
    stalls: tuple[Stall, ...] = ()
    """Waits for memory: the collector did not keep up with the mutators' allocation."""
    wall_ns: int = 0
    operations: int = 0
    """Completed by all mutators together."""
    mutator_cpu_ns: int = 0
    collector_cpu_ns: int = 0
    minor_faults: int = 0
    """Page faults of the mutator threads while they ran, first stores to armed pages included."""
    allocated_bytes: int = 0
    metadata_bytes: int = 0
    checksum: Word = Word(0)
    verification: Verification | None = None
    operation_times: tuple[OperationTimes, ...] = ()
    """By phase, where the configuration is ``timed``."""
    slow_operations: tuple[SlowOperation, ...] = ()
    """The slowest of these, slowest first."""
    tallies: Mapping[str, int] = field(factory=dict)
    """What the barrier counted beside its reports, such as how often it had to fall back to a slower way."""
    notes: tuple[Note, ...] = ()
    """What the collector recorded of its cycles (:meth:`gcbarrier.core.heap.Heap.note`)."""
    facts: Mapping[str, Scalar] = field(factory=dict)
    """Measured in the invocation's own process: fault cost, clock resolution, compiler flags."""


@frozen(kw_only=True)
class Machine:
    """Where a configuration runs."""

    name: str
    accelerator: str = "native"
    """``native``, ``kvm``, ``tcg``, or ``tcg-icount``: emulated, with a clock that counts instructions."""

    @property
    def emulated(self) -> bool:
        """Whether its instructions are translated: everything is slower by an order of magnitude."""
        return self.accelerator.startswith("tcg")


@frozen(kw_only=True)
class Probe:
    """A measurement that is no session: a function that looks at one barrier by itself, in a fresh process."""

    function: str = field(validator=validators.matches_re(r"[\w.]+:\w+"))
    """``module:name``, importable where it runs; :mod:`gcbarrier.bench.probes` says what it is called with."""
    barrier: str = field(validator=_TEXT)
    barrier_params: Mapping[str, Scalar] = field(factory=dict, validator=_scalars)
    memory: str = field(default="shmem", validator=validators.in_(MEMORY_TYPES))
    heap_bytes: int = field(default=64 << 20, validator=validators.ge(1 << 20))
    """Of memory that it may track; the machine has so much."""
    arguments: Mapping[str, Scalar] = field(factory=dict, validator=_scalars)
    """What the function is called with besides."""
    estimate_s: float = field(default=1.0, validator=validators.ge(0))
    """A guess at how long it takes, for progress."""

    @property
    def label(self) -> str:
        """``function/barrier``, for progress and errors."""
        return f"{self.function.rpartition(':')[2]}/{self.barrier}"


@frozen(kw_only=True)
class Reading:
    """One number that a probe brought back: the centre of its samples, and how far they lie apart."""

    what: str
    value: float
    unit: str
    """``ns`` where the clock was read; on a machine that counts instructions one ns is one instruction."""
    x: float = 0.0
    """What it is drawn against; ``what`` says what that is."""
    low: float | None = None
    high: float | None = None
    """Of the samples; None: the value is a count and not a sample."""
    samples: int = 1
    note: str = ""


@frozen(kw_only=True)
class Finding:
    """What one invocation of a probe brought back. ``error`` is set where it failed."""

    probe: Probe
    index: int = field(validator=validators.ge(0))
    machine: str
    readings: tuple[Reading, ...] = ()
    error: str = ""


@frozen(kw_only=True)
class Measured:
    """What one job brought back: a session's outcome or a probe's finding."""

    record: Outcome | Finding
    events: bytes = field(default=b"", repr=False)
    """A session's raw events, the bytes of an ``.npy`` file; empty where there are none."""


T = TypeVar("T")

converter = cattrs.Converter(forbid_extra_keys=True)
converter.register_structure_hook(Scalar, lambda value, _type: _within(value, 64) if type(value) is int else value)
converter.register_structure_hook(
    Number, lambda value, _type: _within(value, 63) if type(value) is int else float(value)
)
converter.register_structure_hook(int, lambda value, _type: _within(int(value), 63))
converter.register_structure_hook(Word, lambda value, _type: _within(int(value), 64))
# To cattrs, a bool is an int where nobody says otherwise.
converter.register_structure_hook(bool, lambda value, _type: bool(value))


class _TooLarge(ValueError):  # noqa: N818 - it reads as what it says
    """A whole number that numpy's arrays do not hold."""


def _within(value: int, bits: int) -> int:
    if not -(1 << 63) <= value < 1 << bits:
        raise _TooLarge("beyond the whole numbers of 64 bits")
    return value


def _worded(problem: BaseException, kind: type[Any] | None) -> str:
    return str(problem) if isinstance(problem, _TooLarge) else cattrs.v.format_exception(problem, kind)


def to_json(record: Any) -> str:
    """Any record of this module as one line of JSON."""
    return json.dumps(converter.unstructure(record))


def from_json(text: str, cls: type[T]) -> T:
    """The record that :func:`to_json` wrote. Raises GcBarrierError naming what does not fit."""
    try:
        return converter.structure(json.loads(text), cls)
    except (
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        cattrs.BaseValidationError,
    ) as problem:
        found = isinstance(problem, cattrs.BaseValidationError)
        why = "; ".join(cattrs.transform_error(problem, format_exception=_worded)) if found else problem
        raise GcBarrierError(f"that is no {cls.__name__} record: {why}") from problem


__all__ = [
    "MEMORY_TYPES",
    "PAGE_BYTES",
    "PHASES",
    "Barrier",
    "Config",
    "Cycle",
    "Finding",
    "Invocation",
    "Machine",
    "Measured",
    "Note",
    "Number",
    "OperationTimes",
    "Outcome",
    "Pause",
    "Probe",
    "Reading",
    "Scalar",
    "SlowOperation",
    "Stall",
    "Verification",
    "Word",
    "evolve",
    "format_bytes",
    "from_json",
    "parse_bytes",
    "to_json",
    "whole",
]
