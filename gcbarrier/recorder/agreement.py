"""Two trackers on one process: whether they say the same of it, and where they don't, why."""

from collections.abc import Iterable, Sequence

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

from gcbarrier.model import PAGE_BYTES
from gcbarrier.page_traces.coding import Runs, expanded
from gcbarrier.page_traces.records import UFFD
from gcbarrier.recorder.soft_dirty import SoftDirtyTracker, marked_mappings
from gcbarrier.recorder.still import Still
from gcbarrier.recorder.trackers import Tracker

_Pages = npt.NDArray[np.uint64]


@frozen(kw_only=True)
class Agreement:
    """Pages that were written by the account of write-protection, of soft-dirty, or of both, summed over ticks."""

    ticks: int = 0
    both: int = 0
    marked: int = 0
    """Only by soft-dirty's, in a mapping that the kernel has made, grown or merged since the tick before."""
    unwatched: int = 0
    """Only by soft-dirty's, in a mapping that userfaultfd does not watch."""
    false: int = 0
    """Only by soft-dirty's, for none of these reasons."""
    missed: int = 0
    """Only by write-protection's: soft-dirty has lost a write."""

    def __add__(self, other: "Agreement") -> "Agreement":
        """Of both."""
        mine, others = attrs.astuple(self), attrs.astuple(other)
        names = [field.name for field in attrs.fields(Agreement)]
        return Agreement(**dict(zip(names, map(sum, zip(mine, others, strict=True)), strict=True)))


def compared(exact: Runs, soft_dirty: Runs, *, marked: Runs, watched: Runs) -> Agreement:
    """One tick's. All uint64[n, 2], ascending addresses, ends exclusive."""
    ours, theirs = _pages(exact), _pages(soft_dirty)
    both = len(np.intersect1d(ours, theirs, assume_unique=True))
    rest = np.setdiff1d(theirs, ours, assume_unique=True)
    unwatched = ~_within(rest, watched)
    fresh = _within(rest, marked) & ~unwatched
    return Agreement(
        ticks=1,
        both=both,
        marked=int(fresh.sum()),
        unwatched=int(unwatched.sum()),
        false=int((~fresh & ~unwatched).sum()),
        missed=len(ours) - both,
    )


def _pages(runs: Runs) -> _Pages:
    first = runs[:, 0] // np.uint64(PAGE_BYTES)
    return expanded(np.stack([first, runs[:, 1] // np.uint64(PAGE_BYTES) - first], axis=1))


def _within(pages: _Pages, mappings: Runs) -> npt.NDArray[np.bool_]:
    """Which of the pages lie in one of the mappings, which ascend."""
    if not len(mappings):
        return np.zeros(len(pages), np.bool_)
    addresses = pages * np.uint64(PAGE_BYTES)
    index = np.searchsorted(mappings[:, 0], addresses, side="right") - 1
    inside: npt.NDArray[np.bool_] = (index >= 0) & (addresses < mappings[index, 1])
    return inside


class PairTracker:
    """Write-protection and soft-dirty on one process: a tracker (``trackers``) with the answers of the first.

    The process is held still while both are asked, so that both speak of the same moment. ``soft_dirty`` is what the
    second said at the last ``collect``, and ``agreement`` what came of comparing the two so far. The first ``collect``,
    of what was written before watching began, is not compared.
    """

    name = UFFD

    def __init__(self, exact: Tracker, soft_dirty: SoftDirtyTracker) -> None:
        self._exact = exact
        self._soft_dirty = soft_dirty
        self._still = Still(soft_dirty.pid)
        self._began = False
        self.space = exact.space
        self.soft_dirty: Runs = np.empty((0, 2), np.uint64)
        self.agreement = Agreement()

    def arm(self) -> bool:
        """Both."""
        return self._exact.arm()

    def collect(self) -> Runs:
        """Both; the answer is the first one's. Raises ProcessLookupError once the process has ended."""
        with self._still.held():
            # What was mapped since ``arm``, soft-dirty would know alone.
            self._exact.arm()
            self._soft_dirty.arm()
            exact = self._exact.collect()
            self.soft_dirty = self._soft_dirty.read()
            if self._began:
                marked = marked_mappings(self._soft_dirty.pid)
                watched = [(each.start, each.end) for each in self.space.areas if each.writable or not each.file]
                self.agreement += compared(exact, self.soft_dirty, marked=marked, watched=np.array(watched, np.uint64).reshape(-1, 2))
            self._soft_dirty.clear()
        self._began = True
        return exact

    def notes(self) -> tuple[str, ...]:
        """What either left out."""
        return (*self._exact.notes(), *self._soft_dirty.notes())

    def close(self) -> None:
        """Both."""
        self._exact.close()
        self._soft_dirty.close()


def table(agreements: Sequence[tuple[str, Agreement]]) -> Iterable[str]:
    """A line for each kind of page, with the pages of all processes together and their share."""
    total = sum((each for _, each in agreements), Agreement())
    rows = (
        ("written by both accounts", total.both),
        ("only by soft-dirty's: the mapping is new, has grown or was merged", total.marked),
        ("only by soft-dirty's: userfaultfd does not watch the mapping", total.unwatched),
        ("only by soft-dirty's: no reason known", total.false),
        ("only by write-protection's: lost by soft-dirty", total.missed),
    )
    every = sum(count for _, count in rows)
    width = max(len(what) for what, _ in rows)
    for what, count in rows:
        yield f"{what:<{width}}  {count:>10,}  {count / every if every else 0:6.1%}"
