"""Which kernel features work here, each found out by doing the thing.

A kernel's configuration and version do not tell: sandboxes forbid calls, and one interface succeeds silently where the
feature behind it is missing.
"""

import contextlib
import ctypes
import errno
import functools
import mmap
import os
import resource
import select
import signal
import struct
import threading
from collections.abc import Callable, Iterator

from attrs import frozen

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.children import fork
from gcbarrier.model import PAGE_BYTES
from gcbarrier.plugins.discovery import nearest
from gcbarrier.primitives import (
    SOFT_DIRTY_BIT,
    UFFD_EVENT_PAGEFAULT,
    UFFD_FEATURE_PAGEFAULT_FLAG_WP,
    UFFD_FEATURE_SIGBUS,
    UFFD_FEATURE_WP_ASYNC,
    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
    UFFD_MESSAGE,
    UFFD_WP_BIT,
    Pagemap,
    Userfaultfd,
    clear_soft_dirty,
    syscall,
)

_PERF_TYPE_SOFTWARE = 1
_PERF_COUNT_SW_PAGE_FAULTS = 2
_PERF_SAMPLE_ADDR = 1 << 3
_PERF_EXCLUDE_KERNEL = 1 << 5
_PERF_EXCLUDE_HV = 1 << 6
_PERF_DATA_HEAD = 1024
_HUGE_BYTES = 2 << 20
_MESSAGE_DEADLINE_MS = 5000
_SYNCHRONOUS = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM
_NO_SYNCHRONOUS = (
    "this kernel can't write-protect shared memory through userfaultfd",
    "boot Linux 5.19 or newer with CONFIG_PTE_MARKER_UFFD_WP",
)


@frozen(kw_only=True)
class Feature:
    """One kernel feature: whether it ``works`` here, else ``why`` not and the ``remedy`` ("" where there is none)."""

    name: str
    works: bool
    why: str = ""
    remedy: str = ""


def _missing(why: str, remedy: str = "") -> Unavailable:
    return Unavailable("the feature", why, remedy)


@functools.cache
def feature(name: str) -> Feature:
    """Try one feature, once per process. Raises GcBarrierError for a name that isn't one.

    ``soft-dirty`` resets this process's soft-dirty state: ask for it before a barrier tracks by it.
    """
    if name not in _TRIALS:
        raise GcBarrierError(f"no feature is called {name!r}; {nearest(name, _TRIALS)}choose from {', '.join(_TRIALS)}")
    if mmap.PAGESIZE != PAGE_BYTES:
        why = f"a page has {mmap.PAGESIZE} bytes here, and barriers tell pages of {PAGE_BYTES} apart"
        return Feature(name=name, works=False, why=why, remedy="boot a kernel with pages of 4 KiB")
    try:
        _TRIALS[name]()
    except Unavailable as missing:
        return Feature(name=name, works=False, why=missing.why, remedy=missing.remedy)
    except OSError as problem:
        return Feature(name=name, works=False, why=f"the kernel answered {problem.strerror}")
    return Feature(name=name, works=True)


def require(name: str) -> None:
    """Raises Unavailable, with reason and remedy, where the feature doesn't work."""
    tried = feature(name)
    if not tried.works:
        raise Unavailable(name, tried.why, tried.remedy)


def _memfd() -> None:
    """Shared memory without a name, in two views."""
    with _memory_file() as file, _pages(1, file) as (view, _), _pages(1, file) as (alias, _):
        view[0] = 1
        if alias[0] != 1:
            raise _missing("a second mapping of a memfd does not show what the first one wrote")


def _userfaultfd() -> None:
    Userfaultfd(0).close()


def _async_write_protect() -> None:
    """Protect two pages, write to one, and read from the page tables which it was."""
    why = "this kernel does not resolve write-protect faults by itself"
    remedy = "boot Linux 6.7 or newer with CONFIG_PTE_MARKER_UFFD_WP"
    with (
        _memory_file() as file,
        _pages(2, file) as (view, address),
        _handshake(UFFD_FEATURE_WP_ASYNC, why, remedy) as uffd,
        Pagemap() as pagemap,
    ):
        view[0] = view[PAGE_BYTES] = 1
        uffd.register(address, 2 * PAGE_BYTES)
        uffd.protect(address, 2 * PAGE_BYTES)
        view[0] = 2
        if pagemap.bit(address, UFFD_WP_BIT) or not pagemap.bit(address + PAGE_BYTES, UFFD_WP_BIT):
            raise _missing("of two protected pages, the one that was written could not be told from the other")


def _sync_write_protect() -> None:
    """Protect two pages, write to one in a thread, and resolve the message that tells which."""
    with _memory_file() as file, _pages(2, file) as (view, address):
        view[0] = view[PAGE_BYTES] = 1
        written = address + PAGE_BYTES
        # It writes in C, where the interpreter's lock is released: the thread sleeps until somebody answers.
        writer = threading.Thread(target=ctypes.memset, args=(written, 2, 1))
        uffd = _handshake(_SYNCHRONOUS, *_NO_SYNCHRONOUS)
        try:
            uffd.register(address, 2 * PAGE_BYTES)
            uffd.protect(address, 2 * PAGE_BYTES)
            writer.start()
            events = select.poll()
            events.register(uffd, select.POLLIN)
            if not events.poll(_MESSAGE_DEADLINE_MS):
                raise _missing("no message came of a write to a protected page")
            event, _flags, fault = UFFD_MESSAGE.unpack(os.read(uffd.fileno(), UFFD_MESSAGE.size))
            if event != UFFD_EVENT_PAGEFAULT or fault // PAGE_BYTES != written // PAGE_BYTES:
                raise _missing("the message of a write to a protected page names another page")
            if view[PAGE_BYTES] != 1:
                raise _missing("a write to a protected page did not wait for the answer to its message")
            uffd.unprotect(written, PAGE_BYTES)
        finally:
            # Closing wakes the writer whatever went wrong.
            uffd.close()
            if writer.ident is not None:
                writer.join()
        if view[PAGE_BYTES] != 2:
            raise _missing("a write that was let go did not happen")


def _signalled_write_protect() -> None:
    """Protect two pages, open one again, and write to both in a child: the second write is the child's end."""
    with _memory_file() as file, _pages(2, file) as (view, address):
        view[0] = view[PAGE_BYTES] = 1
        verdict = fork(_write_to_protected, view, address, deadline_s=_MESSAGE_DEADLINE_MS // 1000)()
        if isinstance(verdict.problem, Unavailable | OSError):
            raise verdict.problem
        if view[0] != 2:
            raise _missing("a page that was protected and opened again could not be written")
        if signal.SIGBUS.name not in verdict.death or view[PAGE_BYTES] != 1:
            raise _missing("a write to a protected page raised no SIGBUS in the writing thread")


def _write_to_protected(view: mmap.mmap, address: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGBUS, signal.SIG_DFL)
    with _handshake(_SYNCHRONOUS | UFFD_FEATURE_SIGBUS, *_NO_SYNCHRONOUS) as uffd:
        uffd.register(address, 2 * PAGE_BYTES)
        uffd.protect(address, 2 * PAGE_BYTES)
        uffd.unprotect(address, PAGE_BYTES)
        view[0] = view[PAGE_BYTES] = 2


def _pagemap_scan() -> None:
    """Ask about an empty range, which a kernel that knows the question answers with nothing."""
    with Pagemap() as pagemap:
        try:
            found = pagemap.scan_nothing()
        except OSError as problem:
            if problem.errno == errno.ENOTTY:
                raise _missing("this kernel does not know PAGEMAP_SCAN", "boot Linux 6.7 or newer") from problem
            raise
    if found != 0:
        raise _missing(f"PAGEMAP_SCAN found {found} pages in an empty range")


def _perf_page_faults() -> None:
    """Log this thread's page faults, take one, and look whether the log moved."""
    attributes = bytearray(64)
    struct.pack_into("IIQQQ", attributes, 0, _PERF_TYPE_SOFTWARE, 64, _PERF_COUNT_SW_PAGE_FAULTS, 1, _PERF_SAMPLE_ADDR)
    # Without exclude_kernel the default perf_event_paranoid refuses an ordinary user.
    struct.pack_into("Q", attributes, 40, _PERF_EXCLUDE_KERNEL | _PERF_EXCLUDE_HV)
    try:
        log = syscall("perf_event_open", (ctypes.c_char * 64).from_buffer(attributes), 0, -1, -1, 0)
    except OSError as problem:
        raise _missing(*_why_no_perf(problem)) from problem
    try:
        with contextlib.closing(mmap.mmap(log, 2 * mmap.PAGESIZE)) as ring, _pages(1) as (fresh, _):
            fresh[0] = 1
            if struct.unpack_from("Q", ring, _PERF_DATA_HEAD)[0] == 0:
                raise _missing("a page fault left no record in the log")
    except PermissionError as problem:
        raise _missing(
            "the log's memory can't be locked", "raise `ulimit -l` or kernel.perf_event_mlock_kb"
        ) from problem
    finally:
        os.close(log)


def _hugetlb() -> None:
    """One huge page from the pool, mapped and written to."""
    file = os.memfd_create("gcbarrier-probe", os.MFD_HUGETLB | os.MFD_HUGE_2MB)
    try:
        os.ftruncate(file, _HUGE_BYTES)
        with contextlib.closing(mmap.mmap(file, _HUGE_BYTES)) as page:
            page[0] = 1
    except OSError as problem:
        if problem.errno == errno.ENOMEM:
            remedy = "have root run `sysctl vm.nr_hugepages=64`, for 64 huge pages of 2 MiB"
            raise _missing("no huge page is free in the system's pool", remedy) from problem
        raise
    finally:
        os.close(file)


def _soft_dirty() -> None:
    """Clear the bits, write to one page of two, and read back which; the clearing alone always succeeds."""
    remedy = "boot a kernel with CONFIG_MEM_SOFT_DIRTY; `gcbarrier lab setup` fetches one"
    with _memory_file() as file, _pages(2, file) as (view, address), Pagemap() as pagemap:
        view[0] = view[PAGE_BYTES] = 1
        clear_soft_dirty()
        view[0] = 2
        written, other = (pagemap.bit(address + page, SOFT_DIRTY_BIT) for page in (0, PAGE_BYTES))
    if not written:
        raise _missing("a written page does not read as soft-dirty", remedy)
    if other:
        raise _missing("a page that was not written reads as soft-dirty after clearing", remedy)


_TRIALS: dict[str, Callable[[], None]] = {
    "memfd": _memfd,
    "userfaultfd": _userfaultfd,
    "async-uffd-wp": _async_write_protect,
    "sync-uffd-wp": _sync_write_protect,
    "uffd-sigbus": _signalled_write_protect,
    "pagemap-scan": _pagemap_scan,
    "perf-page-faults": _perf_page_faults,
    "soft-dirty": _soft_dirty,
    "hugetlb": _hugetlb,
}


def _handshake(wanted: int, why: str, remedy: str) -> Userfaultfd:
    """A userfaultfd with the ``wanted`` features, or they are missing for the reason given."""
    try:
        return Userfaultfd(wanted)
    except OSError as problem:
        if problem.errno == errno.EINVAL:
            raise _missing(why, remedy) from problem
        raise


def _why_no_perf(problem: OSError) -> tuple[str, str]:
    if problem.errno in (errno.EACCES, errno.EPERM):
        return "perf_event_open is forbidden to this user", "have root run `sysctl kernel.perf_event_paranoid=2`"
    if problem.errno in (errno.ENOSYS, errno.ENOENT):
        return "this kernel has no software page-fault event", "boot one with CONFIG_PERF_EVENTS"
    return f"perf_event_open answered {problem.strerror}", ""


@contextlib.contextmanager
def _memory_file() -> Iterator[int]:
    file = os.memfd_create("gcbarrier-probe")
    try:
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def _pages(count: int, file: int = -1) -> Iterator[tuple[mmap.mmap, int]]:
    """A fresh mapping of ``count`` pages and its address."""
    if file >= 0:
        os.ftruncate(file, count * PAGE_BYTES)
    with contextlib.closing(mmap.mmap(file, count * PAGE_BYTES)) as view:
        address = ctypes.addressof(ctypes.c_char.from_buffer(view))
        yield view, address
