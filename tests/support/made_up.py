"""Recordings of page writes that nobody recorded."""

from pathlib import Path
from typing import Any

import numpy as np

from gcbarrier.page_traces.coding import collapsed
from gcbarrier.page_traces.overview import Overview
from gcbarrier.page_traces.pagesfile import Writer
from gcbarrier.page_traces.records import Mapping, PageTrace, Recording, Slowdown

SLOWDOWNS = (
    Slowdown(every_ns=0, wall_ns=(1000, 1010, 1030), cpu_ns=(900, 905, 901)),
    Slowdown(every_ns=10_000_000, wall_ns=(1300, 1340, 1280), cpu_ns=(1150, 1155, 1151)),
)
PAGES = [[1, 2, 3], [2, 3, 600], [2], [], [3, 600, 601]] * 8
"""Of a program that writes: the pages of each tick."""
MAPPINGS = (
    Mapping(start=0, end=100 * 4096, name="[heap]"),
    Mapping(start=600 * 4096, end=700 * 4096, name="/usr/lib/libc.so.6"),
)


def made(writes: list[list[int]], *, every_ns: int = 10_000_000, **rest: Any) -> Recording:
    """A recording of one process that wrote these pages (by number) tick by tick."""
    trace = PageTrace.of([*writes], every_ns=every_ns, mappings=MAPPINGS, command=("program", "--fast"))
    told: dict[str, Any] = {"command": ("program",), "tracker": "uffd-wp-async", "facts": {"kernel": "6"}, **rest}
    return Recording(every_ns=every_ns, traces=(trace,), **told)


def overview(writes: list[list[int]], *, name: str = "program", every_ns: int = 10_000_000, **rest: Any) -> Overview:
    """Its numbers."""
    recording = made(writes, every_ns=every_ns, **rest)
    return Overview(name=name, recording=recording, trace=recording.main)


def save(path: Path, *processes: list[list[int]], notes: tuple[str, ...] = ()) -> Path:
    """A file with a process for each of these."""
    with Writer(path, command=("program",), every_ns=10, tracker="uffd-wp-async", facts={"kernel": "6"}) as writer:
        for pid, writes in enumerate(processes, 1):
            parent, began = (None, "start") if pid == 1 else (1, "fork")
            number = writer.begin(pid=pid, parent_pid=parent, began=began, command=("program", f"of {pid}"))
            for tick, pages in enumerate(writes):
                runs = collapsed(np.array(sorted(pages), dtype=np.uint64))
                ends = np.stack([runs[:, 0], runs[:, 0] + runs[:, 1]], axis=1) * np.uint64(4096)
                begin = tick * 10_000_000
                writer.tick(
                    number, begin_ns=begin, end_ns=begin + 10_000_000, collect_ns=1, cpu_ns=1, faults=1, runs=ends
                )
            writer.end(number, ended="exit 0", mappings=MAPPINGS)
        writer.close(notes=notes, slowdowns=SLOWDOWNS)
    return path
