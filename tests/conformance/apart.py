"""Running something in a child of this process, whose death is an answer like any other."""

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any

from gcbarrier.machines.children import Verdict, fork

NOBODY = 65534
_PR_SET_DUMPABLE = 4


class Died(Exception):  # noqa: N818 - an answer, not an error
    """The child ended without one; the message says how."""


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function`` returns in a forked child. Raises what it raises, and Died where the child did."""
    return begin(function, *arguments)()


def begin(function: Callable[..., Any], *arguments: Any, deadline_s: int = 120) -> Callable[[], Any]:
    """The same, begun; the result waits for it."""
    return functools.partial(_finish, fork(function, *arguments, deadline_s=deadline_s))


def _finish(wait: Callable[[], Verdict]) -> Any:
    verdict = wait()
    if verdict.death:
        raise Died(verdict.death)
    if verdict.problem is not None:
        raise verdict.problem
    return verdict.value


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
