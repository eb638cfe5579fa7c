"""Which kernel features work here, each found out by doing the thing.

A kernel's configuration and version do not tell: sandboxes forbid calls, and one interface succeeds silently where the
feature behind it is missing.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import mmap
import os
import platform
import select
import struct
import threading
from collections.abc import Callable, Iterator

from attrs import frozen

from gcbarrier import build
from gcbarrier.discovery import nearest
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.model import PAGE_BYTES

# Numbers of the kernel's binary interface, which never change.
_SYSCALLS = {
    "x86_64": {"userfaultfd": 323, "perf_event_open": 298},
    "aarch64": {"userfaultfd": 282, "perf_event_open": 241},
}
_UFFD_USER_MODE_ONLY = 1
_UFFD_API = 0xAA
_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_UFFDIO_WRITEPROTECT = 0xC018AA06
_UFFD_FEATURE_PAGEFAULT_FLAG_WP = 1 << 0
_UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12
_UFFD_FEATURE_WP_ASYNC = 1 << 15
_UFFD_EVENT_PAGEFAULT = 0x12
_UFFD_MESSAGE = struct.Struct("B7xQQ8x")  # struct uffd_msg: event, flags and address of the fault
_REGISTER_MODE_WP = 2
_WRITEPROTECT_MODE_WP = 1
_PAGEMAP_SCAN = 0xC0606610
_PERF_TYPE_SOFTWARE = 1
_PERF_COUNT_SW_PAGE_FAULTS = 2
_PERF_SAMPLE_ADDR = 1 << 3
_PERF_EXCLUDE_KERNEL = 1 << 5
_PERF_EXCLUDE_HV = 1 << 6
_PERF_DATA_HEAD = 1024
_HUGE_BYTES = 2 << 20
_SOFT_DIRTY_BIT = 55
_UFFD_WP_BIT = 57
_BDWGC = "libgc.so.1"
_BDWGC_MAJOR = 8
_MESSAGE_DEADLINE_MS = 5000

_libc = ctypes.CDLL(None, use_errno=True)


@frozen(kw_only=True)
class Feature:
    """One kernel feature: whether it ``works`` here, else ``why`` not and the ``remedy`` ("" where there is none)."""

    name: str
    works: bool
    why: str = ""
    remedy: str = ""


class _Missing(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, why: str, remedy: str = "") -> None:
        self.why = why
        self.remedy = remedy
        super().__init__(why)


def features() -> tuple[Feature, ...]:
    """Every feature that a barrier may need, each tried once per process."""
    return tuple(feature(name) for name in _PROBES)


@functools.cache
def feature(name: str) -> Feature:
    """Try one feature, once per process. Raises GcBarrierError for a name that isn't one.

    ``soft-dirty`` resets this process's soft-dirty state: ask for it before a barrier tracks by it.
    """
    if name not in _PROBES:
        raise GcBarrierError(f"no feature is called {name!r}; {nearest(name, _PROBES)}choose from {', '.join(_PROBES)}")
    try:
        _PROBES[name]()
    except _Missing as missing:
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
            raise _Missing("a second mapping of a memfd does not show what the first one wrote")


def _userfaultfd() -> None:
    os.close(_open_userfaultfd())


def _async_write_protect() -> None:
    """Protect two pages, write to one, and read from the page tables which it was."""
    with _memory_file() as file, _pages(2, file) as (view, address):
        view[0] = view[PAGE_BYTES] = 1
        handle = _open_userfaultfd()
        try:
            why = "this kernel does not resolve write-protect faults by itself"
            _handshake(handle, _UFFD_FEATURE_WP_ASYNC, why, "boot Linux 6.7 or newer with CONFIG_PTE_MARKER_UFFD_WP")
            _register(handle, address, 2)
            _write_protect(handle, address, 2, True)
            view[0] = 2
            if (_page_bit(address, _UFFD_WP_BIT), _page_bit(address + PAGE_BYTES, _UFFD_WP_BIT)) != (0, 1):
                raise _Missing("of two protected pages, the one that was written could not be told from the other")
        finally:
            os.close(handle)


def _sync_write_protect() -> None:
    """Protect two pages, write to one in a thread, and resolve the message that tells which."""
    with _memory_file() as file, _pages(2, file) as (view, address):
        view[0] = view[PAGE_BYTES] = 1
        handle = _open_userfaultfd()
        written = address + PAGE_BYTES
        # It writes in C, where the interpreter's lock is released: the thread sleeps until somebody answers.
        writer = threading.Thread(target=ctypes.memset, args=(written, 2, 1))
        try:
            why = "this kernel can't write-protect shared memory through userfaultfd"
            wanted = _UFFD_FEATURE_PAGEFAULT_FLAG_WP | _UFFD_FEATURE_WP_HUGETLBFS_SHMEM
            _handshake(handle, wanted, why, "boot Linux 5.19 or newer with CONFIG_PTE_MARKER_UFFD_WP")
            _register(handle, address, 2)
            _write_protect(handle, address, 2, True)
            writer.start()
            events = select.poll()
            events.register(handle, select.POLLIN)
            if not events.poll(_MESSAGE_DEADLINE_MS):
                raise _Missing("no message came of a write to a protected page")
            event, _flags, fault = _UFFD_MESSAGE.unpack(os.read(handle, _UFFD_MESSAGE.size))
            if event != _UFFD_EVENT_PAGEFAULT or fault // PAGE_BYTES != written // PAGE_BYTES:
                raise _Missing("the message of a write to a protected page names another page")
            if view[PAGE_BYTES] != 1:
                raise _Missing("a write to a protected page did not wait for the answer to its message")
            _write_protect(handle, written, 1, False)
        finally:
            # Closing wakes the writer whatever went wrong.
            os.close(handle)
            if writer.ident is not None:
                writer.join()
        if view[PAGE_BYTES] != 2:
            raise _Missing("a write that was let go did not happen")


def _pagemap_scan() -> None:
    """Ask about an empty range, which a kernel that knows the question answers with nothing."""
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        question = bytearray(struct.pack("12Q", 96, *[0] * 11))
        try:
            found = fcntl.ioctl(pagemap, _PAGEMAP_SCAN, question)
        except OSError as problem:
            if problem.errno == errno.ENOTTY:
                raise _Missing("this kernel does not know PAGEMAP_SCAN", "boot Linux 6.7 or newer") from problem
            raise
    if found != 0:
        raise _Missing(f"PAGEMAP_SCAN found {found} pages in an empty range")


def _perf_page_faults() -> None:
    """Log this thread's page faults, take one, and look whether the log moved."""
    attributes = bytearray(64)
    struct.pack_into("IIQQQ", attributes, 0, _PERF_TYPE_SOFTWARE, 64, _PERF_COUNT_SW_PAGE_FAULTS, 1, _PERF_SAMPLE_ADDR)
    # Without exclude_kernel the default perf_event_paranoid refuses an ordinary user.
    struct.pack_into("Q", attributes, 40, _PERF_EXCLUDE_KERNEL | _PERF_EXCLUDE_HV)
    try:
        log = _syscall("perf_event_open", (ctypes.c_char * 64).from_buffer(attributes), 0, -1, -1, 0)
    except OSError as problem:
        raise _Missing(*_why_no_perf(problem)) from problem
    try:
        with contextlib.closing(mmap.mmap(log, 2 * mmap.PAGESIZE)) as ring, _pages(1) as (fresh, _):
            fresh[0] = 1
            if struct.unpack_from("Q", ring, _PERF_DATA_HEAD)[0] == 0:
                raise _Missing("a page fault left no record in the log")
    except PermissionError as problem:
        raise _Missing(
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
            raise _Missing("no huge page is free in the system's pool", remedy) from problem
        raise
    finally:
        os.close(file)


def _soft_dirty() -> None:
    """Clear the bits, write to one page of two, and read back which; the clearing alone always succeeds."""
    remedy = "boot a kernel with CONFIG_MEM_SOFT_DIRTY; `gcbarrier lab setup` fetches one"
    with _memory_file() as file, _pages(2, file) as (view, address):
        view[0] = view[PAGE_BYTES] = 1
        with open("/proc/self/clear_refs", "wb", buffering=0) as clear:
            clear.write(b"4")
        view[0] = 2
        written, other = _page_bit(address, _SOFT_DIRTY_BIT), _page_bit(address + PAGE_BYTES, _SOFT_DIRTY_BIT)
    if not written:
        raise _Missing("a written page does not read as soft-dirty", remedy)
    if other:
        raise _Missing("a page that was not written reads as soft-dirty after clearing", remedy)


def _bdwgc() -> None:
    """Load the library, ask its version, and let the compiler look for its header."""
    remedy = "have root run `apt install libgc-dev`"
    try:
        version: int = ctypes.CDLL(_BDWGC).GC_get_version()
    except OSError as problem:
        raise _Missing(f"the Boehm collector's library is not installed ({problem})", remedy) from problem
    if version >> 16 < _BDWGC_MAJOR:
        raise _Missing(f"the Boehm collector installed here is of version {version >> 16}", f"{remedy} of Debian 12 on")
    try:
        found = build.has_header("gc/gc.h")
    except Unavailable as problem:
        raise _Missing(f"it needs {problem.what}: {problem.why}", problem.remedy) from problem
    if not found:
        raise _Missing("the Boehm collector's header gc/gc.h is not installed", remedy)


_PROBES: dict[str, Callable[[], None]] = {
    "memfd": _memfd,
    "userfaultfd": _userfaultfd,
    "async-uffd-wp": _async_write_protect,
    "sync-uffd-wp": _sync_write_protect,
    "pagemap-scan": _pagemap_scan,
    "perf-page-faults": _perf_page_faults,
    "soft-dirty": _soft_dirty,
    "hugetlb": _hugetlb,
    "bdwgc": _bdwgc,
}


def open_userfaultfd() -> int:
    """A userfaultfd that needs no privilege. Raises Unavailable with the reason and the remedy."""
    try:
        return _open_userfaultfd()
    except _Missing as missing:
        raise Unavailable("userfaultfd", missing.why, missing.remedy) from missing


def _open_userfaultfd() -> int:
    try:
        return _syscall("userfaultfd", os.O_CLOEXEC | os.O_NONBLOCK | _UFFD_USER_MODE_ONLY)
    except OSError as problem:
        match problem.errno:
            case errno.ENOSYS:
                raise _Missing("this kernel has no userfaultfd", "boot one with CONFIG_USERFAULTFD") from problem
            case errno.EPERM:
                why = "a sandbox forbids userfaultfd"
                raise _Missing(why, "allow that system call in the container's seccomp profile") from problem
            case errno.EINVAL:
                raise _Missing("userfaultfd has no unprivileged mode", "boot Linux 6.7 or newer") from problem
        raise


def _handshake(handle: int, wanted: int, why: str, remedy: str) -> None:
    """Agree on the ``wanted`` userfaultfd features, or be missing them for the reason given."""
    try:
        fcntl.ioctl(handle, _UFFDIO_API, bytearray(struct.pack("QQQ", _UFFD_API, wanted, 0)))
    except OSError as problem:
        if problem.errno == errno.EINVAL:
            raise _Missing(why, remedy) from problem
        raise


def _register(handle: int, address: int, pages: int) -> None:
    register = bytearray(struct.pack("QQQQ", address, pages * PAGE_BYTES, _REGISTER_MODE_WP, 0))
    fcntl.ioctl(handle, _UFFDIO_REGISTER, register)


def _write_protect(handle: int, address: int, pages: int, protect: bool) -> None:
    mode = _WRITEPROTECT_MODE_WP if protect else 0
    fcntl.ioctl(handle, _UFFDIO_WRITEPROTECT, struct.pack("QQQ", address, pages * PAGE_BYTES, mode))


def _why_no_perf(problem: OSError) -> tuple[str, str]:
    if problem.errno in (errno.EACCES, errno.EPERM):
        return "perf_event_open is forbidden to this user", "have root run `sysctl kernel.perf_event_paranoid=2`"
    if problem.errno in (errno.ENOSYS, errno.ENOENT):
        return "this kernel has no software page-fault event", "boot one with CONFIG_PERF_EVENTS"
    return f"perf_event_open answered {problem.strerror}", ""


def _syscall(name: str, *arguments: object) -> int:
    numbers = _SYSCALLS.get(platform.machine())
    if numbers is None:
        raise _Missing(f"gcbarrier does not know the {platform.machine()} system calls", "use x86_64 or aarch64")
    result: int = _libc.syscall(ctypes.c_long(numbers[name]), *arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


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


def _page_bit(address: int, bit: int) -> int:
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        entry = os.pread(pagemap.fileno(), 8, address // PAGE_BYTES * 8)
    return int.from_bytes(entry, "little") >> bit & 1
