"""One job in the guest, in a process of its own: what it does, and what leaves it."""

import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.lab.wire import END, Call, Done, Failed, Message, Progress, encode

_results: int | None = None


def report_progress(value: Any) -> None:
    """Hand ``value`` to the executor's ``on_progress``; outside the lab, do nothing."""
    if _results is not None:
        _write(_results, encode(Progress(value=value)))


def run_command(command: Sequence[str], folder: str) -> int:
    """Run a program with its output streamed to the host, and return its exit status.

    It starts in ``folder`` if the guest has that.
    """
    try:
        done = subprocess.run(command, cwd=folder if os.path.isdir(folder) else "/", check=False)
    except OSError as error:
        raise GcBarrierError(
            f"the guest can't run {command[0]} ({error.strerror}): it holds Python, gcbarrier and a few tools only"
        ) from None
    # As a shell has it for a program ended by a signal.
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def run_call(call: Call, results: int, stdout: int, stderr: int) -> NoReturn:
    """Be the job: run it, send its result or its exception, and end this process."""
    global _results
    _results = results
    status = 1
    try:
        os.setsid()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.environ.update(call.environment)
        outcome = _outcome(call)
        sys.stdout.flush()
        sys.stderr.flush()
        _write(results, outcome)
        _write(results, END)
        status = 0
    finally:
        os._exit(status)


def _outcome(call: Call) -> bytes:
    message: Message
    try:
        function, args, kwargs = pickle.loads(call.job)
        message = Done(value=function(*args, **kwargs))
        return encode(message)
    except (SystemExit, KeyboardInterrupt) as error:
        # The host would end by it, as if it had been its own.
        return encode(Failed(error=GcBarrierError(f"{type(error).__name__} in the lab's guest: {error}")))
    except BaseException as error:
        error.add_note("in the lab's guest:\n" + traceback.format_exc())
        told = GcBarrierError(f"{type(error).__name__} in the lab's guest: {error}")
        if not isinstance(error, Exception):
            # sys.exit() in the guest is no reason to end the host's process.
            return encode(Failed(error=told))
        try:
            frame = encode(Failed(error=error))
            # Some exceptions can be pickled and not be rebuilt.
            pickle.loads(pickle.dumps(error))
        except Exception:
            frame = encode(Failed(error=told))
        return frame


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]
