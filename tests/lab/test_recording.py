"""Recording by soft-dirty, which the lab's kernels have: what it tells, and that it agrees with write-protection."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import places
import pytest
import recording_jobs
import staged

from gcbarrier.commands import main
from gcbarrier.machines import lab as machine
from gcbarrier.machines.lab import LabExecutor, status
from gcbarrier.page_traces.pagesfile import read
from gcbarrier.page_traces.records import SOFT_DIRTY, UFFD
from gcbarrier.recorder.agreement import Agreement
from gcbarrier.recorder.launch import preload

SCRIPT = """
import os, random, sys
table = {key: key for key in range(20000)}
kept = []
child = os.fork()
if child:
    print("up", flush=True)
for _ in range(int(sys.argv[1])):
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


class Guest:
    """One guest for all, booted for whoever needs it first; stands in for an executor that would boot another."""

    def __init__(self, here: Path, newest: bool) -> None:
        self._here, self._newest = here, newest
        self._made: LabExecutor | None = None
        self.on_output: Callable[[Literal[1, 2], bytes], None] = lambda _stream, _data: None

    def run(self, job: Callable[..., Any], *arguments: Any) -> Any:
        return self.submit(job, *arguments).result(120)

    def submit(self, job: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if self._made is None:
            staged.compiled(self._here / "recorded")
            jobs = [Path(module.__file__ or "") for module in (recording_jobs, staged, places)]
            self._made = LabExecutor(
                memory_bytes=1 << 30,
                kernel=status().kernels[-1 if self._newest else 0].suite,
                include=[self._here, preload(), *jobs],
                on_output=lambda stream, data: self.on_output(stream, data),
            )
        return self._made.submit(job, *arguments)

    def close(self) -> None:
        if self._made is not None:
            self._made.shutdown()


@pytest.fixture(scope="module", params=["", pytest.param("newest", marks=pytest.mark.whole)])
def shared(here: Path, request: pytest.FixtureRequest) -> Iterator[Guest]:
    """With the first kernel that was set up, or with the last."""
    made = Guest(here, request.param == "newest")
    yield made
    made.close()


@pytest.fixture
def guest(needs: Needs, shared: Guest) -> Guest:
    needs("lab")
    return shared


@pytest.fixture
def run(guest: Guest) -> Run:
    return guest.run


@pytest.fixture
def program(here: Path) -> Path:
    return here / "recorded"


def test_what_was_written_is_told_and_nothing_is_put_into_the_program(run: Run, program: Path) -> None:
    run(recording_jobs.what_was_written, program)


def test_no_store_is_lost_between_reading_and_clearing(run: Run, program: Path) -> None:
    assert run(recording_jobs.stored_between, program, True) == {5}
    assert run(recording_jobs.stored_between, program, False) == set(), "it would be, were the program not held still"


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
    assert both > 100
    assert table.marked + table.unwatched + table.huge + table.false == more
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
        assert trace.counts.sum() > 0
        assert len(trace.initial) > 1000, "what was there already"


def test_a_recording_made_in_the_lab_comes_back(
    guest: Guest, here: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    asked: dict[str, Any] = {}

    @contextmanager
    def boot(**options: Any) -> Iterator[Guest]:
        asked.update(options)
        guest.on_output = options["on_output"]
        yield guest

    monkeypatch.setattr(machine, "LabExecutor", boot)
    monkeypatch.chdir(here)
    options = ["--machine", "lab", "--memory", "1GiB", "--with", "both", "--every", "50ms", "--out", "app.pages"]
    assert main(["record", *options, "--", "python3", "script.py", "50"]) == 7
    out, errors = capfdbinary.readouterr()
    assert out == b"up\n"
    assert b"lost by soft-dirty" in errors
    assert (asked["memory_bytes"], asked["include"]) == (1 << 30, [here / "script.py", preload()])
    found, other = read(here / "app.pages"), read(here / "app.soft-dirty.pages")
    assert (found.tracker, other.tracker) == (UFFD, SOFT_DIRTY)
    assert found.facts["machine"].startswith("lab-")
    assert found.facts["kernel"] != os.uname().release
    assert found.main.counts.sum() > 0
