"""The runs of a trace's ticks as they are in its file: encoded, a chunk of ticks at a time."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from gcbarrier.page_traces.coding import CodingFault, Runs, decoded, merged

Chunk = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Gaps, lengths, and how many runs each of its ticks has."""

MOST_PAGES = 1 << 26
"""256 GiB of 4 KiB pages: a file that says more is damaged, and would take all memory to say it."""


class KeptRuns:
    """Encoded runs, of which the chunk that was asked for last is kept decoded: a trace is read tick by tick."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self._chunks = chunks
        self._starts = np.cumsum([0, *(len(counts) for _, _, counts in chunks)])
        self._last: tuple[int, list[Runs]] = (-1, [])

    @classmethod
    def of(cls, chunks: list[Chunk]) -> "KeptRuns":
        """Chunks of a file that is being read: all of them are decoded once, to know that they can be.

        Raises ``CodingFault``.
        """
        kept = cls(chunks)
        if int(kept.union[:, 1].sum()) > MOST_PAGES:
            raise CodingFault(f"it tells of more than {MOST_PAGES} pages")
        return kept

    @property
    def ticks(self) -> int:
        """How many there are."""
        return int(self._starts[-1])

    def runs(self, tick: int) -> Runs:
        """What was written in a tick, in numbers of pages."""
        if not 0 <= tick < self.ticks:
            raise IndexError(f"there is no tick {tick}: there are {self.ticks}")
        chunk = int(np.searchsorted(self._starts, tick, side="right")) - 1
        return self._decoded(chunk)[tick - int(self._starts[chunk])]

    @cached_property
    def union(self) -> Runs:
        """Every page that was written in any tick."""
        union = merged([])
        for index in range(len(self._chunks)):
            union = merged([union, *self._decoded(index)])
        return union

    def pages(self) -> npt.NDArray[np.int64]:
        """Pages written in each tick."""
        found = [int(self.runs(tick)[:, 1].sum()) for tick in range(self.ticks)]
        return np.array(found, dtype=np.int64)

    def _decoded(self, chunk: int) -> list[Runs]:
        if self._last[0] != chunk:
            self._last = (chunk, decoded(*self._chunks[chunk]))
        return self._last[1]
