"""The smallest heap of a program, found by running it; and experiments in multiples of it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from places import PLUGINS

from gcbarrier import measure
from gcbarrier.campaign.minheap import smallest
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, evolve
from gcbarrier.plugins import discovery
from gcbarrier.report.verified import verification_table
from gcbarrier.results.run import load

MIB = 1 << 20

Run = Callable[..., subprocess.CompletedProcess[str]]

# Short, and the live data is known: 40,000 nodes of 64 bytes take 2.44 MiB.
SMALL = ("heap_bytes=16MiB", "graph_edits.nodes=40000", "graph_edits.rate_per_s=0", "operations=100000")
CONFIG = Config(
    heap="graph_edits",
    barrier="none",
    collector="stop-the-world",
    heap_bytes=16 * MIB,
    heap_params={"nodes": 40_000, "rate_per_s": 0},
    operations=100_000,
)


@pytest.fixture
def run(gcbarrier: Run, tmp_path: Path) -> Run:
    def start(
        *arguments: str, settings: tuple[str, ...] = SMALL, **options: object
    ) -> subprocess.CompletedProcess[str]:
        sets = [word for each in settings for word in ("--set", each)]
        return gcbarrier("minheap", *arguments, *sets, **{"cwd": tmp_path, "timeout": 300} | options)

    return start


def test_it_runs_in_what_was_found_and_in_no_less(run: Run, tmp_path: Path) -> None:
    done = run("graph_edits", "--json", "--out", "found.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "found.json").read_text()) == json.loads(done.stdout)
    found = json.loads(done.stdout)
    size = found["minheap_bytes"]
    assert 40_000 * 64 < size <= 5 * MIB
    assert found["operations"] == 100_000
    tried = {trial["heap_bytes"]: trial["error"] for trial in found["trials"]}
    assert tried[16 * MIB] == tried[size] == ""
    assert tried[size - MIB]
    params = {**found["config"]["heap_params"]}
    tight = evolve(CONFIG, heap_params=params, heap_bytes=size, heap_times=1.0, minheap_bytes=size)
    (ran,) = measure(tight)
    assert ran.error == ""
    assert ran.operations == 100_000
    # One page of objects less than what lives: nothing runs in that.
    (failed,) = measure(evolve(tight, heap_bytes=2 * MIB))
    assert "out of memory" in failed.error
    again = run("graph_edits", "--out", "found.json")
    assert again.returncode == 2
    assert "found.json is there already" in again.stderr


def test_what_is_printed_is_a_sentence(run: Run) -> None:
    done = run("graph_edits")
    assert done.returncode == 0, done.stderr
    first, second, *rest = done.stdout.splitlines()
    assert first.startswith("graph_edits runs in ")
    assert " MiB, and not in " in first
    assert second.startswith("(stop-the-world over none; made for 16 MiB, 100,000 operations, nodes=40000")
    assert not rest


def test_a_barrier_and_a_collector_may_be_chosen(run: Run) -> None:
    done = run("graph_edits", settings=(*SMALL, "barrier=cards"))
    assert done.returncode == 0, done.stderr
    assert "(mostly-concurrent over cards; made for 16 MiB" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["graph_edit"], (), "no heap is called 'graph_edit'; did you mean 'graph_edits'"),
        (["graph_edits"], ("heap=gcbench",), "leave heap= out"),
        (["graph_edits"], ("heap=2x",), "leave heap= out"),
        (["graph_edits"], ("barrier=cards,log",), "minheap looks under one barrier, not under 2"),
        (["graph_edits"], ("collector=mostly-concurrent",), "needs a barrier that tracks"),
        (["graph_edits"], ("gcbench.min_depth=3",), "gcbench is not part of this plan"),
        (["graph_edits", "--out", "nowhere/x.json"], SMALL, "nowhere is no folder"),
    ],
)
def test_a_mistake_is_one_sentence(run: Run, arguments: list[str], settings: tuple[str, ...], said: str) -> None:
    done = run(*arguments, settings=settings)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("_own_environment")
def test_a_program_that_does_not_run_where_it_was_made_for_has_no_smallest_heap() -> None:
    discovery.add_path(PLUGINS)
    kept = Config(
        heap="ring",
        barrier="none",
        collector="stop-the-world",
        heap_bytes=4 * MIB,
        heap_params={"keep": True},
        operations=1_000_000,
    )
    with pytest.raises(GcBarrierError, match="ring does not run in 4 MiB, so a smallest heap can't be looked for"):
        smallest(kept)


def test_measure_takes_a_multiple_and_checks_it_as_any_other() -> None:
    configs = [evolve(CONFIG, heap_times=times, verify=True) for times in (1.5, 3.0)]
    one, other = measure(*configs)
    assert (one.error, other.error) == ("", "")
    least = one.invocation.config.minheap_bytes
    assert least == other.invocation.config.minheap_bytes > 2 * MIB
    sizes = {outcome.invocation.config.heap_times: outcome.invocation.config.heap_bytes for outcome in (one, other)}
    assert sizes[3.0] == 3 * least
    assert least < sizes[1.5] < 2 * least
    assert one.operations == other.operations == 100_000
    assert one.checksum == other.checksum != 0, "the program is the same in each"


def test_an_experiment_in_multiples_says_what_one_was(gcbarrier: Run, tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    settings = ("machine=native", "barrier=uffd-wp-async", "heap=2x,4x", "duration_s=0.2", "invocations=1")
    sets = [word for each in settings for word in ("--set", each)]
    done = gcbarrier(
        "--path", str(PLUGINS), "run", "tiny", "--quick", "--out", "mine", *sets, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    run = load(tmp_path / "mine")
    (found,) = run.manifest["machines"]["native"]["minheaps"]
    least = found["minheap_bytes"]
    assert found["config"]["heap"] == "ring"
    configs = [outcome.invocation.config for outcome in run.outcomes]
    assert {(config.heap_times, config.heap_bytes, config.minheap_bytes) for config in configs} == {
        (2.0, 2 * least, least),
        (4.0, 4 * least, least),
    }
    planned = run.manifest["plans"]["native"]["configs"]
    assert {config["heap_bytes"] for config in planned} == {2 * least, 4 * least}, "nothing of the plan is missed"
    assert "missing from the run directory" not in done.stdout
    assert "(2x)" in done.stdout
    assert verification_table(run) is None
