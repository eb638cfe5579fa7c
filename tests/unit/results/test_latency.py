"""Latency: operations in order out of their stamps, arrivals at an even rate, and HdrHistogram's text."""

import io
from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import make_outcome, write_run

from gcbarrier.core.events import EVENT
from gcbarrier.core.times import FIRST, STAMP
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, OperationTimes, evolve
from gcbarrier.results import latency
from gcbarrier.results.hgrm import hgrm, hgrm_of
from gcbarrier.results.latency import Kept, arrivals, kept, percentiles, served
from gcbarrier.results.operations import histogram
from gcbarrier.results.run import load

CONFIG = Config(heap="requests", barrier="cards", collector="mostly-concurrent", timed=True, mutators=2)
TIMES = OperationTimes(phase="mark", low_ns=(10, 2000), high_ns=(11, 2032), counts=(99, 1))

gaps = st.lists(st.integers(1, 100), min_size=1, max_size=40)


def packed(*arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    for array in arrays:
        np.save(buffer, array)
    return buffer.getvalue()


def written(folder: Path, *arrays: np.ndarray) -> Path:
    outcome = evolve(make_outcome(CONFIG, 0), operation_times=(TIMES,))
    return write_run(folder / "run", [outcome], packed(np.empty(0, EVENT), *arrays))


def stamps(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(list(rows), STAMP)


def test_operations_of_all_mutators_are_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    firsts = np.array([(1000, 3), (1010, 1)], FIRST)
    run = load(written(tmp_path, firsts, stamps((0, 5), (20, 7), (0, 1), (3, 4))))
    found = kept(run, 0)
    assert found is not None
    assert found.start_ns.tolist() == [1000, 1013, 1025, 1032]
    assert found.took_ns.tolist() == [5, 4, 7, 1]
    (cell,) = served(run, "native")
    assert cell.percentiles(0, [0, 50, 100]).tolist() == [1, 4, 7]


def test_where_they_were_not_kept_the_histogram_tells_the_simple_latency(tmp_path: Path) -> None:
    run = load(written(tmp_path, np.empty(0, FIRST), np.empty(0, STAMP)))
    assert kept(run, 0) is None
    (cell,) = served(run, "native")
    assert cell.percentiles(0, [50, 100]).tolist() == [10, 2015.5]
    assert np.isnan(cell.percentiles(0, [50], inf)).all()


def test_an_older_run_has_none(tmp_path: Path) -> None:
    run = load(written(tmp_path))
    assert kept(run, 0) is None
    assert len(run.events(0)) == 0


def test_the_reader_knows_the_core_stamps() -> None:
    assert (latency.FIRST, latency.STAMP) == (FIRST, STAMP)


def test_stamps_that_are_cut_off_are_damage(tmp_path: Path) -> None:
    folder = written(tmp_path, np.array([(0, 3)], FIRST), stamps((0, 5), (0, 7), (0, 1)))
    file = folder / "events" / "0.npy"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(GcBarrierError, match="can't be read as raw events"):
        kept(load(folder), 0)
    other = written(tmp_path / "other", np.array([(0, 9)], FIRST), stamps((0, 5)))
    with pytest.raises(GcBarrierError, match="as many stamps as it says"):
        kept(load(other), 0)


@given(gaps)
def test_without_a_window_they_came_when_they_began_and_over_the_run_evenly(between: list[int]) -> None:
    start = np.cumsum(between)
    assert arrivals(start, 0).tolist() == start.tolist()
    assert arrivals(start, inf) == pytest.approx(np.linspace(start[0], start[-1], len(start)))


@given(gaps, st.integers(2, 200))
def test_so_many_have_come_as_had_begun_in_the_mean_over_the_window(between: list[int], window: int) -> None:
    start = np.cumsum(between).astype(float)
    came = arrivals(start, window)
    assert (np.diff(came) >= -1e-9).all()
    if len(start) < 2 or window >= start[-1] - start[0]:
        return
    rate = (len(start) - 1) / (start[-1] - start[0])

    def begun(moment: np.ndarray) -> np.ndarray:
        inside = np.interp(moment, start, np.arange(len(start)))
        return inside + rate * (np.minimum(moment - start[0], 0) + np.maximum(moment - start[-1], 0))

    offsets = (np.arange(2000) + 0.5) / 2000 * window - window / 2
    slope = max(1, rate)
    for number, moment in enumerate(came):
        if start[0] < moment < start[-1]:
            # What it is between two of the moments that were looked at, none of which is far.
            assert begun(moment + offsets).mean() == pytest.approx(number, abs=slope * 0.3 + 0.3)


def test_what_queues_behind_a_pause_is_late() -> None:
    """An operation each 10 µs, of 2 µs; a pause of 1 ms in one of them, after which it catches up."""
    took = np.full(10_000, 2_000)
    took[5_000] = 1_000_000
    due = np.arange(10_000) * 10_000
    start = np.empty_like(due)
    free = 0
    for at, (wanted, long) in enumerate(zip(due, took, strict=True)):
        start[at] = max(wanted, free)
        free = start[at] + long
    seen = Kept(start_ns=start + 10**15, took_ns=took)
    assert percentiles(seen.took_ns, 99) == 2_000
    for window in (1e8, inf):
        late = seen.metered(window)
        # 125 of them, those that came in the pause and until it had caught up, waited; the first of them the longest.
        assert (late > 50_000).sum() == pytest.approx(120, abs=10)
        assert late[5_001] == pytest.approx(992_000, rel=0.02)
    assert seen.metered(0).tolist() == took.tolist()


def test_an_even_run_has_nothing_to_wait_for() -> None:
    seen = Kept(start_ns=np.arange(0, 10_000, 10), took_ns=np.full(1000, 3))
    for window in (0, 100, 1000, inf):
        assert seen.metered(window) == pytest.approx(seen.took_ns)


def test_the_text_is_that_of_hdrhistogram() -> None:
    """Of 1 to 10 us: steps of a tenth up to the half, of a twentieth up to three quarters."""
    lines = hgrm(np.arange(1, 11) * 1000).splitlines()
    assert lines[0] == "       Value     Percentile TotalCount 1/(1-Percentile)"
    assert lines[1] == ""
    assert lines[2] == "       1.000 0.000000000000          1           1.00"
    assert lines[3] == "       1.000 0.100000000000          1           1.11"
    assert lines[7] == "       5.000 0.500000000000          5           2.00"
    assert lines[8] == "       6.000 0.550000000000          6           2.22"
    assert lines[-4] == "      10.000 1.000000000000         10"
    assert lines[-3] == "#[Mean    =        5.500, StdDeviation   =        2.872]"
    assert lines[-2] == "#[Max     =       10.000, Total count    =           10]"


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=200))
def test_levels_values_and_counts_only_grow_and_end_at_all_of_them(values: list[int]) -> None:
    rows = [line.split() for line in hgrm(values).splitlines()[2:-3]]
    read = np.array([[float(word) for word in row[:3]] for row in rows])
    assert (np.diff(read, axis=0) >= 0).all()
    assert read[-1].tolist() == [pytest.approx(max(values) / 1000, abs=5e-4), 1, len(values)]
    for value, level, seen in read:
        assert seen >= level * len(values) - 1e-6
        assert seen >= sum(one / 1000 <= value - 1e-3 for one in values)


def test_histograms_are_written_by_their_middles() -> None:
    text = hgrm_of(histogram([evolve(make_outcome(CONFIG, 0), operation_times=(TIMES,))]))
    assert "       0.010 0.500000000000         99           2.00" in text
    assert "       2.015 1.000000000000        100" in text or "       2.016 1.000000000000        100" in text
    assert hgrm([]).splitlines()[-2].endswith("0]")
