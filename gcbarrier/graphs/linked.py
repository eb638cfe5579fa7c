"""From addresses to a graph: objects numbered in order of their addresses, and the references between them.

For importers of heaps in which objects are known by where they lie. They read a heap twice: once for the objects, and
once for what these refer to. Memory is that of a graph and no more: a few numbers for each object, and four bytes for
each slot.
"""

import numpy as np
import numpy.typing as npt

NOTHING = 0xFFFFFFFF
"""In the place of a node: no object."""

_PIECE = 1 << 20

_Addresses = npt.NDArray[np.uint64]


class Column:
    """Numbers of one type that become more; ``taken`` are those so far, and end it."""

    def __init__(self, dtype: type[np.unsignedinteger]) -> None:
        self._numbers = np.empty(1 << 12, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, numbers: npt.NDArray[np.integer]) -> None:
        """More of them."""
        needed = self._count + len(numbers)
        if needed > len(self._numbers):
            self._numbers.resize(max(needed, len(self._numbers) * 5 // 4), refcheck=False)
        self._numbers[self._count : needed] = numbers
        self._count = needed

    def taken(self) -> npt.NDArray[np.unsignedinteger]:
        """All of them, without what was kept ready for more."""
        numbers, self._numbers = self._numbers, np.empty(0, dtype=self._numbers.dtype)
        numbers.resize(self._count, refcheck=False)
        return numbers


class Links:
    """The references of objects at ``addresses``, ascending, each of which has so many ``slots``.

    ``fill`` says what the slots hold; ``taken`` makes a graph's arrays of it. ``strays`` counts references to where no
    object is.
    """

    def __init__(self, addresses: _Addresses, slots: npt.NDArray[np.uint64]) -> None:
        self.addresses = addresses
        self.strays = 0
        self.offsets = np.zeros(len(addresses) + 1, dtype=np.uint64)
        np.cumsum(slots, out=self.offsets[1:])
        self._targets = np.full(int(self.offsets[-1]), NOTHING, dtype=np.uint32)

    def nodes(self, addresses: _Addresses) -> npt.NDArray[np.uint32]:
        """The objects at these addresses; NOTHING for 0 and where there is none."""
        found = np.full(len(addresses), NOTHING, dtype=np.uint32)
        some = np.flatnonzero(addresses)
        wanted = addresses[some]
        # In order, so that one search goes where the last one went: many times faster than all over the memory.
        if (wanted[1:] < wanted[:-1]).any():
            order = np.argsort(wanted)
            wanted, some = wanted[order], some[order]
        places = np.searchsorted(self.addresses, wanted)
        np.minimum(places, len(self.addresses) - 1, out=places)
        there = self.addresses[places] == wanted
        found[some[there]] = places[there]
        self.strays += len(there) - int(there.sum())
        return found

    def fill(
        self, owners: npt.NDArray[np.uint32], counts: npt.NDArray[np.int64], held: _Addresses, first: int = 0
    ) -> bool:
        """``held`` is what the ``counts`` slots of each of ``owners`` hold, one's after the other's, from ``first`` on.

        False where one has no such slots.
        """
        if (owners == NOTHING).any():
            return False
        begin = self.offsets[owners].astype(np.int64) + first
        if (begin + counts > self.offsets[1:][owners].astype(np.int64)).any():
            return False
        places = np.repeat(begin - (np.cumsum(counts) - counts), counts)
        places += np.arange(len(held))
        self._targets[places] = self.nodes(held)
        return True

    def taken(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """Offsets and targets without the slots that hold nothing; the end of this."""
        offsets, targets = self.offsets, self._targets
        self._targets = np.empty(0, dtype=np.uint32)
        some = targets != NOTHING
        kept = 0
        begin = np.uint64(0)
        for start in range(0, len(offsets) - 1, _PIECE):
            ends = offsets[start + 1 : start + 1 + _PIECE].copy()
            starts = np.concatenate(([begin], ends[:-1]))
            counts = np.zeros(len(ends), dtype=np.int64)
            full = ends > starts
            if full.any():
                piece = some[int(begin) : int(ends[-1])]
                counts[full] = np.add.reduceat(piece, (starts[full] - begin).astype(np.int64), dtype=np.int64)
            offsets[start + 1 : start + 1 + _PIECE] = kept + np.cumsum(counts)
            kept, begin = int(offsets[start + len(ends)]), ends[-1]
        kept = 0
        for start in range(0, len(targets), _PIECE):
            held = targets[start : start + _PIECE][some[start : start + _PIECE]]
            targets[kept : kept + len(held)] = held
            kept += len(held)
        targets.resize(kept, refcheck=False)
        return offsets, targets
