"""A child process and its verdict: what it brought back, or how it ended."""

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class Verdict:
    """What came of a forked child: one of the three."""

    value: Any = None
    """What its function returned."""
    problem: BaseException | None = None
    """What its function raised, with the child's traceback as a note."""
    death: str = ""
    """How it ended without either, as :func:`death` says."""


def death(status: int) -> str:
    """How a process ended that brought nothing back; ``status`` is its exit code, or minus the signal's number."""
    if status == -signal.SIGKILL:
        return "was killed, most likely for want of memory"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return f"ended without a result (status {status})"


def fork(function: Callable[..., Any], *arguments: Any, deadline_s: int = 120) -> Callable[[], Verdict]:
    """Begin ``function(*arguments)`` in a forked child of this process; calling what is returned waits for its verdict.

    After ``deadline_s`` it dies of SIGALRM.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing of the parent's may run here: no atexit, no finally of its callers.
        try:
            os.close(reader)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(deadline_s)
            data = pickle.dumps(_verdict(function, arguments))
            with open(writer, "wb") as pipe:
                pipe.write(data)
        finally:
            os._exit(0)
    os.close(writer)
    return lambda: _await(child, reader)


def _verdict(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Verdict:
    try:
        return Verdict(value=function(*arguments))
    except BaseException as problem:
        problem.add_note(traceback.format_exc())
        return Verdict(problem=problem)


def _await(child: int, reader: int) -> Verdict:
    with open(reader, "rb") as pipe:
        data = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not data:
        return Verdict(death=death(status))
    verdict: Verdict = pickle.loads(data)
    return verdict
