"""An executor whose every job runs in a fresh interpreter of its own, one at a time.

Not ``ProcessPoolExecutor``: a job that crashes must not take the pool with it, nothing may outlive its caller, and code
built with sanitizers needs their libraries from the very start of the process.

A job may fork, stop itself or never end. So its process is the leader of a session, which is killed whole; whoever it
leaves behind comes to it as its child; and what it is asked and what it answers are files in memory, where a pipe would
wait for everyone who holds its other end.
"""

import contextlib
import ctypes
import functools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Generic, ParamSpec, TypeVar

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.children import death
from gcbarrier.machines.lastwords import telling

P = ParamSpec("P")
T = TypeVar("T")

_GRACE_S = 30.0  # for the interpreter to start and a job's own alarm to come first, on a busy machine
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STOPPED = "the run was stopped"

# The folder that we are called from is nobody's library: a signal.py may lie in it (-P). What the caller can import,
# the job can as well, but after all that is the interpreter's own; and this package is the one that the caller has.
_BOOT = """
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
home, answers, parent, *path = sys.argv[1:]
spec = PathFinder.find_spec("gcbarrier", [home])
sys.modules["gcbarrier"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
sys.path += [each for each in path if each not in sys.path]
from gcbarrier.machines import fresh
fresh.main(int(answers), int(parent))
"""
_HOME = Path(__file__).resolve().parents[2]


class Within(Generic[P, T]):
    """A function with a deadline: in whatever process it runs, that ends by SIGALRM where it takes longer.

    A :class:`FreshExecutor` watches over it besides: a process that is stopped or has lost its alarm ends as well.
    """

    def __init__(self, deadline_s: float, function: Callable[P, T]) -> None:
        # An executor looks where a function is from and what it is called.
        functools.update_wrapper(self, function)
        self.deadline_s = deadline_s
        self.function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function; the alarm is off again when it returns."""
        # The signal's default action: a handler in Python would wait for the very call that hangs.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, self.deadline_s)
        try:
            return self.function(*args, **kwargs)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class FreshExecutor(Executor):
    """Runs importable functions, each in a new process.

    ``deadline_s``: after so long a job counts as hung; None: never, except where it is a :class:`Within`.
    ``environment``: further variables of its processes, such as what sanitized code needs from their very start
    (:func:`gcbarrier.core.build.preload`).

    A job whose process dies, stops or hangs fails with a GcBarrierError that says how and ends with its last words.
    """

    def __init__(self, *, deadline_s: float | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._deadline_s = deadline_s
        self._environment = environment or {}
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gcbarrier-fresh")
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue ``fn(*args, **kwargs)``; its result and its exceptions come through the future."""
        deadline_s = fn.deadline_s + _GRACE_S if isinstance(fn, Within) else self._deadline_s
        call = pickle.dumps((fn, args, kwargs))
        return self._pool.submit(self._run, call, deadline_s)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the queued jobs finish, or with ``cancel_futures`` end the running one at once."""
        if cancel_futures:
            self._stopped = True
            self._end()
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the jobs; after an exception (Ctrl-C is one) stop at once instead."""
        self.shutdown(wait=True, cancel_futures=kind is not None)

    def _run(self, call: bytes, deadline_s: float | None) -> Any:
        with _memory_file() as asked, _memory_file() as answered, tempfile.TemporaryFile() as words:
            asked.write(call)
            asked.seek(0)
            how = self._life(asked, answered, words, deadline_s)
            if self._stopped:
                raise GcBarrierError(_STOPPED)
            if (answer := _answer(answered)) is not None:
                good, value = answer
                if good:
                    return value
                raise value
            words.seek(0)
            last = telling(words.read().decode(errors="replace").splitlines())
        said = "; it said last\n" + "\n".join(f"  | {line}" for line in last) if last else ""
        raise GcBarrierError(f"the invocation's process {how}{said}")

    def _life(self, asked: IO[bytes], answered: IO[bytes], words: IO[bytes], deadline_s: float | None) -> str:
        """From the child's birth to the death of all that descends from it; returns how it ended."""
        child = self._begin(asked, answered, words)
        hung = threading.Event()

        def end() -> None:
            hung.set()
            self._end()

        alarm = threading.Timer(deadline_s or threading.TIMEOUT_MAX, end)
        alarm.daemon = True
        alarm.start()
        try:
            # Not reaped yet: as long as it is there, its number is nobody else's.
            state = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
        finally:
            alarm.cancel()
            self._end()
            with self._lock:
                child.wait()
                self._child = None
        if hung.is_set():
            return f"hung (it ran over its deadline of {deadline_s or 0:.0f} s)"
        if state is not None and state.si_code == os.CLD_STOPPED:
            return f"was stopped ({signal.Signals(state.si_status).name}), and nobody would have let it go on"
        return death(child.returncode)

    def _begin(self, asked: IO[bytes], answered: IO[bytes], words: IO[bytes]) -> subprocess.Popen[bytes]:
        numbers = (str(answered.fileno()), str(os.getpid()))
        path = [each for each in sys.path if isinstance(each, str)]
        with self._lock:
            if self._stopped:
                raise GcBarrierError(_STOPPED)
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, str(_HOME), *numbers, *path],
                stdin=asked,
                stdout=words,
                stderr=words,
                pass_fds=(answered.fileno(),),
                env={**os.environ, **self._environment},
                # Ctrl-C on the terminal is for us; we end the child ourselves.
                start_new_session=True,
            )
            return self._child

    def _end(self) -> None:
        """End the running job, if there is one, with all that descends from it."""
        with self._lock:
            if self._child is None:
                return
            family = list(_descendants(self._child.pid))
            with contextlib.suppress(OSError):
                os.killpg(self._child.pid, signal.SIGKILL)
            _kill(family)


def _memory_file() -> IO[bytes]:
    return open(os.memfd_create("gcbarrier-fresh"), "w+b")  # closed by whoever asked for it


def _answer(answered: IO[bytes]) -> tuple[bool, Any] | None:
    """What the child has written, if it came to its end."""
    answered.seek(0)
    try:
        answer: tuple[bool, Any] = pickle.load(answered)
    except (EOFError, pickle.UnpicklingError):
        return None
    return answer


def _descendants(process: int) -> Iterator[int]:
    """The children of a process, their children and so on."""
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            for child in map(int, path.read_text().split()):
                yield child
                yield from _descendants(child)


def _kill(processes: list[int]) -> None:
    for each in processes:
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGKILL)


def _end_own_children() -> None:
    while family := list(_descendants(os.getpid())):
        _kill(family)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()


def main(answers: int, parent: int) -> None:
    """The child: read a call from standard input, run it, write what came of it, end."""
    control = ctypes.CDLL(None).prctl
    # Should the parent vanish without a word, so does this. The kernel goes by the thread that has forked, which here
    # waits for this process to end (_life).
    control(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Whoever a job's own child leaves behind becomes a child of this, whatever session it has made its own.
    control(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != parent:
        return
    os.set_inheritable(answers, False)
    answer: tuple[bool, Any]
    try:
        function, args, kwargs = pickle.load(sys.stdin.buffer)
        answer = (True, function(*args, **kwargs))
    except GcBarrierError as problem:
        answer = (False, problem)
    except BaseException as problem:
        traceback.print_exc()
        answer = (False, GcBarrierError(f"{type(problem).__name__} in the invocation's process: {problem}"))
    with open(answers, "wb") as results:
        pickle.dump(answer, results)
    _end_own_children()
