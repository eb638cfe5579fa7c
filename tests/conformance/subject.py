"""What is checked: a barrier on a kind of memory, and how what it reports is held against what was written."""

import contextlib
from collections.abc import Iterator

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike, NDArray

from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.model import PAGE_BYTES
from gcbarrier.model import Barrier as Promises
from gcbarrier.tracked import Tracked

HUGE_PAGES = 512
USUAL_PAGES = 3 * HUGE_PAGES

REFUSED = "EFAULT"

Pages = NDArray[np.int64]


@frozen(kw_only=True)
class Subject:
    """A barrier on a kind of memory. ``unit`` is how many pages one byte's report covered when it was measured."""

    barrier: str
    memory: str
    plugin: build.Plugin
    unit: int = 1
    _usual: list[Tracked] = field(factory=list, init=False, eq=False, repr=False)

    @property
    def promises(self) -> Promises:
        """What the barrier says of itself."""
        return barriers.load(self.barrier)

    @property
    def loses(self) -> bool:
        """Whether it says that it loses writes, and not just where ``known`` has it; a refused one was never made."""
        from conformance.known import LOSSES  # which needs this class

        named = self.barrier in {loss.barrier for loss in LOSSES}
        return bool(self.promises.loses) and not self.refuses and not named

    @property
    def refuses(self) -> bool:
        """Whether it says that the kernel's own stores may be refused."""
        return REFUSED in self.promises.loses

    @property
    def huge(self) -> bool:
        """Whether its memory may have huge pages, which take whole ones to be had."""
        return self.memory.endswith("-thp") or self.memory == "hugetlb"

    def open(self, pages: int = USUAL_PAGES) -> Tracked:
        """Memory under the barrier, which is told of the calling thread."""
        memory = Tracked(pages * PAGE_BYTES, self.barrier, memory=self.memory, plugin=self.plugin)
        memory.attach()
        return memory

    @property
    def least_pages(self) -> int:
        """The smallest heap."""
        return HUGE_PAGES if self.huge else 8

    @contextlib.contextmanager
    def usual(self) -> Iterator[Tracked]:
        """The same memory for every check that leaves it as it was, in whatever state the last one left it."""
        if not self._usual:
            self._usual.append(self.open())
        yield self._usual[0]

    def close(self) -> None:
        """Give the usual memory back."""
        while self._usual:
            self._usual.pop().close()

    def measured(self) -> "Subject":
        """The same with its unit found out: a byte is written, twice, and the larger report counts."""
        with self.usual() as memory:
            memory.arm()
            seen = []
            for page in (HUGE_PAGES + 37, 37):
                write(memory, page)
                seen.append(len(collect(memory)))
        found = evolve(self, unit=max(seen))
        found._usual.extend(self._usual)
        return found

    def covered(self, pages: ArrayLike, total: int = USUAL_PAGES) -> Pages:
        """All pages that an honest report of ``pages`` may name."""
        units = np.unique(np.asarray(pages, np.int64).reshape(-1) // self.unit)
        named = (units[:, None] * self.unit + np.arange(self.unit)).reshape(-1)
        return named[named < total]


def notices_any_write(barrier: str) -> bool:
    """Whether a write to memory is enough, without gcb_store()."""
    chosen = barriers.choose(barrier)
    return chosen.promises.tracks and not chosen.promises.snapshot and chosen.store_header is None


def write(memory: Tracked, pages: ArrayLike, at: int = 0, value: int = 1) -> None:
    """Store one byte to each of the pages."""
    # The array must be gone before the memory is given back.
    np.frombuffer(memory.view, np.uint8).reshape(-1, PAGE_BYTES)[np.asarray(pages), at] = value


def collect(memory: Tracked, *, rearm: bool = True) -> Pages:
    """The reported pages, whatever the granules."""
    granules = memory.collect(rearm=rearm) * memory.granule_bytes
    return np.unique(granules // PAGE_BYTES)


def lost(reported: Pages, written: ArrayLike) -> Pages:
    """Written, and not reported."""
    return np.setdiff1d(np.asarray(written), reported)


def surplus(subject: Subject, reported: Pages, written: ArrayLike, total: int = USUAL_PAGES) -> Pages:
    """Reported beyond what the unit explains."""
    return np.setdiff1d(reported, subject.covered(written, total))


def demand(subject: Subject, reported: Pages, written: ArrayLike, what: str, total: int = USUAL_PAGES) -> None:
    """Raises AssertionError unless the report is exact to the unit."""
    missing, excess = lost(reported, written), surplus(subject, reported, written, total)
    assert not missing.size, f"{what}: {missing.size} written pages not reported, {_some(missing)}"
    assert not excess.size, f"{what}: {excess.size} pages reported that were not written, {_some(excess)}"


def _some(pages: Pages) -> str:
    return ", ".join(map(str, pages[:5])) + (", …" if pages.size > 5 else "")
