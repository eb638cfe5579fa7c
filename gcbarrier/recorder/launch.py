"""The program that is recorded: started as it would be without us, and told what we are told."""

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from gcbarrier.core.build import injected
from gcbarrier.errors import GcBarrierError
from gcbarrier.recorder.descriptors import Came, readable
from gcbarrier.recorder.door import FILTERS_VARIABLE, HUGE_PAGES_VARIABLE, VARIABLE

# Python ignores these, and what is ignored stays so in a program that is executed.
_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)
_PRELOAD = "LD_PRELOAD"
_PR_SET_THP_DISABLE, _PR_GET_THP_DISABLE = 41, 42

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> int:
    zero = ctypes.c_ulong(0)
    answer: int = _libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero)
    return answer


def preload() -> Path:
    """What is loaded into a program so that it introduces itself, compiled if need be. Raises as ``injected`` does."""
    return injected(Path(__file__).with_name("preload.c"))


def environment(door: str, library: Path, *, huge_pages: bool) -> dict[str, str]:
    """Ours, with what makes a program and its descendants load ``library`` and introduce themselves at a door.

    ``huge_pages``: leave them transparent huge pages, of which one store makes all read as written.
    """
    if " " in str(library) or ":" in str(library):
        raise GcBarrierError(
            f"the dynamic linker takes no preloaded library with a space or colon in its path ({library}): "
            "set XDG_CACHE_HOME to a folder without"
        )
    # Theirs first: a sanitizer's wants to be that.
    preloaded = ":".join(part for part in (os.environ.get(_PRELOAD, ""), str(library)) if part)
    more = {HUGE_PAGES_VARIABLE: "1"} if huge_pages else {}
    if (filters := _seccomp_filters()) is not None:
        more[FILTERS_VARIABLE] = filters
    return {**os.environ, _PRELOAD: preloaded, VARIABLE: door, **more}


def _seccomp_filters() -> str | None:
    for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
        if line.startswith("Seccomp_filters:"):
            return line.split()[1]
    return None


@contextlib.contextmanager
def without_huge_pages() -> Iterator[None]:
    """Programs that are executed in the block get no transparent huge pages, nor do their descendants."""
    before = _prctl(_PR_GET_THP_DISABLE, 0)
    _prctl(_PR_SET_THP_DISABLE, 1)
    try:
        yield
    finally:
        _prctl(_PR_SET_THP_DISABLE, before)


class Child:
    """A program that was started, in our process group and with our standard streams.

    ``blocked``: the signals that it begins with blocked. ``read``: a descriptor to be its standard input, closed here;
    ``quiet``: what it prints is discarded. Raises GcBarrierError where it can't be executed.
    """

    def __init__(
        self,
        program: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        blocked: Collection[int],
        *,
        read: int | None = None,
        quiet: bool = False,
    ) -> None:
        self.status: int | None = None
        """As ``wait(2)`` has it, once it has ended."""
        self.spent: resource.struct_rusage | None = None
        """What it and those children that it has waited for have used, once it has ended."""
        actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = []
        if read is not None:
            actions.append((os.POSIX_SPAWN_DUP2, read, 0))
        if quiet:
            actions += [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
        try:
            self.pid = os.posix_spawn(
                program,
                list(command),
                environment,
                file_actions=actions,
                setsigmask=blocked,
                setsigdef=_PYTHONS,
            )
        except OSError as problem:
            raise GcBarrierError(
                f"{program} can't be executed: {os.strerror(problem.errno or 0)}; check what it is"
            ) from problem
        finally:
            if read is not None:
                os.close(read)
        self._handle = os.pidfd_open(self.pid)

    def fileno(self) -> int:
        """Readable when it has ended."""
        return self._handle

    def cpu_ns(self) -> int:
        """Processor time of it and of the children that it has waited for, once it has ended."""
        return round((self.spent.ru_utime + self.spent.ru_stime) * 1e9) if self.spent else 0

    def has_ended(self) -> bool:
        """Whether it has."""
        # Asked first: of a child that is traced, wait(2) tells when it stops as well.
        if self.status is None and readable(self._handle):
            _, self.status, self.spent = os.wait4(self.pid, 0)
        return self.status is not None

    def hand_on(self, came: Came) -> None:
        """A signal of ours. What came of the terminal's keys the program has got itself."""
        if self.status is None and (came.sent or came.number not in (signal.SIGINT, signal.SIGQUIT)):
            os.kill(self.pid, came.number)

    def exit_status(self) -> int:
        """What a shell says of it: 128 and the signal's number where one has ended it."""
        code = os.waitstatus_to_exitcode(self.status or 0)
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """Forget it; it runs on if it still does."""
        os.close(self._handle)
