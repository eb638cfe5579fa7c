"""Heap dumps of hwgc-soft that are made up: protobuf's encoding, as much of it as they take."""

from collections.abc import Iterable, Sequence


def number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(at: int, value: int | bytes) -> bytes:
    """A field of a message: a number, or another message."""
    if isinstance(value, int):
        return number(at << 3) + number(value)
    return number(at << 3 | 2) + number(len(value)) + value


def an_object(start: int, size: int, held: Iterable[int] = (), *, klass: int = 42, length: int | None = None) -> bytes:
    """An object whose slots hold so many addresses; an array has a ``length``."""
    head = field(1, start) + field(2, klass) + field(3, size) + (b"" if length is None else field(4, length))
    edges = (field(1, start + 16 + 8 * i) + (field(2, each) if each else b"") for i, each in enumerate(held))
    return field(1, head + b"".join(field(7, edge) for edge in edges))


def dump(objects: Iterable[bytes], roots: Sequence[int], *, name: str = "immix") -> bytes:
    """All of it; a space's name is the only text."""
    space = field(1, name.encode()) + field(2, 1 << 41) + field(3, 1 << 42)
    return b"".join(objects) + b"".join(field(2, field(1, root)) for root in roots) + field(3, space)


def small() -> bytes:
    """Four objects, out of order: one of them an array, one that nothing refers to."""
    at = 0x200_0000_0000
    return dump(
        [
            an_object(at + 64, 40, [at, 0, at + 32], length=3),
            an_object(at, 32, [at + 64]),
            an_object(at + 32, 16),
            an_object(at + 128, 24, [at]),
        ],
        [at, at + 32, at],
    )
