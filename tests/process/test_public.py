"""What a notebook imports."""

import subprocess
import sys

import numpy as np
import pytest

import gcbarrier
from gcbarrier import Config, measure, pauses
from gcbarrier.plugins import discovery


def test_every_public_name_is_there_and_documented() -> None:
    for name in gcbarrier.__all__:
        assert getattr(gcbarrier, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        gcbarrier.mesure  # noqa: B018


def test_importing_the_package_costs_nothing() -> None:
    heavy = "('numpy', 'matplotlib', 'cffi', 'rich')"
    ask = f"import gcbarrier, sys; print(*(name for name in {heavy} if name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout == "\n"


def test_a_notebook_gets_arrays_back(needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    outcomes = measure(
        Config(
            heap="graph_edits",
            barrier="uffd-wp-async",
            collector="mostly-concurrent",
            heap_bytes=8 << 20,
            collector_params={"every_s": 0.01},
            duration_s=0.2,
        ),
        invocations=2,
    )
    table = pauses(outcomes)
    assert table["pause_ns"].dtype == np.int64
    assert set(table["invocation"]) == {0, 1}
    assert (table["pause_ns"] > 0).all()
    assert (table["collect_ns"] > 0).all()


def test_what_can_not_be_run_says_so_before_it_runs(needs) -> None:
    needs("async-uffd-wp")
    config = Config(heap="graph_edits", barrier="none", collector="mostly-concurrent")
    with pytest.raises(gcbarrier.GcBarrierError, match="needs a barrier that tracks"):
        measure(config)
    assert "graph_edits" in discovery.names("heaps")
