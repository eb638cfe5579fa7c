"""One program from its start to its end, with all that descends from it."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from gcbarrier.page_traces.pagesfile import Writer
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.door import Door
from gcbarrier.recorder.launch import HANDED_ON, Child, environment
from gcbarrier.recorder.ticks import Loop
from gcbarrier.recorder.trackers import check
from gcbarrier.recorder.watch import Watch


def record(command: Sequence[str], *, out: Path, every_ns: int, tracker: str) -> int:
    check(tracker)
    door = Door()
    env = environment(door.name, huge_pages=False)
    program = Path(shutil.which(command[0]) or command[0])
    zero = time.monotonic_ns()
    with (
        Writer(out, command=command, every_ns=every_ns, tracker=tracker, facts={}) as writer,
        Signals(HANDED_ON) as signals,
    ):
        child = Child(program, command, env, signals.before)
        watch = Watch(sink=writer, tracker=tracker, zero_ns=zero)
        loop = Loop(watch=watch, door=door, child=child, signals=signals, every_ns=every_ns)
        loop.run()
        watch.finish()
        writer.close(notes=watch.notes())
    return child.exit_status()
