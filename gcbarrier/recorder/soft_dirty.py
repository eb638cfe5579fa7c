"""Which pages a process writes, by the kernel's soft-dirty bits: nothing of ours is in the process.

What the bits say, tried on Linux 6.12 and 7.3:

- A whole mapping reads as written until the next clearing where the kernel has made it anew, grown it or merged it with
  a new neighbour (it is marked as VM_SOFTDIRTY, ``sd`` in ``/proc/PID/smaps``): pages too that nobody wrote.
- A fork's child keeps the bits of its parent, and clears them for itself alone.
- Where 2 MiB pages are mapped as such, one store makes all of it read as written.
- Reading and clearing are two steps, and a store between them is lost: the process is held still for both.
"""

import contextlib
import errno
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from gcbarrier.errors import Unavailable
from gcbarrier.machines.features import feature
from gcbarrier.model import PAGE_BYTES
from gcbarrier.page_traces.coding import Runs
from gcbarrier.page_traces.records import SOFT_DIRTY
from gcbarrier.primitives import (
    PAGE_IS_FILE,
    PAGE_IS_HUGE,
    PAGE_IS_PFNZERO,
    PAGE_IS_PRESENT,
    PAGE_IS_SOFT_DIRTY,
    PAGE_IS_SWAPPED,
    SOFT_DIRTY_BIT,
    Pagemap,
    clear_soft_dirty,
)
from gcbarrier.recorder.maps import AddressSpace
from gcbarrier.recorder.still import Still

_EMPTY: Runs = np.empty((0, 2), np.uint64)
_RUNS = 1 << 14
_PRESENT, _SWAPPED, _FILE = (np.uint64(1 << bit) for bit in (63, 62, 61))
_CHUNK_BYTES = 1 << 30


class SoftDirtyTracker:
    """A tracker (``trackers``) that needs no help of the process ``pid``; it is held still for each ``collect``.

    Raises Unavailable where the kernel has no soft-dirty bits, OSError where the process is gone or another user's.
    """

    name = SOFT_DIRTY
    # One for all: what a scan finds is used before the next.
    _found: npt.NDArray[np.uint64] = np.zeros((_RUNS, 3), np.uint64)

    def __init__(self, pid: int) -> None:
        require_soft_dirty()
        self.pid = pid
        self.space = AddressSpace(pid)
        try:
            self._pagemap = Pagemap(pid)
        except OSError:
            self.space.close()
            raise
        self._still = Still(pid)

    def arm(self) -> bool:
        """Look at what is mapped by now; the kernel watches all of it. Whether anything has changed."""
        return self.space.refresh()

    def collect(self) -> Runs:
        """Pages with contents of their own that were written since the last time, and those that read as if they were;
        the first time all that there are. None once the process has ended.
        """
        with ended_is_nothing(), self._still.held():
            self.space.refresh()
            found = self.read()
            self.clear()
            return found
        return _EMPTY

    def read(self) -> Runs:
        """What ``collect`` finds, of a process that is held still already; nothing is cleared."""
        try:
            parts = list(self._scans())
        except OSError as problem:
            # PAGEMAP_SCAN is of Linux 6.7, and what it is asked here of 6.9.
            if problem.errno not in (errno.EINVAL, errno.ENOTTY):
                raise
            parts = list(self._readings())
        return np.concatenate([_EMPTY, *parts])

    def clear(self) -> None:
        """Have everything told anew, of a process that is held still. Not after an exec: that is another's memory."""
        if not self.space.gone:
            clear_soft_dirty(self.pid)

    def huge(self) -> Runs:
        """Huge pages that read as written, likewise; none where the kernel does not tell."""
        try:
            return np.concatenate([_EMPTY, *self._scans(PAGE_IS_HUGE)])
        except OSError as problem:
            if problem.errno not in (errno.EINVAL, errno.ENOTTY):
                raise
        return _EMPTY

    def _scans(self, besides: int = 0) -> Iterator[Runs]:
        own = [area for area in self.space.areas if area.watched]
        at, end = (own[0].start, own[-1].end) if own else (0, 0)
        while at < end:
            runs, at = self._pagemap.runs(
                at,
                end,
                self._found,
                category=PAGE_IS_SOFT_DIRTY | PAGE_IS_FILE | PAGE_IS_PFNZERO | besides,
                inverted=PAGE_IS_FILE | PAGE_IS_PFNZERO,
                any_of=PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
                rearm=False,
            )
            yield runs.copy()

    def _readings(self) -> Iterator[Runs]:
        """The same from each page's own entry: slower, and the page of zeros counts as written in a marked mapping."""
        for area in filter(lambda area: area.watched, self.space.areas):
            for at in range(area.start, area.end, _CHUNK_BYTES):
                entries = self._pagemap.read(at, min(area.end - at, _CHUNK_BYTES) // PAGE_BYTES)
                there = (entries & (_PRESENT | _SWAPPED) != 0) & (entries & _FILE == 0)
                written = there & (entries >> np.uint64(SOFT_DIRTY_BIT) & np.uint64(1) != 0)
                edges = np.flatnonzero(np.diff(written, prepend=False, append=False)).astype(np.uint64)
                yield edges.reshape(-1, 2) * np.uint64(PAGE_BYTES) + np.uint64(at)

    def notes(self) -> tuple[str, ...]:
        """Nothing is left out."""
        return ()

    def close(self) -> None:
        """Look at it no longer. Its bits stay as they are, which costs each page one more fault."""
        self._still.close()
        self._pagemap.close()
        self.space.close()


def ended_is_nothing() -> contextlib.suppress:
    """A process that ends meanwhile is one that nothing is known of any more."""
    return contextlib.suppress(ProcessLookupError, FileNotFoundError)


def require_soft_dirty() -> None:
    """Raises Unavailable, naming the lab, where this kernel has no soft-dirty bits. They are tried, not looked up."""
    tried = feature("soft-dirty")
    if not tried.works:
        remedy = "record in the lab, with --machine lab, whose kernel has them; `gcbarrier lab setup` fetches it"
        raise Unavailable("recording with soft-dirty", tried.why, remedy)


def marked_mappings(pid: int) -> Runs:
    """Mappings that read as written as a whole: uint64[n, 2], ascending addresses."""
    with open(f"/proc/{pid}/smaps", "rb") as file:
        return marked(file)


def marked(smaps: Iterable[bytes]) -> Runs:
    """The mappings that ``/proc/PID/smaps`` shows with the flag VM_SOFTDIRTY."""
    found, last = [], (0, 0)
    for line in smaps:
        name, _, rest = line.partition(b" ")
        if name == b"VmFlags:" and b"sd" in rest.split():
            found.append(last)
        elif not name.endswith(b":"):
            start, _, end = name.partition(b"-")
            last = (int(start, 16), int(end, 16))
    return np.array(found, np.uint64).reshape(-1, 2)
