"""Barriers that notice writes by page, each by itself: exact sets, racing stores, limits, what they leave behind."""

import contextlib
import ctypes
import errno
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from places import CHECKOUT, TESTS
from race import build, run

from gcbarrier import barriers
from gcbarrier.core.library import open_core
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import MEMORY_TYPES, PAGE_BYTES
from gcbarrier.tracked import Tracked
from gcbarrier.write_watch import WriteWatch

BARRIERS = CHECKOUT / "gcbarrier/barriers"
NONATOMIC = TESTS / "native/nonatomic.c"
NAMES = ("uffd-wp-async", "uffd-wp-sync", "mprotect")
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
    needs(*barriers.load(request.param).needs)
    return str(request.param)


def write(memory: Tracked, pages: Sequence[int], value: int = 1, at: int = 0) -> None:
    for page in pages:
        memory.view[page * PAGE_BYTES + at] = value


def collected(memory: Tracked, *, rearm: bool) -> list[int]:
    return [int(page) for page in memory.collect(rearm=rearm)]


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
    needs(*barriers.load(barrier).needs)
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


def test_the_kernel_stores_into_no_page_protected_by_mprotect() -> None:
    assert "EFAULT" in barriers.load("mprotect").loses
    with Tracked(PAGES * PAGE_BYTES, "mprotect") as memory:
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
    assert "EFAULT" in barriers.load("uffd-wp-sync").loses
    child = python(AS_NOBODY)
    assert child.returncode == 0, child.stderr
    if Path("/proc/sys/vm/unprivileged_userfaultfd").read_text().strip() == "1":
        assert child.stdout.split("\n")[:2] == ["read", "[0, 1]"]
    else:
        assert child.stdout.split("\n")[:2] == ["EFAULT", "[1]"]


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=CHECKOUT)


def left_behind() -> tuple[list[str], list[str], bytes]:
    """Threads, file descriptors, and the handler of SIGSEGV."""
    handler = ctypes.create_string_buffer(256)
    assert _libc.sigaction(signal.SIGSEGV, None, handler) == 0
    files = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            files.append(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return sorted(os.listdir("/proc/self/task")), sorted(files), handler.raw[:8]


def test_close_leaves_no_thread_no_file_and_no_handler(barrier: str) -> None:
    Tracked(MIB, barrier).close()  # what is loaded stays
    before = left_behind()
    for _ in range(3):
        with Tracked(MIB, barrier) as memory, Tracked(MIB, barrier) as other:
            for each in (memory, other):
                each.arm()
                write(each, [1])
                assert collected(each, rearm=True) == [1]
            if barrier != "uffd-wp-async":
                assert left_behind() != before
            memory.close()
            write(other, [2])
            assert collected(other, rearm=True) == [2], "the other one goes on"
        assert left_behind() == before


def test_a_failed_open_leaves_nothing_either(barrier: str) -> None:
    plugin = barriers.choose(barrier).compile()
    core = open_core(plugin.core)
    operations = core.barrier(plugin.library)

    def opens() -> bool:
        space = core.lib.gcb_space_new(MIB, MEMORY_TYPES.index("shmem"), operations, False)
        core.lib.gcb_space_free(space)
        return space != core.ffi.NULL

    assert opens()
    before = left_behind()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    failures = 0
    try:
        # One more descriptor each time, until there are enough.
        for files in range(3, soft):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
            if opens():
                break
            failures += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert failures > 0
    assert left_behind() == before


def test_the_handler_thread_takes_no_signal_of_the_process(needs: Needs) -> None:
    needs("sync-uffd-wp")
    with Tracked(MIB, "uffd-wp-sync") as memory:
        memory.arm()
        write(memory, [0])  # it runs, and is past what the C library does first
        (status,) = [
            text
            for task in Path("/proc/self/task").iterdir()
            if "gcb-uffd-wp" in (text := task.joinpath("status").read_text())
        ]
    blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1):
        assert blocked >> (number - 1) & 1
    assert not blocked >> (signal.SIGSEGV - 1) & 1


def test_sixteen_by_page_protection_fit_in_a_process() -> None:
    before = left_behind()
    opened = [Tracked(MIB, "mprotect") for _ in range(16)]
    try:
        with pytest.raises(GcBarrierError, match="no more than 16"):
            Tracked(MIB, "mprotect")
        for memory in opened:
            memory.arm()
        for number, memory in enumerate(opened):
            write(memory, [number])
        for number, memory in enumerate(opened):
            assert collected(memory, rearm=False) == [number]
    finally:
        for memory in opened:
            memory.close()
    assert left_behind() == before


CRASHES = {
    "an address that is not mapped": "ctypes.memset(16, 1, 1)",
    "read-only memory of somebody else": """
libc.mmap.restype = ctypes.c_void_p
ctypes.memset(libc.mmap(None, 4096, 1, 0x22, -1, 0), 1, 1)""",
    "the heap's contents as a program": "ctypes.CFUNCTYPE(None)(memory.address)()",
    "a signal that was sent": "os.kill(os.getpid(), signal.SIGSEGV)",
    "with another handler below": "memory.close(); faulthandler.enable(); open_one(); ctypes.memset(16, 1, 1)",
    "after the last barrier": "memory.close(); ctypes.memset(16, 1, 1)",
}
CRASH = """
import ctypes, faulthandler, os, resource, signal, sys
from gcbarrier.tracked import Tracked
libc = ctypes.CDLL(None)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def open_one():
    global memory
    memory = Tracked(1 << 20, "mprotect")
    memory.arm()
    memory.view[0] = 1
    assert list(memory.collect(rearm=True)) == [0]
open_one()
exec(sys.argv[1])
signal.pause()
"""


@pytest.mark.parametrize("crash", CRASHES)
def test_a_real_crash_is_still_one(crash: str) -> None:
    child = python(CRASH, CRASHES[crash])
    assert child.returncode == -signal.SIGSEGV, child.stdout + child.stderr
    assert ("Fatal Python error: Segmentation fault" in child.stderr) == ("another handler" in crash), child.stderr


IN_THE_WAY = """
import faulthandler
from gcbarrier.errors import GcBarrierError
from gcbarrier.tracked import Tracked
memory = Tracked(1 << 20, "mprotect")
faulthandler.enable()  # and does not know of ours
memory.close()
try:
    Tracked(1 << 20, "mprotect")
except GcBarrierError as problem:
    print(problem)
faulthandler.disable()
with Tracked(1 << 20, "mprotect") as memory:
    memory.arm()
    memory.view[4096] = 1
    print(list(map(int, memory.collect(rearm=True))))
"""


def test_a_handler_that_came_later_is_an_error_and_no_crash() -> None:
    child = python(IN_THE_WAY)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout == "another SIGSEGV handler is in the way of the barrier's\n[1]\n"


FORKED = """
import os, sys
from gcbarrier.tracked import Tracked
memory = Tracked(1 << 20, sys.argv[1])
memory.arm()
memory.view[0] = 1
child = os.fork()
if child == 0:
    memory.view[4096 * 2] = 1
    memory.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
memory.view[4096 * 5] = 1
print(list(map(int, memory.collect(rearm=True))))
memory.view[4096] = 1
# And out, with everything still open.
"""


def test_a_forked_child_writes_closes_and_ends(barrier: str) -> None:
    child = python(FORKED, barrier)
    assert (child.returncode, child.stdout, child.stderr) == (0, "[0, 5]\n", "")


def test_more_mappings_than_the_kernel_allows_are_an_error_and_no_loss() -> None:
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    pages = -(-(limit + 512) // 8) * 8
    with Tracked(pages * PAGE_BYTES, "mprotect") as memory:
        memory.arm()
        write(memory, range(0, pages, 2), 5)
        for rearm in (True, False):
            with pytest.raises(GcBarrierError, match=rf"vm\.max_map_count = {limit} allows.*sysctl vm\.max_map_count="):
                memory.collect(rearm=rearm)
        everything = np.frombuffer(memory.view, np.uint8)[::PAGE_BYTES].copy()
        assert list(np.flatnonzero(everything == 5)) == list(range(0, pages, 2)), "every store was made"
        assert len(Path("/proc/self/maps").read_text().splitlines()) < limit // 2, "one mapping again"
        memory.arm()
        write(memory, [3, 4, 9])
        assert collected(memory, rearm=True) == [3, 4, 9], "armed anew, it tracks again"


ATOMIC = ("uffd_wp_async", "uffd_wp_sync", "mprotect")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    folder = tmp_path_factory.mktemp("race")
    return lambda source: build(source, folder / f"race-{source.stem}")


@pytest.mark.parametrize("name", ATOMIC)
@pytest.mark.parametrize("mode", ["run", "stop"])
def test_racing_stores_lose_nothing(name: str, mode: str, needs: Needs, programs: Callable[[Path], Path]) -> None:
    promises = barriers.load(name.replace("_", "-"))
    assert promises.atomic
    needs(*promises.needs)
    counted = run(programs(BARRIERS / f"{name}.c"), 1, 16, 2, mode)
    assert counted["lost"] == 0
    assert counted["cycles"] >= 1
    assert counted["stores"] > 1000
    assert counted["reported"] > 1000


def loses(program: Path, mib: int) -> bool:
    """Sooner or later, which a busy machine decides."""
    return any(run(program, 0.5, mib, 2, "run")["lost"] > 0 for _ in range(20))


def test_racing_stores_show_a_barrier_that_reports_and_protects_in_two_steps(
    needs: Needs, programs: Callable[[Path], Path]
) -> None:
    needs("async-uffd-wp")
    program = programs(NONATOMIC)
    assert loses(program, 16)
    assert run(program, 0.5, 16, 2, "stop")["lost"] == 0, "with the writers stopped it is as good as any"


# Bit and protection in the wrong order; the text must occur once.
BIT = "  atomic_fetch_or_explicit(&w->written[page >> 6], UINT64_C(1) << (page & 63), memory_order_release);\n"
WRITABLE = "  if (change(w, page, 1, PROT_READ | PROT_WRITE))\n"


def test_racing_stores_show_a_bit_that_is_set_too_early(tmp_path: Path) -> None:
    text = (BARRIERS / "mprotect.c").read_text()
    assert text.count(BIT) == text.count(WRITABLE) == 1
    broken = tmp_path / "early.c"
    broken.write_text(text.replace(BIT, "").replace(WRITABLE, BIT + WRITABLE))
    assert loses(build(broken, tmp_path / "race"), 1)


WATCHABLE = (*NAMES, "uffd-wp-pagemap")


@pytest.fixture(params=WATCHABLE)
def watch(request: pytest.FixtureRequest, needs: Needs) -> Iterator[WriteWatch]:
    needs(*barriers.load(request.param).needs)
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
    module = watch._module
    ffi, lib, space = module.ffi, module.lib, watch._space
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
