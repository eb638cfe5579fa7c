"""What the machine was like before and during an invocation: its temper. What it does not tell is None."""

from attrs import frozen


@frozen(kw_only=True)
class Gaps:
    """What the machine alone did to threads that only read the clock, right before the invocation.

    A gap is a time between two readings that is longer than the loop itself explains: the thread's processor was at an
    interrupt, at another thread, or not there at all. Shares are of the threads' time together.
    """

    threads: int
    """As many as the invocation has, and one for each processor at most: they must not be in one another's way."""
    wall_ns: int
    turn_ns: int
    """Of the loop, where nothing is in its way: what it can tell apart."""
    least_ns: int
    """From here on it is a gap: twice the longest turn that the loop itself explains."""
    count: int
    longest_ns: int
    p999_ns: int
    """The 99.9th percentile of the gaps."""
    lost_share: float
    short_share: float
    """Lost in gaps shorter than a slice of the scheduler: to interrupts and the kernel's own short jobs, which a quiet
    machine has as well."""
    absent_share: float = 0.0
    """Lost in gaps of a slice or longer in which no other thread had the processor: a hypervisor or the firmware had
    taken it away, whether the kernel knows or not."""
    preempted: int
    """Gaps in which another thread had the processor."""


@frozen(kw_only=True)
class Ran:
    """One thread of the invocation: where it ran, and what the scheduler did to it from when the heap was built on."""

    name: str
    """``collector``, ``mutator 0`` ..., or what a thread calls itself."""
    processor: int | None = None
    """The last one it was seen on."""
    waited_ns: int | None = None
    """It could have run and had no processor. Interrupts and a stolen processor don't count here."""
    voluntary: int = 0
    involuntary: int = 0
    """Context switches: it waited for something; another thread had the processor instead."""
    migrations: int | None = None
    """To another processor."""


@frozen(kw_only=True)
class Temper:
    """What else the machine did. Times without a word are of the measured part: from when the heap was built until the
    last mutator ended; those of processors are of all that the invocation may run on, added up.
    """

    processors: int
    """That the invocation may run on."""
    pinned: str = ""
    """Where its threads were put: ``collector 0, mutators 1``."""
    load: float | None = None
    """The load average of the last minute before it: threads that run or want to, whoever's."""
    runnable_before: int | None = None
    runnable_after: int | None = None
    """Threads of others that ran or wanted to: as one look each saw them."""
    wall_ns: int = 0
    own_ns: int = 0
    """Processor time of the invocation's process and of its children that have ended."""
    others_ns: int | None = None
    """Processor time of everybody else, the kernel's threads included and interrupts not."""
    interrupts_ns: int | None = None
    steal_ns: int | None = None
    """For so long a hypervisor ran something else when a processor was wanted."""
    tick_ns: int = 10_000_000
    """The kernel counts the three before in whole ticks of each processor."""
    pressure_ns: int | None = None
    """For so long some thread of the machine waited for a processor (/proc/pressure/cpu)."""
    throttled: int | None = None
    throttled_ns: int | None = None
    """So often, and for so long, a control group's quota stopped it; the building of the heap included."""
    thermal: int | None = None
    """So often a processor slowed down because of its heat; the building included."""
    mhz_before: float | None = None
    mhz_after: float | None = None
    """Of the processors' clocks, their mean."""
    slice_ns: int | None = None
    """For how long the scheduler lets a thread run before it is another's turn."""
    gaps: Gaps | None = None
    ran: tuple[Ran, ...] = ()
