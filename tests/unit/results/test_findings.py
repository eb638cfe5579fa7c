"""Findings in the run directory, and readings put together over the invocations."""

from pathlib import Path
from typing import Any

import pytest

from gcbarrier.model import Finding, Measured, Probe, Reading
from gcbarrier.results.points import points
from gcbarrier.results.run import load, unite
from gcbarrier.results.tables import MEASUREMENTS
from gcbarrier.results.writer import RunWriter

MIB = 1 << 20


def probe(function: str, barrier: str, **arguments: Any) -> Probe:
    return Probe(function=f"gcbarrier.bench.{function}", barrier=barrier, heap_bytes=MIB, arguments=arguments)


def test_a_directory_without_probes_has_no_measurements(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "old", {"experiment": "x"}) as writer:
        writer.commit()
    run = load(tmp_path / "old")
    assert run.findings == ()
    assert not (tmp_path / "old" / "measurements.csv").exists()
    assert run.measurements.shape == (0,)
    assert run.measurements.dtype.names == MEASUREMENTS.names


def test_readings_are_put_together_over_the_invocations(tmp_path: Path) -> None:
    one = probe("costs:operations", "cards")
    with RunWriter(tmp_path / "run", {"experiment": "barrier_costs"}) as writer:
        for index, value in enumerate((10.0, 12.0, 11.0)):
            reading = Reading(what="store", value=value, unit="ns", low=value - 1, high=value + 2, samples=5)
            finding = Finding(probe=one, index=index, machine="native", readings=(reading,))
            writer.add(Measured(record=finding))
        writer.commit()
    (point,) = points(load(tmp_path / "run"), "native")
    assert point.value.each == (10, 12, 11)
    assert (point.value.centre, point.low, point.high) == (11, 9, 14)
    assert point.disagreement == pytest.approx(0.2)


def test_runs_are_united_with_their_findings_apart(tmp_path: Path) -> None:
    runs = []
    for seed in (1, 2):
        with RunWriter(tmp_path / str(seed), {"experiment": "barrier_costs", "seed": seed}) as writer:
            for index in range(2):
                reading = Reading(what="store", value=seed, unit="ns")
                finding = Finding(probe=probe("f:f", "none"), index=index, machine="native", readings=(reading,))
                writer.add(Measured(record=finding))
            writer.commit()
        runs.append(load(tmp_path / str(seed)))
    united = unite(runs).measurements
    assert united[["invocation", "value"]].tolist() == [(0, 1), (1, 1), (2, 2), (3, 2)]
