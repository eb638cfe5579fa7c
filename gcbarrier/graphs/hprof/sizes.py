"""How large objects were: a dump does not say, but it says what they consist of, and where they lay.

An object is a header and its fields, in any order, up to a multiple of the alignment; an array a header with its
length, and its elements. How many bytes a reference and the headers have depends on how the machine was started
(compressed references, compressed class pointers, compact headers). Every size that is too large shows: some object
would reach into the next one. So of all ways that HotSpot knows, the one is taken that gives the largest sizes without
that.

What a machine adds to objects by itself (padding, fields that only it sees in classes, loaders and threads) is in no
dump; such objects were larger.
"""

import attrs
import numpy as np
import numpy.typing as npt

from gcbarrier.graphs.hprof.records import BASIC_BYTES, REFERENCE

_PIECE = 1 << 20  # objects at a time
_COARSEST = 256  # HotSpot's largest alignment

_Integers = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True)
class Layout:
    """Bytes of a reference, of an object's header, and of an array's with its length."""

    reference: int
    header: int
    array_header: int

    def __str__(self) -> str:
        return f"references of {self.reference} and headers of {self.header} bytes"


LAYOUTS = {
    4: (Layout(reference=4, header=8, array_header=12),),
    8: (
        Layout(reference=8, header=16, array_header=24),
        Layout(reference=8, header=16, array_header=20),  # from JDK 23 on
        Layout(reference=8, header=12, array_header=16),
        Layout(reference=8, header=8, array_header=12),
        Layout(reference=4, header=16, array_header=24),
        Layout(reference=4, header=16, array_header=20),
        Layout(reference=4, header=12, array_header=16),
        Layout(reference=4, header=8, array_header=12),
    ),
}
"""By the bytes of an id. Compressed references are those of 4 bytes in a dump with ids of 8."""


@attrs.frozen(kw_only=True, eq=False)
class Parts:
    """What objects consist of, by kind: so many references, and bytes of numbers. An array's kind is its type."""

    references: _Integers
    numbers_bytes: _Integers

    def tables(self, layout: Layout) -> tuple[_Integers, _Integers]:
        """Bytes of an object before it is aligned, and those that each element adds."""
        fixed = layout.header + self.references * layout.reference + self.numbers_bytes
        each = np.zeros(len(fixed), dtype=np.int64)
        for kind, width in {**BASIC_BYTES, REFERENCE: layout.reference}.items():
            fixed[kind] = -(-layout.array_header // width) * width
            each[kind] = width
        return fixed, each


def alignment(addresses: npt.NDArray[np.uint64]) -> int:
    """The largest power of two that divides all of them, from 8 to 256."""
    union = int(np.bitwise_or.reduce(addresses)) | _COARSEST
    return max(8, union & -union)


def sized(
    addresses: npt.NDArray[np.uint64],
    kinds: npt.NDArray[np.uint32],
    lengths: npt.NDArray[np.uint32],
    parts: Parts,
    id_bytes: int,
) -> tuple[npt.NDArray[np.uint64], Layout]:
    """Sizes in bytes of objects at ascending ``addresses``, and the layout that they follow from."""
    aligned = alignment(addresses)
    found: list[tuple[int, int, int]] = []
    for number, layout in enumerate(LAYOUTS[id_bytes]):
        overlaps = 0
        total = 0
        for start in range(0, len(addresses), _PIECE):
            sizes = _sizes(kinds, lengths, parts.tables(layout), aligned, start)
            gaps = np.diff(addresses[start : start + len(sizes) + 1])
            overlaps += int((sizes[: len(gaps)].astype(np.uint64) > gaps).sum())
            total += int(sizes.sum())
        found.append((overlaps, -total, number))
    layout = LAYOUTS[id_bytes][min(found)[2]]
    sizes_bytes = np.empty(len(addresses), dtype=np.uint64)
    for start in range(0, len(addresses), _PIECE):
        sizes_bytes[start : start + _PIECE] = _sizes(kinds, lengths, parts.tables(layout), aligned, start)
    return sizes_bytes, layout


def _sizes(
    kinds: npt.NDArray[np.uint32],
    lengths: npt.NDArray[np.uint32],
    tables: tuple[_Integers, _Integers],
    aligned: int,
    start: int,
) -> _Integers:
    fixed, each = tables
    these = kinds[start : start + _PIECE]
    return (fixed[these] + each[these] * lengths[start : start + _PIECE] + aligned - 1) // aligned * aligned
