"""Marking in a forked child: what is verified of it, what its pauses are, and that no child is ever left behind."""

import os
import shutil
import time
from pathlib import Path

import pytest
from pairwise import combined
from places import PLUGINS

from gcbarrier import measure
from gcbarrier.campaign.settings import check
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Outcome
from gcbarrier.plugins import discovery
from gcbarrier.tracked import Tracked

MIB = 1 << 20
HEAPS = {
    "gcbench": {"heap_bytes": 16 * MIB},
    "graph_edits": {"heap_bytes": 16 * MIB, "heap_params": {"rate_per_s": 0}},
    "snapshot": {"heap_bytes": 64 * MIB, "heap_params": {"rate_per_s": 0}},
    "ring": {"heap_bytes": 4 * MIB},
}


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None) -> None:
    discovery.add_path(PLUGINS)


def run(heap: str, collector: str = "fork-snapshot", **settings: object) -> Outcome:
    fields = {"memory": "anonymous", "duration_s": 0.4, "verify": True, **HEAPS[heap], **settings}
    (outcome,) = measure(Config(heap=heap, barrier="fork-cow", collector=collector, **fields), seed=1)
    return outcome


def found_nothing(outcome: Outcome) -> None:
    assert outcome.error == ""
    found = outcome.verification
    assert found is not None
    assert found.cycles_checked >= len(outcome.cycles) >= 1
    assert found.objects_checked > 100 * len(outcome.cycles)
    assert found.checksum_matches


@combined(heap=HEAPS, mutators=[1, 3], memory=["anonymous", "anonymous-thp"])
def test_what_is_reachable_is_marked(heap: str, mutators: int, memory: str) -> None:
    size = {"heap_bytes": mutators * 64 * MIB} if heap == "snapshot" else {}
    found_nothing(run(heap, mutators=mutators, memory=memory, **size))


@pytest.mark.parametrize("heap", ["graph_edits", "ring"])
def test_sanitizers_find_nothing(heap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCBARRIER_SANITIZE", "address,undefined")
    found_nothing(run(heap, mutators=2))


def test_a_cycle_is_a_fork_and_a_flip_and_marks_outside_of_both() -> None:
    outcome = run("graph_edits", verify=False)
    assert outcome.error == ""
    by_cycle = {
        cycle.cycle: [pause for pause in outcome.pauses if pause.cycle == cycle.cycle] for cycle in outcome.cycles
    }
    for cycle in outcome.cycles:
        assert [pause.kind for pause in by_cycle[cycle.cycle]] == ["fork", "flip"]
        assert cycle.marked_objects > 1000
        assert cycle.mark_ns > 0
        assert cycle.live_bytes > 0
        assert cycle.rounds == 0
    for pause in outcome.pauses:
        assert pause.mark_ns == pause.roots_ns == pause.collect_ns == pause.rescan_ns == pause.dirty_granules == 0
    # The child's work is the collector's.
    assert outcome.collector_cpu_ns > sum(cycle.mark_ns for cycle in outcome.cycles) / 10
    # Each page is copied at its first store after a fork.
    assert outcome.minor_faults > 100
    assert 100 < outcome.facts["fault_cost_ns"] < 1e6
    assert outcome.facts["granule_bytes"] == 0


def test_mutators_run_while_the_child_marks() -> None:
    outcome = run("graph_edits", verify=False, heap_bytes=64 * MIB)
    (first, second), *_ = zip(outcome.pauses[::2], outcome.pauses[1::2], strict=False)
    assert (first.kind, second.kind) == ("fork", "flip")
    marked = next(cycle for cycle in outcome.cycles if cycle.cycle == first.cycle)
    assert second.start_ns - first.start_ns >= marked.mark_ns
    assert first.pause_ns + second.pause_ns < marked.duration_ns


# Collectors that go wrong while a child is there; each writes the number of every child into a file first.
FORKED = '''"""Goes wrong while a child marks."""
import os
import signal
from pathlib import Path

from gcbarrier.collectors import Triggered
from gcbarrier.errors import GcBarrierError

NEEDS_SNAPSHOT = NEEDS_FORK = True
CHILDREN = Path({children!r})


class Params(Triggered):
    """``trigger`` alone."""


def children():
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == os.getpid():
            yield int(stat.parent.name)


def collect(heap, params):
    heap.fork()
    (child,) = children()
    # A child that stands still is there for as long as nobody ends it; one that was quicker than this is done.
    os.kill(child, signal.SIGSTOP)
    with CHILDREN.open("a") as file:
        print(child, file=file)
    {then}
    heap.sweep()
'''
MISHAPS = {
    "killed": (
        "os.kill(child, signal.SIGKILL); heap.await_child(); heap.flip()",
        "the child that marks was killed by signal 9 (Killed), most likely for want of memory",
    ),
    "not awaited": (
        "heap.flip()",
        "the child still marks: it has to be awaited before the flip",
    ),
    "a collector that fails": ("raise GcBarrierError('it went wrong')", "it went wrong"),
    "two forks": ("heap.fork()", "the cycle has its snapshot already"),
    "no rounds": ("heap.remark()", "the barrier fork-cow reports nothing: it needs a collector that forks"),
    "a signal while it waits": (
        "def stop(*_): raise GcBarrierError('interrupted')\n"
        "    signal.signal(signal.SIGALRM, stop); signal.setitimer(signal.ITIMER_REAL, 0.2); heap.await_child()\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0); heap.flip()",
        "interrupted",
    ),
    "its parent killed": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        "the invocation's process was killed, most likely for want of memory",
    ),
}


def forked(folder: Path, then: str) -> tuple[str, Path]:
    children = folder / "children"
    collectors = folder / "collectors"
    collectors.mkdir()
    (collectors / "forked.py").write_text(FORKED.format(children=str(children), then=then))
    discovery.add_path(folder)
    return "forked", children


@pytest.mark.parametrize("mishap", MISHAPS)
def test_a_mishap_is_one_sentence_and_leaves_no_child(mishap: str, tmp_path: Path) -> None:
    then, sentence = MISHAPS[mishap]
    collector, children = forked(tmp_path, then)
    # Long: a child that is done before it can be stopped is nobody's mishap, and the next one may be.
    outcome = run("graph_edits", collector, verify=False, heap_bytes=128 * MIB, duration_s=10.0)
    # Where the collector asked for it, its line is told as well.
    said, *asked = outcome.error.split(" (asked for by the collector forked: ")
    assert said == sentence
    assert mishap == "its parent killed" or "forked.py:" in asked[0]
    numbers = children.read_text().split()
    assert numbers
    gone_by = time.monotonic() + 5
    while any(Path("/proc", number).exists() for number in numbers) and time.monotonic() < gone_by:
        time.sleep(0.01)
    assert not any(Path("/proc", number).exists() for number in numbers)


def test_a_full_collection_ends_the_child_and_starts_over(tmp_path: Path) -> None:
    collector, children = forked(tmp_path, "heap.full()")
    outcome = run("graph_edits", collector)
    found_nothing(outcome)
    assert {pause.kind for pause in outcome.pauses} == {"fork", "full"}
    assert not any(Path("/proc", number).exists() for number in children.read_text().split())


MUTANTS = {
    "what is new is not black": ("    gcb_allocate_black(cycle->world, true);\n", ""),
    "the child starts from no roots": ("child->roots = gcb_cycle_push_roots(cycle);", "child->roots = 0;"),
    "the child leaves the heap unmarked": ("  gcb_drain(cycle->marking);\n", ""),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_fork_is_caught(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, replacement = MUTANTS[name]
    shutil.copytree(build.NATIVE, tmp_path / "native")
    broken = tmp_path / "native" / "cycle" / "fork.c"
    assert broken.read_text().count(text) == 1
    broken.write_text(broken.read_text().replace(text, replacement))
    monkeypatch.setattr(build, "NATIVE", tmp_path / "native")
    assert "lost object at offset" in run("graph_edits").error


def test_only_a_collector_that_forks_goes_with_it() -> None:
    def config(barrier: str, collector: str, memory: str = "anonymous") -> Config:
        return Config(heap="ring", barrier=barrier, collector=collector, memory=memory)

    check(config("fork-cow", "fork-snapshot"))
    with pytest.raises(GcBarrierError, match=r"mostly-concurrent can't run over fork-cow, .*: choose fork-snapshot or"):
        check(config("fork-cow", "mostly-concurrent"))
    with pytest.raises(
        GcBarrierError, match=r"fork-snapshot can't run over uffd-wp-async, .* choose mostly-concurrent or"
    ):
        check(config("uffd-wp-async", "fork-snapshot"))
    with pytest.raises(GcBarrierError, match=r"fork-snapshot can't run over satb, .*: choose snapshot-concurrent or"):
        check(config("satb", "fork-snapshot"))
    with pytest.raises(GcBarrierError, match="snapshot-concurrent can't run over fork-cow"):
        check(config("fork-cow", "snapshot-concurrent"))


def test_it_tells_nobody_which_pages_were_written() -> None:
    with Tracked(MIB, "fork-cow", memory="anonymous") as tracked:
        with pytest.raises(
            GcBarrierError, match=r"^the barrier fork-cow reports nothing: it needs a collector that forks$"
        ):
            tracked.arm()
        with pytest.raises(GcBarrierError, match="reports nothing"):
            tracked.collect(rearm=True)


def test_no_child_of_this_process_is_left() -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
