"""Traces: all of the raw events are in them, and a viewer of the format finds what it needs."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcbarrier.core.events import EVENT, Kind
from gcbarrier.errors import GcBarrierError
from gcbarrier.results.trace import DERIVED, RAW, encoded, joined, raw_events, trace

NS = st.integers(0, 1 << 50)
ROW = st.tuples(
    *(NS, NS, st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1)),
    *(st.sampled_from([*Kind, 999]), st.integers(0, 3), st.integers(0, 3)),
)


def made(*rows: tuple[int, ...]) -> np.ndarray:
    return np.array([tuple(map(int, row)) for row in rows], EVENT)


def a_cycle() -> np.ndarray:
    """One with two mutators, one of which a stop held, and a round before the remark."""
    return made(
        (1000, 1100, 64, 3, 0, Kind.ARM, 0, 0),
        (1100, 5000, 900, 3, 0, Kind.MARK, 0, 0),
        (5000, 5200, 40, 3, 0, Kind.COLLECT, 0, 0),
        (4900, 5300, 400, 3, 0, Kind.HELP, 0, 1),
        (6000, 6010, 2, 3, 7, Kind.TTSP, 0, 0),
        (6010, 6100, 5, 3, 7, Kind.COLLECT, 2, 0),
        (6008, 6190, 0, 3, 7, Kind.HELD, 0, 1),
        (1000, 6008, 123, 3, 7, Kind.FAULTS, 0, 1),
        (6150, 6200, 0, 3, 7, Kind.RESUME, 0, 0),
        (6000, 6200, 1, 3, 7, Kind.PAUSE, 1, 0),
        (6300, 6300, 4096, 3, 0, Kind.CYCLE, 0, 0),
    )


def shown(document: Any, **wanted: Any) -> list[Any]:
    return [one for one in document["traceEvents"] if all(one.get(name) == value for name, value in wanted.items())]


@given(st.lists(ROW, max_size=30))
def test_the_raw_events_come_back_bit_by_bit(rows: list[tuple[int, ...]]) -> None:
    events = made(*rows)
    read = json.loads(encoded(trace(events)))
    back = raw_events(read)
    assert back.dtype == events.dtype
    assert back.tobytes() == events.tobytes()
    assert len(shown(read, cat=RAW)) == len(events)


@given(st.lists(ROW, max_size=30))
def test_a_viewer_finds_what_the_format_asks_for(rows: list[tuple[int, ...]]) -> None:
    found = json.loads(encoded(trace(made(*rows), name="x")))["traceEvents"]
    kinds = [one["ph"] for one in found]
    assert kinds == sorted(kinds, key=lambda kind: kind != "M"), "names come first"
    timed = [one for one in found if one["ph"] != "M"]
    assert [one["ts"] for one in timed] == sorted(one["ts"] for one in timed)
    named = {(one["pid"], one["tid"]) for one in found if one["name"] == "thread_name"}
    for one in timed:
        assert one["ph"] in ("X", "C")
        assert one["pid"] == 1
        if one["ph"] == "X":
            assert (one["pid"], one["tid"]) in named
            assert one["ts"] >= 0
            assert one["dur"] >= 0
        else:
            assert all(isinstance(value, int | float) for value in one["args"].values())


@given(st.lists(ROW, max_size=30))
def test_raw_events_of_a_track_lie_within_each_other_or_apart(rows: list[tuple[int, ...]]) -> None:
    """A viewer drops what overlaps another one's end."""
    ends: dict[int, list[float]] = {}
    for one in shown(trace(made(*rows)), cat=RAW):
        args = one["args"]
        inside = ends.setdefault(one["tid"], [])
        while inside and inside[-1] <= args["start_ns"]:
            inside.pop()
        assert not inside or args["end_ns"] <= inside[-1]
        inside.append(max(args["end_ns"], args["start_ns"]))


def test_times_are_exact_to_the_nanosecond() -> None:
    events = made(
        (1 << 59, (1 << 59) + 1, 0, 0, 0, Kind.MARK, 0, 0),
        ((1 << 59) + 86_400_000_000_001, 1 << 60, 0, 0, 0, Kind.ARM, 0, 0),
    )
    text = encoded(trace(events))
    assert '"ts":86400000000.001' in text
    assert '"dur":0.001' in text
    assert f'"start_ns":{1 << 59}' in text


def test_a_mutator_is_seen_from_the_request_over_its_arrival_to_its_release() -> None:
    document = trace(a_cycle(), name="ring/cards #0")
    (way,) = shown(document, name="asked to stop")
    (held,) = shown(document, name="held")
    (pause,) = shown(document, name="pause: remark")
    assert (way["cat"], held["cat"]) == (DERIVED, RAW)
    assert way["ts"] == pause["ts"] == 5.0
    assert way["ts"] + way["dur"] == pytest.approx(held["ts"])
    assert held["ts"] + held["dur"] <= pause["ts"] + pause["dur"]
    names = {one["tid"]: one["args"]["name"] for one in shown(document, name="thread_name")}
    assert names[held["tid"]] == "mutator 0"
    assert names[pause["tid"]] == "collector"
    assert names[way["tid"]] == "mutator 0, on its way to a stop"
    assert shown(document, name="process_name")[0]["args"]["name"] == "ring/cards #0"


def test_rounds_faults_and_live_bytes_are_counters_and_a_cycle_a_span() -> None:
    document = trace(a_cycle())
    assert [one["args"]["granules"] for one in shown(document, name="dirty granules")] == [40, 5]
    assert [one["args"]["in a slower way"] for one in shown(document, name="dirty granules")] == [0, 5]
    first, last = shown(document, name="faults of mutator 0")
    assert (first["args"]["per ms"], last["args"]["per ms"]) == (pytest.approx(123e6 / 5008, abs=0.001), 0)
    assert shown(document, name="live bytes")[0]["args"] == {"bytes": 4096}
    (cycle,) = shown(document, name="cycle 3")
    assert (cycle["ts"], cycle["dur"]) == (0, 5.3)


def test_invocations_are_processes_that_begin_together() -> None:
    later = a_cycle()
    later["start_ns"] += 10**9
    later["end_ns"] += 10**9
    document = joined([(1, "one", a_cycle()), (4, "other", later)])
    assert min(one["ts"] for one in shown(document, pid=1, cat=RAW)) == 0
    assert min(one["ts"] for one in shown(document, pid=4, cat=RAW)) == 0
    assert raw_events(document, 4).tobytes() == later.tobytes()
    assert raw_events(document, 1).tobytes() == a_cycle().tobytes()


@pytest.mark.parametrize("damage", ["otherData", "an event", "a field"])
def test_a_trace_that_lacks_something_is_refused(damage: str) -> None:
    document = json.loads(encoded(trace(a_cycle())))
    raw = shown(document, cat=RAW)
    if damage == "otherData":
        del document["otherData"]
    elif damage == "an event":
        document["traceEvents"].remove(raw[3])
    else:
        del raw[3]["args"]["flags"]
    with pytest.raises(GcBarrierError, match="no trace of ours"):
        raw_events(document)
