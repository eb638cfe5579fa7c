"""Running something in a child of this process, whose death is an answer like any other."""

import contextlib
import ctypes
import functools
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any

NOBODY = 65534
_PR_SET_DUMPABLE = 4


class Died(Exception):  # noqa: N818 - an answer, not an error
    """The child ended without one; the message says how."""


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function`` returns in a forked child. Raises what it raises, and Died where the child did."""
    return begin(function, *arguments)()


def begin(function: Callable[..., Any], *arguments: Any, deadline_s: int = 120) -> Callable[[], Any]:
    """The same, begun; the result waits for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing of the parent's may run here: no atexit, no finally of its callers.
        try:
            os.close(reader)
            signal.alarm(deadline_s)
            answer: tuple[bool, Any]
            try:
                answer = (True, function(*arguments))
            except BaseException as problem:
                if not isinstance(problem, AssertionError):
                    problem.add_note(traceback.format_exc())
                answer = (False, problem)
            with contextlib.suppress(OSError), open(writer, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(writer)
    return functools.partial(_finish, child, reader)


def _finish(child: int, reader: int) -> Any:
    with open(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if not data:
        code = os.waitstatus_to_exitcode(status)
        raise Died(signal.Signals(-code).name if code < 0 else f"exit status {code}")
    good, value = pickle.loads(data)
    if good:
        return value
    raise value


def become_nobody() -> None:
    """Give up root for good, if this is root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        # Changing identity hides /proc/self from its own process until it is dumpable again.
        assert ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
    with open("/proc/self/status") as status:
        assert "CapEff:\t0000000000000000" in status.read(), "capabilities are left"
