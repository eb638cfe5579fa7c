"""The recorder tick by tick: a program stores where it is told to, and these pages are recorded and no others."""

import os
import random
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from staged import PAGE, Kept, Stage, compiled, within

from gcbarrier.errors import GcBarrierError
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.family import Family
from gcbarrier.recorder.launch import Child, preload
from gcbarrier.recorder.run import Way, unwatched, watched
from gcbarrier.recorder.trackers import track

READ, WRITE, NONE = 1, 3, 0
SHARED, PRIVATE = "s", "p"
KILLED_FOR = {"socket": 41, "prctl": 157, "userfaultfd": 323}
"""Numbers of x86-64."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("recorded") / "recorded")


@pytest.fixture(autouse=True)
def _tracked(needs: Callable[..., None]) -> None:
    needs("async-uffd-wp", "pagemap-scan")


def test_exactly_the_pages_that_were_written_are_recorded(program: Path) -> None:
    rng = random.Random(1)
    with Stage(program) as stage:
        start = stage.say("map", 500, WRITE)
        assert stage.tick(start, 500) == set()
        for _ in range(30):
            wanted = set(rng.sample(range(500), rng.choice([0, 1, 7, 100, 500])))
            stage.write(start, *wanted)
            assert stage.tick(start, 500) == wanted


def test_reading_is_no_writing(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 50, WRITE)
        for page in range(50):
            stage.say("read", start, page)
        assert stage.tick(start, 50) == set()
        stage.write(start, 3, 4)
        assert stage.tick(start, 50) == {3, 4}
        for page in range(50):
            stage.say("read", start, page)
        assert stage.tick(start, 50) == set()


def test_a_files_private_pages_are_recorded_once_they_are_written(program: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 40 * PAGE)
    with Stage(program) as stage:
        private = stage.say("map", 40, WRITE, rest=f"{PRIVATE}{file}")
        shared = stage.say("map", 40, WRITE, rest=f"{SHARED}{file}")
        stage.say("read", private, 9)
        stage.write(shared, 1, 2, 3)
        assert stage.tick(private, 40) | stage.tick(shared, 40) == set()
        stage.write(private, 7, 9)
        assert stage.tick(private, 40) == {7, 9}
        assert stage.tick(private, 40) == set()
        names = {each.name for each in stage.process()._history.all() if each.start <= private < each.end}
        assert names == {str(file)}, "and its mapping has its name"


def test_initialised_data_is_recorded(program: Path) -> None:
    with Stage(program) as stage:
        for page in (0, 1, 0):
            stage.tick()
            address = stage.say("data", page)
            assert stage.tick(address // PAGE * PAGE - page * PAGE, 2) == {page}


def test_what_is_reserved_and_opened_later_is_watched_before_its_first_store(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 1000, NONE)
        stage.tick()
        assert stage.say("open", start + 100 * PAGE, 200) == 0
        stage.write(start, 100, 150, 299)
        assert stage.tick(start, 1000) == {100, 150, 299}
        # Shut and opened again between two ticks: what was written before has not been written since.
        stage.say("shut", start + 100 * PAGE, 200)
        stage.say("open", start + 100 * PAGE, 200)
        stage.write(start, 151)
        assert stage.tick(start, 1000) == {151}


def test_mappings_come_and_go_between_two_ticks(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 100, WRITE)
        stage.write(start, *range(100))
        stage.tick()
        stage.say("unmap", start + 10 * PAGE, 20)
        stage.write(start, 5)
        assert stage.tick(start, 100) == {5}
        assert stage.say("again", start + 10 * PAGE, 20) == start + 10 * PAGE
        stage.write(start, 11, 29)
        assert stage.tick(start, 100) == {11, 29}
        stage.say("unmap", start + 10 * PAGE, 20)
        stage.say("again", start + 10 * PAGE, 20)
        stage.write(start, 12)
        assert stage.tick(start, 100) == {12}, "gone and come again within a tick"


def test_dropped_memory_is_written_when_it_is_stored_to_again(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 100, WRITE)
        stage.write(start, *range(100))
        stage.tick()
        stage.say("drop", start + 20 * PAGE, 40)
        assert stage.tick(start, 100) == set()
        stage.write(start, 25)
        assert stage.tick(start, 100) == {25}
        stage.say("drop", start + 20 * PAGE, 40)
        stage.write(start, 26, 70)
        assert stage.tick(start, 100) == {26, 70}


def test_memory_that_is_moved_reads_as_written_where_it_arrives_and_is_exact_afterwards(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 11, WRITE)  # of which the last keeps the others from growing where they are
        stage.write(start, *range(10))
        stage.tick()
        moved = stage.say("move", start, 10, rest="4000")
        assert moved != start
        assert stage.tick(moved, 4000) == set(range(10))
        stage.write(moved, 3, 3999)
        assert stage.tick(moved, 4000) == {3, 3999}


def test_no_store_of_a_thread_that_goes_on_meanwhile_is_lost(program: Path) -> None:
    pages, ticks = 20_000, 20
    with Stage(program) as stage:
        start = stage.say("map", pages, WRITE)
        for step in ("7919", "1", "10007"):
            stage.tick()
            stage.say("sweep", start, pages, rest=step)
            found: list[int] = []
            for _ in range(ticks):
                found += stage.tick(start, pages)
            stage.say("join")
            found += stage.tick(start, pages)
            assert set(found) == set(range(pages))
            # A store has its page opened first, and is done again: a scan in between reports it, and the next one, too.
            assert len(found) <= pages + ticks


def test_a_forked_child_is_a_trace_of_its_own(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 100, WRITE)
        stage.write(start, *range(50))
        stage.tick()
        child = stage.say("fork")
        assert child == stage.process(1).pid != stage.process(0).pid
        assert stage.kept.begun[1] == {
            "pid": child,
            "parent_pid": stage.process(0).pid,
            "began": "fork",
            "command": (str(program),),
        }
        assert within(stage.kept.initial[1], start, 100) == set(range(50))
        stage.write(start, 3, 60)
        assert stage.tick(start, 100, trace=1) == {3, 60}
        assert within(stage.kept.ticks[0][-1], start, 100) == set()
        stage.order("exit", 3)
        assert stage.hear() == ("fork", 3 << 8), "the parent goes on, and has waited for it"
        stage.write(start, 8)
        assert stage.tick(start, 100) == {8}
        assert stage.process(1).how_it_ended() == "exit 3"


def test_an_exec_ends_a_trace_and_begins_another(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 10, WRITE)
        stage.write(start, 1)
        stage.tick()
        stage.order("exec", 0)
        assert stage.hear()[0] == "executed"
        assert stage.kept.ended == {0: "exec"}
        assert stage.kept.begun[1]["began"] == "exec"
        start = stage.say("map", 10, WRITE)
        stage.write(start, 2)
        assert stage.tick(start, 10, trace=1) == {2}


def test_a_program_that_closes_all_descriptors_has_none_of_ours_to_lose(program: Path) -> None:
    with Stage(program) as stage:
        assert stage.say("descriptors") == 0
        start = stage.say("map", 10, WRITE)
        stage.say("closeall")
        stage.write(start, 4)
        assert stage.tick(start, 10) == {4}


@pytest.mark.parametrize("ticked", [False, True], ids=["new memory", "memory that was watched"])
def test_a_userfaultfd_of_its_own_works_and_is_left_alone(program: Path, ticked: bool) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 64, WRITE)
        stage.write(start, *range(64))
        if ticked:
            stage.tick()
        assert stage.say("own", start + 8 * PAGE, 32) == 0, "its registration and protection succeed"
        stage.write(start, 2, 9, 12, 50)
        assert stage.tick(start, 64) & {*range(8), *range(40, 64)} >= {2, 50}
        expected = {9, 12}
        assert stage.say("written", start + 8 * PAGE, 32) == sum(1 << page - 8 for page in expected)
        stage.write(start, 3, 10)
        assert stage.tick(start, 64) == {3}, "its range is its own"
        expected.add(10)
        assert stage.say("written", start + 8 * PAGE, 32) == sum(1 << page - 8 for page in expected)
        assert stage.process().tracker.notes() == ("watches memory with a userfaultfd of its own, which was left out",)


def test_memory_that_another_userfaultfd_had_is_watched_once_it_is_mapped_anew(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 64, WRITE)
        stage.say("own", start, 64)
        stage.tick()
        stage.say("unmap", start, 64)
        stage.tick()
        assert stage.say("again", start, 64) == start
        stage.tick()
        stage.write(start, 5)
        assert stage.tick(start, 64) == {5}


def test_huge_pages_from_the_pool_are_left_out_and_said(program: Path, needs: Callable[..., None]) -> None:
    needs("hugetlb")
    with Stage(program) as stage:
        start = stage.say("huge", 2 << 20)
        stage.write(start, 5)
        assert stage.tick(start, 512) == set()
        assert stage.process().tracker.notes() == ("has huge pages from a pool (hugetlb), which were left out",)


@pytest.mark.parametrize("how", ["exit", "leave", "abandon", "quick"])
def test_the_last_tick_is_seen_of_who_exits(program: Path, how: str) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 10, WRITE)
        stage.tick()
        stage.write(start, 6)
        stage.order(how, 4)
        stage.serve()
        assert within(stage.kept.ticks[0][-1], start, 10) == {6}
        assert stage.kept.ended == {0: "exit 4"}
        assert stage.watch.unseen == 0


@pytest.mark.parametrize("by", ["prctl", "seccomp"])
@pytest.mark.parametrize("call", ["socket", "prctl", "userfaultfd"])
def test_a_program_that_locks_itself_in_ends_as_it_would(program: Path, call: str, by: str) -> None:
    with Stage(program) as stage:
        assert stage.say("lock", KILLED_FOR[call], int(by == "seccomp")) == 0
        child = stage.say("fork")
        stage.order("exit", 3)
        assert stage.hear() == ("fork", 3 << 8), "nor was its child killed"
        stage.order("exit", 4)
        stage.serve()
        assert stage.kept.ended == {0: "exit 4"}, "it was not killed for what we do"
        assert child not in stage.watch.known


@pytest.mark.parametrize("call", ["socket", "prctl", "userfaultfd"])
def test_a_program_that_is_executed_under_a_filter_runs_unwatched(program: Path, call: str) -> None:
    with Stage(program) as stage:
        assert stage.say("lock", KILLED_FOR[call]) == 0
        stage.order("exec", 0)
        assert stage.hear()[0] == "executed"
        stage.order("exit", 4)
        stage.program.wait(20)
        assert stage.program.returncode == 4
        assert stage.watch.begun == 1


def test_a_raw_clone_is_found_among_the_children_and_said_not_to_be_followed(program: Path) -> None:
    with Stage(program) as stage:
        family = Family(stage.watch, stage.program.pid)
        clone = stage.say("clone")
        for _ in range(2):
            assert family.notes() == ()
            family.look(at_once=True)
        (note,) = family.notes()
        assert note == (
            f"process {clone} (recorded), a child of {stage.program.pid}, was not followed: "
            "it was started without the preloaded object (by a raw clone, or with another environment), "
            "or under a filter (seccomp)"
        )
        stage.order("leave", 0)
        assert stage.hear()[0] == "clone"
        start = stage.say("map", 5, WRITE)
        stage.write(start, 2)
        assert stage.tick(start, 5) == {2}, "its parent is watched as ever"


class Failing(Kept):
    """Its disk is full."""

    def tick(self, *_: object, **__: object) -> None:
        raise GcBarrierError("no space is left")


def test_the_program_goes_on_where_its_ticks_can_not_be_kept() -> None:
    def start(surroundings: Mapping[str, str]) -> Child:
        return Child(Path("/bin/sh"), ["sh", "-c", "sleep 0.3; exit 5"], surroundings, (), quiet=True)

    with Signals(()) as signals:
        way = Way(track=partial(track, "uffd-wp-async"), library=preload())
        ran = watched(start, sink=Failing(), signals=signals, way=way, every_ns=10_000_000)
        assert ran.problem == "no space is left"
        assert not ran.child.has_ended()
        unwatched(ran.child, signals)
        assert ran.child.exit_status() == 5
        ran.child.close()


def test_the_last_tick_of_who_is_killed_is_not_seen_and_that_is_known(program: Path) -> None:
    with Stage(program) as stage:
        stage.tick()
        stage.program.send_signal(signal.SIGTERM)
        stage.serve()
        assert stage.kept.ended == {0: "signal 15"}
        assert stage.watch.unseen == 1


def test_who_ends_between_arming_and_collecting_is_gone(program: Path) -> None:
    with Stage(program) as stage:
        process = stage.process()
        arm = process.tracker.arm

        def then_end() -> bool:
            changed = arm()
            stage.program.kill()
            stage.program.wait()
            return changed

        process.tracker.arm = then_end  # type: ignore[method-assign]
        assert process.tick() is None
        assert stage.kept.ticks[0] == []


def test_the_program_goes_on_when_the_recorder_is_gone(program: Path) -> None:
    with Stage(program) as stage:
        start = stage.say("map", 100, WRITE)
        stage.write(start, *range(100))
        stage.tick()
        # What closing its descriptors does is what its death does.
        stage.watch.abandon()
        stage.door.close()
        entries = os.open(f"/proc/{stage.program.pid}/pagemap", os.O_RDONLY)
        found = os.pread(entries, 8 * 100, start // PAGE * 8)
        os.close(entries)
        words = [int.from_bytes(found[at : at + 8], "little") for at in range(0, 800, 8)]
        assert not any(word >> 57 & 1 for word in words), "nothing is protected any more"
        for order, rest in (("write", "5,6"), ("exec", "")):  # what it executes introduces itself to nobody
            stage.order(order, start, rest=rest)
            assert os.read(stage.program.stdout.fileno(), 100).split()[0] in (b"write", b"executed")


def test_mappings_are_kept_from_tick_to_tick(program: Path) -> None:
    with Stage(program) as stage:
        stage.tick()
        start = stage.say("map", 100, WRITE)
        stage.tick()
        stage.say("shut", start + 10 * PAGE, 20)
        stage.tick()
        stage.say("unmap", start, 100)
        stage.tick()
        stage.watch.finish()
        (mapped,) = [each for each in stage.kept.mappings[0] if each.start <= start < each.end]
        assert (mapped.since, mapped.until) == (1, 3)
        names = {each.name for each in stage.kept.mappings[0]}
        assert names >= {"[stack]", "gcbarrier"}
        # A recording is handed on: it does not tell where the preloaded object lies.
        assert not [name for name in names if name.endswith("plugin.so")]
        assert not [each for each in stage.kept.mappings[0] if each.name.startswith(("[vvar", "[vdso"))]
