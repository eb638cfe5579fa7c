"""Jobs for a fresh process, which imports them by name."""

import os
import threading
import time
from pathlib import Path

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
