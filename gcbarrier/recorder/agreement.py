"""Two trackers on one process: whether they say the same of it, and where they don't, why."""

import errno
from collections.abc import Iterable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from attrs import frozen

from gcbarrier.model import PAGE_BYTES
from gcbarrier.page_traces.coding import Runs, expanded
from gcbarrier.primitives import Userfaultfd
from gcbarrier.recorder.process import Sink
from gcbarrier.recorder.soft_dirty import SoftDirtyTracker, ended_is_nothing, marked_mappings
from gcbarrier.recorder.still import Still
from gcbarrier.recorder.trackers import UffdTracker

_Pages = npt.NDArray[np.uint64]
_EMPTY: Runs = np.empty((0, 2), np.uint64)


@frozen(kw_only=True)
class Agreement:
    """Pages that were written by the account of write-protection, of soft-dirty, or of both, summed over ticks."""

    ticks: int = 0
    both: int = 0
    marked: int = 0
    """Only by soft-dirty's, in a mapping that the kernel has made, grown or merged since the tick before."""
    unwatched: int = 0
    """Only by soft-dirty's, in a mapping that userfaultfd does not watch."""
    huge: int = 0
    """Only by soft-dirty's, in a huge page, where one store makes all of it read as written."""
    false: int = 0
    """Only by soft-dirty's, for none of these reasons."""
    missed: int = 0
    """Only by write-protection's: soft-dirty has lost a write."""

    def __add__(self, other: "Agreement") -> "Agreement":
        """Of both."""
        mine, others = attrs.astuple(self), attrs.astuple(other)
        names = [field.name for field in attrs.fields(Agreement)]
        return Agreement(**dict(zip(names, map(sum, zip(mine, others, strict=True)), strict=True)))


def compared(exact: Runs, soft_dirty: Runs, *, marked: Runs, watched: Runs, huge: Runs = _EMPTY) -> Agreement:
    """One tick's. All uint64[n, 2], ascending addresses, ends exclusive."""
    ours, theirs = _pages(exact), _pages(soft_dirty)
    both = len(np.intersect1d(ours, theirs, assume_unique=True))
    rest = np.setdiff1d(theirs, ours, assume_unique=True)
    unwatched = ~_within(rest, watched)
    fresh = _within(rest, marked) & ~unwatched
    coarse = _within(rest, huge) & ~unwatched & ~fresh
    return Agreement(
        ticks=1,
        both=both,
        marked=int(fresh.sum()),
        unwatched=int(unwatched.sum()),
        huge=int(coarse.sum()),
        false=int((~fresh & ~unwatched & ~coarse).sum()),
        missed=len(ours) - both,
    )


def _array(spans: Iterable[tuple[int, int]]) -> Runs:
    return np.array(sorted(spans), np.uint64).reshape(-1, 2)


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


class Pair:
    """Two recordings of the same processes at the same moments: one by write-protection, one by soft-dirty.

    It makes the trackers of the processes, and is the sink that their ticks go to (``process``). ``agreement`` is what
    came of comparing the two so far, over all processes.
    """

    def __init__(self, exact: Sink, soft_dirty: Sink) -> None:
        self.agreement = Agreement()
        self.soft_dirty: Runs = _EMPTY
        """What the second tracker of the process said that was asked last."""
        self._sinks = (exact, soft_dirty)

    def track(self, pid: int, uffd: Userfaultfd | None) -> "PairTracker":
        """Both trackers of a process, as one."""
        if uffd is None:
            raise OSError(errno.EBADF, "no userfaultfd was handed over")
        return PairTracker(pid, uffd, self)

    def begin(self, *, initial: Runs, **what: Any) -> int:
        """To both; the number is the same."""
        exact, soft_dirty = self._sinks
        number = exact.begin(initial=initial, **what)
        soft_dirty.begin(initial=self.soft_dirty, **what)
        return number

    def tick(self, number: int, *, runs: Runs, **what: Any) -> None:
        """To both, each with what its tracker said; how long it took is of both together."""
        exact, soft_dirty = self._sinks
        exact.tick(number, runs=runs, **what)
        soft_dirty.tick(number, runs=self.soft_dirty, **what)

    def end(self, number: int, **what: Any) -> None:
        """To both."""
        for sink in self._sinks:
            sink.end(number, **what)


class PairTracker(UffdTracker):
    """By write-protection, and what soft-dirty says of the same moment is compared with it.

    The process is held still while both are asked. What was written before watching began is not compared.
    """

    def __init__(self, pid: int, uffd: Userfaultfd, pair: Pair) -> None:
        super().__init__(pid, uffd)
        self._pair = pair
        self._still = Still(pid)
        self._began = False
        try:
            self._soft_dirty = SoftDirtyTracker(pid)
        except BaseException:
            super().close()
            raise

    def collect(self) -> Runs:
        """What write-protection says; nothing once the process has ended."""
        self._pair.soft_dirty = _EMPTY
        with ended_is_nothing(), self._still.held():
            # What was mapped since it was armed, soft-dirty would know alone.
            self.arm()
            self._soft_dirty.arm()
            soft_dirty = self._soft_dirty.read()
            huge = self._soft_dirty.huge()
            exact = super().collect()
            if self._began:
                # Slow to read, and the program waits.
                alike = np.array_equal(exact, soft_dirty)
                marked = _EMPTY if alike else marked_mappings(self.space.pid)
                watched = _array(self._spans)
                self._pair.agreement += compared(exact, soft_dirty, marked=marked, watched=watched, huge=huge)
            self._began = True
            self._soft_dirty.clear()
            self._pair.soft_dirty = soft_dirty
            return exact
        return _EMPTY

    def close(self) -> None:
        """Both."""
        self._still.close()
        self._soft_dirty.close()
        super().close()


def table(total: Agreement) -> Iterable[str]:
    """A line for each kind of page, with their number and share."""
    rows = (
        ("written by both accounts", total.both),
        ("only by soft-dirty's: the mapping is new, has grown or was merged", total.marked),
        ("only by soft-dirty's: userfaultfd does not watch the mapping", total.unwatched),
        ("only by soft-dirty's: a store to another part of a huge page", total.huge),
        ("only by soft-dirty's: no reason known", total.false),
        ("only by write-protection's: lost by soft-dirty", total.missed),
    )
    every = sum(count for _, count in rows)
    width = max(len(what) for what, _ in rows)
    for what, count in rows:
        yield f"{what:<{width}}  {count:>10,}  {count / every if every else 0:6.1%}"
