"""The C core's histogram of times: its buckets, and that Python reads them as C counts them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcbarrier.core import build, times
from gcbarrier.core.library import open_core
from gcbarrier.model import PHASES, Config, Invocation, OperationTimes, Outcome, SlowOperation
from gcbarrier.results import IN_CYCLE, histogram

MIB = 1 << 20
CONFIG = Config(heap="graph_edits", barrier="none", collector="never", heap_bytes=16 * MIB)


@pytest.fixture(scope="module")
def core():
    return open_core(build.core())


def outcome(*found: OperationTimes, slow: tuple[SlowOperation, ...] = ()) -> Outcome:
    invocation = Invocation(config=CONFIG, index=0, seed=0)
    return Outcome(invocation=invocation, machine="native", operation_times=found, slow_operations=slow)


def test_python_and_c_agree_on_phases_and_buckets(core) -> None:
    assert core.lib.gcb_time_phases() == len(PHASES)
    assert set(IN_CYCLE) == set(PHASES) - {"no cycle"}
    assert times.SLOW.itemsize == core.ffi.sizeof("gcb_slow_operation")
    names = [name for name, _ in core.ffi.typeof("gcb_slow_operation").fields]
    assert tuple(names) == times.SLOW.names
    assert [core.ffi.offsetof("gcb_slow_operation", name) for name in names] == [
        times.SLOW.fields[name][1] for name in names
    ]


def test_buckets_follow_each_other_without_gaps(core) -> None:
    low, high = times.bucket_bounds(np.arange(core.lib.gcb_time_buckets()))
    assert low[0] == 0
    assert (low[1:] == high[:-1]).all()
    # A 64th of the lower bound, and a nanosecond where that is less than one.
    assert ((high - low) <= np.maximum(low / 64, 1)).all()
    assert high[-1] > 60_000_000_000


@given(st.integers(0, 68_000_000_000))
def test_every_time_is_in_its_bucket(core, ns: int) -> None:
    low, high = times.bucket_bounds(np.array([core.lib.gcb_time_bucket(ns)]))
    assert low[0] <= ns < high[0]


def test_what_takes_too_long_is_in_the_last_bucket(core) -> None:
    assert core.lib.gcb_time_bucket((1 << 64) - 1) == core.lib.gcb_time_buckets() - 1


def test_percentiles_are_those_of_the_operations_within_a_bucket(core) -> None:
    rng = np.random.default_rng(1)
    took = rng.lognormal(8, 1.5, 50_000).astype(np.int64)
    counts = np.zeros((len(PHASES), core.lib.gcb_time_buckets()), np.int64)
    for index, ns in enumerate(took):
        counts[index % 2, core.lib.gcb_time_bucket(int(ns))] += 1
    found = times.histograms(counts)
    assert [one.phase for one in found] == list(PHASES[:2])
    merged = histogram([outcome(*found)])
    assert merged.total == len(took)
    for q in (0, 50, 99, 99.99, 100):
        exact = np.sort(took)[max(int(np.ceil(q / 100 * len(took) - 1e-6)), 1) - 1]
        assert merged.percentile(q) == pytest.approx(exact, rel=1 / 64)
    middle, share = merged.tail()
    assert share[0] == 1
    assert share[-1] == pytest.approx(merged.counts[-1] / len(took))
    assert (np.diff(middle) > 0).all()
