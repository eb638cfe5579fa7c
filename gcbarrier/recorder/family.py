"""Descendants of the program that never introduced themselves: looked for in ``/proc`` now and then."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gcbarrier.recorder.process import CLOSED, name_of, program_of
from gcbarrier.recorder.programs import why_not
from gcbarrier.recorder.watch import Watch

_EVERY_NS = 200_000_000
_SHARE = 100
"""Of the recorder's time, looking takes one part in so many at most."""
_NAMED = 20
_RIGHTS = "it has rights of its own (setuid, another user), and takes no preloaded library"
_ELSE = (
    "it was started without the preloaded object (by a raw clone, or with another environment), "
    "or under a filter (seccomp)"
)


class Family:
    """Who descends from ``root`` and is not watched, though it has been there for two looks in a row.

    One that lives shorter may be missed.
    """

    def __init__(self, watch: Watch, root: int) -> None:
        self._watch, self._root = watch, root
        self._doubtful: set[tuple[int, str]] = set()
        self._lost: dict[int, str] = {}
        self._next_ns = 0

    def look(self, *, at_once: bool = False) -> None:
        """Look, if it is time to, or ``at_once``."""
        begun_ns = time.monotonic_ns()
        if begun_ns < self._next_ns and not at_once:
            return
        doubtful = set()
        for pid, parent in self._descendants():
            process = self._watch.processes.get(pid)
            if pid in self._lost or (process is not None and not process.tracker.space.gone):
                continue
            # Between a fork and an exec its name is its parent's.
            known = (pid, program_of(pid))
            doubtful.add(known)
            if known in self._doubtful and known[1]:
                self._lost[pid] = _sentence(pid, parent, known[1])
        self._doubtful = doubtful
        ended_ns = time.monotonic_ns()
        self._next_ns = ended_ns + max(_EVERY_NS, _SHARE * (ended_ns - begun_ns))

    def notes(self) -> tuple[str, ...]:
        """A sentence on each, or on the first of many and their number."""
        sentences = list(self._lost.values())
        more = len(sentences) - _NAMED
        if more > 0:
            return (*sentences[:_NAMED], f"{more:,} more processes were not followed")
        return tuple(sentences)

    def _descendants(self) -> Iterator[tuple[int, int | None]]:
        """Each with its parent, those of watched processes whose parents have ended among them."""
        seen: set[int] = set()
        frontier: list[tuple[int, int | None]] = [(self._root, None)]
        frontier += [(pid, process.parent_pid) for pid, process in self._watch.processes.items()]
        while frontier:
            pid, parent = frontier.pop()
            if pid not in seen:
                seen.add(pid)
                yield pid, parent
                frontier += [(child, pid) for child in _children(pid)]


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())


def _sentence(pid: int, parent: int | None, executable: str) -> str:
    child = f", a child of {parent}," if parent is not None else ""
    why = _RIGHTS if executable == CLOSED else why_not(f"/proc/{pid}/exe") or _ELSE
    return f"process {pid} ({name_of(pid)}){child} was not followed: {why}"
