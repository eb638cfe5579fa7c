"""What a notebook imports."""

import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

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


def test_help_shows_them_with_what_they_say() -> None:
    shown = pydoc.render_doc(gcbarrier, renderer=pydoc.plaintext)
    for name in gcbarrier.__all__:
        first = (getattr(gcbarrier, name).__doc__ or "").splitlines()[0]
        assert re.search(rf"^    (class )?{name}\b", shown, re.MULTILINE), name
        assert first in shown, name


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


def test_what_was_measured_is_saved_as_a_run(tmp_path: Path) -> None:
    config = Config(heap="graph_edits", barrier="none", collector="stop-the-world", heap_bytes=8 << 20, duration_s=0.1)
    outcomes = measure(config)
    run = gcbarrier.save(outcomes, tmp_path / "kept")
    assert run.outcomes == outcomes
    assert (pauses(gcbarrier.load(tmp_path / "kept"))["pause_ns"] == pauses(outcomes)["pause_ns"]).all()
    assert run.facts("native")["kernel"]["release"] == os.uname().release
    assert (tmp_path / "kept" / "pauses.csv").exists()
    with pytest.raises(gcbarrier.GcBarrierError, match="has no raw events: none were recorded"):
        run.events(0)


def test_what_can_not_be_saved_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(gcbarrier.GcBarrierError, match="no experiment is called 'pause_time'; did you mean"):
        gcbarrier.save((), tmp_path / "kept", experiment="pause_time")
    with pytest.raises(gcbarrier.GcBarrierError, match="there is no outcome to save"):
        gcbarrier.save((), tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_run_says_so_before_it_runs(needs) -> None:
    needs("async-uffd-wp")
    config = Config(heap="graph_edits", barrier="none", collector="mostly-concurrent")
    with pytest.raises(gcbarrier.GcBarrierError, match="needs a barrier that tracks"):
        measure(config)
    assert "graph_edits" in discovery.names("heaps")
