"""Runs over Dask workers: a scheduler and workers that are processes of their own on this machine."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cluster_jobs
import numpy as np
import pytest
from cluster import Dask, dask
from places import CHECKOUT, PLUGINS, TESTS

from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile
from gcbarrier.machines.cluster import DaskExecutor, MachineLost, connect, workers
from gcbarrier.machines.cluster.luggage import Luggage, digest, packed
from gcbarrier.machines.fresh import Within
from gcbarrier.plugins import discovery

pytest.importorskip("distributed", reason="the extra dask is not installed")

NOTHING = Luggage()
GRAPH = graphfile.Graph(
    offsets=np.array([0, 2, 2, 2], np.uint64),
    targets=np.array([1, 2], np.uint32),
    sizes_bytes=np.array([32, 16, 16], np.uint64),
    roots=np.array([0], np.uint32),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """Two workers, for all tests; one that wants more starts and stops its own."""
    with dask(tmp_path_factory.mktemp("dask"), PYTHONPATH=str(TESTS / "support")) as running:
        running.start("w1", "w0")
        yield running


def test_jobs_run_in_fresh_processes_of_that_worker(cluster: Dask) -> None:
    with connect(cluster.address, NOTHING, share_hosts=True) as found:
        first, second = found.executors
        assert (first.facts.name, second.facts.name) == ("w0", "w1")
        assert first.facts.shares_host_with == ("w1",)
        assert {first.facts.pid, second.facts.pid} == {worker.pid for worker in cluster.workers.values()}
        assert first.submit(cluster_jobs.add, 40, 2).result() == 42
        told = second.submit(cluster_jobs.surroundings).result()
        assert told["GCBARRIER_MACHINE"] == "w1"
        with pytest.raises(GcBarrierError, match="no: it is refused; ask otherwise"):
            first.submit(cluster_jobs.refuse).result()
        with pytest.raises(GcBarrierError, match="process crashed \\(SIGSEGV\\)"):
            first.submit(cluster_jobs.crash).result()
        with pytest.raises(GcBarrierError, match="SIGALRM"):
            first.submit(Within(0.2, signal.pause)).result()
        assert not first.lost, "what happens to a job's process is no loss of the machine"
        folder = Path(told["GCBARRIER_RUN_FOLDER"])
        assert folder.is_dir()
    assert not folder.exists(), "nothing of a run is left on a worker"


def test_plugins_and_files_travel(cluster: Dask, tmp_path: Path) -> None:
    discovery.add_path(PLUGINS)
    graph = tmp_path / "mine.graph.npz"
    graphfile.save(graph, GRAPH)
    with connect(cluster.address, packed([str(graph), "no such file", 7])) as found:
        (executor,) = found.executors
        path = executor.submit(cluster_jobs.surroundings).result()[discovery.PATH_VARIABLE]
        there = executor.submit(cluster_jobs.plugins, path).result()
        assert "heaps/ring/mutator.c" in there
        assert not any("__pycache__" in name for name in there)
        assert executor.submit(discovery.find, "heaps", "ring").result() == Path(path) / "heaps/ring/heap.py"
        graph.unlink()
        assert executor.submit(cluster_jobs.graph_nodes, str(graph)).result() == 3


def begun(executor: DaskExecutor, tmp_path: Path) -> tuple[Future[Any], list[int]]:
    """A job that never ends, once it and its child are there; and their numbers."""
    began = tmp_path / f"began-{executor.facts.name}"
    os.mkfifo(began)
    future = executor.submit(cluster_jobs.linger, str(began))
    return future, [int(number) for number in began.read_text().split()]


def gone(number: int) -> bool:
    """Whether a process has ended; it may still be known to whoever started it."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{number}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_who_stops_leaves_nothing_running(cluster: Dask, tmp_path: Path) -> None:
    def stop() -> None:
        with connect(cluster.address, NOTHING, share_hosts=True) as found:
            for executor in found.executors:
                future, numbers = begun(executor, tmp_path)
                futures.append(future)
                processes.extend(numbers)
            assert not any(map(gone, processes))
            raise KeyboardInterrupt

    futures: list[Future[Any]] = []
    processes: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        stop()
    assert len(processes) == 4
    assert all(map(gone, processes)), "at once, with what a job has started itself"
    assert cluster.children() == []
    for future in futures:
        with pytest.raises(GcBarrierError, match="the run was stopped"):
            future.result(0)


def test_who_vanishes_leaves_nothing_running(cluster: Dask, tmp_path: Path) -> None:
    began = tmp_path / "began"
    os.mkfifo(began)
    client = subprocess.Popen([sys.executable, "-c", VANISHES, cluster.address, str(began)], env=cluster.environment)
    processes = [int(number) for number in began.read_text().split()]
    # The end of a process that is nobody's child of ours is an event all the same.
    ends = [os.pidfd_open(number) for number in processes]
    client.kill()
    client.wait()
    for end in ends:
        assert select.select([end], [], [], 30)[0], "a job goes on that nobody waits for"
        os.close(end)


VANISHES = """
import sys
import cluster_jobs
from gcbarrier.machines.cluster import connect
from gcbarrier.machines.cluster.luggage import Luggage
with connect(sys.argv[1], Luggage()) as found:
    found.executors[0].submit(cluster_jobs.linger, sys.argv[2]).result()
"""


def test_a_worker_that_is_killed_is_lost_with_its_job(cluster: Dask, tmp_path: Path) -> None:
    cluster.start("w2")
    with connect(cluster.address, NOTHING, share_hosts=True) as found:
        *_, other, third = found.executors
        assert third.facts.name == "w2"
        future, processes = begun(third, tmp_path)
        cluster.kill("w2")
        with pytest.raises(MachineLost, match=r"the worker w2 \(tcp://[\d.:]+\) is gone"):
            future.result(30)
        assert third.lost
        assert gone(processes[0])
        with pytest.raises(MachineLost):
            third.submit(cluster_jobs.add, 1, 1).result(0)
        assert other.submit(cluster_jobs.add, 1, 1).result() == 2


def test_of_several_workers_on_a_host_one_is_used(cluster: Dask) -> None:
    with connect(cluster.address, NOTHING) as found:
        assert [executor.facts.name for executor in found.executors] == ["w0"]
        assert found.executors[0].facts.shares_host_with == ()
    (said,) = found.refused.values()
    assert said.startswith("the worker w1 is on the same host as w0, where they would disturb each other")


def test_a_worker_that_does_not_take_one_at_a_time_is_refused(tmp_path: Path) -> None:
    with dask(tmp_path) as running:
        with pytest.raises(GcBarrierError, match="has no workers yet: start some with `dask worker tcp://"):
            refused(running)
        running.start("plain", options=())
        with pytest.raises(GcBarrierError) as problem:
            refused(running)
        assert str(problem.value) == (
            "the worker plain does not declare that it runs one invocation at a time: start it with "
            f'`dask worker {running.address} --name plain --nthreads 1 --resources "gcbarrier=1"`'
        )


def test_a_worker_with_other_code_is_refused(cluster: Dask, tmp_path: Path) -> None:
    for name in ("gcbarrier", "heaps", "experiments"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "gcbarrier" / "barriers" / "cards.h").open("a") as header:
        header.write("\n")
    cluster.start("stale", PYTHONPATH=str(tmp_path))
    try:
        with pytest.raises(GcBarrierError, match=rf"the worker stale has .*\(code \w+\), .*\(code {digest()}\)"):
            refused(cluster)
    finally:
        cluster.stop("stale")


def test_where_nobody_answers_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_ANSWERS_S", 0.2)
    with pytest.raises(GcBarrierError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1 \(.*correct --on"):
        refused_at("tcp://127.0.0.1:1")
    with pytest.raises(GcBarrierError, match="no Dask scheduler answers at nonsense://x"):
        refused_at("nonsense://x")


def refused(running: Dask) -> None:
    refused_at(running.address)


def refused_at(address: str) -> None:
    with connect(address, NOTHING):
        raise AssertionError("it was not refused")
