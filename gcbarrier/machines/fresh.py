"""An executor whose every job runs in a fresh interpreter of its own, one at a time.

Not ``ProcessPoolExecutor``: a job that crashes must not take the pool with it, nothing may outlive its caller, and code
built with sanitizers needs their libraries from the very start of the process.
"""

import contextlib
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError

P = ParamSpec("P")
T = TypeVar("T")

_TAIL = 20  # lines of what a dead child said last
_PR_SET_PDEATHSIG = 1


class FreshExecutor(Executor):
    """Runs importable functions, each in a new process.

    ``deadline_s``: after so long a job counts as hung; None: never.

    A job whose process dies or hangs fails with a GcBarrierError that says how and ends with its last words.
    """

    def __init__(self, *, deadline_s: float | None = None) -> None:
        self._deadline_s = deadline_s
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gcbarrier-fresh")
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue ``fn(*args, **kwargs)``; its result and its exceptions come through the future."""
        call = pickle.dumps((fn, args, kwargs))
        return self._pool.submit(self._run, call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the queued jobs finish, or with ``cancel_futures`` end the running one at once."""
        if cancel_futures:
            with self._lock:
                self._stopped = True
                for child in self._children:
                    child.kill()
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the jobs; after an exception (Ctrl-C is one) stop at once instead."""
        self.shutdown(wait=True, cancel_futures=kind is not None)

    def _run(self, call: bytes) -> Any:
        reader, writer = os.pipe()
        command = [sys.executable, "-m", "gcbarrier.machines.fresh", str(writer), str(os.getpid())]
        with tempfile.TemporaryFile() as words, open(reader, "rb") as results:
            try:
                with self._lock:
                    if self._stopped:
                        raise GcBarrierError("the run was stopped")
                    child = subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=words,
                        stderr=words,
                        pass_fds=(writer,),
                        env=os.environ | build.preload(),
                        # Ctrl-C on the terminal is for us; we end the child ourselves.
                        start_new_session=True,
                    )
                    self._children.add(child)
            finally:
                os.close(writer)
            try:
                return self._talk(child, call, results, words)
            finally:
                with self._lock:
                    self._children.discard(child)

    def _talk(self, child: subprocess.Popen[bytes], call: bytes, results: Any, words: Any) -> Any:
        hung = threading.Event()

        def end() -> None:
            hung.set()
            child.kill()

        alarm = threading.Timer(self._deadline_s or threading.TIMEOUT_MAX, end)
        alarm.daemon = True
        alarm.start()
        try:
            with child:
                assert child.stdin is not None
                with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
                    stdin.write(call)
                answer = results.read()
        finally:
            alarm.cancel()
        if self._stopped:
            raise GcBarrierError("the run was stopped")
        if answer:
            good, value = pickle.loads(answer)
            if good:
                return value
            raise value
        how = (
            f"hung (it ran over its deadline of {self._deadline_s or 0:.0f} s)"
            if hung.is_set()
            else _death(child.returncode)
        )
        words.seek(0)
        last = words.read().decode(errors="replace").splitlines()[-_TAIL:]
        said = "; it said last\n" + "\n".join(f"  | {line}" for line in last) if last else ""
        raise GcBarrierError(f"the invocation's process {how}{said}")


def _death(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed, most likely for want of memory"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return f"ended without a result (status {status})"


def main(writer: int, parent: int) -> None:
    """The child: read a call from standard input, run it, write what came of it, end."""
    # Should the parent vanish without a word, so does this.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    answer: tuple[bool, Any]
    try:
        function, args, kwargs = pickle.load(sys.stdin.buffer)
        answer = (True, function(*args, **kwargs))
    except GcBarrierError as problem:
        answer = (False, problem)
    except BaseException as problem:
        traceback.print_exc()
        answer = (False, GcBarrierError(f"{type(problem).__name__} in the invocation's process: {problem}"))
    with open(writer, "wb") as results:
        pickle.dump(answer, results)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
