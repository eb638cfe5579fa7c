"""Damage that readers of structured files should survive: numbers replaced, bytes flipped, pieces cut or repeated."""

import random
import re
from collections.abc import Callable

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_VALUE = re.compile(rb'"[^"\n]{0,40}"|-?\d+|true|false|null|\[\]|\{\}')
NUMBERS = (b"-1", b"0", b"1", b"1.5", b"-0", b"1e999", b"255", b"65536", b"4294967296", b"1000000000000", b"9" * 19,
           b"9" * 40, b"9" * 400, b"9" * 5000)  # fmt: skip
VALUES = (*NUMBERS, b"null", b"true", b'""', b'"x"', b"[]", b"{}", b"[[1]]", b"NaN", b"Infinity", b"[" * 5000)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """``data`` with one to three of these kinds of damage."""
    for _ in range(chance.randint(1, 3)):
        data = chance.choice(_KINDS)(data, chance)
    return data


def _flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8) if data else 0):
        changed[chance.randrange(len(changed))] = chance.choice((0, 0xFF, 0x80, 0x7F, chance.randrange(256)))
    return bytes(changed)


def _truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _cut_out(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randint(1, 64) :]


def _spliced(data: bytes, chance: random.Random) -> bytes:
    """A piece of it once more, somewhere else."""
    start, at = chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)
    return data[:at] + data[start : start + chance.randint(1, 256)] + data[at:]


def _replaced(pattern: re.Pattern[bytes], others: tuple[bytes, ...]) -> Callable[[bytes, random.Random], bytes]:
    def replace(data: bytes, chance: random.Random) -> bytes:
        found = list(pattern.finditer(data))
        if not found:
            return data
        at = chance.choice(found)
        return data[: at.start()] + chance.choice(others) + data[at.end() :]

    return replace


_KINDS = (_flipped, _truncated, _cut_out, _spliced, _replaced(_NUMBER, NUMBERS), _replaced(_VALUE, VALUES))
