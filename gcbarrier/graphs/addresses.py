"""Where objects lay in the program that a graph is of: what is asked of such addresses, and how a file keeps them.

Addresses are in bytes, one for each object, none of them 0 and no two alike. That objects overlap is not refused: no
heap has such objects, but sizes are not always those of one stretch of memory (CPython's ``sys.getsizeof`` counts a
list's slots, which lie elsewhere, with the list), nor always exact. ``overlapping`` counts them.

In a file they are steps from one object's address to the next one's, in the order of the graph. Most steps are small, a
few are not; so the steps' lowest bytes come first, of all of them, then the next ones. A plane of nothing but zeros
takes no room once it is compressed.
"""

import numpy as np
import numpy.typing as npt

_Addresses = npt.NDArray[np.uint64]


def fault(addresses: _Addresses, sizes_bytes: npt.NDArray[np.uint64]) -> str:
    """What keeps ``addresses`` from being those of objects of these sizes: a clause, or ""."""
    if addresses.dtype != np.uint64 or addresses.ndim != 1:
        return "addresses is not a one-dimensional uint64 array"
    if len(addresses) != len(sizes_bytes):
        return f"it has sizes of {len(sizes_bytes)} objects but addresses of {len(addresses)}"
    if not addresses.all():
        return f"object {int(addresses.argmin())} has the address 0"
    if (addresses + sizes_bytes < addresses).any():
        return "it has an object that ends after the last address"
    if (addresses[1:] > addresses[:-1]).all():  # as importers sort them: nothing more to do
        return ""
    ascending = np.sort(addresses)
    twice = np.flatnonzero(ascending[1:] == ascending[:-1])
    return f"two objects have the address {int(ascending[twice[0]]):#x}" if len(twice) else ""


def overlapping(addresses: _Addresses, sizes_bytes: npt.NDArray[np.uint64]) -> int:
    """How many objects begin before the end of one that begins before them."""
    ends = addresses + sizes_bytes
    if not (addresses[1:] > addresses[:-1]).all():
        order = np.argsort(addresses)
        addresses, ends = addresses[order], ends[order]
    return int((np.maximum.accumulate(ends)[:-1] > addresses[1:]).sum())


def packed(addresses: _Addresses) -> npt.NDArray[np.uint8]:
    """The steps as uint8[bytes of the largest step, objects], the lowest byte first; the first step is from 0."""
    steps = np.empty(len(addresses), dtype="<i8")
    steps[:1] = addresses[:1].view(np.int64)
    steps[1:] = (addresses[1:] - addresses[:-1]).view(np.int64)  # down is up, modulo 2^64
    # The sign into the lowest bit, so that a small step back is a small number too.
    signs = steps >> 63
    steps <<= 1
    steps ^= signs
    del signs
    width = (int(steps.view("<u8").max(initial=0)).bit_length() + 7) // 8
    return np.ascontiguousarray(steps.view(np.uint8).reshape(-1, 8).T[:width])


def unpacked(planes: npt.NDArray[np.uint8]) -> _Addresses:
    """The inverse of :func:`packed`, for at most 8 planes."""
    steps = np.zeros((planes.shape[1], 8), dtype=np.uint8)
    steps[:, : len(planes)] = planes.T
    numbers = steps.reshape(-1).view("<u8").astype(np.uint64, copy=False)
    signs = -(numbers & np.uint64(1)).view(np.int64)
    numbers >>= np.uint64(1)
    numbers ^= signs.view(np.uint64)
    return np.cumsum(numbers, out=numbers)
