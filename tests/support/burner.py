"""Whoever needs processors beside an invocation."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def burning(each: int = 2) -> Iterator[None]:
    """So many processes for each processor that this one may use, which do nothing and want to do it all the time."""
    with ExitStack() as running:
        for _ in range(each * len(os.sched_getaffinity(0))):
            child = running.enter_context(subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]))
            running.callback(child.kill)
        yield
