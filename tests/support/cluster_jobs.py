"""Jobs for a worker that are no session: it finds this file because its processes search ``tests/support``."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from gcbarrier.errors import GcBarrierError


def add(one: int, other: int) -> int:
    return one + other


def refuse() -> None:
    raise GcBarrierError("no: it is refused; ask otherwise")


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def surroundings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("GCBARRIER_")}


def plugins(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def graph_nodes(name: str) -> int:
    from gcbarrier.graphs import graphfile

    return graphfile.read(Path(name)).node_count


def linger(began: str) -> None:
    """With a child in a session of its own, for ever; ``began`` is a FIFO that is told the numbers of both."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    Path(began).write_text(f"{os.getpid()} {child.pid}")
    signal.pause()


def end(processes: list[int]) -> None:
    """What nobody else ends."""
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
