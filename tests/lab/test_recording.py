"""Recording by soft-dirty, which the lab's kernels have: what it tells, and that it agrees with write-protection."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import places
import pytest
import recording_jobs
import staged

from gcbarrier.machines.lab import LabExecutor, status
from gcbarrier.page_traces.pagesfile import read
from gcbarrier.page_traces.records import SOFT_DIRTY, UFFD
from gcbarrier.recorder.agreement import Agreement
from gcbarrier.recorder.launch import preload

SCRIPT = """
import os, random, subprocess, sys, time
print("up", flush=True)
table = {key: key for key in range(20000)}
kept = []
child = os.fork()
end = time.monotonic() + float(sys.argv[1] if len(sys.argv) > 1 else 1)
while time.monotonic() < end:
    for _ in range(200):
        table[random.randrange(20000)] = random.random()
    kept.append(bytearray(random.randrange(1, 300000)))
    del kept[:-20]
if child == 0:
    os._exit(0)
os.wait()
sys.exit(7)
"""
Needs = Callable[..., None]
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guest is given."""
    folder = tmp_path_factory.mktemp("recording")
    (folder / "script.py").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module", params=["", pytest.param("newer", marks=pytest.mark.whole)])
def booted(here: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Run]]:
    """One guest for all, with the first kernel that was set up; or one with the last."""
    made: list[LabExecutor] = []

    def boot() -> Run:
        kernels = [kernel.suite for kernel in status().kernels]
        if request.param and len(kernels) < 2:
            pytest.skip("only one kernel was set up")
        if not made:
            staged.compiled(here / "recorded")
            jobs = [Path(module.__file__ or "") for module in (recording_jobs, staged, places)]
            kernel = kernels[-1 if request.param else 0]
            made.append(LabExecutor(memory_bytes=1 << 30, kernel=kernel, include=[here, preload(), *jobs]))
        return lambda job, *arguments: made[0].submit(job, *arguments).result(120)

    yield boot
    for each in made:
        each.shutdown()


@pytest.fixture
def run(needs: Needs, booted: Callable[[], Run]) -> Run:
    needs("lab")
    return booted()


@pytest.fixture
def program(here: Path) -> Path:
    return here / "recorded"


def test_what_was_written_is_told_and_nothing_is_put_into_the_program(run: Run, program: Path) -> None:
    run(recording_jobs.what_was_written, program)


def test_mappings_that_grow_or_move_read_as_written_as_a_whole(run: Run, program: Path) -> None:
    run(recording_jobs.false_pages, program)


def test_a_forks_child_has_its_parents_bits_and_clears_its_own(run: Run, program: Path) -> None:
    run(recording_jobs.forks, program)


def test_both_trackers_agree_on_all_that_a_program_can_do_to_its_memory(run: Run, program: Path) -> None:
    found: Agreement = run(recording_jobs.agreement, program, preload())
    assert found.both > 500
    assert (found.missed, found.false) == (0, 0)


def test_both_trackers_agree_on_a_python_program_and_its_child(run: Run, here: Path, tmp_path: Path) -> None:
    done, *contents = run(recording_jobs.by_both, here / "script.py", preload(), Path("/tmp/both.pages"))
    assert (done.status, done.problem) == (7, "")
    found = []
    for name, content in zip((UFFD, SOFT_DIRTY), contents, strict=True):
        (tmp_path / name).write_bytes(content)
        found.append(read(tmp_path / name))
        assert found[-1].tracker == name
    exact, soft_dirty = (recording.traces for recording in found)
    assert [trace.began for trace in exact] == [trace.began for trace in soft_dirty] == ["start", "fork"]
    both = missed = more = 0
    for one, other in zip(exact, soft_dirty, strict=True):
        assert one.ticks == other.ticks
        for tick in range(one.ticks):
            ours, theirs = (set(trace.pages[trace.written(tick)].tolist()) for trace in (one, other))
            both, missed, more = both + len(ours & theirs), missed + len(ours - theirs), more + len(theirs - ours)
    table = done.agreement
    assert (table.both, table.missed) == (both, missed)
    assert table.marked + table.unwatched + table.huge + table.false == more
    assert both > 1000
    assert (missed, table.false) == (0, 0)


def test_a_running_process_is_recorded_with_its_children_and_goes_on(run: Run, here: Path, tmp_path: Path) -> None:
    content, went_on = run(recording_jobs.while_it_runs, here / "script.py", Path("/tmp/attached.pages"))
    assert went_on
    (tmp_path / "attached.pages").write_bytes(content)
    found = read(tmp_path / "attached.pages")
    assert found.tracker == SOFT_DIRTY
    assert [(trace.began, trace.ended) for trace in found.traces] == [
        ("attach", "still running"),
        ("fork", "still running"),
    ]
    for trace in found.traces:
        assert trace.counts.sum() > 100
        assert len(trace.initial) > 1000, "what was there already"


def test_a_recording_made_in_the_lab_comes_back(needs: Needs, tmp_path: Path) -> None:
    needs("lab")
    (tmp_path / "script.py").write_text(SCRIPT)
    command = ["--machine", "lab", "--memory", "1GiB", "--with", "both", "--every", "50ms", "--out", "app.pages"]
    done = subprocess.run(
        [sys.executable, "-m", "gcbarrier", "record", *command, "--", "python3", "script.py", "0.5"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(places.CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "up\n"), done.stderr
    assert "lost by soft-dirty" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.pages", "app.soft-dirty.pages", "script.py"]
    found = read(tmp_path / "app.pages")
    assert found.facts["machine"].startswith("lab-")
    assert found.main.counts.sum() > 0
