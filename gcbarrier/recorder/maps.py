"""What a program has mapped, read again and again: ``/proc/PID/maps``, and how its private mappings come and go."""

import os
from collections.abc import Iterable, Iterator
from itertools import groupby

from attrs import frozen

from gcbarrier.page_traces.records import Mapping

_CHUNK_BYTES = 1 << 16
# The kernel's own, which no userfaultfd may watch.
_SPECIAL = ("[vvar", "[vdso", "[vsyscall", "[uprobes")
HUGETLB = "/anon_hugepage"


@frozen
class Area:
    """One line of ``/proc/PID/maps``: a private mapping, with or without a file behind it. Addresses in bytes."""

    start: int
    end: int
    writable: bool
    file: bool
    name: str


class AddressSpace:
    """The private mappings of one process image; a context manager.

    It stays with the program that it was opened of: after an exec, or an end, it is ``gone``. Raises OSError where the
    process is gone already or is another user's.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.gone = False
        self.areas: tuple[Area, ...] = ()
        """Ascending, as of the last ``refresh``."""
        self._file = os.open(f"/proc/{pid}/maps", os.O_RDONLY)
        self._text = b""
        self._known: dict[bytes, Area | None] = {}

    def refresh(self) -> bool:
        """Read them again; whether anything has changed."""
        text = b"".join(self._chunks())
        if text == self._text:
            return False
        self._text, self.gone = text, not text
        # Most lines are those of the last time.
        self._known = {line: self._known[line] if line in self._known else _area(line) for line in text.splitlines()}
        self.areas = tuple(area for area in self._known.values() if area is not None)
        return True

    def _chunks(self) -> Iterator[bytes]:
        try:
            os.lseek(self._file, 0, os.SEEK_SET)
            while chunk := os.read(self._file, _CHUNK_BYTES):
                yield chunk
        except ProcessLookupError:
            return

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _area(line: bytes) -> Area | None:
    addresses, rights, _offset, _device, inode, *rest = line.split(None, 5)
    name = rest[0].decode(errors="replace") if rest else ""
    if rights[3:4] != b"p" or name.startswith(_SPECIAL):
        return None
    start, _, end = addresses.partition(b"-")
    return Area(int(start, 16), int(end, 16), rights[1:2] == b"w", inode != b"0", name)


class History:
    """Which mappings there were, from which tick to which."""

    def __init__(self) -> None:
        self._there: dict[tuple[int, int, str], int] = {}
        self._gone: list[Mapping] = []

    def note(self, areas: Iterable[Area], tick: int) -> None:
        """These are there at a tick. Neighbours of one name are one mapping, whatever their protections."""
        now = set(_joined(areas))
        for each in self._there.keys() - now:
            since = self._there.pop(each)
            self._gone.append(Mapping(start=each[0], end=each[1], name=each[2], since=since, until=tick))
        for each in now - self._there.keys():
            self._there[each] = tick

    def all(self) -> tuple[Mapping, ...]:
        """All that there were, in the order of their coming."""
        there = (Mapping(start=a, end=b, name=name, since=since) for (a, b, name), since in self._there.items())
        return tuple(sorted((*self._gone, *there), key=lambda each: (each.since, each.start)))


def _joined(areas: Iterable[Area]) -> Iterator[tuple[int, int, str]]:
    for name, neighbours in groupby(areas, key=lambda area: area.name):
        start = end = -1
        for area in neighbours:
            if area.start != end:
                if end >= 0:
                    yield start, end, name
                start = area.start
            end = area.end
        yield start, end, name
