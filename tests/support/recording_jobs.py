"""What the tests of recording by soft-dirty run in a guest, which has no pytest: each does, asserts and returns."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from staged import PAGE, Kept, Stage, addresses, within

from gcbarrier.page_traces.records import SOFT_DIRTY
from gcbarrier.recorder.agreement import Agreement, Pair
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.session import BOTH, Done, Wish, attach, beside, record
from gcbarrier.recorder.soft_dirty import SoftDirtyTracker, marked_mappings
from gcbarrier.recorder.still import Still

READ, WRITE = 1, 3


class Bare(Stage):
    """The program without anything of ours in it, by the tracker of its process; others can be asked for."""

    def __init__(self, program: Path) -> None:
        super().__init__(program, bare=True)
        self.trackers: dict[int, SoftDirtyTracker] = {}

    def collect(self, start: int = 0, pages: int = 1 << 40, pid: int = 0) -> set[int]:
        """Pages of a range that this process of its has written, counted from its beginning."""
        pid = pid or self.program.pid
        if pid not in self.trackers:
            self.trackers[pid] = SoftDirtyTracker(pid)
        self.trackers[pid].arm()
        return within(addresses(self.trackers[pid].collect()), start, pages)


def what_was_written(program: Path) -> None:
    rng = random.Random(1)
    with Bare(program) as stage:
        start = stage.say("map", 200, WRITE)
        assert stage.collect(start, 200) == set()
        for page in range(50):
            stage.say("read", start, page)
        assert stage.collect(start, 200) == set(), "reading is no writing"
        for count in (0, 1, 7, 100, 200, 50):
            wanted = set(rng.sample(range(200), count))
            stage.write(start, *wanted)
            tracker = stage.trackers[stage.program.pid]
            tracker.arm()
            slowly = [run for runs in tracker._readings() for run in runs.tolist()]
            assert stage.collect(start, 200) == wanted
            # Without PAGEMAP_SCAN, from each page's entry, of the same moment.
            told = {(at - start) // PAGE for first, end in slowly for at in range(first, end, PAGE)}
            assert told & set(range(200)) == wanted
        mapped = Path(f"/proc/{stage.program.pid}/maps").read_text()
        assert "preload" not in mapped, "nothing of ours is in it"
        stage.program.kill()
        stage.program.wait()
        assert stage.collect() == set(), "once it has ended, there is nothing"


def false_pages(program: Path) -> None:
    with Bare(program) as stage:
        start = stage.say("map", 64, WRITE)
        stage.write(start, *range(64))
        stage.collect()
        assert not len(marked_mappings(stage.program.pid))
        # Behind it, where the kernel makes one mapping of both.
        before = start - 8 * PAGE
        assert stage.say("again", before, 8) == before
        stage.write(before, 3)
        marked = marked_mappings(stage.program.pid)
        assert any(first <= start and start + 64 * PAGE <= end for first, end in marked.tolist())
        assert stage.collect(before, 72) == {3, *range(8, 72)}, "all that is there, and nothing that is not"
        assert stage.collect(before, 72) == set()
        moved = stage.say("move", before, 72, rest="144")
        assert moved != before
        assert stage.collect(moved, 72) == {3, *range(8, 72)}, "and all that was moved"


def stored_between(program: Path, held: bool) -> set[int]:
    """Which pages are told of that are stored to after reading and before clearing: page 5 is, if it can be."""
    if not held:
        Still.held = lambda _: nullcontext()  # type: ignore[method-assign,assignment,return-value]
    with Bare(program) as stage:
        start = stage.say("map", 10, WRITE)
        stage.collect()
        tracker = stage.trackers[stage.program.pid]
        clear = tracker.clear

        def store_and_clear() -> None:
            assert stage.program.stdin is not None
            stage.program.stdin.write(f"write {start} 0 5\n".encode())
            stage.program.stdin.flush()
            if held:
                time.sleep(0.1)
            else:
                assert stage.hear() == ("write", start)
            clear()

        tracker.clear = store_and_clear  # type: ignore[method-assign]
        found = stage.collect(start, 10)
        tracker.clear = clear  # type: ignore[method-assign]
        if held:
            assert stage.hear() == ("write", start)
        return found | stage.collect(start, 10)


def forks(program: Path) -> None:
    with Bare(program) as stage:
        start = stage.say("map", 10, WRITE)
        stage.write(start, 0)
        stage.collect()
        stage.write(start, 1, 2)
        child = stage.say("fork")
        assert stage.collect(start, 10, child) == {0, 1, 2} - {0}, "a child has its parent's bits"
        stage.write(start, 5)
        assert stage.collect(start, 10, child) == {5}
        assert stage.collect(start, 10) == {1, 2}, "and clears its own"
        leave(stage)


def leave(stage: Stage) -> None:
    """End the child that a fork has made; the program goes on."""
    assert stage.program.stdin is not None
    stage.program.stdin.write(b"leave 0 0\n")
    stage.program.stdin.flush()
    assert stage.hear()[0] == "fork"


def agreement(program: Path, library: Path) -> Agreement:
    """Both on a program that does all kinds of things to its memory."""
    rng = random.Random(2)
    with staged_pair(program, library) as (stage, second):
        mapped = [stage.say("map", 64, WRITE) for _ in range(4)]
        stage.tick()
        for _ in range(25):
            start = rng.choice(mapped)
            for what in rng.sample(["write", "read", "drop", "shut", "open", "move", "map", "sweep"], 3):
                if what == "move":
                    index = mapped.index(start)
                    mapped[index] = start = stage.say("move", start, 64, rest="64")
                elif what == "map":
                    mapped.append(stage.say("map", 64, WRITE))
                elif what == "read":
                    stage.say("read", start, rng.randrange(64))
                elif what in ("drop", "shut", "open"):
                    stage.say(what, start + 8 * PAGE, rng.randrange(1, 8))
                if what in ("shut", "open"):
                    stage.say("open", start, 64)
                if what == "write":
                    stage.write(start, *rng.sample(range(64), rng.randrange(1, 20)))
                if what == "sweep":
                    stage.say("sweep", start, 64, rest="7")
                    stage.watch.tick()
                    stage.say("join")
            stage.tick()
        stage.say("fork")
        stage.write(mapped[0], 1, 2, 3)
        stage.tick()
        leave(stage)
        stage.tick()
        for trace, ticks in enumerate(stage.kept.ticks):
            assert [exact - theirs for exact, theirs in zip(ticks, second.ticks[trace], strict=True)] == [set()] * len(
                ticks
            )
        assert stage.pair is not None
        return stage.pair.agreement


@contextmanager
def staged_pair(program: Path, library: Path) -> Iterator[tuple[Stage, Kept]]:
    second = Kept()
    with Stage(program, library=library, pairing=lambda first: Pair(first, second)) as stage:
        yield stage, second


def by_both(script: Path, library: Path, out: Path) -> tuple[Done, bytes, bytes]:
    """Record a Python program by both, and return the two files."""
    wish = Wish(command=("python3", str(script), "100"), out=out, every_ns=50_000_000, tracker=BOTH, library=library)
    with Signals() as signals:
        done = record(wish, signals)
    return done, out.read_bytes(), beside(out).read_bytes()


def while_it_runs(script: Path, out: Path) -> tuple[bytes, bool]:
    """Attach to a Python program and leave it again; the file, and whether the program went on."""
    program = subprocess.Popen([sys.executable, str(script), "1000000000"], stdout=subprocess.PIPE)
    assert program.stdout is not None
    program.stdout.readline()
    wish = Wish(command=(), out=out, every_ns=50_000_000, tracker=SOFT_DIRTY, for_ns=500_000_000)
    with Signals() as signals:
        attach(program.pid, wish, signals)
    spent = cpu_of(program.pid)
    while program.poll() is None and cpu_of(program.pid) == spent:
        time.sleep(0.01)
    ran = program.poll() is None
    program.kill()
    program.wait()
    return out.read_bytes(), ran


def cpu_of(pid: int) -> int:
    return time.clock_gettime_ns(~pid << 3 | 2)
