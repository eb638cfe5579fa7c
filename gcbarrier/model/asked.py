"""What is asked for: a configuration, a probe, where it runs; and what a barrier promises."""

import re
from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen, validators

from gcbarrier.errors import GcBarrierError
from gcbarrier.model.mapping import FrozenMapping, frozen_mapping

Scalar = bool | int | float | str
Number = int | float
PAGE_BYTES = 4096
MEMORY_TYPES = ("shmem", "shmem-thp", "anonymous", "anonymous-thp", "hugetlb")
"""Where a heap may lie (``native/memory/view.c``), in the order of ``gcb_memory``.

``shmem``: shared, in two views, the mutators' with small pages and the collector's with huge ones where there are any.
``shmem-thp``: the mutators' view has huge pages too, until it is write-protected for the first time, when the kernel
splits its mapping. ``anonymous``: private, small pages, one view. ``anonymous-thp``: the same with huge pages; each is
split at its first tracked store. ``hugetlb``: from the pool of huge pages that root has set aside, one view; these are
never split, and tracked as a whole.
"""

TWO_VIEWS = ("shmem", "shmem-thp")
"""Those of which the collector has a view of its own, that no barrier watches."""

MOST_TIMES = 1024
"""A heap of more times the smallest would hardly ever be collected."""

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

_TIMES = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}


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


def parse_ns(text: str) -> int:
    """``"10ms"``, ``"1.5s"``, ``"200us"``, ``"2min"`` as nanoseconds, more than none. Raises GcBarrierError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|min)\s*", text)
    found = float(match[1]) * _TIMES[match[2]] if match is not None else 0.0
    if not 0.5 < found < 1 << 62:
        raise GcBarrierError(f"{text[:40]!r} is no length of time: write a number and a unit, such as 10ms or 1.5s")
    return round(found)


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


def _multiple(_record: object, attribute: "Attribute[Any]", value: float) -> None:
    """0, or a number of times; nothing runs in less than the smallest heap."""
    if value and not 1 <= value <= MOST_TIMES:
        raise ValueError(f"{attribute.name} must be from 1 to {MOST_TIMES}, or 0 for heap_bytes as it is, not {value}")


def _scalars(_record: object, attribute: "Attribute[Any]", value: object) -> None:
    fits = isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(each, Scalar) for name, each in value.items()
    )
    if not fits:
        raise TypeError(f"{attribute.name} must map names to numbers, truths or texts, not be {value!r:.40}")


def _params() -> Any:
    """A field of parameters: none by default, checked, and never changed."""
    return field(default=FrozenMapping({}), converter=frozen_mapping, validator=_scalars)


_TEXT = validators.instance_of(str)
_CPUS = r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:,[0-9]{1,4}(?:-[0-9]{1,4})?)*"


@frozen(kw_only=True)
class Config:
    """One point of an experiment: a heap over a barrier under a collector.

    A value like any other: configurations that are equal have the same hash, so that they may be keys of a dict.
    """

    heap: str = field(validator=_TEXT)
    barrier: str = field(validator=_TEXT)
    collector: str = field(validator=_TEXT)
    heap_bytes: int = field(default=64 << 20, validator=[whole, validators.ge(1 << 20)])
    heap_params: Mapping[str, Scalar] = _params()
    barrier_params: Mapping[str, Scalar] = _params()
    collector_params: Mapping[str, Scalar] = _params()
    memory: str = field(default="shmem", validator=validators.in_(MEMORY_TYPES))
    mutators: int = field(default=1, validator=[whole, validators.ge(1), validators.le(64)])
    duration_s: float = field(default=1.0, validator=validators.gt(0))
    verify: bool = False
    timed: bool = False
    """Time each operation: ``Outcome.operation_times``. It costs the mutators some tens of nanoseconds each."""
    stress: int = field(default=0, validator=[whole, validators.ge(0), validators.lt(1 << 62)])
    """At every so many safepoints, on average (allocations are some), each mutator waits until a whole cycle has gone
    by; what that frees is poisoned, and every object that a mutator uses is looked at. A reference that no root keeps
    alive then ends the run where it is used next. 0: no stress. For small heaps: each cycle marks all that lives."""
    operations: int = field(default=0, validator=[whole, validators.ge(0), validators.lt(1 << 63)])
    """Each mutator ends after so many, however long they take: runs that do the same compare in what they cost. 0: when
    ``duration_s`` is over."""
    heap_times: float = field(default=0.0, validator=_multiple)
    """The heap is so many times the smallest that its program runs in, rounded up to whole MiB. ``heap_bytes`` is then
    the heap that the program's automatic sizes are made for, until the smallest is found before the run. 0: it is of
    ``heap_bytes``."""
    minheap_bytes: int = field(default=0, validator=[whole, validators.ge(0)])
    """That smallest heap, once it is found: ``heap_bytes`` is the multiple from then on. 0: nobody has looked."""
    pin: str = field(default="", validator=validators.matches_re(rf"(|apart|together|{_CPUS}/{_CPUS})"))
    """Where its threads run: ``apart`` (the collector's on processors of their own), ``together`` (all on one),
    ``0/1-3`` (the collector's on processor 0, each mutator on one of 1 to 3 in turn), or "": wherever the scheduler
    puts them."""

    @heap_bytes.validator
    def _whole_pages(self, _attribute: object, value: int) -> None:
        if value % (1 << 20):
            raise ValueError(f"heap_bytes must be a whole number of MiB, not {value}")

    @property
    def size(self) -> str:
        """Of its heap in words: ``64 MiB``, ``68 MiB (2x)``, which is twice the smallest."""
        times = f" ({self.heap_times:g}x)" if self.minheap_bytes else ""
        return format_bytes(self.heap_bytes) + times

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
    barrier_params: Mapping[str, Scalar] = _params()
    memory: str = field(default="shmem", validator=validators.in_(MEMORY_TYPES))
    heap_bytes: int = field(default=64 << 20, validator=validators.ge(1 << 20))
    """Of memory that it may track; the machine has so much."""
    arguments: Mapping[str, Scalar] = _params()
    """What the function is called with besides."""
    estimate_s: float = field(default=1.0, validator=validators.ge(0))
    """A guess at how long it takes, for progress."""

    @property
    def label(self) -> str:
        """``function/barrier``, for progress and errors."""
        return f"{self.function.rpartition(':')[2]}/{self.barrier}"
