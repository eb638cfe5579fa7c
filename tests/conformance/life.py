"""Life around the heap: what programs and kernels do to memory while it is tracked.

Nothing may be lost in it; what is reported too many is an observation. A check returns what it saw where that is more
than a pass.
"""

import contextlib
import errno
import os

import numpy as np
from attrs import evolve, frozen

from conformance import kernel
from conformance.apart import Died, apart
from conformance.subject import HUGE_PAGES, USUAL_PAGES, Pages, Subject, collect, demand, lost, surplus, write
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES
from gcbarrier.tracked import Tracked

BEFORE = np.array([10, 11, 700, 1200])
"""The third huge page is written before and not after: nothing brings it back into the page tables."""
AFTER = np.array([12, 13, 701, 702])
BOTH = np.union1d(BEFORE, AFTER)


@frozen(kw_only=True)
class Seen:
    """What a check saw beyond a pass."""

    lost: int = 0
    surplus: int = 0
    note: str = ""
    given_back: bool = False
    """Private memory was given back to the kernel, and the page tables' state with it: reports may be too large."""


def compare(subject: Subject, reported: Pages, written: Pages = BOTH, note: str = "") -> Seen:
    """How a report differs from what was written."""
    missing, excess = lost(reported, written), surplus(subject, reported, written)
    return Seen(lost=missing.size, surplus=excess.size, note=note)


def private(subject: Subject) -> bool:
    """Whether its memory is in no file."""
    return subject.memory.startswith("anonymous")


def settled(subject: Subject, reported: Pages, written: list[int] | Pages, what: str) -> None:
    """As demand(), of memory that has been through something: what says that it reports too much may do so."""
    demand(subject, np.intersect1d(reported, written) if subject.promises.overreports else reported, written, what)


def advise(memory: Tracked, advice: int, first: int = 0, pages: int = USUAL_PAGES) -> str:
    """ "" or why the kernel would not."""
    try:
        kernel.madvise(memory.address + first * PAGE_BYTES, pages * PAGE_BYTES, advice)
    except OSError as problem:
        return os.strerror(problem.errno or 0)
    return ""


def check_fork(subject: Subject) -> Seen:
    """The parent stays exact, before the fork and after it; what the child writes is not the parent's."""
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        apart(write, memory, [1500, 1501])
        write(memory, AFTER)
        reported = collect(memory)
        childs = np.intersect1d(reported, [1500, 1501]).size
        seen = compare(subject, np.setdiff1d(reported, [1500, 1501]) if childs else reported)
        # The child may be collected as well; it just isn't told of here.
        write(memory, [3, 1535])
        settled(subject, np.setdiff1d(collect(memory), [1500, 1501]), [3, 1535], "after the child has gone")
        return seen


def check_dropped_from_the_page_tables(subject: Subject) -> Seen:
    """MADV_DONTNEED: shared memory comes back with its contents, and what was written is still reported."""
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        note = advise(memory, kernel.MADV_DONTNEED)
        write(memory, AFTER)
        return evolve(compare(subject, collect(memory), note=note), given_back=private(subject))


def check_read_after_a_drop(subject: Subject) -> Seen:
    """The same, and everything is read before the report: a page that a read brings back is not written."""
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        note = advise(memory, kernel.MADV_DONTNEED)
        np.frombuffer(memory.view, np.uint8)[::PAGE_BYTES].sum()
        write(memory, AFTER)
        return evolve(compare(subject, collect(memory), note=note), given_back=private(subject))


def check_punched_hole(subject: Subject) -> Seen:
    """Pages taken out of the file: clean ones stay clean, written ones stay written, and the hole is tracked."""
    with subject.usual() as memory:
        handle = kernel.memory_file_of(memory.address)
        if handle is None:
            return Seen(note="no file")
        memory.arm()
        write(memory, BEFORE)
        with os.fdopen(handle, "r+b", buffering=0):
            kernel.punch_hole(handle, 0, HUGE_PAGES * PAGE_BYTES)
        assert memory.view[10 * PAGE_BYTES] == 0, "the hole holds something"
        write(memory, AFTER)
        return compare(subject, collect(memory))


def check_removed(subject: Subject) -> Seen:
    """MADV_REMOVE, which is the same through the mapping."""
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        note = advise(memory, kernel.MADV_REMOVE, 0, HUGE_PAGES)
        write(memory, AFTER)
        return compare(subject, collect(memory), note=note)


def check_paged_out(subject: Subject) -> Seen:
    """MADV_PAGEOUT, which without swap may do nothing."""
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        note = advise(memory, kernel.MADV_PAGEOUT)
        write(memory, AFTER)
        return compare(subject, collect(memory), note=note)


def check_protected_and_released(subject: Subject) -> Seen:
    """mprotect to read-only and back keeps what was written and goes on tracking."""
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        kernel.mprotect(memory.address, memory.size_bytes, kernel.PROT_READ)
        kernel.mprotect(memory.address, memory.size_bytes, kernel.PROT_READ_WRITE)
        write(memory, AFTER)
        return compare(subject, collect(memory))


def check_neighbours(subject: Subject) -> Seen:
    """A mapping of the same kind comes to lie beside the heap, is merged with it if the kernel can, and goes."""
    if subject.memory == "hugetlb":
        return Seen(note="no room for a huge page beside it")
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        beside = _map_beside(memory)
        kernel.poke(beside, [0])
        write(memory, AFTER)
        seen = compare(subject, collect(memory))
        kernel.munmap(beside, PAGE_BYTES)
        write(memory, [USUAL_PAGES - 1])
        settled(subject, collect(memory), [USUAL_PAGES - 1], "after the neighbour has gone")
        return seen


def _map_beside(memory: Tracked) -> int:
    """One page, in place of the one that nobody may touch."""
    end = memory.address + memory.size_bytes
    fixed = kernel.MAP_FIXED if kernel.is_guard(end) else kernel.MAP_FIXED_NOREPLACE
    handle = kernel.memory_file_of(memory.address)
    if handle is None:
        beside = kernel.mmap(PAGE_BYTES, at=end, flags=fixed | kernel.MAP_PRIVATE | kernel.MAP_ANONYMOUS)
    else:
        with os.fdopen(handle, "r+b", buffering=0) as file:
            file.truncate(memory.size_bytes + PAGE_BYTES)
            flags = fixed | kernel.MAP_SHARED
            beside = kernel.mmap(PAGE_BYTES, at=end, flags=flags, file=handle, offset=memory.size_bytes)
    # As the heap's own: only what is alike is merged.
    kernel.madvise(beside, PAGE_BYTES, kernel.MADV_NOHUGEPAGE)
    return beside


def check_moved_and_back(subject: Subject) -> Seen:
    """mremap of the range drops tracking: what follows is an error or a report too large, if it is no report."""
    try:
        return apart(_move_and_back, subject)
    except (GcBarrierError, OSError) as problem:
        # The call itself where the barrier has split the mapping: older kernels move one mapping at a time.
        return Seen(note=f"an error: {problem}")
    except Died as death:
        return Seen(note=f"died: {death}")


def _move_and_back(subject: Subject) -> Seen:
    memory = subject.open()
    memory.arm()
    write(memory, BEFORE)
    size = memory.size_bytes
    room = kernel.mmap(2 * size, protection=kernel.PROT_NONE, flags=kernel.MAP_PRIVATE | kernel.MAP_ANONYMOUS)
    away = room + -room % (2 << 20)
    kernel.mremap(memory.address, size, size, to=away)
    kernel.poke(away, [12, 13])
    kernel.mremap(away, size, size, to=memory.address)
    write(memory, AFTER[2:])
    return compare(subject, collect(memory))


def check_second_userfaultfd(subject: Subject) -> Seen:
    """Two protections can't be stacked: a second userfaultfd is refused where the barrier holds one."""
    holds = any("uffd" in need or "userfaultfd" in need for need in subject.promises.needs)
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        try:
            with kernel.tracked_by_uffd(memory.address, memory.size_bytes, protect=False):
                assert not holds, "a second userfaultfd took the barrier's range"
        except OSError as problem:
            if holds and problem.errno != errno.EBUSY:
                raise
        write(memory, AFTER)
        return compare(subject, collect(memory), note="EBUSY" if holds else "")


def check_other_views(subject: Subject) -> Seen:
    """What goes in through the memory file and not through the tracked view is not seen: no barrier's claim."""
    with subject.usual() as memory:
        handle = kernel.memory_file_of(memory.address)
        if handle is None:
            return Seen(note="no file")
        with os.fdopen(handle, "r+b", buffering=0) as file:
            memory.arm()
            write(memory, BEFORE)
            if subject.memory != "hugetlb":
                os.pwrite(file.fileno(), b"x" * PAGE_BYTES, 1500 * PAGE_BYTES)
                assert memory.view[1500 * PAGE_BYTES] == ord("x")
            settled(subject, collect(memory), BEFORE, "pwrite on the memory file")
        return Seen()


def check_not_armed(subject: Subject) -> Seen:
    """A collect before the first arm promises nothing and must do no harm."""
    total = subject.least_pages
    with subject.open(total) as memory:
        reported = collect(memory, rearm=False)
        assert reported.size == 0 or (reported[0] >= 0 and reported[-1] < total)
        memory.arm()
        write(memory, [1, 6])
        demand(subject, collect(memory), [1, 6], "armed after a collect", total)
        return Seen(note=f"{reported.size} reported before the first arm" if reported.size else "")


def check_two_heaps(subject: Subject) -> Seen:
    """A heap of the same barrier beside it, armed and collected in between, takes nothing from it."""
    with subject.usual() as one, subject.open() as other:
        one.arm()
        other.arm()
        write(one, BEFORE)
        write(other, AFTER)
        reported = collect(other)
        seen = compare(subject, reported, AFTER)
        write(one, AFTER)
        late = collect(one)
        return Seen(lost=seen.lost + lost(late, BOTH).size, surplus=seen.surplus + surplus(subject, late, BOTH).size)


def check_huge_pages_made_and_split(subject: Subject) -> Seen:
    """The kernel is asked to collapse the range, and one page's protection changes, which splits what it made.

    The last check: it leaves the memory otherwise than it was.
    """
    with subject.usual() as memory:
        memory.arm()
        write(memory, BEFORE)
        refused = advise(memory, kernel.MADV_HUGEPAGE) or advise(memory, kernel.MADV_COLLAPSE)
        write(memory, AFTER[:2])
        for huge in range(0, USUAL_PAGES, HUGE_PAGES):
            page = memory.address + (huge + 300) * PAGE_BYTES
            # Hugetlb's can't be split, and says so.
            with contextlib.suppress(OSError):
                kernel.mprotect(page, PAGE_BYTES, kernel.PROT_READ)
                kernel.mprotect(page, PAGE_BYTES, kernel.PROT_READ_WRITE)
        write(memory, AFTER[2:])
        return compare(subject, collect(memory), note=refused)
