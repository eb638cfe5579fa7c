"""Asynchronous write-protection with the kernel's own log of the faults: the dirty set as a list, with no walk.

Each first store to an armed page is a page fault, and ``perf_event_open(2)`` can leave each fault's address in a ring,
one for each mutator thread (``PERF_COUNT_SW_PAGE_FAULTS_MIN`` and ``_MAJ``; ``fault_ring.h`` says why not the sum). A
collect with the mutators stopped reads the rings and nothing else: its cost is that of what was written since, whatever
the size of the heap. While they run, the log says where ``PAGEMAP_SCAN`` is to look and re-arm. Arming again arms what
isn't armed.

Where a record may have been lost, a thread has no ring (``kernel.perf_event_paranoid``) or was attached while armed,
the page tables are scanned as a whole instead; the tallies of the results count these. With no thread attached, as for
:class:`gcbarrier.tracked.Tracked` without ``attach()``, every collect is such a scan.

Rings lie in memory that an ordinary user may lock but little of: ``kernel.perf_event_mlock_kb`` for each processor, and
``RLIMIT_MEMLOCK`` beyond. A heap's mutators have equal parts of it; of threads that come unannounced each takes half of
what those before it left. A smaller ring is full sooner.
"""

from attrs import field, frozen, validators

from gcbarrier.model import MEMORY_TYPES, Barrier


@frozen(kw_only=True)
class Params:
    """The rings, and whether to trust them."""

    ring_kib: int = field(default=0, validator=[validators.ge(0), validators.le(16 << 10)])
    """Of each thread, rounded up to a power of two; a record takes 16 bytes. 0: one for each page,
    up to 16 MiB. Less where no more may be locked."""
    check: bool = False
    """Compare each collect that does not re-arm (mutators stopped) with the page tables; a page that they show as
    written and the log lacks is an error. It costs what the log saves."""


def BARRIER(params: Params) -> Barrier:  # noqa: N802, ARG001 - it stands where the others have a constant
    """What it promises."""
    return Barrier(
        needs=("async-uffd-wp", "pagemap-scan"),
        atomic=True,
        memories=tuple(memory for memory in MEMORY_TYPES if memory != "hugetlb"),
        loses="what io_uring, process_vm_writev or a debugger stores, which leaves no record; and what other system "
        "calls store (read into the heap) where perf may not watch the kernel (perf_event_paranoid above 1, "
        "without CAP_PERFMON)",
    )
