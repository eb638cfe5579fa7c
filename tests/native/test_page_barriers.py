"""Barriers that notice writes by page, each by itself: exact sets, other memory, what the kernel stores."""

import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pages import collected, python, write

from gcbarrier import barriers
from gcbarrier.model import PAGE_BYTES
from gcbarrier.tracked import Tracked

NAMES = ("uffd-wp-async", "uffd-wp-sync", "uffd-wp-sigbus", "mprotect")
SIGNALLED = ("mprotect", "uffd-wp-sigbus")
MIB = 1 << 20
PAGES = 512
MADV_DONTNEED = 4

Needs = Callable[..., None]
_libc = ctypes.CDLL(None, use_errno=True)

SETS = {
    "nothing": [],
    "all": range(PAGES),
    "alternate": range(0, PAGES, 2),
    "the others": range(1, PAGES, 2),
    "first": [0],
    "last": [PAGES - 1],
    "around a word of the bitmap": [62, 63, 64, 65, 127, 128],
    "a run over words": range(60, 200),
}


@pytest.fixture(params=NAMES)
def barrier(request: pytest.FixtureRequest, needs: Needs) -> str:
    needs(*barriers.promises_of(request.param).needs)
    return str(request.param)


@pytest.mark.parametrize("pages", SETS.values(), ids=SETS)
def test_what_was_written_and_nothing_else(barrier: str, pages: Sequence[int]) -> None:
    with Tracked(PAGES * PAGE_BYTES, barrier) as memory:
        write(memory, range(PAGES))
        memory.arm()
        write(memory, pages, 2)
        assert collected(memory, rearm=False) == list(pages)
        assert [memory.view[page * PAGE_BYTES] for page in range(PAGES)] == [1 + (p in pages) for p in range(PAGES)]


@pytest.mark.parametrize("at", [0, PAGE_BYTES - 1], ids=["first byte", "last byte"])
def test_a_single_byte_at_either_end_of_a_page(barrier: str, at: int) -> None:
    with Tracked(PAGES * PAGE_BYTES, barrier) as memory:
        for page in (0, 1, 255, PAGES - 1):
            memory.arm()
            write(memory, [page], at=at)
            assert collected(memory, rearm=False) == [page]


def test_a_store_across_a_boundary_is_two_pages(barrier: str) -> None:
    with Tracked(PAGES * PAGE_BYTES, barrier) as memory:
        memory.arm()
        ctypes.memset(memory.address + 7 * PAGE_BYTES - 1, 1, 2)
        assert collected(memory, rearm=False) == [6, 7]


def test_pages_that_are_not_present(barrier: str) -> None:
    with Tracked(PAGES * PAGE_BYTES, barrier) as memory:
        assert _libc.madvise(ctypes.c_void_p(memory.address), ctypes.c_size_t(memory.size_bytes), MADV_DONTNEED) == 0
        memory.arm()
        assert memory.view[100 * PAGE_BYTES] == 0, "reading is no writing"
        write(memory, [3, 200])
        assert collected(memory, rearm=True) == [3, 200]
        # Dropped after it was armed: the protection is of the place, present or not.
        assert _libc.madvise(ctypes.c_void_p(memory.address), ctypes.c_size_t(memory.size_bytes), MADV_DONTNEED) == 0
        assert memory.view[4 * PAGE_BYTES] == 0
        write(memory, [4, 200])
        assert collected(memory, rearm=False) == [4, 200]


def test_what_is_armed_again_is_noticed_again(barrier: str) -> None:
    with Tracked(PAGES * PAGE_BYTES, barrier) as memory:
        memory.arm()
        write(memory, [1, 2, 300])
        assert collected(memory, rearm=True) == [1, 2, 300]
        assert collected(memory, rearm=True) == []
        write(memory, [2, 301])
        # Without arming again it is still what was written since the last time.
        assert collected(memory, rearm=False) == [2, 301]
        write(memory, [5])
        assert collected(memory, rearm=False) == [2, 5, 301]
        assert collected(memory, rearm=True) == [2, 5, 301]
        assert collected(memory, rearm=False) == []
        write(memory, range(PAGES))
        memory.arm()
        assert collected(memory, rearm=False) == [], "arming forgets"


@pytest.mark.parametrize("name", [*NAMES, "uffd-wp-pagemap"])
@pytest.mark.parametrize("pages", SETS.values(), ids=SETS)
def test_just_what_is_reported_is_armed_again(name: str, pages: Sequence[int], needs: Needs) -> None:
    needs(*barriers.promises_of(name).needs)
    # The bitmap's last word is not full.
    with Tracked((PAGES + 8) * PAGE_BYTES, name) as memory:
        memory.arm()
        ends = [*pages, PAGES + 1, PAGES + 7]
        write(memory, ends)
        assert collected(memory, rearm=True) == ends
        assert collected(memory, rearm=True) == []
        write(memory, ends, 2)
        assert collected(memory, rearm=False) == ends


@pytest.mark.parametrize("memory_type", ["shmem-thp", "anonymous", "anonymous-thp"])
def test_other_memory(barrier: str, memory_type: str) -> None:
    with Tracked(8 * MIB, barrier, memory=memory_type) as memory:
        memory.arm()
        for written in ([0, 3, 511, 512, 2047], [3, 4, 1024]):
            write(memory, written)
            assert collected(memory, rearm=True) == written


def read_into(memory: Tracked, pages: list[int]) -> None:
    """A system call that writes to the first bytes of these pages."""
    reader, writer = os.pipe()
    try:
        os.write(writer, b"\7" * len(pages))
        os.readv(reader, [memory.view[page * PAGE_BYTES : page * PAGE_BYTES + 1] for page in pages])
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("barrier", ["uffd-wp-async", "uffd-wp-sync"])
def test_what_the_kernel_stores_is_noticed(barrier: str, needs: Needs) -> None:
    needs(*barriers.promises_of(barrier).needs)
    allowed = os.geteuid() == 0 or Path("/proc/sys/vm/unprivileged_userfaultfd").read_text().strip() == "1"
    with Tracked(PAGES * PAGE_BYTES, barrier) as memory:
        memory.arm()
        if barrier == "uffd-wp-sync" and not allowed:
            with pytest.raises(OSError, match="Bad address"):
                read_into(memory, [3, 9])
            return
        read_into(memory, [3, 9])
        assert memory.view[3 * PAGE_BYTES] == memory.view[9 * PAGE_BYTES] == 7
        assert collected(memory, rearm=False) == [3, 9]


@pytest.mark.parametrize("barrier", SIGNALLED)
def test_the_kernel_stores_into_no_page_whose_fault_is_a_signal(barrier: str, needs: Needs) -> None:
    needs(*barriers.promises_of(barrier).needs)
    assert "EFAULT" in barriers.promises_of(barrier).loses
    with Tracked(PAGES * PAGE_BYTES, barrier) as memory:
        memory.arm()
        with pytest.raises(OSError, match="Bad address") as caught:
            read_into(memory, [3])
        assert caught.value.errno == errno.EFAULT
        assert memory.view[3 * PAGE_BYTES] == 0
        assert collected(memory, rearm=False) == [], "nothing was written"
        write(memory, [3])
        read_into(memory, [3])
        assert memory.view[3 * PAGE_BYTES] == 7, "a page that was written is open to the kernel too"


AS_NOBODY = """
import errno, os, sys
from gcbarrier import barriers
from gcbarrier.tracked import Tracked
plugin = barriers.choose("uffd-wp-sync").compile()
Tracked(1 << 20, "uffd-wp-sync", plugin=plugin).close()  # loads what nobody may not read
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
with Tracked(1 << 20, "uffd-wp-sync", plugin=plugin) as memory:
    memory.arm()
    reader, writer = os.pipe()
    os.write(writer, b"x")
    try:
        os.readv(reader, [memory.view[:1]])
        print("read")
    except OSError as problem:
        print(errno.errorcode[problem.errno])
    memory.view[4096] = 1
    print(list(map(int, memory.collect(rearm=False))))
"""


def test_without_privilege_the_kernel_gets_efault(needs: Needs) -> None:
    needs("sync-uffd-wp", "public-checkout")
    assert "EFAULT" in barriers.promises_of("uffd-wp-sync").loses
    child = python(AS_NOBODY)
    assert child.returncode == 0, child.stderr
    if Path("/proc/sys/vm/unprivileged_userfaultfd").read_text().strip() == "1":
        assert child.stdout.split("\n")[:2] == ["read", "[0, 1]"]
    else:
        assert child.stdout.split("\n")[:2] == ["EFAULT", "[1]"]
