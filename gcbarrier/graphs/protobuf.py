"""As much of protobuf's encoding as heap dumps need: numbers of many messages at once, and where messages begin.

A message is a row of fields: a key (the field's number and its type), then a number of one to ten bytes, or a length
and so many bytes. What can be here is read for all messages of a piece together, their first fields, then their second
ones. Fields are taken to be in order of their numbers, numbers before messages, as all known encoders write them.
"""

import numpy as np
import numpy.typing as npt

from gcbarrier.graphs.unfit import Unfit

PADDING = bytes(16)
"""Behind a piece of data, so that a number at its end can be read like any other."""

_Positions = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]


def number(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at``, and where it ends. Raises IndexError where it doesn't, and Unfit where it is too long."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift >= 70:
            raise Unfit("it has a number of more than 64 bits")


def numbers(data: npt.NDArray[np.uint8], at: _Positions) -> tuple[Numbers, _Positions]:
    """Numbers at many places of ``data``, which ends with PADDING, and where each of them ends."""
    first = data[at]
    values = (first & 0x7F).astype(np.uint64)
    after = at + 1
    going = np.flatnonzero(first >= 0x80)
    for shift in range(7, 70, 7):
        if not len(going):
            break
        bytes_ = data[after[going]]
        after[going] += 1
        values[going] |= (bytes_ & 0x7F).astype(np.uint64) << np.uint64(shift)
        going = going[bytes_ >= 0x80]
    if len(going):
        raise Unfit("it has a number of more than 64 bits")
    return values, after


def leading(
    data: npt.NDArray[np.uint8], begin: _Positions, end: _Positions, most: int
) -> tuple[npt.NDArray[np.uint64], _Positions]:
    """The numbers at the beginning of messages, uint64[most + 1, messages] by field, and where the rest begins.

    A field that is not there is 0. Raises Unfit where a message ends in the middle of one.
    """
    found = np.zeros((most + 1, len(begin)), dtype=np.uint64)
    at = begin.copy()
    going = np.flatnonzero(at < end)
    for _ in range(most):
        key = data[at[going]]
        going = going[(key & 7 == 0) & (key >> 3 > 0) & (key >> 3 <= most)]
        if not len(going):
            break
        fields = data[at[going]] >> 3
        found[fields, going], at[going] = numbers(data, at[going] + 1)
        if (at[going] > end[going]).any():
            raise Unfit("it has a number that goes beyond the end of its message")
        going = going[at[going] < end[going]]
    return found, at


def messages(data: bytes, begin: _Positions, end: _Positions, key: int) -> tuple[_Positions, npt.NDArray[np.int64]]:
    """Where the short messages begin that are all there is between each of ``begin`` and ``end``; how many each has.

    ``key`` is the field's number and type; short ones have fewer than 128 bytes.
    """
    found: list[int] = []
    counts: list[int] = []
    for at, until in zip(begin.tolist(), end.tolist(), strict=True):
        before = len(found)
        while at < until:
            if data[at] != key or data[at + 1] >= 0x80:
                raise Unfit(f"it has a field of key {data[at]} where {key} should be")
            at += 2
            found.append(at)
            at += data[at - 1]
        if at > until:
            raise Unfit("it has a message that goes beyond the end of the one around it")
        counts.append(len(found) - before)
    return np.array(found, dtype=np.int64), np.array(counts, dtype=np.int64)
