"""Recordings of page writes: what is written is read again, and what is damaged is refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest
from attrs import asdict, evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from gcbarrier import GcBarrierError
from gcbarrier.page_traces.coding import MOST_RUNS, CodingFault, collapsed, decoded, encoded, expanded, merged
from gcbarrier.page_traces.pagesfile import Writer, read
from gcbarrier.page_traces.records import Mapping, PageTrace, Recording, Slowdown

page_sets = st.lists(st.sets(st.integers(0, 1 << 40) | st.integers(0, 40), max_size=30), max_size=12)


def pages_of(pages: set[int]) -> "np.ndarray":
    return np.array(sorted(pages), dtype=np.uint64)


@settings(deadline=None)  # the machine may be busy
@given(page_sets)
def test_runs_come_back_as_they_were(sets: list[set[int]]) -> None:
    runs = [collapsed(pages_of(each)) for each in sets]
    parts = [encoded(each) for each in runs] or [encoded(collapsed(pages_of(set())))]
    gaps, lengths = (np.concatenate([part[index] for part in parts]) for index in (0, 1))
    found = decoded(gaps, lengths, np.array([len(each) for each in runs], dtype=np.int64))
    assert [expanded(each).tolist() for each in found] == [sorted(each) for each in sets]
    assert expanded(merged(runs)).tolist() == sorted(set().union(*sets))


@pytest.mark.parametrize(
    ("gaps", "lengths", "why"),
    [
        ([1, 2], [1], "2 gaps and 1 lengths"),
        ([1], [0], "a run of pages is empty"),
        ([0x81], [1], "cut off"),
        ([0xFF] * 9 + [1], [1], "63 bits"),
        ([0xFF] * 8 + [0x7F], [1], "beyond all addresses"),
    ],
)
def test_bytes_that_are_no_runs(gaps: list[int], lengths: list[int], why: str) -> None:
    with pytest.raises(CodingFault, match=why):
        decoded(np.array(gaps, dtype=np.uint8), np.array(lengths, dtype=np.uint8), np.array([1]))


def test_more_runs_than_a_recorder_writes_are_not_even_counted_out() -> None:
    many = np.ones(MOST_RUNS + 1, dtype=np.uint8)
    with pytest.raises(CodingFault, match="more than 8388608 runs"):
        decoded(many, many, np.array([len(many)]))


def addresses(pages: set[int]) -> "np.ndarray":
    runs = collapsed(pages_of(pages))
    return np.stack([runs[:, 0] * 4096, (runs[:, 0] + runs[:, 1]) * 4096], axis=1)


MAPPINGS = (Mapping(start=4096, end=40960, name="[heap]"), Mapping(start=1 << 20, end=2 << 20, since=1, until=3))


def make(path: Path, sets: list[set[int]], initial: frozenset[int] = frozenset({3, 4, 900})) -> None:
    with Writer(path, command=("a", "b"), every_ns=10, tracker="uffd-wp-async", facts={"kernel": "6"}) as writer:
        one = writer.begin(pid=7, parent_pid=None, began="start", command=("a", "b"), initial=addresses(set(initial)))
        two = writer.begin(pid=8, parent_pid=7, began="fork", command=("a",))
        for index, each in enumerate(sets):
            at = {"begin_ns": 10 * index, "end_ns": 10 * index + 9, "collect_ns": 2, "cpu_ns": 5, "faults": len(each)}
            writer.tick(one, runs=addresses(each), **at)
            writer.tick(two, runs=addresses({page + 1 for page in each}), **at)
        writer.end(one, ended="exit 0", mappings=MAPPINGS)
        writer.close(notes=["a note"], slowdowns=[Slowdown(every_ns=0, wall_ns=(1, 2), cpu_ns=(1, 1))])


@settings(deadline=None)  # it writes a file
@given(sets=page_sets)
def test_a_recording_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, sets: list[set[int]]) -> None:
    path = tmp_path_factory.mktemp("file") / "a.pages"
    make(path, sets)
    found = read(path)
    first, second = found.traces
    assert [first.pages[each].tolist() for each in first.writes()] == [
        [4096 * page for page in sorted(each)] for each in sets
    ]
    assert first.pages[first.initial].tolist() == [4096 * page for page in (3, 4, 900)]
    assert first.counts.tolist() == first.faults.tolist() == second.counts.tolist() == [len(each) for each in sets]
    assert first.mappings == MAPPINGS
    assert (first.ended, second.ended, second.parent_pid, second.began) == ("exit 0", "still running", 7, "fork")
    assert (found.notes, found.slowdowns[0].wall_ns, found.facts["kernel"]) == (("a note",), (1, 2), "6")
    with pytest.raises(ValueError, match="read-only"):
        first.pages[:] = 0


def test_many_chunks_are_read_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gcbarrier.page_traces.pagesfile._CHUNK_TICKS", 3)
    sets = [{index, 2 * index, 1000 - index} for index in range(20)]
    make(tmp_path / "a.pages", sets)
    trace = read(tmp_path / "a.pages").traces[0]
    for tick in (19, 0, 7, 8, 3, 19):
        assert trace.pages[trace.written(tick)].tolist() == [4096 * page for page in sorted(sets[tick])]
    with pytest.raises(IndexError, match="no tick 20"):
        trace.written(20)


def test_a_trace_that_nobody_recorded() -> None:
    trace = PageTrace.of([[1, 2, 9], [], [2]], every_ns=100)
    assert [each.tolist() for each in trace.writes()] == [[0, 1, 2], [], [1]]
    assert (trace.pages // 4096).tolist() == [1, 2, 9]
    assert trace.duration_ns == 300
    assert Recording(command=(), every_ns=100, tracker="soft-dirty", traces=(trace,)).main is trace


def test_nothing_is_left_of_a_recording_that_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Writer(tmp_path / "a.pages", command=(), every_ns=1, tracker="", facts={}):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with pytest.raises(GcBarrierError, match="can't be written"):
        Writer(tmp_path / "no" / "a.pages", command=(), every_ns=1, tracker="", facts={})
    with pytest.raises(GcBarrierError, match="a folder or device"):
        Writer(tmp_path, command=(), every_ns=1, tracker="", facts={})


def test_damage_is_told_in_a_sentence(tmp_path: Path) -> None:
    make(tmp_path / "a.pages", [{1, 2}, {5}])
    whole = (tmp_path / "a.pages").read_bytes()
    bad = tmp_path / "bad.pages"
    for length in range(0, len(whole), 37):
        bad.write_bytes(whole[:length])
        with pytest.raises(GcBarrierError, match=r"damaged or not a recording|not a usable recording"):
            read(bad)
    refused = 0
    for place in range(0, len(whole), 11):
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read(bad)
        except GcBarrierError:
            refused += 1
    assert refused
    with pytest.raises(GcBarrierError, match="No such file"):
        read(tmp_path / "none.pages")


def test_records_are_checked() -> None:
    trace = PageTrace.of([[1]], every_ns=100)
    with pytest.raises(ValueError, match="began"):
        evolve(trace, began="somehow")
    with pytest.raises(TypeError):
        Mapping(start="1", end=2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="end"):
        Mapping(start=1, end=1 << 64)
    with pytest.raises(ValueError, match="cpu_ns"):
        Slowdown(every_ns=1, wall_ns=(1,), cpu_ns=(1 << 63,))
    assert asdict(MAPPINGS[0])["until"] is None
