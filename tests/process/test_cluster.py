"""Runs over Dask workers: a scheduler and workers that are processes of their own on this machine."""

import itertools
import os
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cluster_jobs
import numpy as np
import pytest
from cluster import Dask, dask
from places import CHECKOUT, PLUGINS, TESTS

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.request import Request
from gcbarrier.campaign.settings import read
from gcbarrier.campaign.watching import Watch
from gcbarrier.commands import main
from gcbarrier.commands._report import present
from gcbarrier.errors import GcBarrierError
from gcbarrier.graphs import graphfile
from gcbarrier.machines.cluster import DaskExecutor, MachineLost, connect
from gcbarrier.machines.cluster.executor import SchedulerLost
from gcbarrier.machines.cluster.luggage import Luggage, digest, packed
from gcbarrier.machines.fresh import Within
from gcbarrier.model import Measured
from gcbarrier.plugins import discovery
from gcbarrier.results.run import Run, load

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


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_goes_is_lost_with_its_job(cluster: Dask, tmp_path: Path, number: int) -> None:
    cluster.start("w2")
    with connect(cluster.address, NOTHING, share_hosts=True) as found:
        *_, other, third = found.executors
        assert third.facts.name == "w2"
        future, processes = begun(third, tmp_path)
        ends = [os.pidfd_open(each) for each in processes]
        cluster.kill("w2", number)
        with pytest.raises(MachineLost, match=r"the worker w2 \(tcp://[\d.:]+\) is gone"):
            future.result(30)
        assert third.lost
        # What a killed worker leaves behind ends by its parent's end: the job itself, if not what that has started.
        for end in ends[: 1 if number == signal.SIGKILL else 2]:
            assert select.select([end], [], [], 30)[0]
        cluster_jobs.end(processes)
        for end in ends:
            os.close(end)
        with pytest.raises(MachineLost):
            third.submit(cluster_jobs.add, 1, 1).result(0)
        assert other.submit(cluster_jobs.add, 1, 1).result() == 2


def test_of_several_workers_on_a_host_one_is_used(cluster: Dask) -> None:
    with connect(cluster.address, NOTHING) as found:
        assert [executor.facts.name for executor in found.executors] == ["w0"]
        assert found.executors[0].facts.shares_host_with == ()
    (said,) = found.refused.values()
    assert said.startswith("the worker w1 is on the same host as w0, where they would disturb each other")


def test_a_worker_that_does_not_take_one_at_a_time_is_refused_and_without_a_scheduler_all_ends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with dask(tmp_path, PYTHONPATH=str(TESTS / "support")) as running:
        with pytest.raises(GcBarrierError, match="has no workers yet: start some with `dask worker tcp://"):
            refused(running)
        running.start("plain", options=())
        with pytest.raises(GcBarrierError) as problem:
            refused(running)
        assert str(problem.value) == (
            "the worker plain does not declare that it runs one invocation at a time: start it with "
            f'`dask worker {running.address} --name plain --nthreads 1 --resources "gcbarrier=1"`'
        )
        running.start("willing")
        with pytest.raises(SchedulerLost, match="the Dask scheduler is gone: start it"):
            until_the_scheduler_is_gone(running, tmp_path)
        assert capfd.readouterr() == ("", "")


def until_the_scheduler_is_gone(running: Dask, tmp_path: Path) -> None:
    with connect(running.address, NOTHING, share_hosts=True) as found:
        assert list(found.refused) == ["plain"]
        (executor,) = found.executors
        future, processes = begun(executor, tmp_path)
        ends = [os.pidfd_open(number) for number in processes]
        running.scheduler.kill()
        try:
            future.result(30)
        finally:
            for end in ends:
                assert select.select([end], [], [], 30)[0], "a worker goes on without its scheduler"
                os.close(end)


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


def test_where_nobody_answers_it_says_so() -> None:
    with pytest.raises(GcBarrierError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1 \(.*correct --on"):
        refused_at("tcp://127.0.0.1:1")
    with pytest.raises(GcBarrierError, match="no Dask scheduler answers at nonsense://x"):
        refused_at("nonsense://x")
    with pytest.raises(GcBarrierError, match=r"at nonsense \(ValueError: an address is tcp://HOST:PORT"):
        refused_at("nonsense")


def refused(running: Dask) -> None:
    refused_at(running.address)


def refused_at(address: str) -> None:
    with connect(address, NOTHING):
        raise AssertionError("it was not refused")


def tiny(cluster: Dask, *settings: str, **fields: Any) -> Request:
    """A run of two configurations on all workers."""
    discovery.add_path(PLUGINS)
    chosen = read(["barrier=cards", *settings])
    return Request(experiment="tiny", quick=True, settings=chosen, on=cluster.address, share_hosts=True, **fields)


def counted(run: Run) -> Counter[tuple[str, int]]:
    return Counter((one.invocation.config.barrier, one.invocation.index) for one in run.outcomes)


def test_a_run_over_three_workers_of_which_one_is_killed(
    cluster: Dask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def done(_step: object, measured: Measured) -> None:
        # In the middle of its first block.
        if measured.record.machine == "w2" and "w2" in cluster.workers:
            cluster.kill("w2")

    cluster.start("w2")
    said: list[str] = []
    run = campaign.begin(tiny(cluster, "invocations=3"), out=tmp_path / "run", watch=Watch(done=done, told=said.append))
    assert run.state == "complete"
    assert campaign.failures(run) == ()
    (loss,) = run.manifest["lost_workers"]
    assert (loss["machine"], loss["finished"]) == ("w2", 1)
    block, again = loss["block"], loss["again_on"]
    assert again in ("w0", "w1")
    assert said == [
        f"w2 was lost in block {block} after 1 of its invocations, which stay",
        f"block {block} is done again on {again}",
    ]
    assert len(run.on("w2")) == 1, "what it finished stays"
    rest = [one for one in run.outcomes if one.machine != "w2"]
    assert Counter((one.invocation.config.barrier, one.invocation.index) for one in rest) == Counter(
        (barrier, index) for barrier in ("none", "cards") for index in range(3)
    )
    for index in range(3):
        assert len({one.machine for one in rest if one.invocation.index == index}) == 1, "a block stays together"
    assert {one.machine for one in rest} == {"w0", "w1"}
    assert run.expected == 6
    assert sorted(itertools.chain(*run.manifest["blocks"].values())) == list(range(3))
    for name in ("w0", "w1"):
        facts = run.facts(name)
        assert facts["machine"] == name
        assert "w2" in facts["worker"]["shares_host_with"]
        assert run.manifest["plans"][name]["invocations"] == 3
    present(run, tmp_path / "figures")
    shown = capsys.readouterr().out
    assert f"w2 was lost in block {block} after 1 of its invocations, which stay; the block was done again on" in shown
    assert "on 2 workers of ONE host: w0, w1" in shown, "of w2 there is no pair to compare"
    assert "missing from the run directory" not in shown
    assert {path.name for path in (tmp_path / "figures").glob("*.png")} == {
        "tiny-w0.png", "tiny-w1.png", "tiny-w2.png", "tiny-machines.png",
    }  # fmt: skip
    assert cluster.children() == []


def test_a_run_that_is_stopped_goes_on_where_it_was(cluster: Dask, tmp_path: Path) -> None:
    def stop(_step: object, _measured: Measured) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        campaign.begin(tiny(cluster, "invocations=1", everywhere=True), out=tmp_path / "run", watch=Watch(done=stop))
    assert cluster.children() == []
    before = load(tmp_path / "run")
    assert (before.state, len(before.outcomes), before.expected) == ("stopped", 1, 4)
    run = campaign.resume(tmp_path / "run")
    assert run.state == "complete"
    assert run.outcomes[0] == before.outcomes[0]
    assert Counter(one.machine for one in run.outcomes) == {"w0": 2, "w1": 2}
    assert counted(run) == {("none", 0): 2, ("cards", 0): 2}
    assert {one.invocation.seed for one in run.outcomes} == {run.manifest["seed"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--everywhere"], "name their scheduler with --on"),
        (["--on", "tcp://127.0.0.1:1", "--set", "machine=native"], "machine=native is not among the workers of --on"),
        (["--on", "tcp://127.0.0.1:1", "--until", "5%"], "leave one out"),
        (["--on", "tcp://127.0.0.1:1", "--until", "5%", "--dry-run"], "leave one out"),
    ],
)
def test_what_makes_no_sense_with_workers_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--path", str(PLUGINS), "run", "tiny", *arguments]) == 2
    problem = capsys.readouterr().err
    assert said in problem
    assert problem.count("\n") == 1
    assert not list(tmp_path.rglob("manifest.json")), "nothing is left of it"
