"""The heap that replays a recording, its Python side: which pages, which ticks, and what can't be replayed."""

import argparse
import itertools
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import recorded
from hypothesis import given
from hypothesis import strategies as st

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.commands import list_
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Machine
from gcbarrier.page_traces import corpus
from gcbarrier.page_traces.pagesfile import Writer
from gcbarrier.page_traces.records import UFFD
from gcbarrier.plugins import discovery

MIB = 1 << 20
PAGE = 4096
TICKS = [[(10, 3), (20, 1)], [], [(11, 2), (14, 1), (90, 4)], [(0, 1)]]
BEFORE = (0, 30)


def heap() -> ModuleType:
    return discovery.module("heaps", "trace")


def made(path: Path, *, heap_mib: int = 64, mutators: int = 1, **params: Any) -> Any:
    size = {"heap_bytes": heap_mib * MIB, "mutators": mutators}
    resolved = heap().resolve(heap().Params(recording=str(path), **params), **size)
    heap().check(resolved, **size)
    return resolved


def replayed(path: Path, **params: Any) -> tuple[int, list[list[int]], list[int]]:
    """The blob taken apart like walk.h does: how many pages there are, those of each tick, and when ticks begin."""
    data = heap().blob(made(path, **params), heap_bytes=64 * MIB, mutators=1).tobytes()
    pages, ticks, runs = (int(each) for each in np.frombuffer(data, np.uint64, 3))
    at, wide = 24, []
    for count in (ticks + 1, ticks + 1, ticks):
        wide.append([int(each) for each in np.frombuffer(data, np.uint64, count, at)])
        at += 8 * count
    starts, begins, written = wide
    firsts, lengths = (np.frombuffer(data, np.uint32, runs, at + 4 * runs * index) for index in range(2))
    assert len(data) == at + 8 * runs
    spans = [range(int(first), int(first + length)) for first, length in zip(firsts, lengths, strict=True)]
    each = [[page for span in spans[start:end] for page in span] for start, end in itertools.pairwise(starts)]
    assert written == [len(pages) for pages in each]
    return pages, each, begins


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return recorded.recording(tmp_path / "small.pages", TICKS, initial=BEFORE)


def test_pages_are_numbered_by_address_and_written_in_their_ticks(small: Path) -> None:
    pages, each, begins = replayed(small)
    assert pages == 34  # 0 to 29 were there, 90 to 93 came
    assert each == [[10, 11, 12, 20], [], [11, 12, 14, 30, 31, 32, 33], [0]]
    assert begins == [0, 10_000_000, 20_000_000, 30_000_000, 39_999_000]


def test_fewer_ticks_end_where_the_next_would_have_begun(small: Path) -> None:
    assert replayed(small, ticks=2)[1:] == ([[10, 11, 12, 20], []], [0, 10_000_000, 20_000_000])
    assert len(replayed(small, ticks=100)[1]) == 4


def test_a_process_that_began_late_begins_at_once(tmp_path: Path) -> None:
    path = tmp_path / "two.pages"
    with Writer(path, command=("x",), every_ns=1000, tracker=UFFD, facts={}) as writer:
        recorded.add(writer, [[(1, 1)]], pid=11)
        number = writer.begin(pid=12, parent_pid=11, began="fork", command=("x",))
        writer.tick(
            number, begin_ns=7000, end_ns=7900, collect_ns=100, cpu_ns=0, faults=0, runs=recorded.runs((4, 1), (8, 2))
        )
        writer.close()
    assert replayed(path) == (3, [[0, 1, 2]], [0, 900]), "that which wrote most"
    assert replayed(path, process=0)[:2] == (1, [[0]])
    with pytest.raises(GcBarrierError, match="recording two has no process 5: the last of its 2 is number 1"):
        made(path, process=5)


@given(pages=st.integers(1, 5000), scale=st.floats(0, 1))
def test_a_sample_is_the_same_share_of_each_stretch_and_of_neighbours(pages: int, scale: float) -> None:
    group = heap().GROUP
    there = heap().sample(pages, scale)
    assert len(there) == pages
    taken = np.add.reduceat(there, np.arange(0, pages, group))
    sizes = np.add.reduceat(np.ones(pages, dtype=int), np.arange(0, pages, group))
    assert set(taken[taken > 0] - sizes[taken > 0]) <= {0}, "a group is there as a whole or not at all"
    groups = np.cumsum(taken > 0)
    assert (np.abs(groups - scale * np.arange(1, len(groups) + 1)) <= 1).all()


@given(pages=st.integers(1, 5000))
def test_the_whole_of_it_is_no_sample(pages: int) -> None:
    assert heap().sample(pages, 1.0).all()


def test_a_sample_writes_what_is_in_it(tmp_path: Path) -> None:
    path = recorded.program(tmp_path / "program.pages", pages=3200)
    whole, everything, begins = replayed(path)
    there = heap().sample(whole, 0.25)
    pages, each, same = replayed(path, scale=0.25)
    assert pages == there.sum() == 800
    number = np.cumsum(there) - 1
    assert each == [[int(number[page]) for page in tick if there[page]] for tick in everything]
    assert sum(map(len, each)) == pytest.approx(0.25 * sum(map(len, everything)), rel=0.2)
    assert same == begins


@pytest.mark.parametrize(("heap_mib", "share"), [(64, 1.0), (16, 16 * 0.4 * 256 / 3200), (4, 4 * 0.4 * 256 / 3200)])
def test_as_many_pages_as_fit_are_there(tmp_path: Path, heap_mib: int, share: float) -> None:
    path = recorded.program(tmp_path / "program.pages", pages=3200)
    params = made(path, heap_mib=heap_mib)
    assert params.scale == pytest.approx(share)
    assert heap().replay_of(params).pages <= heap_mib * MIB * 0.4 // PAGE + heap().GROUP
    size = {"heap_bytes": 1024 * MIB, "mutators": 1}
    assert heap().resolve(params, **size) == params, "what is concrete stays"
    assert made(path, heap_mib=1024, live_bytes=4 * MIB) == made(path, heap_mib=16, live_bytes=4 * MIB)


def test_what_does_not_fit_is_refused_with_the_size_that_it_needs(tmp_path: Path) -> None:
    path = recorded.program(tmp_path / "program.pages", pages=3200)
    with pytest.raises(GcBarrierError, match=r"3200 pages of the recording .*at least \d+ MiB, or less scale") as told:
        made(path, heap_mib=8, scale=1.0)
    (needed,) = re.findall(r"at least (\d+) MiB", str(told.value))
    made(path, heap_mib=int(needed), scale=1.0)
    with pytest.raises(GcBarrierError, match="at least"):
        made(path, heap_mib=int(needed) - 2, scale=1.0)


def test_what_mutators_follow_is_bounded(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap(), "MOST_RUNS", 4)
    heap()._sampled.cache_clear()
    with pytest.raises(GcBarrierError, match=r"first 3 ticks of the recording small .* set trace.ticks=2 or fewer"):
        made(small)
    assert len(replayed(small, ticks=2)[1]) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"object_bytes": 96},
            "can't fill pages with objects of 96 bytes: use a power of two, such as object_bytes=64",
        ),
        ({"references": 7}, "7 references, a header and 1 word don't fit .*: use at least 128 bytes"),
        ({"references": 6, "reference_share": 0.5}, "6 references, a header and 2 words don't fit"),
        ({"mutators": 40}, "of 40 mutators would have no page to write"),
        ({"scale": 0.01}, "nothing is written in this part of the recording"),
    ],
)
def test_what_contradicts_itself_is_refused(small: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(GcBarrierError, match=said):
        made(small, **changes)
    made(small, references=6, mutators=3)
    made(small, object_bytes=4096, references=500, reference_share=0.5)


def test_a_program_that_wrote_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GcBarrierError, match="nothing is written"):
        made(recorded.recording(tmp_path / "idle.pages", [[], []], initial=(0, 3)))
    with pytest.raises(GcBarrierError, match="nothing is written"):
        made(recorded.recording(tmp_path / "short.pages", []))


def test_without_a_corpus_it_says_so_and_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(corpus, "_folder", lambda: tmp_path)
    for recording in ("", "cpython", "nowhere/x.pages"):
        with pytest.raises(GcBarrierError, match=r"there is no recording '.+': name one") as told:
            heap().resolve(heap().Params(recording=recording), heap_bytes=64 * MIB, mutators=1)
        assert "\n" not in str(told.value)
    assert list_.run(argparse.Namespace(kind="heaps", json=False)) == 0
    assert "trace" in capsys.readouterr().out


@pytest.mark.skipif(heap().DEFAULT not in corpus.names(), reason="its recording is not in this checkout")
def test_the_default_is_there() -> None:
    params = heap().resolve(heap().Params(), heap_bytes=64 * MIB, mutators=2)
    heap().check(params, heap_bytes=64 * MIB, mutators=2)
    assert heap().replay_of(params).pages > 1000


def test_recordings_can_be_swept(small: Path, tmp_path: Path) -> None:
    other = recorded.program(tmp_path / "other, b.pages")
    pair = f"trace.recording={small},{other}".replace(", b", "\\, b")
    plan = campaign.script_of("pause_times").plan(machine=Machine(name="native"), quick=True)
    plan = settings.read(["heap=trace", pair]).apply(plan)
    assert {config.heap for config in plan.configs} == {"trace"}
    found = {config.heap_params["recording"] for config in plan.configs}
    assert found == {str(small), str(other)}
