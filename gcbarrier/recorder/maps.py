"""What a program has mapped, read again and again: ``/proc/PID/maps``, and how what is watched of it comes and goes."""

import os
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from attrs import frozen

from gcbarrier.page_traces.records import Mapping

_CHUNK_BYTES = 1 << 16
# The kernel's own, which no userfaultfd may watch.
_SPECIAL = ("[vvar", "[vdso", "[vsyscall", "[uprobes")
HUGETLB = "/anon_hugepage"
OURS = "gcbarrier"
"""The mapping of the preloaded object: a recording that is handed on need not name the cache folder it was built in."""
_OURS = re.compile(r"/preload-[0-9a-f]{8,}/plugin\.so$")


@frozen
class Area:
    """A mapping: one line of ``/proc/PID/maps``. Addresses in bytes."""

    start: int
    end: int
    watched: bool
    """Whether it can have pages of the process's own: it is private, and has no file or can be written.

    Without a file also where nobody may write: runtimes reserve memory without access and open it as they go. Not the
    rest of a file's mappings: it costs a program more faults to read those when they are watched.
    """
    name: str


class AddressSpace:
    """The mappings of one process image.

    It stays with the program that it was opened of: after an exec, or an end, it is ``gone``. Raises OSError where the
    process is gone already or is another user's.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.gone = False
        self.areas: tuple[Area, ...] = ()
        """All of them, ascending, as of the last ``refresh``."""
        self._file = os.open(f"/proc/{pid}/maps", os.O_RDONLY)
        self._text = b""
        self._known: dict[bytes, Area] = {}

    def refresh(self) -> bool:
        """Read them again; whether anything has changed."""
        text = b"".join(self._chunks())
        if text == self._text:
            return False
        self._text, self.gone = text, not text
        # Most lines are those of the last time.
        self._known = {line: self._known.get(line) or _area(line) for line in text.splitlines()}
        self.areas = tuple(self._known.values())
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


def _area(line: bytes) -> Area:
    addresses, rights, _offset, _device, inode, *rest = line.split(None, 5)
    name = rest[0].decode(errors="replace") if rest else ""
    if _OURS.search(name):
        name = OURS
    start, _, end = addresses.partition(b"-")
    own = rights[3:4] == b"p" and (rights[1:2] == b"w" or inode == b"0") and not name.startswith(_SPECIAL)
    return Area(int(start, 16), int(end, 16), own, name)


class History:
    """Which mappings there were, from which tick to which."""

    def __init__(self) -> None:
        self._there: dict[tuple[int, int, str], int] = {}
        self._gone: list[Mapping] = []

    def note(self, areas: Iterable[Area], tick: int) -> None:
        """These are there at a tick. Neighbours of one name are one mapping, whatever their protections."""
        now = set(_joined(area for area in areas if area.watched))
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
