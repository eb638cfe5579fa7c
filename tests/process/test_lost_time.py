"""What the core records of each mutator's losses, in whole invocations."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gcbarrier.campaign import runner
from gcbarrier.campaign.plans import Plan
from gcbarrier.core import build
from gcbarrier.core.events import Kind
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, Outcome
from gcbarrier.plugins import discovery
from gcbarrier.results.mutators import lost_time

MIB = 1 << 20

_HELPED = '''
"""Asks for help in each of its rounds."""
from attrs import frozen
from gcbarrier.collectors import Triggered
@frozen(kw_only=True)
class Params(Triggered):
    pass
def collect(heap, params):
    heap.arm()
    heap.mark()
    heap.ask_for_help(100_000)
    for _ in range(20):
        heap.collect(rearm=True)
        heap.rescan()
    heap.remark()
    heap.sweep()
'''


@pytest.fixture(autouse=True)
def _helped(_own_environment: None, needs: Any, tmp_path: Path) -> None:
    needs("async-uffd-wp")
    (tmp_path / "collectors").mkdir()
    (tmp_path / "collectors" / "helped.py").write_text(_HELPED.lstrip())
    discovery.add_path(tmp_path)


def taken(barrier: str, collector: str) -> tuple[Outcome, NDArray[Any]]:
    """One invocation of two mutators that store as fast as they can, with its events since they began."""
    config = Config(
        heap="graph_edits",
        heap_params={"rate_per_s": 0.0, "garbage_per_edit": 0.0},
        heap_bytes=16 * MIB,
        barrier=barrier,
        collector=collector,
        collector_params={"every_s": 0.02},
        mutators=2,
        duration_s=0.3,
    )
    (step,) = runner.steps(Plan(configs=(config,), invocations=1), seed=5, accelerator="native")
    with FreshExecutor(environment=build.preload()) as executor:
        measured = executor.submit(runner.take, step.job, {}).result()
    outcome = measured.record
    assert isinstance(outcome, Outcome)
    assert outcome.error == ""
    events = np.load(io.BytesIO(measured.events))
    return outcome, events[events["start_ns"] >= int(outcome.facts["started_ns"])]


@pytest.fixture(scope="module")
def _shared() -> dict[str, tuple[Outcome, NDArray[Any]]]:
    return {}


@pytest.fixture
def seen(_shared: dict[str, tuple[Outcome, NDArray[Any]]]) -> tuple[Outcome, NDArray[Any]]:
    if not _shared:
        _shared["helped"] = taken("uffd-wp-async", "helped")
    return _shared["helped"]


def test_a_mutator_is_held_within_the_pause_and_once(seen: tuple[Outcome, NDArray[Any]]) -> None:
    outcome, events = seen
    held = events[events["kind"] == Kind.HELD]
    pauses = {int(one["pause"]): one for one in events[events["kind"] == Kind.PAUSE]}
    assert pauses
    for one in held:
        pause = pauses[int(one["pause"])]
        assert pause["start_ns"] <= one["start_ns"] <= one["end_ns"] <= pause["end_ns"]
    assert len(held) == len(np.unique(held[["pause", "thread"]]))
    assert int(outcome.facts["started_ns"]) <= min(one.start_ns for one in outcome.pauses)


def test_who_runs_when_the_world_stops_is_held() -> None:
    outcome, events = taken("none", "stop-the-world")
    held = events[events["kind"] == Kind.HELD]
    assert len(outcome.pauses) > 2
    assert set(held["thread"].tolist()) == {1, 2}
    # All of the marking is in the pause, and so it is in what they lost.
    assert lost_time(outcome, events).share("stopped") > 0


def test_faults_are_counted_by_mutator_from_look_to_look(seen: tuple[Outcome, NDArray[Any]]) -> None:
    outcome, events = seen
    faults = events[events["kind"] == Kind.FAULTS]
    assert set(faults["thread"].tolist()) == {1, 2}
    assert 0 < faults["value"].sum() <= outcome.minor_faults
    for thread in (1, 2):
        own = faults[faults["thread"] == thread]
        assert (own["start_ns"][1:] >= own["end_ns"][:-1]).all()


def test_help_is_recorded_with_its_time(seen: tuple[Outcome, NDArray[Any]]) -> None:
    outcome, events = seen
    help_ = events[events["kind"] == Kind.HELP]
    assert len(help_)
    assert (help_["value"] == help_["end_ns"] - help_["start_ns"]).all()
    assert set(help_["thread"].tolist()) <= {1, 2}
    lost = lost_time(outcome, events)
    assert lost.share("helping") > 0
    assert min(one.utilisation for one in lost.whole) < 1 - lost.share("helping")


def test_faults_that_a_handler_resolves_count_too(needs: Any) -> None:
    needs("sync-uffd-wp")
    outcome, events = taken("uffd-wp-sync", "mostly-concurrent")
    assert events["value"][events["kind"] == Kind.FAULTS].sum() > outcome.minor_faults / 2
    assert lost_time(outcome, events).share("faults") > 0
