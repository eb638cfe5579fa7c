"""What else the machine did, in whole invocations: beside a burner they say so; where threads are put they run."""

import os

import pytest
from burner import burning

from gcbarrier.campaign.experiments import measure
from gcbarrier.campaign.runner import Step
from gcbarrier.commands._progress import RunProgress
from gcbarrier.machines.placement import placed
from gcbarrier.model import Config, Measured, Outcome, evolve
from gcbarrier.results import burden

CONFIG = Config(
    heap="graph_edits", barrier="cards", collector="mostly-concurrent", heap_bytes=16 << 20, mutators=2, duration_s=0.3
)


def run(config: Config) -> Outcome:
    (outcome,) = measure(config)
    assert not outcome.error
    return outcome


@pytest.fixture(scope="module")
def beside() -> Outcome:
    with burning():
        return run(CONFIG)


def test_an_invocation_beside_a_burner_is_busy(beside: Outcome) -> None:
    found = burden(beside)
    assert found is not None
    assert found.busy
    assert found.others > found.own


def test_the_clock_has_gaps_beside_a_burner(beside: Outcome) -> None:
    assert beside.temper is not None
    gaps = beside.temper.gaps
    assert gaps is not None
    assert gaps.preempted > 0
    assert gaps.longest_ns >= gaps.p999_ns >= gaps.least_ns > gaps.turn_ns
    assert 0 <= gaps.short_share + gaps.absent_share <= gaps.lost_share < 1
    assert gaps.threads == min(3, len(os.sched_getaffinity(0)))


def test_each_thread_is_told_of(beside: Outcome) -> None:
    assert beside.temper is not None
    threads = {one.name: one for one in beside.temper.ran}
    assert {"mutator 0", "mutator 1", "collector"} <= set(threads)
    # Three threads and twice as many burners as processors: some had to wait.
    assert sum(one.involuntary for one in threads.values()) > 0
    assert all(one.processor in os.sched_getaffinity(0) for one in threads.values())


@pytest.mark.parametrize("collector", ["mostly-concurrent", "stop-the-world"])
@pytest.mark.parametrize("pin", ["apart", "together"])
def test_threads_run_where_they_are_put(pin: str, collector: str) -> None:
    if pin == "apart" and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one processor")
    barrier = "none" if collector == "stop-the-world" else "cards"
    config = evolve(CONFIG, pin=pin, collector=collector, barrier=barrier, collector_params={"markers": 2}, verify=True)
    wanted, temper = placed(pin, config.mutators), run(config).temper
    assert temper is not None
    assert temper.pinned == str(wanted)
    assert temper.processors == len(wanted.processors)
    on = {one.name: one.processor for one in temper.ran}
    assert on["collector"] in wanted.collector
    for index in range(config.mutators):
        assert on[f"mutator {index}"] == wanted.mutators[index % len(wanted.mutators)]
    assert {number for name, number in on.items() if name.startswith("gcb-marker")} <= set(wanted.collector)


def test_the_run_says_at_once_that_the_machine_is_busy(
    beside: Outcome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "400")
    said = []
    for outcome in (evolve(beside, temper=None), beside, beside):
        with RunProgress() as progress:
            told(progress, outcome, outcome)
        said.append(capsys.readouterr().err.count("this machine is busy: while graph_edits/cards/mostly-concurrent"))
    assert said == [0, 1, 1], "once, however many there are"


def told(progress: RunProgress, *outcomes: Outcome) -> None:
    """As a run tells of its steps."""

    class Job:
        label = CONFIG.label

    steps = [Step(job=Job(), estimate_s=1.0, deadline_s=1.0) for _ in outcomes]  # type: ignore[arg-type]
    progress.watch.steps("native", steps)
    for step, outcome in zip(steps, outcomes, strict=True):
        progress.watch.done(step, Measured(record=outcome))
