"""The worker's side: what a Dask worker's own process does for us, which is little but start others.

A run's files lie in a folder of its own in the worker's scratch space until the run ends, or the worker. Each job runs
in a fresh process (:mod:`gcbarrier.machines.fresh`), as it does on the machine that one sits at, and ends with whoever
asked for it: when he says so, when he vanishes, and when the worker closes.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import pickle
import platform
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import host
from gcbarrier.machines.cache import FILES_VARIABLE
from gcbarrier.machines.cluster.luggage import Luggage, digest
from gcbarrier.machines.fresh import FreshExecutor, Within
from gcbarrier.plugins import discovery

FOLDER_VARIABLE = "GCBARRIER_RUN_FOLDER"
"""Where a job finds a folder that stays until its run ends."""
LOST = b""
"""The answer of a job that was ended: nobody waits for it, or it must be asked of another machine."""

# How soon it is seen that a job's client has vanished; where he says so himself, it ends at once.
_LOOK_S = 0.5

_lock = threading.Lock()
_running: dict[str, FreshExecutor] = {}
_ended: set[str] = set()


def describe(dask_worker: Any) -> dict[str, object]:
    """What must be known of a worker before it is asked to measure anything."""
    return {
        "pid": os.getpid(),
        "version": host.gcbarrier_version(),
        "digest": digest(),
        "host": platform.node(),
        "boot": _boot(),
        "profiled": "profile" in dask_worker.periodic_callbacks,
    }


def receive(run: str, luggage: Luggage, dask_worker: Any) -> None:
    """Keep a run's files. Raises GcBarrierError where the disk does not take them."""
    folder = _folder(dask_worker, run)
    try:
        for index, files in enumerate(luggage.folders):
            for name, content in files.items():
                _write(folder / "plugins" / str(index) / name, content)
        names = {}
        for index, (name, content) in enumerate(luggage.files.items()):
            names[name] = str(folder / "files" / f"{index}-{Path(name).name}")
            _write(Path(names[name]), content)
        _write(folder / "files.json", json.dumps(names).encode())
    except OSError as problem:
        why = os.strerror(problem.errno or 0)
        raise GcBarrierError(
            f"the worker's scratch space can't be written: {why}; free some, or set --local-directory"
        ) from problem


def carry_out(run: str, machine: str, call: bytes, deadline_s: float | None) -> bytes:
    """A Dask task: run a pickled call in a fresh process of this machine and return its pickled result or exception."""
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()
    folder = _folder(worker, run)
    with FreshExecutor(environment=_environment(folder, machine)) as executor:
        with _lock:
            if run in _ended:
                return LOST
            _running[run] = executor
        try:
            function: Callable[[bytes], bytes] = opened if deadline_s is None else Within(deadline_s, opened)
            future = executor.submit(function, call)
            while not future.done():
                concurrent.futures.wait([future], _LOOK_S)
                if not future.done() and not _wanted(worker, key):
                    executor.shutdown(cancel_futures=True)
                    return LOST
            with _lock:
                if run in _ended:
                    return LOST
            return future.result()
        except GcBarrierError as problem:
            return pickle.dumps((False, problem))
        finally:
            with _lock:
                _running.pop(run, None)


def opened(call: bytes) -> bytes:
    """In the fresh process: what the worker's own process need not be able to read is opened and wrapped up here."""
    function, args, kwargs = pickle.loads(call)
    return pickle.dumps((True, function(*args, **kwargs)))


async def end(run: str, dask_worker: Any) -> None:
    """End what runs for a run, with all that descends from it, and take its files away."""
    with _lock:
        _ended.add(run)
        executor = _running.get(run)
    if executor is not None:
        await asyncio.to_thread(executor.shutdown, cancel_futures=True)
    await asyncio.to_thread(shutil.rmtree, _folder(dask_worker, run), ignore_errors=True)


def _wanted(worker: Any, key: Any) -> bool:
    """Whether anybody still waits for a task: Dask can't end one that runs, so it has to look itself."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state == "executing" and worker.status.name in ("running", "paused")


def _folder(worker: Any, run: str) -> Path:
    return Path(worker.local_directory) / f"gcbarrier-{run}"


def _environment(folder: Path, machine: str) -> Mapping[str, str]:
    plugins = sorted((folder / "plugins").glob("*"), key=lambda path: int(path.name))
    return {
        "GCBARRIER_MACHINE": machine,
        discovery.PATH_VARIABLE: os.pathsep.join(map(str, plugins)),
        FOLDER_VARIABLE: str(folder),
        FILES_VARIABLE: str(folder / "files.json"),
    }


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _boot() -> str:
    """The same for all that share a running kernel, and so processors: containers on one host, too."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return platform.node()
