"""The lab as a ``concurrent.futures.Executor``: jobs go to a guest, one at a time."""

import os
import pickle
import queue
import threading
import types
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from attrs import evolve, frozen

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.lab.boot import boot, check_size
from gcbarrier.machines.lab.guest import Guest, GuestLost, GuestSpec
from gcbarrier.machines.lab.overlay import check_includable
from gcbarrier.machines.lab.status import find_kernel, find_qemu
from gcbarrier.machines.lab.wire import Call, Done, Failed, Message, Output, Progress
from gcbarrier.plugins import discovery

P = ParamSpec("P")
T = TypeVar("T")

_TRIES = 2


@frozen(kw_only=True)
class GuestFacts:
    """The guest as results name it. Memory in bytes, as the guest's kernel counts it."""

    name: str
    accelerator: str
    qemu_version: str
    kernel_release: str
    clocksource: str
    cpus: int
    memory_bytes: int


@frozen(kw_only=True)
class _Work:
    future: Future[Any]
    module: str
    job: bytes
    what: str
    search: tuple[Path, ...]


class LabExecutor(Executor):
    """Runs functions in a guest, which is booted at the first of them.

    A function must be importable in the guest: from gcbarrier, or from a module on ``sys.path`` that ``include`` names
    or holds. It runs as root in a fresh process; what it prints goes to ``on_output`` (1 is standard output, 2
    standard error) and what it hands to ``report_progress`` to ``on_progress``, both called in the executor's own
    thread; what they raise becomes the job's exception and stops it. The job finds the guest's name and accelerator in
    ``GCBARRIER_MACHINE`` and ``GCBARRIER_ACCELERATOR``, and heaps, barriers, collectors and experiments where this
    process does (``GCBARRIER_PATH`` when it was submitted, and the checkout).

    - ``memory_bytes``: the guest's memory, of which it needs about 0.4 GiB for itself.
    - ``huge_bytes``: how much of it is set aside as huge pages, for memory of the kind ``hugetlb``.
    - ``include``: files and folders the guest finds at the same absolute path, as they are when it boots.
    - ``kernel``: the suite or release of a kernel that was set up; by default the first one.
    - ``job_deadline_s``: seconds after which a job counts as hung; by default it may take for ever, and only a guest
      that shows no sign of life for a minute does.
    - ``icount``: emulate with a clock that counts instructions, one a nanosecond; the accelerator is ``tcg-icount``.

    A guest that crashes or hangs is reported as that (``GcBarrierError``), with the end of its console, after its job
    has been tried once more on a fresh guest. ``Unavailable`` at once if the lab is not set up, ``GcBarrierError`` if
    the guest would not fit or a path of ``include`` is not there.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 2 << 30,
        huge_bytes: int = 0,
        cpus: int = 2,
        include: Sequence[Path] = (),
        kernel: str | None = None,
        job_deadline_s: float | None = None,
        icount: bool = False,
        on_output: Callable[[Literal[1, 2], bytes], None] | None = None,
        on_progress: Callable[[Any], None] | None = None,
    ) -> None:
        check_size(memory_bytes, cpus)
        for path in include:
            check_includable(path)
        self._spec = GuestSpec(
            kernel=find_kernel(kernel),
            qemu=find_qemu(),
            memory_bytes=memory_bytes,
            huge_bytes=huge_bytes,
            cpus=cpus,
            include=tuple(include),
            icount=icount,
        )
        self._job_deadline_s = job_deadline_s
        self._on_output = on_output
        self._on_progress = on_progress
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._guest: Guest | None = None
        self._facts: GuestFacts | None = None
        self._stopping = threading.Event()
        self._shut = False
        self._lock = threading.Lock()
        # The guest is tied to the life of this thread; a daemon, so that leaving Python never waits for a guest.
        self._thread = threading.Thread(target=self._serve, name="gcbarrier-lab", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue ``fn(*args, **kwargs)``; its result and its exceptions come through the future."""
        module = getattr(fn, "__module__", "")
        if module == "__main__":
            name = getattr(fn, "__qualname__", repr(fn))
            raise GcBarrierError(
                f"{name} is defined in the script itself, which the guest can't import: put it in a module"
            )
        work = _Work(
            future=Future(),
            module=module,
            job=pickle.dumps((fn, args, kwargs)),
            what=f"running {getattr(fn, '__qualname__', 'a job')}",
            search=tuple(discovery.paths()),
        )
        with self._lock:
            if self._shut:
                raise RuntimeError("the lab has been shut down")
            self._queue.put(work)
        return work.future

    @property
    def facts(self) -> GuestFacts:
        """The guest that jobs run on; boots it if none has been yet."""
        if self._facts is None:
            self.submit(_nothing).result()
        assert self._facts is not None
        return self._facts

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the queued jobs finish, or with ``cancel_futures`` stop the guest at once; then leave nothing of it."""
        with self._lock:
            if not self._shut:
                self._shut = True
                self._queue.put(None)
        if cancel_futures:
            self._stopping.set()
        if wait:
            self._thread.join()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """Wait for the jobs; after an exception (Ctrl-C is one) stop at once instead."""
        self.shutdown(wait=True, cancel_futures=kind is not None)

    def _serve(self) -> None:
        try:
            while (work := self._queue.get()) is not None:
                if self._stopping.is_set():
                    work.future.cancel()
                elif work.future.set_running_or_notify_cancel():
                    self._finish(work)
        finally:
            self._drop_guest()

    def _finish(self, work: _Work) -> None:
        try:
            outcome = self._attempt(work)
        except BaseException as error:
            work.future.set_exception(error)
            return
        if isinstance(outcome, Failed):
            work.future.set_exception(outcome.error)
        else:
            work.future.set_result(outcome.value)

    def _attempt(self, work: _Work) -> Done | Failed:
        for attempt in range(1, _TRIES + 1):
            try:
                guest = self._booted(work.search)
                return guest.call(self._call(work, guest), self._job_deadline_s, self._pass_on)
            except GuestLost as lost:
                what = work.what if self._guest is not None else "starting"
                self._drop_guest()
                if self._stopping.is_set():
                    raise GcBarrierError(f"the lab was stopped while {what}: run it again") from None
                if attempt == _TRIES:
                    raise GcBarrierError(
                        f"the lab's guest {lost.how} while {what}, and it was tried {_TRIES} times, each time on "
                        f"a guest of its own; its console ended with\n{lost.console}"
                    ) from None
            except BaseException:
                # A callback's or the disk's: the job in the guest goes on, and nobody would hear its end.
                self._drop_guest()
                raise
        raise AssertionError("unreachable")

    def _call(self, work: _Work, guest: Guest) -> Call:
        environment = {
            "GCBARRIER_MACHINE": self._name(guest),
            "GCBARRIER_ACCELERATOR": guest.accelerator,
            discovery.PATH_VARIABLE: os.pathsep.join(map(str, work.search)),
        }
        return Call(module=work.module, job=work.job, environment=environment)

    def _booted(self, search: tuple[Path, ...]) -> Guest:
        if self._guest is not None and not set(search) <= set(self._guest.spec.search):
            # A folder to search was added since: only a guest booted anew can have it.
            self._drop_guest()
        if self._guest is None:
            guest = self._guest = boot(evolve(self._spec, search=search), self._stopping)
            self._facts = GuestFacts(
                name=self._name(guest),
                accelerator=guest.accelerator,
                qemu_version=self._spec.qemu.version,
                kernel_release=guest.hello.kernel_release,
                clocksource=guest.hello.clocksource,
                cpus=guest.hello.cpus,
                memory_bytes=guest.hello.memory_bytes,
            )
        return self._guest

    def _name(self, guest: Guest) -> str:
        return f"lab-{self._spec.kernel.short_release}-{guest.accelerator}"

    def _drop_guest(self) -> None:
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.close()

    def _pass_on(self, message: Message) -> None:
        if isinstance(message, Output) and self._on_output:
            self._on_output(1 if message.stream == 1 else 2, message.data)
        elif isinstance(message, Progress) and self._on_progress:
            self._on_progress(message.value)


def _nothing() -> None:
    """The job that only boots."""
