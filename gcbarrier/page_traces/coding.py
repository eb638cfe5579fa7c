"""Pages as few bytes: runs of them, as gaps and lengths, in numbers of variable length.

Programs write pages in runs (a nursery, a stack) and otherwise here and there. Of runs that ascend, the gap before each
and its length are small numbers, seven bits a byte (LEB128, as DWARF and protobuf have it); gaps and lengths are kept
apart because a compressor makes more of two streams that are each alike than of one that changes at every number.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Runs = npt.NDArray[np.uint64]
"""uint64[n, 2]: first page and number of pages, ascending; runs neither overlap nor are empty."""

MOST_RUNS = 1 << 23
"""Of a chunk: more than a recorder writes into one, where a page is 4 KiB and memory below 64 GiB."""
_MOST_BYTES = 9  # of a number: 63 bits, so that sums of two don't wrap unseen


class CodingFault(Exception):  # noqa: N818 - not an error of its own: the reason in the middle of one
    """Bytes that are no runs of pages; a clause that completes "because"."""


def merged(runs: Iterable[Runs]) -> Runs:
    """The pages of all of these, which may overlap, as runs."""
    every = np.concatenate([np.empty((0, 2), dtype=np.uint64), *runs])
    every = every[np.argsort(every[:, 0], kind="stable")]
    if not len(every):
        return every
    starts, ends = every[:, 0], np.maximum.accumulate(every[:, 0] + every[:, 1])
    first = np.r_[True, starts[1:] > ends[:-1]]
    last = np.r_[first[1:], True]
    return np.stack([starts[first], ends[last] - starts[first]], axis=1)


def expanded(runs: Runs) -> npt.NDArray[np.uint64]:
    """Each page of the runs, ascending."""
    firsts, counts = runs[:, 0], runs[:, 1].astype(np.int64)
    before = np.cumsum(counts) - counts
    return np.repeat(firsts - before.astype(np.uint64), counts) + np.arange(counts.sum(), dtype=np.uint64)


def collapsed(pages: npt.NDArray[np.uint64]) -> Runs:
    """Runs of ascending pages."""
    if not len(pages):
        return np.empty((0, 2), dtype=np.uint64)
    first = np.flatnonzero(np.r_[True, np.diff(pages) != 1])
    counts = np.diff(np.r_[first, len(pages)])
    return np.stack([pages[first], counts.astype(np.uint64)], axis=1)


def encoded(runs: Runs) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Gaps and lengths of runs as bytes."""
    ends = runs[:, 0] + runs[:, 1]
    gaps = runs[:, 0] - np.r_[np.uint64(0), ends[:-1]].astype(np.uint64) if len(runs) else runs[:, 0]
    return _varints(gaps), _varints(runs[:, 1])


def decoded(gaps: npt.NDArray[np.uint8], lengths: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64]) -> list[Runs]:
    """The runs of several ticks, behind one another in the bytes; ``counts``: how many each has.

    Raises ``CodingFault`` where the bytes don't say that.
    """
    # Before anything is made of them that takes a hundred times their room in a compressed file.
    if max(int(np.count_nonzero(each < 0x80)) for each in (gaps, lengths)) > MOST_RUNS:
        raise CodingFault(f"a part of it has more than {MOST_RUNS} runs of pages")
    between, long = _numbers(gaps), _numbers(lengths)
    if len(between) != len(long) or len(long) != counts.sum():
        raise CodingFault(f"{len(between)} gaps and {len(long)} lengths are no {int(counts.sum())} runs")
    if len(long) and long.min() == 0:
        raise CodingFault("a run of pages is empty")
    every = []
    at = 0
    for count in counts.tolist():
        steps = np.empty(2 * count, dtype=np.uint64)
        steps[0::2], steps[1::2] = between[at : at + count], long[at : at + count]
        # As a float first: a sum that wraps would pass for a small one.
        if steps.astype(np.float64).sum() >= 1 << 52:
            raise CodingFault("a page lies beyond all addresses")
        firsts = np.cumsum(steps, dtype=np.uint64)[0::2]
        every.append(np.stack([firsts, long[at : at + count]], axis=1))
        at += count
    return every


def _varints(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    sizes = np.ones(len(values), dtype=np.int64)
    for more in range(1, _MOST_BYTES):
        sizes += values >= np.uint64(1 << (7 * more))
    starts = np.cumsum(sizes) - sizes
    found = np.empty(int(sizes.sum()), dtype=np.uint8)
    for index in range(int(sizes.max(initial=0))):
        here = np.flatnonzero(sizes > index)
        bits = (values[here] >> np.uint64(7 * index)) & np.uint64(0x7F)
        found[starts[here] + index] = bits | (np.uint64(0x80) * (sizes[here] > index + 1))
    return found


def _numbers(found: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    if not len(found):
        return np.empty(0, dtype=np.uint64)
    last = found < 0x80
    if not last[-1]:
        raise CodingFault("the last number is cut off")
    ends = np.flatnonzero(last)
    starts = np.r_[0, ends[:-1] + 1]
    sizes = ends - starts + 1
    if sizes.max() > _MOST_BYTES:
        raise CodingFault("a number has more than 63 bits")
    place = (np.arange(len(found)) - np.repeat(starts, sizes)).astype(np.uint64)
    return np.add.reduceat((found & np.uint8(0x7F)).astype(np.uint64) << (np.uint64(7) * place), starts)
