"""Run a Python program unmodified and have it write its heap down, at its end or at some moment before.

The program's interpreter finds ``inside/sitecustomize.py`` on its PYTHONPATH. Everything else is the program's own: its
input, output and status, and the signals that it is sent. The first interpreter that begins is the one captured, be it
started by a shell script or by a test runner; what it starts and forks is not.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from attrs import frozen

from gcbarrier.errors import GcBarrierError

_INSIDE = Path(__file__).with_name("inside")
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_LONGEST_S = 10 * 86_400.0
_LEFT_ALONE = (  # under any of their names: SIGCLD is SIGCHLD
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGCHLD,
)


@frozen(kw_only=True)
class Ran:
    """A program that has ended."""

    status: int
    """Its exit status; 128 and the signal's number where a signal ended it, as a shell has it."""
    version: str
    """Of its interpreter; "" where none was seen."""
    missing: str
    """Why its heap was not written down: a clause; "" where it was."""


def moment(text: str) -> str:
    """When to write the heap down, in the words that ``inside/`` takes: from ``exit``, seconds or a signal's name.

    Raises ``GcBarrierError`` for anything else.
    """
    if text == "exit":
        return "exit"
    number = signal.Signals.__members__.get(text, signal.SIGKILL)
    if number not in _LEFT_ALONE:
        return f"signal {int(number)}"
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) <= _LONGEST_S:
            return f"after {seconds!r}"
    raise GcBarrierError(
        f"--at {text[:40]}: it takes exit, seconds from the program's beginning, or a signal that a program can have "
        "a handler for, such as SIGUSR1"
    )


def command_line(words: Sequence[str]) -> list[str]:
    """What to execute: a script that is no program by itself, or options, are Python's.

    Raises ``GcBarrierError`` where there is nothing.
    """
    if not words:
        raise GcBarrierError("say what to run: `gcbarrier import --python -- python3 app.py`")
    first = words[0]
    by_itself = "/" in first and os.access(first, os.X_OK)
    if first.startswith("-") or (first.endswith(".py") and not by_itself):
        return [shutil.which("python3") or sys.executable, *words]
    return list(words)


def run(command: Sequence[str], *, at: str, folder: Path) -> Ran:
    """Run it to its end. Its heap is in the file ``heap`` in ``folder`` then, unless something is ``missing``.

    Raises ``GcBarrierError`` where it can't be started.
    """
    before = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_INSIDE), *([before] if before else [])]),
        "GCBARRIER_CAPTURE": "\n".join((str(folder), at, "" if before is None else f"={before}")),
    }
    os.mkfifo(folder / "alive")
    alive = os.open(folder / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with _deaf() as hand_on:
            process = subprocess.Popen(command, env=environment)
            hand_on(process)
            status = process.wait()
        # A fork of it may still write. Whoever does has this open; at last there is nothing to read and nobody.
        os.set_blocking(alive, True)
        os.read(alive, 1)
    except OSError as error:
        raise GcBarrierError(
            f"{command[0]} can't be run: {error.strerror}; name a program that is there, or a .py file"
        ) from error
    except subprocess.SubprocessError as error:
        raise GcBarrierError(f"{command[0]} can't be run: {error}; try it without gcbarrier first") from error
    finally:
        os.close(alive)
    facts = _facts(folder)
    return Ran(
        status=status if status >= 0 else 128 - status,
        version=facts.get("version", ""),
        missing=_missing(facts, folder, status, at),
    )


class _HandOn:
    """Sends a program the signals that whoever runs it sends to us."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __call__(self, process: "subprocess.Popen[bytes]") -> None:
        """From now on; what has come before it began, too."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """One has come."""
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


@contextlib.contextmanager
def _deaf() -> Iterator[_HandOn]:
    """Ctrl-C comes to the program by itself, as it does to us: it is for the program to say what it means."""
    hand_on = _HandOn()
    before = {}
    for number in (*_FORWARDED, signal.SIGINT, signal.SIGQUIT):
        # What nohup wants ignored stays so, here and in the program.
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, hand_on.handle if number in _FORWARDED else _nothing)
    try:
        yield hand_on
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Handled, so that a program that we execute has the default and not our deafness."""


def _facts(folder: Path) -> dict[str, str]:
    try:
        text = (folder / "claim").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {key: value for key, _, value in (line.partition(" ") for line in text.splitlines())}


def _missing(facts: dict[str, str], folder: Path, status: int, at: str) -> str:
    """Why there is no heap, or ""."""
    if not facts:
        return (
            "no Python that heeds PYTHONPATH began in it: it is no Python program, or was started with -I, -E or -S, "
            "or as another user"
        )
    if facts.get("refusal"):
        return facts["refusal"]
    with contextlib.suppress(OSError):
        failed = (folder / "failed").read_text(encoding="utf-8", errors="replace").strip()
        return f"writing it down failed in the program ({' '.join(failed.split())[:200]})"
    if (folder / "heap").exists():
        return ""
    if (folder / "heap.part").exists():
        return "it was ended while it wrote"
    if status < 0:
        return f"it was ended by {_signal_name(-status)}, and then nothing runs at its end any more"
    if at == "exit":
        return "it ended by os._exit, or executed another program in its place, and then nothing runs at its end"
    when = f"{float(at.split()[1]):g} s" if at.startswith("after") else _signal_name(int(at.split()[1]))
    own = "" if at.startswith("after") else " or has a handler of its own for it"
    return f"it ended before {when}{own}"


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
