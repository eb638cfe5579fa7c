"""Streams as a Python program writes its heap down, made by hand."""

import struct
from collections.abc import Sequence

Object = tuple[int, int, int, int, Sequence[int]]
"""Key, address, size, count, and the keys that it refers to."""

SMALL: list[Object] = [
    (16, 0x2010, 64, 1, [48, 48, 7]),  # held from elsewhere; 7 is no object that is known
    (48, 0x1030, 24, 2, [80]),
    (80, 0x1050, 32, 1, []),
    (96, 0x3000, 16, 1, [112]),  # two that hold each other
    (112, 0x3010, 16, 1, [96]),
]


def stream(pieces: Sequence[Sequence[Object]], *, totals: tuple[int, int] | None = None, text: str = "") -> bytes:
    """All pieces, and an end that tells of them, or of ``totals``."""
    words = text or "version 3.12.1\nage 1.50\n"
    padded = words.encode() + b" " * (-len(words.encode()) % 8)
    data = b"gcbarrier python heap 1\n" + _numbers([len(padded)]) + padded
    objects = references = 0
    for piece in pieces:
        targets = [key for *_, keys in piece for key in keys]
        columns = [number for column in range(4) for number in (each[column] for each in piece)]
        degrees = [len(keys) for *_, keys in piece]
        data += _numbers([len(piece), len(targets), *columns, *degrees, *targets])  # type: ignore[list-item]
        objects, references = objects + len(piece), references + len(targets)
    return data + _numbers([0, *(totals or (objects, references))])


def _numbers(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)
