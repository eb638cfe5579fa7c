"""Small recordings of programs that never ran, as files."""

import atexit
import functools
import tempfile
from pathlib import Path

import numpy as np

from gcbarrier.page_traces.pagesfile import Writer
from gcbarrier.page_traces.records import UFFD

PAGE = 4096
EVERY_NS = 10_000_000


def runs(*pages: tuple[int, int]) -> np.ndarray:
    """Addresses of runs that are given as first page and number of pages."""
    return np.array([[first * PAGE, (first + count) * PAGE] for first, count in pages], dtype=np.uint64).reshape(-1, 2)


def recording(
    path: Path, ticks: list[list[tuple[int, int]]], *, initial: tuple[int, int] = (0, 0), pid: int = 7
) -> Path:
    """A file with one process; of each tick the runs, as first page and number of pages."""
    with Writer(path, command=("made", "up"), every_ns=EVERY_NS, tracker=UFFD, facts={}) as writer:
        add(writer, ticks, initial=initial, pid=pid)
        writer.close()
    return path


def add(writer: Writer, ticks: list[list[tuple[int, int]]], *, initial: tuple[int, int] = (0, 0), pid: int = 7) -> None:
    """One more process."""
    before = runs(initial) if initial[1] else runs()
    number = writer.begin(pid=pid, parent_pid=None, began="start", command=("made", "up"), initial=before)
    for tick, written in enumerate(ticks):
        writer.tick(
            number,
            begin_ns=tick * EVERY_NS,
            end_ns=(tick + 1) * EVERY_NS - 1000,
            collect_ns=1000,
            cpu_ns=EVERY_NS // 2,
            faults=sum(count for _, count in written),
            runs=runs(*written),
        )
    writer.end(number, ended="exit 0", mappings=())


def program(path: Path, *, pages: int = 1000, ticks: int = 50) -> Path:
    """What a program looks like: a stack that is always written, a nursery that moves on, and pages here and there."""
    random = np.random.default_rng(1)
    written = []
    for tick in range(ticks):
        nursery = 100 + tick * 40 % 200
        scattered = random.choice(np.arange(400, pages), size=pages // 10, replace=False)
        written.append([(2, 3), (nursery, 40), *((int(page), 1) for page in np.sort(scattered))])
    return recording(path, written, initial=(0, pages))


@functools.cache
def shared() -> dict[str, str]:
    """That program as the heap ``trace`` takes it, in a folder that goes with this process."""
    folder = tempfile.TemporaryDirectory(prefix="gcbarrier-recorded-")
    atexit.register(folder.cleanup)
    return {"recording": str(program(Path(folder.name) / "program.pages"))}
