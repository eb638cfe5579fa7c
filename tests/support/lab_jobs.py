"""What the tests of the lab run in a guest; it has no pytest, so these are apart from the tests."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from gcbarrier.errors import Unavailable
from gcbarrier.machines import host
from gcbarrier.machines.lab import report_progress
from gcbarrier.plugins import discovery


def add(left: int, right: int) -> int:
    return left + right


def refuse() -> None:
    raise Unavailable("the moon", "it is too far away", "wait")


def fail(number: int) -> None:
    raise ValueError(f"number {number}")


def talk() -> str:
    print("first", flush=True)
    print("aside", file=sys.stderr, flush=True)
    print("last")
    return "said"


def count() -> None:
    for step in range(3):
        report_progress({"step": step})


def print_much(size: int) -> int:
    sys.stdout.write("x" * size)
    return size


def great_bytes(size: int) -> bytes:
    return b"\x5a" * size


def machine() -> dict[str, object]:
    manifest = host.manifest()
    return {
        "machine": host.machine_name(),
        "accelerator": manifest["accelerator"],
        "soft_dirty": host.kernel_config()["CONFIG_MEM_SOFT_DIRTY"],
        "version": host.gcbarrier_version(),
    }


def list_names(kind: str) -> list[str]:
    return discovery.names(kind)


def read(path: Path) -> str:
    return path.read_text()


def exists(path: str) -> bool:
    return os.path.exists(path)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(status: int) -> None:
    os._exit(status)


def leave_in_c(status: int) -> None:
    # As a mutator's C may, in a thread that is not Python's first.
    libc = ctypes.CDLL(None)
    thread = threading.Thread(target=libc.exit, args=(status,))
    thread.start()
    thread.join()


def leave_a_child() -> int:
    # Its standard output and the pipe for results stay open in it.
    child = os.fork()
    if child == 0:
        time.sleep(600)
    return child


def kill_itself_and_leave_a_child() -> None:
    leave_a_child()
    kill_itself()


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}/exe").exists()


def shell(command: str) -> str:
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout


def panic() -> None:
    Path("/proc/sysrq-trigger").write_text("c")


def sleep(seconds: float) -> None:
    time.sleep(seconds)
