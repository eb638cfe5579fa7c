"""What becomes of page tracking when mappings change: the function that the accuracy experiment's probes call.

Every circumstance begins alike: 64 pages, all of them present, tracked by a barrier and armed. A page is written,
something happens to the mapping, another page is written, and the barrier is asked which. Each runs in a child process
of its own, since it may crash.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from gcbarrier import barriers
from gcbarrier.bench.probes import Bench
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES, Reading
from gcbarrier.plugins import discovery

PAGES = 64
GROWN = 192

_ROOM = 4 * GROWN
_DEADLINE_S = 20.0
# Numbers of the kernel's binary interface (include/uapi/asm-generic/mman-common.h, linux/mman.h).
_READ, _WRITE = 1, 2
_SHARED, _PRIVATE, _FIXED, _ANONYMOUS, _NORESERVE = 0x01, 0x02, 0x10, 0x20, 0x4000
_MAYMOVE, _MREMAP_FIXED = 1, 2
_DONTNEED = 4

_libc = ctypes.CDLL(None, use_errno=True)
for _name, _count in (("mmap", 6), ("mremap", 5), ("munmap", 2), ("mprotect", 3), ("madvise", 3), ("read", 3)):
    getattr(_libc, _name).argtypes = [ctypes.c_size_t] * _count
    getattr(_libc, _name).restype = ctypes.c_ssize_t


def _call(name: str, *arguments: int) -> int:
    answer = int(getattr(_libc, name)(*arguments))
    if answer == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return answer


class _Place:
    """Tracked pages with room around them; page numbers count from ``base``."""

    def __init__(self, memory: str) -> None:
        self._file = os.memfd_create("gcbarrier-accuracy") if memory == "shmem" else -1
        if self._file >= 0:
            os.ftruncate(self._file, _ROOM * PAGE_BYTES)
        room = _call("mmap", 0, _ROOM * PAGE_BYTES, 0, _PRIVATE | _ANONYMOUS | _NORESERVE, ctypes.c_size_t(-1).value, 0)
        self.base = room + GROWN * PAGE_BYTES
        self.pages = PAGES
        self._far = room + (_ROOM - GROWN) * PAGE_BYTES
        self.map(0, PAGES)
        for page in range(PAGES):
            self.write(page)

    def map(self, first: int, pages: int, *, at: int | None = None) -> int:
        """Map the memory's pages from ``first`` on, in place or elsewhere."""
        address = self.base + first * PAGE_BYTES if at is None else at
        kind = _SHARED if self._file >= 0 else _PRIVATE | _ANONYMOUS
        file = self._file if self._file >= 0 else ctypes.c_size_t(-1).value
        return _call("mmap", address, pages * PAGE_BYTES, _READ | _WRITE, kind | _FIXED, file, first * PAGE_BYTES)

    def write(self, page: int) -> None:
        ctypes.c_char.from_address(self.base + page * PAGE_BYTES).value = b"x"

    def read_all(self) -> None:
        for page in range(self.pages):
            ctypes.c_char.from_address(self.base + page * PAGE_BYTES).value  # noqa: B018

    def grow(self) -> None:
        """In place, where nothing is in its way."""
        _call("munmap", self.base + PAGES * PAGE_BYTES, (GROWN - PAGES) * PAGE_BYTES)
        _call("mremap", self.base, PAGES * PAGE_BYTES, GROWN * PAGE_BYTES, 0, 0)
        self.pages = GROWN

    def move(self, pages: int = PAGES) -> None:
        sizes = (PAGES * PAGE_BYTES, pages * PAGE_BYTES)
        self.base = _call("mremap", self.base, *sizes, _MAYMOVE | _MREMAP_FIXED, self._far)
        self.pages = pages

    def advise(self, advice: int) -> None:
        _call("madvise", self.base, PAGES * PAGE_BYTES, advice)

    def protect(self, protection: int) -> None:
        _call("mprotect", self.base, PAGES * PAGE_BYTES, protection)

    def write_by_kernel(self, page: int) -> None:
        zeros = os.open("/dev/zero", os.O_RDONLY)
        try:
            _call("read", zeros, self.base + page * PAGE_BYTES, 8)
        finally:
            os.close(zeros)

    def write_elsewhere(self, page: int) -> None:
        view = self.map(page, 1, at=self._far)
        ctypes.c_char.from_address(view).value = b"y"


def _plain(place: _Place) -> set[int]:
    return _around(place, lambda: None)


def _merged(place: _Place) -> set[int]:
    return _around(place, lambda: place.map(PAGES, PAGES))


def _grown(place: _Place) -> set[int]:
    return _around(place, lambda: place.grow())


def _grown_elsewhere(place: _Place) -> set[int]:
    return _around(place, lambda: place.move(pages=GROWN))


def _moved(place: _Place) -> set[int]:
    return _around(place, lambda: place.move())


def _mapped_anew(place: _Place) -> set[int]:
    place.write(5)
    place.map(PAGES // 2, PAGES // 2)
    place.read_all()
    place.write(PAGES // 2 + 9)
    return {5, PAGES // 2 + 9}


def _dropped(place: _Place) -> set[int]:
    written = set(range(0, PAGES, 8))
    for page in written:
        place.write(page)
    place.advise(_DONTNEED)
    place.read_all()
    return written


def _forked(place: _Place) -> set[int]:
    return _around(place, _fork)


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _read_only(place: _Place) -> set[int]:
    def there_and_back() -> None:
        place.protect(_READ)
        place.protect(_READ | _WRITE)

    return _around(place, there_and_back)


def _around(place: _Place, happen: Callable[[], object]) -> set[int]:
    place.write(5)
    happen()
    place.write(9)
    return {5, 9}


def _by_kernel(place: _Place) -> set[int]:
    place.write_by_kernel(5)
    return {5}


def _elsewhere(place: _Place) -> set[int]:
    place.write_elsewhere(5)
    return {5}


CIRCUMSTANCES: dict[str, tuple[Callable[[_Place], set[int]], tuple[str, ...]]] = {
    "plain write": (_plain, ("shmem", "anonymous")),
    "neighbour merges": (_merged, ("shmem", "anonymous")),
    "mremap grows it": (_grown, ("shmem", "anonymous")),
    "mremap grows and moves it": (_grown_elsewhere, ("shmem", "anonymous")),
    "mremap moves it": (_moved, ("shmem", "anonymous")),
    "half mapped anew": (_mapped_anew, ("shmem",)),
    "MADV_DONTNEED": (_dropped, ("shmem",)),
    "fork": (_forked, ("shmem", "anonymous")),
    "read-only and back": (_read_only, ("shmem", "anonymous")),
    "written by read(2)": (_by_kernel, ("shmem", "anonymous")),
    "another mapping writes": (_elsewhere, ("shmem",)),
}
"""What happens, by name, and the memory for which what is expected is certain."""


def accuracy(bench: Bench) -> Iterator[Reading]:
    """Every circumstance that suits the probe's memory.

    Readings: ``<circumstance>/expected``, ``/reported``, ``/false`` (reported and not written) and ``/lost`` (written
    and not reported), in pages of ``x``. Where the barrier gives no answer there is ``/refused`` alone, with the reason
    as its note: it says so, and nothing is lost silently.
    """
    for name, (happen, memories) in CIRCUMSTANCES.items():
        if bench.probe.memory not in memories:
            continue
        found = _in_child(lambda happen=happen: _try(bench, happen))  # type: ignore[misc]
        if "refused" in found:
            yield Reading(what=f"{name}/refused", value=1, unit="answers", x=PAGES, note=found["refused"])
            continue
        expected, reported = set(found["expected"]), set(found["reported"])
        for what, pages in (
            ("expected", expected),
            ("reported", reported),
            ("false", reported - expected),
            ("lost", expected - reported),
        ):
            yield Reading(what=f"{name}/{what}", value=len(pages), unit="pages", x=found["pages"])


def _try(bench: Bench, happen: Callable[[_Place], set[int]]) -> dict[str, Any]:
    lib, ffi = bench.core.lib, bench.core.ffi
    place = _Place(bench.probe.memory)

    def pointer() -> Any:
        return ffi.cast("void *", place.base)

    watch = lib.gcb_range_open(
        bench.core.barrier(bench.job.barrier.library), pointer(), PAGES * PAGE_BYTES, GROWN * PAGE_BYTES
    )
    if watch == ffi.NULL or lib.gcb_range_arm(watch) < 0:
        raise bench.core.failure()
    expected = happen(place)
    lib.gcb_range_moved(watch, pointer(), place.pages * PAGE_BYTES)
    if lib.gcb_range_collect(watch) < 0:
        raise bench.core.failure()
    words = lib.gcb_range_words(watch)
    reported = [page for page in range(place.pages) if words[page // 64] >> page % 64 & 1]
    return {"expected": sorted(expected), "reported": reported, "pages": place.pages}


def _in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` returns in a process of its own; ``refused`` where it does not come to that."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, json.dumps(_answer(work)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    data, end = b"", time.monotonic() + _DEADLINE_S
    while select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(reader, 1 << 16)
        data += part
        if not part:
            break
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if data:
        found: dict[str, Any] = json.loads(data)
        return found
    how = "it hung" if status == -signal.SIGKILL else f"it crashed ({signal.Signals(-status).name})"
    return {"refused": how if status < 0 else "it gave no answer"}


def _answer(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except (GcBarrierError, OSError) as problem:
        return {"refused": str(problem)}


def page_barriers() -> tuple[str, ...]:
    """The barriers that are here and watch pages, by what they promise: they can be laid over any mapping."""
    chosen = [barriers.choose(name) for name in discovery.names("barriers")]
    return tuple(
        one.name
        for one in chosen
        if one.promises.tracks and not one.promises.fork and not one.store_header and not one.prototype
    )


__all__ = ["CIRCUMSTANCES", "GROWN", "PAGES", "accuracy", "page_barriers"]
