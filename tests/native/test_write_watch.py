"""Write watches as Windows has them: what is told, what is reset, and no range but its own."""

import random
from collections.abc import Callable, Iterator

import pytest
from pages import left_behind, write

from gcbarrier import barriers
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES
from gcbarrier.tracked import Tracked
from gcbarrier.write_watch import WriteWatch

NAMES = ("uffd-wp-async", "uffd-wp-sync", "uffd-wp-sigbus", "mprotect")
MIB = 1 << 20
PAGES = 512

Needs = Callable[..., None]


WATCHABLE = (*NAMES, "uffd-wp-pagemap")


@pytest.fixture(params=WATCHABLE)
def watch(request: pytest.FixtureRequest, needs: Needs) -> Iterator[WriteWatch]:
    needs(*barriers.promises_of(request.param).needs)
    with WriteWatch(PAGES * PAGE_BYTES, request.param) as watch:
        yield watch


def written(watch: WriteWatch, *range_: int, **options: object) -> list[int]:
    """The numbers of the pages whose addresses get() returns."""
    base = (watch.address + range_[0] * PAGE_BYTES, range_[1] * PAGE_BYTES) if range_ else ()
    addresses, granularity = watch.get(*base, **options)
    assert granularity == PAGE_BYTES
    return [int(address - watch.address) // PAGE_BYTES for address in addresses.tolist()]


def test_a_write_watch_tells_until_it_is_reset(watch: WriteWatch) -> None:
    assert written(watch) == [], "new memory counts as unwritten"
    write(watch, [7, 3, 500])
    assert written(watch) == [3, 7, 500]
    assert written(watch) == [3, 7, 500], "looking resets nothing"
    assert written(watch, reset=True) == [3, 7, 500]
    assert written(watch, reset=True) == []
    write(watch, [3])
    assert written(watch, reset=True) == [3]


def test_a_write_watch_resets_just_what_it_returns(watch: WriteWatch) -> None:
    write(watch, range(10))
    assert written(watch, capacity=4, reset=True) == [0, 1, 2, 3]
    write(watch, [2])
    assert written(watch, capacity=3) == [2, 4, 5], "as many as there is room for, the lowest"
    assert written(watch, 6, 2, reset=True) == [6, 7]
    assert written(watch, reset=True) == [2, 4, 5, 8, 9]
    assert written(watch) == []


def test_a_write_watch_resets_the_whole_of_a_range(watch: WriteWatch) -> None:
    write(watch, range(PAGES))
    watch.reset(watch.address + 10 * PAGE_BYTES, (PAGES - 20) * PAGE_BYTES)
    assert written(watch) == [*range(10), *range(PAGES - 10, PAGES)]
    watch.reset()
    assert written(watch) == []
    write(watch, [11])
    assert written(watch) == [11]


def test_a_write_watch_takes_every_page_that_a_range_touches(watch: WriteWatch) -> None:
    write(watch, [4, 5, 6, 7])
    addresses, _ = watch.get(watch.address + 6 * PAGE_BYTES - 1, 2, reset=True)
    assert addresses.tolist() == [watch.address + 5 * PAGE_BYTES, watch.address + 6 * PAGE_BYTES]
    watch.reset(watch.address + 4 * PAGE_BYTES + 1, 1)
    assert written(watch) == [7]


def test_a_write_watch_agrees_with_a_model(watch: WriteWatch) -> None:
    draw = random.Random(1)
    dirty: set[int] = set()
    for _ in range(150):
        first = draw.randrange(PAGES)
        count = draw.randrange(1, PAGES - first + 1)
        match draw.randrange(4):
            case 0 | 1:
                pages = [draw.randrange(PAGES) for _ in range(draw.randrange(40))]
                write(watch, pages)
                dirty.update(pages)
            case 2:
                reset, capacity = draw.random() < 0.6, draw.choice([None, 1, 5, 64])
                expected = sorted(page for page in dirty if first <= page < first + count)[:capacity]
                assert written(watch, first, count, reset=reset, capacity=capacity) == expected
                dirty.difference_update(expected if reset else ())
            case 3 if draw.random() < 0.3:
                watch.reset(watch.address + first * PAGE_BYTES, count * PAGE_BYTES)
                dirty.difference_update(range(first, first + count))
    assert written(watch) == sorted(dirty)


@pytest.mark.parametrize(
    ("base", "size"),
    [(-1, PAGE_BYTES), (0, 0), (0, -1), (0, PAGES * PAGE_BYTES + 1), (PAGES * PAGE_BYTES, 1), (PAGE_BYTES, 2**64 - 1)],
)
def test_a_write_watch_refuses_what_is_no_range_of_its_own(watch: WriteWatch, base: int, size: int) -> None:
    write(watch, [1])
    with pytest.raises(GcBarrierError, match="no part of the"):
        watch.get(watch.address + base, size, reset=True)
    with pytest.raises(GcBarrierError, match="no part of the"):
        watch.reset(watch.address + base, size)
    assert written(watch) == [1]


def test_a_write_watch_refuses_no_room_unknown_flags_and_unwatched_memory(watch: WriteWatch) -> None:
    with pytest.raises(GcBarrierError, match="at least one address"):
        watch.get(capacity=0)
    ffi, lib, space = watch._ffi, watch._lib, watch._space
    room, count, granularity = ffi.new("void *[1]"), ffi.new("size_t *", 1), ffi.new("uint32_t *")
    base = ffi.cast("void *", watch.address)
    assert lib.gcb_get_write_watch(space, 2, base, PAGE_BYTES, room, count, granularity) == -1
    assert b"no flag 0x2" in ffi.string(lib.gcb_error())
    for missing in ((ffi.NULL, count, granularity), (room, ffi.NULL, granularity), (room, count, ffi.NULL)):
        assert lib.gcb_get_write_watch(space, 0, base, PAGE_BYTES, *missing) == -1
    with Tracked(MIB) as memory:
        other = memory._space, ffi.cast("void *", memory.address), PAGE_BYTES
        assert lib.gcb_reset_write_watch(*other) == -1
        assert b"not under a write watch" in ffi.string(lib.gcb_error())


@pytest.mark.parametrize("name", ["none", "cards", "satb"])
def test_a_write_watch_needs_a_barrier_that_notices_all_writes(name: str) -> None:
    before = left_behind()
    with pytest.raises(GcBarrierError):
        WriteWatch(MIB, name)
    assert left_behind() == before
