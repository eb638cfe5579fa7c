"""Facts of the baseline: where soft-dirty reports too much, and where it loses writes, with async uffd beside it.

Each fact is tried twice on scratch mappings of its own, once for each of the two ways of tracking.
"""

import contextlib
import os
from collections.abc import Callable, Iterator

from attrs import frozen

from conformance import kernel
from gcbarrier.machines import features
from gcbarrier.model import PAGE_BYTES

PAGES = 64
SIZE = PAGES * PAGE_BYTES
HUGE = 2 << 20
PRIVATE = kernel.MAP_PRIVATE | kernel.MAP_ANONYMOUS
BESIDE = kernel.MAP_FIXED_NOREPLACE


@frozen
class Way:
    """One way of tracking: arm a range for as long as a block runs, and the written pages of a range."""

    name: str
    armed: Callable[[int, int], contextlib.AbstractContextManager[None]]
    written: Callable[[int, int], list[int]]


@contextlib.contextmanager
def _cleared(_address: int, _size: int) -> Iterator[None]:
    kernel.clear_soft_dirty()
    yield


SOFT_DIRTY = Way(
    "soft-dirty", _cleared, lambda address, pages: kernel.pages_with_bit(address, pages, kernel.SOFT_DIRTY_BIT)
)
UFFD = Way("uffd", kernel.tracked_by_uffd, kernel.written_by_uffd)


def observed() -> dict[str, dict[str, int]]:
    """For every fact, how many pages each way reported; nothing where the kernel lacks soft-dirty."""
    if not features.feature("soft-dirty").works:
        return {}
    return {fact.__name__: {way.name: fact(way) for way in (SOFT_DIRTY, UFFD)} for fact in FACTS}


def fresh_mapping(way: Way) -> int:
    """One page written in memory that was mapped after soft-dirty was cleared; uffd arms the new range."""
    if way is SOFT_DIRTY:
        kernel.clear_soft_dirty()
    with _mapping(SIZE, populate=False) as address, _armed_if_uffd(way, address):
        kernel.poke(address, [3])
        return len(way.written(address, PAGES))


def _armed_if_uffd(way: Way, address: int) -> contextlib.AbstractContextManager[None]:
    return way.armed(address, SIZE) if way is UFFD else contextlib.nullcontext()


def merged_anonymous(way: Way) -> int:
    """One page written, and then a private mapping comes to lie beside it."""
    with _mapping(SIZE) as address, way.armed(address, SIZE):
        kernel.poke(address, [3])
        kernel.mmap(SIZE, at=address + SIZE, flags=PRIVATE | BESIDE)
        return len(way.written(address, PAGES))


def merged_shared(way: Way) -> int:
    """The same with two parts of one memory file."""
    with _file(2 * SIZE) as file, _mapping(SIZE, file) as address, way.armed(address, SIZE):
        kernel.poke(address, [3])
        kernel.mmap(SIZE, file=file, offset=SIZE, at=address + SIZE, flags=kernel.MAP_SHARED | BESIDE)
        return len(way.written(address, PAGES))


def moved(way: Way) -> int:
    """One page written, and then the mapping is moved. Uffd no longer tracks it, and so reads as written."""
    with _mapping(SIZE) as address, way.armed(address, SIZE):
        kernel.poke(address, [3])
        kernel.mremap(address, SIZE, SIZE, to=address + SIZE)
        return len(way.written(address + SIZE, PAGES))


def dropped_from_the_page_tables(way: Way) -> int:
    """Eight pages of a memory file written, then MADV_DONTNEED, then a read brings them back."""
    with _file(SIZE) as file, _mapping(SIZE, file) as address, way.armed(address, SIZE):
        kernel.poke(address, range(8))
        kernel.madvise(address, SIZE, kernel.MADV_DONTNEED)
        _read(address, PAGES)
        return len(way.written(address, PAGES))


def huge_page_split(way: Way) -> int:
    """Eight pages in a huge page of a memory file written, then mprotect of another page splits it.

    The numbers are the whole huge page's where it was reported, and 0 where the writes were lost.
    """
    pages = HUGE // PAGE_BYTES
    with _file(HUGE) as file, _mapping(HUGE, file) as address:
        kernel.madvise(address, HUGE, kernel.MADV_HUGEPAGE)
        kernel.madvise(address, HUGE, kernel.MADV_COLLAPSE)
        _read(address, pages)
        with way.armed(address, HUGE):
            kernel.poke(address, range(8))
            for protection in (kernel.PROT_READ, kernel.PROT_READ_WRITE):
                kernel.mprotect(address + 300 * PAGE_BYTES, PAGE_BYTES, protection)
            _read(address, pages)
            return len({*way.written(address, pages)} & {*range(8)})


FACTS: tuple[Callable[[Way], int], ...] = (
    *(fresh_mapping, merged_anonymous, merged_shared, moved),
    *(dropped_from_the_page_tables, huge_page_split),
)


@contextlib.contextmanager
def _mapping(size: int, file: int = -1, *, populate: bool = True) -> Iterator[int]:
    """Populated memory at a multiple of 2 MiB, with as much room after it, which goes as well at the end."""
    room = 2 * size + HUGE
    area = kernel.mmap(room, protection=kernel.PROT_NONE, flags=PRIVATE)
    address = area + -area % HUGE
    kernel.munmap(area, room)
    kernel.mmap(size, file=file, at=address, flags=BESIDE | (kernel.MAP_SHARED if file >= 0 else PRIVATE))
    try:
        if populate:
            kernel.poke(address, range(size // PAGE_BYTES))
        yield address
    finally:
        kernel.munmap(address, 2 * size)


@contextlib.contextmanager
def _file(size: int) -> Iterator[int]:
    file = os.memfd_create("conformance")
    try:
        os.truncate(file, size)
        yield file
    finally:
        os.close(file)


def _read(address: int, pages: int) -> None:
    for page in range(pages):
        kernel.peek(address, page)
