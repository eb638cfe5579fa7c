"""How it is known which pages a process has written: what every tracker does, and the one by userfaultfd."""

import errno
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gcbarrier.errors import Unavailable
from gcbarrier.machines.features import require
from gcbarrier.page_traces.coding import Runs
from gcbarrier.page_traces.records import SOFT_DIRTY, TRACKERS, UFFD
from gcbarrier.primitives import (
    PAGE_IS_FILE,
    PAGE_IS_PFNZERO,
    PAGE_IS_PRESENT,
    PAGE_IS_SWAPPED,
    PAGE_IS_WRITTEN,
    Pagemap,
    Userfaultfd,
)
from gcbarrier.recorder.maps import HUGETLB, AddressSpace, Area
from gcbarrier.recorder.soft_dirty import SoftDirtyTracker, require_soft_dirty

_RUNS = 1 << 14
_EMPTY: Runs = np.empty((0, 2), dtype=np.uint64)


class Tracker(Protocol):
    """What knows of one process image which of its private pages were written."""

    name: str
    """``uffd-wp-async`` or ``soft-dirty``, as a recording has it."""
    space: AddressSpace
    """What the program had mapped when it was armed last; ``space.gone`` once there is no such program any more."""

    def arm(self) -> bool:
        """Look at what is mapped by now and watch what is new; whether anything has changed."""
        ...

    def collect(self) -> Runs:
        """What was written since the last ``collect``, which is watched again: uint64[n, 2], first address and the one
        behind the last, ascending. The first call answers with every page that was ever written. Good until any
        tracker is asked again.
        """
        ...

    def notes(self) -> tuple[str, ...]:
        """What could not be watched and why: clauses without a subject, such as "has huge pages from a pool"."""
        ...

    def close(self) -> None:
        """Watch no longer: nothing stays protected."""
        ...


Track = Callable[[int, Userfaultfd | None], Tracker]
"""Makes the tracker of a process, by its number and what it has handed over."""


def check(name: str) -> str:
    """A tracker's name, if it works here. Raises Unavailable with reason and remedy where it does not."""
    if name == UFFD:
        require("async-uffd-wp")
        require("pagemap-scan")
    if name == SOFT_DIRTY:
        require_soft_dirty()
    if name not in TRACKERS:
        raise Unavailable(name, "no tracker is called that", f"choose from {', '.join(TRACKERS)}, both")
    return name


def track(name: str, pid: int, uffd: Userfaultfd | None) -> Tracker:
    """The tracker of that name for a process. ``uffd``: what the process has handed over, closed with the tracker.

    Raises OSError where the process is gone or can't be looked into; then nothing is closed.
    """
    if name == SOFT_DIRTY:
        return SoftDirtyTracker(pid)
    if name == UFFD and uffd is not None:
        return UffdTracker(pid, uffd)
    raise OSError(errno.EBADF, "no userfaultfd was handed over")


class UffdTracker:
    """By asynchronous write-protection, with PAGEMAP_SCAN: exact, each page's first store in a tick costs a fault.

    A page that is new, or was moved, or was dropped and came again, reads as written; that is what happened to it. A
    store that a scan falls into the middle of may read as written in two ticks.
    """

    name = UFFD
    # One for all: what a scan finds is used before the next.
    _found: npt.NDArray[np.uint64] = np.zeros((_RUNS, 3), np.uint64)

    def __init__(self, pid: int, uffd: Userfaultfd) -> None:
        self._uffd = uffd
        self.space = AddressSpace(pid)
        try:
            self._pagemap = Pagemap(pid)
        except OSError:
            self.space.close()
            raise
        self._spans: list[tuple[int, int]] = []
        """What is registered, anew at each tick: ranges of private mappings, with the holes between them."""
        self._others: list[tuple[int, int]] = []
        """Ranges that a userfaultfd of the program's own watches."""
        self._stale = False
        """Whether a mapping was refused by itself: the same maps are planned again, until it is not."""
        self._notes: dict[str, None] = {}

    def arm(self) -> bool:
        """Register everything: what is registered already costs next to nothing, and of a mapping that was replaced by
        another of the same kind at the same place nothing else would tell.
        """
        changed = self.space.refresh()
        if changed:
            self._others = [each for each in self._others if _overlaps(each, self.space.areas)]
        if changed or self._stale:
            self._plan()
            self._stale = False
        refused = [each for each in self._spans if not self._register(*each)]
        for start, end in refused:
            self._spans.remove((start, end))
            # Whatever is refused by itself as well has changed meanwhile: the next tick sees what it has become, be it
            # what it was before.
            inner = [(max(area.start, start), min(area.end, end)) for area in self.space.areas]
            inner = [each for each in inner if each[0] < each[1]]
            taken = [each for each in inner if self._register(*each, alone=True)]
            self._spans += taken
            self._stale = self._stale or len(taken) < len(inner)
        return changed

    def _plan(self) -> None:
        self._spans = []
        for wanted, areas in groupby(self.space.areas, key=self._is_wanted):
            if wanted:
                together = list(areas)
                self._spans += self._around(together[0].start, together[-1].end)

    def _is_wanted(self, area: Area) -> bool:
        if area.watched and area.name.startswith(HUGETLB):
            self._notes["has huge pages from a pool (hugetlb), which were left out"] = None
            return False
        return area.watched

    def _register(self, start: int, end: int, *, alone: bool = False) -> bool:
        try:
            self._uffd.register(start, end - start)
        except OSError as problem:
            if alone and problem.errno == errno.EBUSY:
                self._leave_out(start, end)
            return False
        return True

    def give_way(self, start: int, end: int) -> None:
        """The program is about to watch this range with a userfaultfd of its own: ours lets go of it."""
        try:
            self._uffd.unregister(start, end - start)
        except OSError:
            return  # nothing that ours could have had
        self._leave_out(start, end)
        self._plan()  # or the next tick would take it back before the program has it

    def _leave_out(self, start: int, end: int) -> None:
        self._others = sorted([*self._others, (start, end)])
        self._notes["watches memory with a userfaultfd of its own, which was left out"] = None

    def _around(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of a range no other userfaultfd watches."""
        left = []
        for first, last in self._others:
            if first < end and last > start:
                if first > start:
                    left.append((start, first))
                start = max(start, last)
        if start < end:
            left.append((start, end))
        return left

    def collect(self) -> Runs:
        """Pages with contents of their own: neither a file's nor the page of zeros that was only read."""
        if not self._spans:
            return _EMPTY
        parts = []
        try:
            for start, end in self._around(min(self._spans)[0], max(self._spans)[1]):
                while start < end:
                    runs, start = self._scan(start, end)
                    # Copied only where there is another part, whose scan would overwrite it.
                    parts.append(runs.copy() if start < end or self._others else runs)
        except ProcessLookupError:  # it has ended since it was armed
            self.space.gone = True
            return _EMPTY
        return parts[0] if len(parts) == 1 else np.concatenate([_EMPTY, *parts])

    def _scan(self, start: int, end: int) -> tuple[Runs, int]:
        return self._pagemap.runs(
            start,
            end,
            self._found,
            category=PAGE_IS_WRITTEN | PAGE_IS_FILE | PAGE_IS_PFNZERO,
            inverted=PAGE_IS_FILE | PAGE_IS_PFNZERO,
            any_of=PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            rearm=True,
        )

    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        return tuple(self._notes)

    def close(self) -> None:
        """Closing the descriptor gives the mappings up, and the kernel lifts all protection."""
        self._uffd.close()
        self._pagemap.close()
        self.space.close()


def _overlaps(span: tuple[int, int], areas: Iterable[Area]) -> bool:
    return any(area.start < span[1] and area.end > span[0] for area in areas)
