"""What tracking costs a program that writes an array: the function that the ``tracking`` experiment's probes call.

Tracked and untracked it writes the same array in the same process, taking turns (``native/bench/writer.c``).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gcbarrier import barriers
from gcbarrier.bench.probes import Bench, timed
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import PAGE_BYTES, Reading
from gcbarrier.results.spread import quartiles

_MAPS = Path("/proc/self/maps")


def array(
    bench: Bench, *, random: bool, words: int, every_ms: float, duration_s: float, turns: int, shares: str
) -> Iterator[Reading]:
    """An array as large as the probe's memory, written page by page, ``words`` words of each; ``random``: in a random
    order. Another thread collects, ``every_ms`` after its last collect, and arms again; it has the writer rest where
    the barrier is not atomic. ``turns`` times ``duration_s`` with tracking and without.

    Readings, of whose names the first part is ``sequential`` or ``random``: ``wall`` and ``cpu``, by how much a page
    took longer tracked than untracked in the same turn (1: no longer), by the clock and in the writer's processor time;
    ``page``, a page untracked, in ns; ``faults`` for each page that was written while tracked; ``arm``, arming, and
    ``collect``, a collect, in ns a page of the array; ``interval``, how much longer than ``every_ms`` it was from
    collect to collect (2: a collect took as long as what was between two); ``reported``, a collect in ns a page
    reported; ``mappings``, that the process has over the array when, since it was armed, ``x`` per cent of its pages
    were written in that order (each of ``shares``, separated by spaces). ``refused``, with the reason as its note,
    where the barrier gives up. Without a barrier that tracks there is ``page`` alone.
    """
    order = "random" if random else "sequential"
    lib, ffi = bench.core.lib, bench.core.ffi
    atomic = barriers.choose(bench.probe.barrier, bench.probe.barrier_params).promises.atomic
    pages = bench.probe.heap_bytes // PAGE_BYTES
    samples: dict[str, list[float]] = {}
    mappings: list[tuple[float, int]] = []

    def add(what: str, value: float) -> None:
        samples.setdefault(f"{order}/{what}", []).append(value)

    with bench.space() as space:
        address = int(ffi.cast("uintptr_t", lib.gcb_space_address(space.handle)))
        writer = lib.gcb_writer_new(space.handle, words, random, atomic)
        if writer == ffi.NULL:
            raise bench.core.failure()

        def run(every_ns: int) -> Any:
            found = ffi.new("gcb_writing *")
            bench.core.check(lib.gcb_writer_run(writer, int(duration_s * 1e9), every_ns, found))
            return found

        def untracked() -> Any:
            lib.gcb_writer_untrack(writer)
            found = run(0)
            add("page", found.wall_ns / found.written)
            return found

        def tracked() -> Any:
            add("arm", bench.core.check(lib.gcb_writer_track(writer)) / pages)
            found = run(int(every_ms * 1e6))
            add("faults", found.faults / found.written)
            if found.collects:
                add("collect", found.collect_ns / found.collects / pages)
                add("interval", found.wall_ns / found.collects / (every_ms * 1e6))
            if found.reported:
                add("reported", found.collect_ns / found.reported)
            return found

        try:
            for turn in range(turns):
                if not bench.tracks:
                    untracked()
                    continue
                # Neither is always first.
                bare, other = (untracked(), tracked()) if turn % 2 else reversed((tracked(), untracked()))
                for what in ("wall", "cpu"):
                    ours, theirs = (getattr(one, f"{what}_ns") / one.written for one in (other, bare))
                    add(what, ours / theirs)
            for share in map(float, shares.split()) if bench.tracks else ():
                bench.core.check(lib.gcb_writer_track(writer))
                lib.gcb_writer_write(writer, round(pages * share / 100))
                count = _mappings(address, bench.probe.heap_bytes)
                # A barrier that has had to give up has one mapping again, and says so when it is asked.
                bench.core.check(lib.gcb_watch_collect(space.handle, False))
                mappings.append((share, count))
                lib.gcb_writer_untrack(writer)
        except GcBarrierError as problem:
            yield Reading(what=f"{order}/refused", value=1, unit="answers", note=str(problem))
        finally:
            lib.gcb_writer_free(writer)
    for what, values in samples.items():
        yield _reading(what, values)
    for share, count in mappings:
        yield Reading(what=f"{order}/mappings", x=share, value=count, unit="mappings")


def _reading(what: str, values: list[float]) -> Reading:
    kind = what.partition("/")[2]
    if kind in ("page", "arm", "collect", "reported"):
        return timed(what, values)
    low, centre, high = quartiles(values)
    unit = "faults" if kind == "faults" else "ratio"
    return Reading(what=what, value=centre, low=low, high=high, samples=len(values), unit=unit)


def _mappings(address: int, size_bytes: int) -> int:
    """Of the process, those that lie over this range."""
    count = 0
    for line in _MAPS.read_text().splitlines():
        start, end = (int(part, 16) for part in line.split(maxsplit=1)[0].split("-"))
        count += start < address + size_bytes and end > address
    return count


__all__ = ["array"]
