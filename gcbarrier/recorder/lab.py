"""Recording in the lab's guest, whose kernel has soft-dirty bits: the program runs there, the recording comes back."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import lab
from gcbarrier.page_traces.pagesfile import check_place
from gcbarrier.page_traces.records import SOFT_DIRTY
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.launch import preload
from gcbarrier.recorder.session import BOTH, Done, Wish, beside, record


def record_in_lab(wish: Wish, *, include: Sequence[Path], kernel: str | None, memory_bytes: int) -> Done:
    """Boot a guest, run the program in it and write its recording here.

    The guest holds Python, gcbarrier and a few tools; files that the command names go along, and what ``include`` does.
    The program's output is ours, and it has no input. Raises GcBarrierError as ``session.record`` does, and Unavailable
    where the lab is not set up.
    """
    places = outputs(wish)
    for each in places:
        if not each.parent.is_dir():
            raise GcBarrierError(f"the recording {each} can't be written: there is no folder {each.parent}")
        check_place(each)
    # Compiled here: the guest has no compiler.
    library = None if wish.tracker == SOFT_DIRTY else preload()
    along = [*include, *named(wish.command), *([library] if library else [])]
    with lab.LabExecutor(memory_bytes=memory_bytes, include=along, kernel=kernel, on_output=_write) as executor:
        done, contents = executor.submit(record_here, evolve(wish, library=library), str(Path.cwd())).result()
    for place, content in zip(places, contents, strict=False):
        _keep(place, content)
    return done


def outputs(wish: Wish) -> list[Path]:
    """The files that come of it."""
    return [wish.out, beside(wish.out)] if wish.tracker == BOTH else [wish.out]


def named(command: Sequence[str]) -> list[Path]:
    """The files that a command's words name; a folder may be large, and goes along only where it is asked for."""
    return [Path(word).absolute() for word in command if word and Path(word).is_file()]


def record_here(wish: Wish, folder: str) -> tuple[Done, list[bytes]]:
    """The guest's part: record, and return what is in the files. It starts in ``folder`` if the guest has that."""
    if os.path.isdir(folder):
        os.chdir(folder)
    if shutil.which(wish.command[0]) is None:
        raise GcBarrierError(
            f"the guest has no program {wish.command[0]}: it holds Python, gcbarrier and a few tools; "
            "take it along with what it needs (--include)"
        )
    with tempfile.TemporaryDirectory() as place:
        there = evolve(wish, out=Path(place) / wish.out.name)
        with Signals() as signals:
            done = record(there, signals)
        return done, [] if done.problem else [each.read_bytes() for each in outputs(there)]


def _keep(place: Path, content: bytes) -> None:
    work = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        work.write_bytes(content)
        work.replace(place)
    except OSError as problem:
        work.unlink(missing_ok=True)
        why = problem.strerror or str(problem)
        raise GcBarrierError(f"the recording {place} can't be written: {why}; name another place for it") from problem


def _write(stream: int, data: bytes) -> None:
    out = sys.stdout.buffer if stream == 1 else sys.stderr.buffer
    out.write(data)
    out.flush()
