"""A Dask scheduler and workers on this machine, as processes of their own: on loopback, without dashboards."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import define, field

SCHEDULER = """
import asyncio
from distributed import Scheduler
async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()
asyncio.run(main())
"""
MEASURES = ("--resources", "gcbarrier=1")
_QUIET = {
    "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "0",
    "DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "False",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}


@define
class Dask:
    """A scheduler, and the workers that were started for it."""

    address: str
    folder: Path
    environment: Mapping[str, str]
    scheduler: subprocess.Popen[bytes]
    workers: dict[str, subprocess.Popen[bytes]] = field(factory=dict)

    def start(self, *names: str, options: tuple[str, ...] = MEASURES, **environment: str) -> None:
        """Start workers of these names and wait until the scheduler has them."""
        from distributed import Client

        for name in names:
            command = [sys.executable, "-m", "dask", "worker", self.address, "--name", name, "--no-nanny"]
            command += ["--no-dashboard", "--nthreads", "1", "--local-directory", str(self.folder / name), *options]
            environ = {**self.environment, **environment}
            with (self.folder / f"{name}.log").open("wb") as log:
                self.workers[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environ)
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers))

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """As a machine's power does, or as its administrator."""
        worker = self.workers.pop(name)
        worker.send_signal(number)
        worker.wait()

    def stop(self, *names: str) -> None:
        """Let them go and wait until the scheduler knows."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            listed = client.scheduler_info(n_workers=-1)["workers"]
            client.retire_workers([where for where, about in listed.items() if about["name"] in names])
        for name in names:
            self.workers.pop(name).wait()

    def children(self) -> list[int]:
        """The processes that the workers have started and that still run."""
        found = []
        for worker in self.workers.values():
            for path in Path(f"/proc/{worker.pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in path.read_text().split()]
        return found


@contextlib.contextmanager
def dask(folder: Path, **variables: str) -> Iterator[Dask]:
    """A scheduler without workers; these will have the ``variables``."""
    environment = {**os.environ, **_QUIET, **variables}
    with (folder / "scheduler.log").open("wb") as log:
        scheduler = subprocess.Popen(
            [sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, stderr=log, cwd=folder, env=environment
        )
    assert scheduler.stdout is not None
    address = scheduler.stdout.readline().decode().strip()
    running = Dask(address=address, folder=folder, environment=environment, scheduler=scheduler)
    try:
        yield running
    finally:
        for process in (*running.workers.values(), scheduler):
            process.kill()
            process.wait()
        scheduler.stdout.close()
