"""Jobs for a fresh process, which imports them by name."""

import os
import signal
import threading
import time
from pathlib import Path

import gcbarrier
from gcbarrier.errors import Unavailable


def who(value: int) -> tuple[int, int, int]:
    print("noise on standard output must not hurt")
    return os.getpid(), threading.active_count(), value * 2


def refuse() -> None:
    raise Unavailable("it", "of this", "do that")


def break_down() -> None:
    raise ZeroDivisionError("by nothing")


def die(number: int) -> None:
    os.write(2, b"last words\n")
    os.kill(os.getpid(), number)


def leave() -> None:
    os._exit(3)


def sleep(note: str) -> None:
    Path(note).write_text(str(os.getpid()))
    time.sleep(60)


def leave_an_orphan(note: str, end: str, *, own_session: bool = False) -> str:
    """Fork a child that holds all that this process has open, and come to an ``end``."""
    if os.fork() == 0:
        if own_session:
            os.setsid()
            if os.fork():
                os._exit(0)
        Path(note).write_text(str(os.getpid()))
        while True:
            signal.pause()
    while not Path(note).exists() or not Path(note).read_text():
        time.sleep(0.01)
    if end == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if end == "wait":
        os.wait()
    return "done"


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def wait_without_an_alarm() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.pause()


def where() -> list[str]:
    import queue
    import random

    return [str(module.__file__) for module in (gcbarrier, signal, random, queue)]
