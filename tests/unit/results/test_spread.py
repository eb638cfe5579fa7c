"""Quartiles: the same ones everywhere."""

import pytest

from gcbarrier.bench.marker import _quotient
from gcbarrier.bench.probes import timed
from gcbarrier.results.spread import percentile, quartiles


def test_quartiles_are_linearly_interpolated_like_percentiles() -> None:
    assert quartiles([4, 1, 3, 2]) == (1.75, 2.5, 3.25)
    assert quartiles([7]) == (7, 7, 7)
    values = [3.0, 14.0, 15.0, 92.0, 65.0, 35.0, 89.0]
    assert quartiles(values) == tuple(percentile(values, q) for q in (25, 50, 75))
    assert all(each != each for each in quartiles([]))


@pytest.mark.parametrize("samples", [[10.0, 20.0], [10.0], [4.0, 1.0, 3.0, 2.0]])
def test_readings_have_these_quartiles(samples: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GCBARRIER_ACCELERATOR", raising=False)
    expected = quartiles(samples)
    for reading in (timed("x", samples), _quotient(samples, 1)):
        assert (reading.low, reading.value, reading.high) == expected, "and none lies beyond what was sampled"
