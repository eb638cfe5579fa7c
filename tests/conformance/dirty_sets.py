"""Exact dirty sets: what is written, and nothing else, however it is spread and in however many steps."""

import numpy as np

from conformance.subject import USUAL_PAGES, Subject, collect, demand, write
from gcbarrier.model import PAGE_BYTES

ALL = np.arange(USUAL_PAGES)
REGIONS = 4096
"""The kernel's output vector holds so many; what comes after must be asked for again."""


def check_nothing_written(subject: Subject) -> None:
    """Reading is no writing."""
    with subject.usual() as memory:
        memory.arm()
        demand(subject, collect(memory), [], "nothing was touched")
        np.frombuffer(memory.view, np.uint8).max()
        demand(subject, collect(memory), [], "every byte was read")


def check_all_written(subject: Subject) -> None:
    """Every page, and every page again."""
    with subject.usual() as memory:
        memory.arm()
        for value in (1, 2):
            write(memory, ALL, value=value)
            demand(subject, collect(memory), ALL, f"all pages, round {value}")
        demand(subject, collect(memory), [], "nothing since")


def check_alternate_pages(subject: Subject) -> None:
    """Every other page, then the others."""
    with subject.usual() as memory:
        memory.arm()
        for first in (0, 1):
            write(memory, ALL[first::2])
            demand(subject, collect(memory), ALL[first::2], f"every other page from {first}")


def check_single_pages(subject: Subject) -> None:
    """The first, the last, and those beside every 64th, where a word of the report ends."""
    with subject.usual() as memory:
        memory.arm()
        for page in (0, 1, 62, 63, 64, 65, USUAL_PAGES // 2 - 1, USUAL_PAGES // 2, USUAL_PAGES - 2, USUAL_PAGES - 1):
            write(memory, page)
            demand(subject, collect(memory), page, f"page {page} alone")


def check_ends_of_a_page(subject: Subject) -> None:
    """A byte at either end of a page is that page's and no neighbour's."""
    with subject.usual() as memory:
        memory.arm()
        for at in (0, 1, PAGE_BYTES - 2, PAGE_BYTES - 1):
            write(memory, [700, 702], at)
            demand(subject, collect(memory), [700, 702], f"a byte at {at}")


def check_across_pages(subject: Subject) -> None:
    """One copy over several pages that begins and ends within them, and the same in parts."""
    begin, size = 3 * PAGE_BYTES + 4095, 4 * PAGE_BYTES + 2
    pages = np.arange(3, 9)
    with subject.usual() as memory:
        memory.arm()
        memory.view[begin : begin + size] = b"x" * size
        demand(subject, collect(memory), pages, "one copy")
        for at in range(begin, begin + size, 977):
            part = min(977, begin + size - at)
            memory.view[at : at + part] = b"y" * part
        demand(subject, collect(memory), pages, "the same in parts")


def check_whole_range_in_parts(subject: Subject) -> None:
    """The whole memory at once is one report; in parts with a collect after each, each part is its own."""
    step = USUAL_PAGES // 4
    with subject.usual() as memory:
        memory.arm()
        memory.view[:] = b"\1" * memory.size_bytes
        demand(subject, collect(memory), ALL, "the whole at once")
        for begin in range(0, USUAL_PAGES, step):
            part = ALL[begin : begin + step]
            memory.view[begin * PAGE_BYTES : (begin + step) * PAGE_BYTES] = b"\2" * (step * PAGE_BYTES)
            demand(subject, collect(memory), part, f"the part from page {begin}")


def check_collect_without_rearm(subject: Subject) -> None:
    """What is collected and not armed again is there the next time as well, with what came since."""
    with subject.usual() as memory:
        memory.arm()
        write(memory, [5, 600])
        for attempt in range(2):
            demand(subject, collect(memory, rearm=False), [5, 600], f"collected without arming, {attempt}")
        write(memory, 1200)
        demand(subject, collect(memory), [5, 600, 1200], "and one more, armed now")
        demand(subject, collect(memory, rearm=False), [], "nothing since")


def check_rearmed_is_noticed_again(subject: Subject) -> None:
    """A page that was reported and armed again is reported at its next write, as are those never written."""
    with subject.usual() as memory:
        memory.arm()
        for page in range(40, 46):
            write(memory, [40, page])
            demand(subject, collect(memory), [40, page], f"page 40 once more, and {page}")


def check_arm_forgets(subject: Subject) -> None:
    """Arming begins anew: what was written before is not of interest; twice is as good as once."""
    with subject.usual() as memory:
        memory.arm()
        write(memory, ALL[::3])
        memory.arm()
        memory.arm()
        demand(subject, collect(memory), [], "armed again after writes")
        write(memory, [2, 900])
        demand(subject, collect(memory), [2, 900], "written since")


def check_random_sets(subject: Subject) -> None:
    """Sets of any density, one after the other."""
    draw = np.random.default_rng(7)
    with subject.usual() as memory:
        memory.arm()
        for density in (0.001, 0.01, 0.1, 0.5, 0.95):
            pages = np.flatnonzero(draw.random(USUAL_PAGES) < density)
            write(memory, pages, int(draw.integers(PAGE_BYTES)))
            demand(subject, collect(memory), pages, f"a random set of {pages.size} pages")


def check_more_regions_than_a_vector_holds(subject: Subject) -> None:
    """Up to 20,000 separate pages, and counts beside the vector's size: the walk goes on where it stopped."""
    if subject.memory != "shmem":
        return  # what takes up the walk again does not ask what it walks over
    # With a signal or a message for each page, as many pages as the vector holds take long enough.
    walks = "async-uffd-wp" in subject.promises.needs or "soft-dirty" in subject.promises.needs
    counts = (20_000, REGIONS, REGIONS + 1) if walks else (REGIONS + 1,)
    total = 2 * max(counts) // 8 * 8 + 8
    with subject.open(total) as memory:
        memory.arm()
        for count in counts:
            pages = np.arange(count) * 2 + (total - 2 * count + 1)
            write(memory, pages)
            demand(subject, collect(memory), pages, f"{count} separate pages", total)
        demand(subject, collect(memory), [], "nothing since", total)


def check_odd_sizes(subject: Subject) -> None:
    """Heaps that are no whole number of huge pages, down to the smallest."""
    if subject.huge:
        return
    for total in (8, 512 + 8):
        with subject.open(total) as memory:
            memory.arm()
            write(memory, np.arange(total))
            demand(subject, collect(memory), np.arange(total), f"all of {total} pages", total)
            write(memory, [0, total - 1])
            demand(subject, collect(memory), [0, total - 1], f"both ends of {total} pages", total)
