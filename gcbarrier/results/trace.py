"""Raw events as a trace that ui.perfetto.dev and chrome://tracing open, and back: nothing is lost on the way.

The format is Chrome's JSON ("Trace Event Format"): an invocation is a process, the collector and each mutator a thread
of it, and each raw event a complete event (``"ph": "X"``, category ``raw``) that has all of its fields in ``args``, as
they are, and its place among the others (``n``). Times are microseconds from the first event of the invocation, exact
to the nanosecond, so that several invocations lie above each other.

What is worked out of them has the category ``derived``: cycles from begin to end, a mutator's way from the request of a
stop to its safepoint, and counters: granules that each collect reported (a round, or the drain of a log, is one), page
faults by mutator, bytes that live. A thread whose events do not lie within each other has more than one track.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcbarrier.errors import GcBarrierError
from gcbarrier.model.kinds import FELL_BACK, PAUSE_KINDS, Kind

RAW, DERIVED = "raw", "derived"
_TRACKS = 100
"""Track numbers of a thread: its own, and as many for what does not lie within it."""
_FAULTS, _CYCLES = 50, 99

Event = dict[str, Any]


def trace(events: NDArray[Any], *, pid: int = 1, name: str = "", facts: Mapping[str, Any] | None = None) -> Event:
    """The trace of one invocation's raw ``events``, as what ``json.dumps`` takes.

    ``name`` is the process's; ``facts`` are written down with it (``otherData``).
    """
    return joined([(pid, name, events)], facts)


def joined(parts: Iterable[tuple[int, str, NDArray[Any]]], facts: Mapping[str, Any] | None = None) -> Event:
    """One trace of several invocations, each a process: its number, its name and its raw events."""
    marks: list[Event] = []
    found: list[Event] = []
    origins: dict[str, int] = {}
    dtypes: dict[str, Any] = {}
    for pid, name, events in parts:
        origin = int(events["start_ns"].min()) if len(events) else 0
        own = [*_raw(events, pid, origin), *_derived(events, pid, origin)]
        marks += _names(own, pid, name)
        found += own
        origins[str(pid)], dtypes[str(pid)] = origin, events.dtype.descr
    # Parents before what lies in them.
    found.sort(key=lambda one: (one["ts"], -one.get("dur", 0)))
    told = {"clock": "CLOCK_MONOTONIC", "origin_ns": origins, "dtype": dtypes, **(facts or {})}
    return {"traceEvents": [*marks, *found], "displayTimeUnit": "ns", "otherData": told}


def raw_events(document: Mapping[str, Any], pid: int = 1) -> NDArray[Any]:
    """The structured array that one process of a trace was made of, bit by bit.

    Raises GcBarrierError where it was not made here, or something of it is gone.
    """
    try:
        dtype = np.dtype([tuple(field) for field in document["otherData"]["dtype"][str(pid)]])
        own = [one["args"] for one in document["traceEvents"] if one.get("cat") == RAW and one["pid"] == pid]
        events = np.zeros(len(own), dtype)
        placed = {one["n"]: one for one in own}
        for place in range(len(own)):
            events[place] = tuple(placed[place][name] for name in dtype.names or ())
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as problem:
        raise GcBarrierError(f"that is no trace of ours, or not all of it: {problem!r}") from problem
    return events


def encoded(document: Event) -> str:
    """As JSON, an event a line."""
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in document["traceEvents"])
    rest = json.dumps({name: value for name, value in document.items() if name != "traceEvents"})
    return f'{{"traceEvents":[\n{lines}\n],{rest[1:]}\n'


def _us(ns: int) -> float:
    """Exact to the ns, as floats are up to some hundred days."""
    return ns / 1000


def _complete(name: str, category: str, pid: int, tid: int, begin: int, end: int, args: Event) -> Event:
    return {
        "name": name,
        "cat": category,
        "ph": "X",
        "pid": pid,
        "tid": tid,
        "ts": _us(begin),
        "dur": _us(max(end - begin, 0)),
        "args": args,
    }


def _raw(events: NDArray[Any], pid: int, origin: int) -> Iterator[Event]:
    begins, ends = events["start_ns"].tolist(), events["end_ns"].tolist()
    tracks = _tracks(events, begins, ends)
    columns = {name: events[name].tolist() for name in events.dtype.names or ()}
    for place, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        fields = {name: values[place] for name, values in columns.items()}
        yield _complete(_title(fields), RAW, pid, tracks[place], begin - origin, end - origin, {"n": place, **fields})


def _tracks(events: NDArray[Any], begins: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Of each event: on one track all lie within each other, or apart."""
    threads, kinds = events["thread"].tolist(), events["kind"].tolist()
    tracks = [0] * len(events)
    open_: dict[int, list[int]] = {}
    for place in sorted(range(len(events)), key=lambda at: (begins[at], -ends[at])):
        base = (threads[place] + 1) * _TRACKS + (_FAULTS if kinds[place] == Kind.FAULTS else 0)
        for track in range(base, base + _FAULTS - 1):
            inside = open_.setdefault(track, [])
            while inside and inside[-1] <= begins[place]:
                inside.pop()
            if not inside or ends[place] <= inside[-1]:
                break
        open_[track].append(ends[place])
        tracks[place] = track
    return tracks


def _title(fields: Mapping[str, Any]) -> str:
    try:
        kind = Kind(fields["kind"])
    except ValueError:  # of a newer core
        return f"kind {fields['kind']}"
    if kind is Kind.PAUSE and fields["value"] < len(PAUSE_KINDS):
        return f"pause: {PAUSE_KINDS[fields['value']]}"
    return {Kind.TTSP: "to safepoint", Kind.CYCLE: "end of cycle"}.get(kind, kind.name.lower())


def _derived(events: NDArray[Any], pid: int, origin: int) -> Iterator[Event]:
    yield from _cycles(events, pid, origin)
    yield from _ways(events, pid, origin)
    collects = events[events["kind"] == Kind.COLLECT]
    for one in collects:
        counted = {"granules": int(one["value"])}
        if "flags" in (events.dtype.names or ()):
            counted["in a slower way"] = int(one["value"]) * bool(one["flags"] & FELL_BACK)
        yield _counter("dirty granules", pid, int(one["end_ns"]) - origin, counted)
    for one in events[events["kind"] == Kind.CYCLE]:
        yield _counter("live bytes", pid, int(one["end_ns"]) - origin, {"bytes": int(one["value"])})
    for one in events[events["kind"] == Kind.FAULTS]:
        begin, end = int(one["start_ns"]) - origin, int(one["end_ns"]) - origin
        rate = {"per ms": round(int(one["value"]) * 1e6 / max(end - begin, 1), 3)}
        yield _counter(f"faults of mutator {int(one['thread']) - 1}", pid, begin, rate)
        yield _counter(f"faults of mutator {int(one['thread']) - 1}", pid, end, {"per ms": 0})


def _counter(name: str, pid: int, at: int, args: Event) -> Event:
    return {"name": name, "cat": DERIVED, "ph": "C", "pid": pid, "tid": 0, "ts": _us(at), "args": args}


def _cycles(events: NDArray[Any], pid: int, origin: int) -> Iterator[Event]:
    ours = events[events["thread"] == 0]
    for end in ours[ours["kind"] == Kind.CYCLE]:
        number = int(end["cycle"])
        begin = int(ours["start_ns"][ours["cycle"] == number].min())
        args = {"cycle": number, "live_bytes": int(end["value"])}
        name, last = f"cycle {number}", int(end["end_ns"])
        yield _complete(name, DERIVED, pid, _CYCLES, begin - origin, last - origin, args)


def _ways(events: NDArray[Any], pid: int, origin: int) -> Iterator[Event]:
    """What a mutator did between the request and its arrival: it still ran, or had lost its processor."""
    requests = {int(one["pause"]): int(one["start_ns"]) for one in events[events["kind"] == Kind.PAUSE]}
    for held in events[events["kind"] == Kind.HELD]:
        asked, arrived = requests.get(int(held["pause"])), int(held["start_ns"])
        if asked is not None and asked < arrived:
            # On a track of its own: it may begin in the middle of something else.
            track = (int(held["thread"]) + 1) * _TRACKS + _CYCLES
            args = {"pause": int(held["pause"]), "request_ns": asked, "arrival_ns": arrived}
            yield _complete("asked to stop", DERIVED, pid, track, asked - origin, arrived - origin, args)


def _names(found: Iterable[Event], pid: int, name: str) -> Iterator[Event]:
    yield _metadata("process_name", pid, 0, {"name": name or "gcbarrier"})
    yield _metadata("process_sort_index", pid, 0, {"sort_index": pid})
    for track in sorted({one["tid"] for one in found if one["ph"] == "X"}):
        yield _metadata("thread_name", pid, track, {"name": _track_name(track)})
        yield _metadata("thread_sort_index", pid, track, {"sort_index": track})


def _track_name(track: int) -> str:
    if track == _CYCLES:
        return "cycles"
    thread, part = divmod(track, _TRACKS)
    whose = "collector" if thread == 1 else f"mutator {thread - 2}"
    if part == _CYCLES:
        return f"{whose}, on its way to a stop"
    what, nth = ("faults between two looks", part - _FAULTS) if part >= _FAULTS else ("", part)
    return ", ".join([whose, *([what] if what else []), *([f"track {nth + 1}"] if nth else [])])


def _metadata(name: str, pid: int, tid: int, args: Event) -> Event:
    return {"name": name, "ph": "M", "pid": pid, "tid": tid, "args": args}


__all__ = ["DERIVED", "RAW", "encoded", "joined", "raw_events", "trace"]
