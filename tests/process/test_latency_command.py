"""``gcbarrier latency`` and ``plot --figure``: of runs that were timed, of sessions with stamps, and of neither."""

import io
from pathlib import Path

import numpy as np
import pytest
from drawn import keys, said
from synthetic import make_outcome, make_outcomes, write_run

from gcbarrier import load
from gcbarrier.campaign import runner
from gcbarrier.campaign.plans import Plan
from gcbarrier.commands import main
from gcbarrier.core import build
from gcbarrier.core.events import EVENT
from gcbarrier.core.times import FIRST, STAMP
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, OperationTimes, Outcome, evolve
from gcbarrier.report.anyrun import LATENCY, UTILISATION
from gcbarrier.results import histogram

MIB = 1 << 20
BARRIERS = (("none", "stop-the-world"), ("cards", "mostly-concurrent"))
TIMES = OperationTimes(phase="mark", low_ns=(1000, 100_000), high_ns=(1008, 101_000), counts=(990, 10))


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """Two configurations in two invocations each; each operation is there."""
    buffer = io.BytesIO()
    stamps = np.zeros(1000, STAMP)
    stamps["took_ns"] = np.where(np.arange(1000) % 100, 1000, 100_000)
    for array in (np.empty(0, EVENT), np.array([(5, 1000)], FIRST), stamps):
        np.save(buffer, array)
    configs = [Config(heap="requests", barrier=barrier, collector=of, timed=True) for barrier, of in BARRIERS]
    outcomes = [evolve(make_outcome(config, at), operation_times=(TIMES,)) for config in configs for at in range(2)]
    return write_run(tmp_path / "run", outcomes, buffer.getvalue(), "latency")


def test_percentiles_are_printed_and_written_for_each_invocation(
    timed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = timed.parent / "hgrm"
    assert main(["latency", str(timed), "--hgrm", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "99th, metered, run" in printed
    names = {"simple", "metered-1ms", "metered-10ms", "metered-100ms", "metered-run"}
    assert {path.name for path in folder.iterdir()} == {f"{n}-{name}.hgrm" for n in range(4) for name in names}
    assert str(folder / "3-simple.hgrm") in printed
    text = (folder / "0-simple.hgrm").read_text()
    assert "       1.000 0.500000000000        990           2.00" in text
    assert "     100.000 1.000000000000       1000" in text


def test_a_run_that_was_not_timed_has_no_latency(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", make_outcomes([Config(heap="gcbench", barrier="none", collector="never")]))
    for command in (["latency", str(run)], ["plot", str(run), "--figure", "latency"]):
        assert main(command) == 2
        assert "has no operations' times: run it with --set timed=true" in capsys.readouterr().err


def test_figures_of_any_run_are_beside_the_experiments_own(timed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(timed)]) == 0
    assert main(["plot", str(timed), "--figure", "utilisation"]) == 0
    capsys.readouterr()
    drawn = {path.name for path in (timed / "figures").glob("*.png")}
    assert drawn == {"latency-native.png", "latency-native-utilisation.png"}


def test_percentiles_are_an_axis_of_nines(timed: Path) -> None:
    (figure,) = LATENCY.figures(load(timed)).values()
    simple, metered, whole = figure.axes
    figure.canvas.draw()
    assert [tick.get_text() for tick in simple.get_xticklabels()] == ["0", "90", "99", "99.9"]
    assert [axes.get_label() for axes in (simple, metered, whole)] == [
        *("simple latency", "metered latency, 10 ms", "metered latency, whole run"),
    ]
    cards = next(line for line in simple.lines if line.get_label() == "cards")
    at, took = cards.get_data()
    assert took[0] == 1000
    assert took[at > 101].tolist() == [100_000] * int((at > 101).sum())
    assert all(line.get_ydata()[5] >= 1000 for line in whole.lines)
    assert "Simple: how long an operation took." in said(figure)


def test_what_was_not_kept_is_said(tmp_path: Path) -> None:
    config = Config(heap="requests", barrier="cards", collector="mostly-concurrent", timed=True)
    run = write_run(tmp_path / "run", [evolve(make_outcome(config, 0), operation_times=(TIMES,))])
    (figure,) = LATENCY.figures(load(run)).values()
    simple, *others = figure.axes
    assert len(simple.lines) == 1
    assert all("not recorded" in [text.get_text() for text in axes.texts] for axes in others)
    assert "No metered latency where not each operation was kept, as of too many: cards." in said(figure)


def test_utilisation_is_drawn_in_both_ways_beside_the_speed(timed: Path) -> None:
    (figure,) = UTILISATION.figures(load(timed)).values()
    pauses, lost, percentiles = figure.axes
    for axes in (pauses, lost, percentiles):
        named = {line.get_label() for line in axes.lines}
        assert {"none", "cards"} <= named
        for line in axes.lines:
            heights = np.asarray(line.get_ydata())
            assert ((heights >= 0) & (heights <= 1.02)).all()
    assert [line for line in lost.lines if line.get_label() == "_speed"]
    assert not [line for line in pauses.lines if line.get_label() == "_speed"]
    assert {"none", "cards", "BMU", "median", "speed / none"} <= set(keys(figure))


def taken(config: Config) -> tuple[Outcome, list[np.ndarray]]:
    """One invocation, and the three arrays that it leaves."""
    (step,) = runner.steps(Plan(configs=(config,), invocations=1), seed=5, accelerator="native")
    with FreshExecutor(environment=build.preload()) as executor:
        measured = executor.submit(runner.take, step.job, {}).result()
    outcome = measured.record
    assert isinstance(outcome, Outcome)
    assert outcome.error == ""
    file = io.BytesIO(measured.events)
    return outcome, [np.load(file) for _ in range(3)]


def test_every_operation_of_a_session_is_kept_in_order() -> None:
    config = Config(
        heap="requests",
        heap_bytes=16 * MIB,
        barrier="cards",
        collector="mostly-concurrent",
        mutators=2,
        operations=2000,
        timed=True,
    )
    outcome, (events, firsts, stamps) = taken(config)
    assert len(events)
    assert firsts["count"].tolist() == [2000, 2000]
    assert outcome.operations == 4000
    times = histogram([outcome])
    assert times.total == len(stamps)
    # What is in the histogram is what was kept.
    for low, high, count in zip(times.low_ns, times.high_ns, times.counts, strict=True):
        assert ((stamps["took_ns"] >= low) & (stamps["took_ns"] < high)).sum() == count
    ends = firsts["first_ns"] + np.add.reduceat((stamps["gap_ns"].astype(np.uint64) + stamps["took_ns"]), [0, 2000])
    started = int(outcome.facts["started_ns"])
    assert (firsts["first_ns"] >= started).all()
    assert (ends <= started + outcome.wall_ns).all()


def test_too_many_operations_leave_no_stamps() -> None:
    """One more than there is room for."""
    most = (1 << 20) + 1
    config = Config(
        heap="graph_edits",
        heap_params={"rate_per_s": 0.0, "garbage_per_edit": 0.0},
        heap_bytes=16 * MIB,
        barrier="none",
        collector="never",
        operations=most,
        timed=True,
    )
    outcome, (_, firsts, stamps) = taken(config)
    assert histogram([outcome]).total == most
    assert (len(firsts), len(stamps)) == (0, 0)
    _, (_, firsts, stamps) = taken(evolve(config, operations=most - 1))
    assert (len(firsts), len(stamps)) == (1, most - 1)
