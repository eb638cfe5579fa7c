"""One worker as a ``concurrent.futures.Executor``: jobs go to that machine and to no other, one at a time."""

import contextlib
import pickle
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from attrs import frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.cluster import there
from gcbarrier.machines.fresh import Within

if TYPE_CHECKING:
    import distributed

P = ParamSpec("P")
T = TypeVar("T")

RESOURCE = "gcbarrier"
"""What a worker declares one of, and an invocation takes: so Dask itself runs no two at once, whosever they are."""


class MachineLost(GcBarrierError):  # noqa: N818 - as Unavailable, it says what is the case
    """A worker is gone, and what it was doing with it: it may be asked of another machine."""


class SchedulerLost(GcBarrierError):  # noqa: N818 - likewise
    """Nobody is there to ask any more."""


@frozen(kw_only=True)
class WorkerFacts:
    """A worker as results name it."""

    name: str
    address: str
    host: str
    boot: str
    """The same for all workers that share a running kernel."""
    pid: int
    profiled: bool
    """Whether Dask wakes it a hundred times a second to see what it is doing."""
    shares_host_with: tuple[str, ...] = ()
    """Other workers of the run on the same host: they measure at the same time, and disturb each other."""


@frozen
class _Opened:
    """What, pickled, is a call when it is opened.

    So a task is ``pickle.loads`` of some bytes, which a scheduler takes that has no gcbarrier to look functions up in.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


class DaskExecutor(Executor):
    """Runs functions on one worker, each in a fresh process there, one at a time.

    A function must be importable there: from gcbarrier. It finds the machine's name in ``GCBARRIER_MACHINE``, the
    user's plug-ins as it would here, and a folder that stays until :meth:`shutdown` in ``GCBARRIER_RUN_FOLDER``. A
    job whose process dies or hangs fails as it does in a :class:`gcbarrier.machines.fresh.FreshExecutor`; where the
    worker itself is gone, with :class:`MachineLost`, now and from then on.
    """

    def __init__(self, client: "distributed.Client", facts: WorkerFacts, run: str) -> None:
        self.facts = facts
        self._client = client
        self._run = run
        self._lock = threading.Lock()
        self._waiting: dict[Any, tuple[Future[Any], Any]] = {}
        self._lost = False
        self._stopped = False

    @property
    def lost(self) -> bool:
        """Whether the worker is gone."""
        return self._lost

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue ``fn(*args, **kwargs)``; its result and its exceptions come through the future."""
        if self._stopped:
            raise RuntimeError(f"the worker {self.facts.name} has been let go")
        deadline_s, function = (fn.deadline_s, fn.function) if isinstance(fn, Within) else (None, fn)
        call = pickle.dumps((function, args, kwargs))
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        if self._lost:
            future.set_exception(self._how_lost())
            return future
        task = self._client.submit(
            pickle.loads,
            pickle.dumps(_Opened(there.carry_out, (self._run, self.facts.name, call, deadline_s))),
            key=f"gcbarrier-{uuid.uuid4().hex}",
            workers=[self.facts.address],
            allow_other_workers=False,
            resources={RESOURCE: 1},
            pure=False,
            retries=0,
        )
        with self._lock:
            self._waiting[task.key] = (future, task)
        task.add_done_callback(self._done)  # type: ignore[no-untyped-call]
        if self._lost:  # in between
            self.lose()
        return future

    def lose(self) -> None:
        """The worker is gone."""
        self._lost = True
        with self._lock:
            waiting, self._waiting = list(self._waiting.values()), {}
        for future, task in waiting:
            future.set_exception(self._how_lost())
            # Or Dask would wait for a worker of that address. This is called in the client's own loop, which must not
            # wait for itself.
            with contextlib.suppress(Exception):
                task.release()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the queued jobs finish, or with ``cancel_futures`` end the running one; returns when nothing runs there.

        What the run has kept there is taken away.
        """
        self._stopped = True
        with self._lock:
            waiting = list(self._waiting.values())
        for future, task in waiting:
            if cancel_futures:
                if self._take(task.key) is not None:  # or it has ended by itself
                    future.set_exception(GcBarrierError("the run was stopped"))
                with contextlib.suppress(Exception):
                    task.release()
            elif wait:
                with contextlib.suppress(Exception):
                    future.result()
        # Without their scheduler, workers end by themselves; and one that goes meanwhile takes all with it.
        if not self._lost and self._client.status == "running":
            with contextlib.suppress(Exception):
                self._client.run(there.end, self._run, workers=[self.facts.address])

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the jobs; after an exception (Ctrl-C is one) stop at once instead."""
        self.shutdown(wait=True, cancel_futures=kind is not None)

    def _take(self, key: str) -> Future[Any] | None:
        with self._lock:
            future, _ = self._waiting.pop(key, (None, None))
            return future

    def _done(self, task: Any) -> None:
        """In a thread of the client's."""
        future = self._take(task.key)
        if future is None:
            return
        try:
            answer = task.result()
        except BaseException as problem:
            future.set_exception(self._refused(problem))
            return
        if answer == there.LOST:
            future.set_exception(self._how_lost())
            return
        try:
            good, value = pickle.loads(answer)
        except Exception as problem:
            what = f"what the worker {self.facts.name} sent back can't be read: {type(problem).__name__}: {problem}"
            future.set_exception(GcBarrierError(what))
            return
        if good:
            future.set_result(value)
        else:
            future.set_exception(value)

    def _refused(self, problem: BaseException) -> GcBarrierError:
        """Dask's own trouble with a task, as whoever runs an experiment meets it."""
        if self._lost or type(problem).__name__ == "KilledWorker":
            return self._how_lost()
        if self._client.status != "running" or "ancelled" in type(problem).__name__:
            return SchedulerLost("the Dask scheduler is gone: start it and its workers again")
        return GcBarrierError(f"the worker {self.facts.name}: {type(problem).__name__}: {problem}")

    def _how_lost(self) -> MachineLost:
        return MachineLost(f"the worker {self.facts.name} ({self.facts.address}) is gone")


def as_told(facts: WorkerFacts) -> Mapping[str, object]:
    """For the manifest."""
    return {
        "profiled": facts.profiled,
        "shares_host_with": list(facts.shares_host_with),
    }


__all__ = ["RESOURCE", "DaskExecutor", "MachineLost", "SchedulerLost", "WorkerFacts", "as_told"]
