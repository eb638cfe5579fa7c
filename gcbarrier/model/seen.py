"""What came back: pauses, cycles and the rest of an outcome; readings and findings."""

from collections.abc import Mapping
from typing import NewType

from attrs import field, frozen, validators

from gcbarrier.displayed import Displayed
from gcbarrier.model.asked import Invocation, Number, Probe, Scalar
from gcbarrier.model.temper import Temper

Word = NewType("Word", int)
"""64 bits without a sign; all other whole numbers of records have one, as in numpy's arrays."""


@frozen(kw_only=True)
class Pause:
    """One stop of the world. ``pause_ns`` runs from the request to the moment the last mutator ran again."""

    cycle: int
    kind: str
    """``remark``, ``rearm`` (a barrier that can't re-arm with mutators running), ``snapshot``, ``fork``,
    ``flip`` (a forked child has marked), ``minor`` (a remark, or all of the marking, of a cycle in which old objects
    stayed marked), or ``full``."""
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
    """Whether a thread that took part was involuntarily descheduled around it.

    The collector's in the pause; a mutator that was waited for, from about the last round before it on; any that was
    held, until it ran again. A mutator in a native region (asleep of its own will, say) holds nothing up.
    """
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
class Outcome(Displayed):
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
    temper: Temper | None = None
    """What else the machine did; None in runs from before this was asked."""


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
class Finding(Displayed):
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
