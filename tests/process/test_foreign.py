"""Collectors that bring their own memory: the Boehm collector, and one as small as it can be; the same mutators."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import crowded
import pytest
import recorded
from places import PLUGINS, SUPPORT
from rich.console import Console
from synthetic import make_run

from gcbarrier import collectors, measure
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import runner, settings
from gcbarrier.commands import doctor, list_
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, Outcome, evolve
from gcbarrier.plugins import discovery
from gcbarrier.report import verification_table
from gcbarrier.results import workloads
from gcbarrier.session import ours as session

MIB = 1 << 20
HEAPS = {
    "gcbench": {"heap_bytes": 32 * MIB},
    "graph_edits": {"heap_bytes": 16 * MIB, "heap_params": {"rate_per_s": 0}},
    "snapshot": {"heap_bytes": 96 * MIB, "heap_params": {"rate_per_s": 0}},
    "allocate": {"heap_bytes": 16 * MIB},
    "requests": {"heap_bytes": 16 * MIB},
    "trace": {"heap_bytes": 16 * MIB, "heap_params": {"pace": 0, **recorded.shared()}},
    "ring": {"heap_bytes": 4 * MIB},
}
OPERATIONS = {
    "gcbench": 300,
    "graph_edits": 200_000,
    "snapshot": 100_000,
    "allocate": 2_000,
    "requests": 8_000,
    "trace": 200_000,
    "ring": 100_000,
}


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None) -> None:
    discovery.add_path(PLUGINS)


def boehm(heap: str, **changes: object) -> Config:
    return Config(
        **{"heap": heap, "barrier": "none", "collector": "bdwgc", "duration_s": 0.4, **HEAPS[heap], **changes}
    )


def one(config: Config) -> Outcome:
    (outcome,) = measure(config, seed=1)
    assert outcome.error == ""
    return outcome


def ends_with(config: Config, operations: int) -> Outcome:
    """The outcome after so many operations of each mutator."""
    (step,) = runner.steps(campaign.Plan(configs=(config,), invocations=1), seed=5, accelerator="native")
    job = evolve(step.job, invocation=evolve(step.job.invocation, operations=operations))
    with FreshExecutor(environment=build.preload()) as executor:
        outcome: Outcome = executor.submit(session.run, job).result().record
    assert outcome.error == ""
    return outcome


@pytest.mark.parametrize("heap", HEAPS)
@pytest.mark.parametrize("mutators", [1, 3])
def test_the_same_operations_end_with_the_same_checksum_as_under_ours(heap: str, mutators: int, needs) -> None:
    needs("bdwgc")
    theirs = boehm(heap, mutators=mutators)
    often = {"free_space_divisor": 30}
    theirs = evolve(theirs, heap_bytes=theirs.heap_bytes * mutators, collector_params=often)
    ours = evolve(theirs, collector="stop-the-world", collector_params={})
    found, expected = ends_with(theirs, OPERATIONS[heap]), ends_with(ours, OPERATIONS[heap])
    assert found.cycles, "without a collection it would say nothing"
    assert found.operations == expected.operations == mutators * OPERATIONS[heap]
    assert found.checksum == expected.checksum != 0


@pytest.mark.parametrize("incremental", [True, False])
def test_pauses_and_cycles_come_from_its_own_events(incremental: bool, needs) -> None:
    needs("bdwgc")
    config = boehm("graph_edits", collector_params={"incremental": incremental, "full_every": 4}, verify=True)
    outcome = one(evolve(config, mutators=2, heap_bytes=32 * MIB))
    kinds = {pause.kind for pause in outcome.pauses}
    assert kinds == ({"remark", "full"} if incremental else {"full"})
    assert [pause.cycle for pause in outcome.pauses] == [cycle.cycle for cycle in outcome.cycles]
    for pause, cycle in zip(outcome.pauses, outcome.cycles, strict=True):
        assert 0 < pause.mark_ns < pause.pause_ns <= cycle.duration_ns
        assert pause.ttsp_ns + pause.mark_ns + pause.resume_ns <= pause.pause_ns
        assert cycle.start_ns <= pause.start_ns
    assert outcome.facts["incremental"] == incremental
    assert outcome.facts["vdb"] in (("mprotect", "soft-dirty") if incremental else ("none",))
    assert outcome.verification is not None
    assert outcome.verification.checksum_matches
    assert outcome.verification.cycles_checked == 0
    assert outcome.facts["verified"] == "the mutators' checksum alone"
    console = Console(file=StringIO(), width=200)
    console.print(verification_table(make_run([outcome])))
    assert "not seen by the oracle: checksums are right" in console.file.getvalue()


def test_it_is_nobodys_baseline(needs) -> None:
    needs("bdwgc")
    theirs, ours = (boehm("ring", duration_s=0.2, collector=name) for name in ("bdwgc", "stop-the-world"))
    (work,) = workloads([one(theirs), one(ours)])
    assert work.baseline is not None
    assert work.baseline.config.collector == "stop-the-world"
    assert [cell.foreign for cell in work.cells] == [True, False]


def test_what_collections_take_is_the_collectors_time(needs) -> None:
    needs("bdwgc")
    outcome = one(boehm("graph_edits", collector_params={"incremental": False}))
    paused_ns = sum(pause.pause_ns for pause in outcome.pauses if not pause.preempted)
    assert outcome.collector_cpu_ns > 0.9 * paused_ns > 0
    assert outcome.mutator_cpu_ns + outcome.collector_cpu_ns < 1.1 * outcome.wall_ns, "one mutator, one marker"
    assert outcome.mutator_cpu_ns > 0.1 * outcome.wall_ns
    # Also where the collections are not the mutator's own.
    made = one(boehm("graph_edits", collector_params={"incremental": False, "every_s": 0.005, "free_space_divisor": 1}))
    assert made.mutator_cpu_ns > 0.1 * made.wall_ns
    assert made.mutator_cpu_ns + made.collector_cpu_ns < 1.1 * made.wall_ns
    assert outcome.allocated_bytes > outcome.operations * 32


def test_it_is_made_to_collect_by_the_clock_and_before_the_end(needs) -> None:
    needs("bdwgc")
    idle = {"heap_params": {"rate_per_s": 100.0}, "duration_s": 0.3}
    assert [pause.kind for pause in one(boehm("graph_edits", **idle)).pauses] == ["full"]
    timed = one(boehm("graph_edits", **idle, collector_params={"every_s": 0.02}))
    assert len(timed.pauses) > 2


def test_parameters_reach_the_library(needs) -> None:
    needs("bdwgc")
    shared = {"duration_s": 0.2}
    assert one(boehm("ring", **shared, collector_params={"markers": 2})).facts["markers"] == 2
    assert one(boehm("ring", **shared)).facts["markers"] == 1
    seldom = one(boehm("allocate", heap_bytes=64 * MIB, collector_params={"free_space_divisor": 1}))
    often = one(boehm("allocate", heap_bytes=64 * MIB, collector_params={"free_space_divisor": 100}))
    assert len(often.cycles) / often.allocated_bytes > 2 * len(seldom.cycles) / seldom.allocated_bytes
    # Mark stacks that it has outgrown become part of its heap.
    grown = one(boehm("ring", heap_bytes=64 * MIB, collector_params={"mark_stack": 1 << 18}))
    left = one(boehm("ring", heap_bytes=64 * MIB))
    assert grown.facts["own_heap_bytes"] > left.facts["own_heap_bytes"] >= 64 * MIB


def test_an_incremental_mode_that_is_off_though_asked_for_is_told(needs, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("bdwgc")
    monkeypatch.setenv("GC_DISABLE_INCREMENTAL", "1")
    (outcome,) = measure(boehm("ring"))
    assert "the Boehm collector's incremental mode was asked for and is off" in outcome.error
    assert outcome.facts["incremental"] == 0
    one(boehm("ring", collector_params={"incremental": False}))


def test_dirty_bits_that_reach_the_kernels_limit_are_told(needs, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("bdwgc")
    folders = [str(SUPPORT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    if one(boehm("ring")).facts["vdb"] != "mprotect" or crowded.most_mappings() > 1 << 18:
        pytest.skip("its dirty bits protect no pages here, or there may be more mappings than a test can make")
    scattered = {"rate_per_s": 0, "hot_share": 0.1, "move_share": 0.0, "replace_share": 0.0}
    config = boehm("graph_edits", heap_bytes=128 * MIB, heap_params=scattered, duration_s=5.0)
    (step,) = runner.steps(campaign.Plan(configs=(config,), invocations=1), seed=5, accelerator="native")
    with (
        FreshExecutor(environment=build.preload()) as executor,
        pytest.raises(GcBarrierError, match=r"more mappings than vm\.max_map_count"),
    ):
        executor.submit(crowded.run, step.job, 500).result()


def test_its_heap_is_no_larger_than_ours(needs) -> None:
    needs("bdwgc")
    config = boehm("ring", heap_params={"keep": True, "raw_bytes": 200}, heap_bytes=4 * MIB, duration_s=5)
    (outcome,) = measure(config)
    assert outcome.error.startswith("out of memory: the Boehm collector's heap of 4")


def test_a_root_that_is_not_told_is_found_out(tmp_path: Path, needs) -> None:
    needs("bdwgc")
    source = Path(collectors.__file__).parent
    (tmp_path / "collectors").mkdir()
    for suffix in (".py", ".c", ".h"):
        text = (source / f"bdwgc{suffix}").read_text()
        if suffix == ".c":
            kept = text.replace(
                "  GC_push_all((void *)roots,", "  if (count != GCB_GLOBALS)\n    GC_push_all((void *)roots,"
            )
            assert kept != text
            text = kept
        (tmp_path / "collectors" / f"rootless{suffix}").write_text(text)
    discovery.add_path(tmp_path)
    # Its graph hangs by globals alone. What comes of it, a crash or a wrong checksum, is luck.
    (outcome,) = measure(boehm("graph_edits", collector="rootless", verify=True), seed=1)
    assert outcome.error
    assert one(boehm("graph_edits", verify=True)).cycles


def test_another_one_is_three_files_and_no_edit(tmp_path: Path) -> None:
    for suffix in (".py", ".c", ".h"):
        (tmp_path / "collectors").mkdir(exist_ok=True)
        shutil.copy(PLUGINS / "collectors" / f"bump{suffix}", tmp_path / "collectors" / f"second{suffix}")
    discovery.add_path(tmp_path)
    config = Config(
        heap="ring", barrier="none", collector="second", heap_bytes=64 * MIB, mutators=2, duration_s=10, verify=True
    )
    outcome = ends_with(evolve(config, collector_params={"every_s": 0.001, "chunk_bytes": 1 << 14}), 20_000)
    assert outcome.facts["chunks"] == "handed-out-once"
    assert outcome.verification is not None
    assert outcome.verification.checksum_matches
    assert outcome.checksum == ends_with(evolve(config, collector="stop-the-world", verify=False), 20_000).checksum
    assert not outcome.facts.get("incremental")
    (full,) = measure(evolve(config, heap_bytes=MIB, verify=False))
    assert full.error == "out of memory: nothing is ever collected"


def test_files_that_it_lacks_are_named(tmp_path: Path) -> None:
    (tmp_path / "collectors").mkdir()
    for name in ("half.py", "half.c"):
        shutil.copy(PLUGINS / "collectors" / name.replace("half", "bump"), tmp_path / "collectors" / name)
    discovery.add_path(tmp_path)
    with pytest.raises(GcBarrierError, match=r"the collector 'half' lacks its C files: write half\.h beside it"):
        collectors.find("half")


@pytest.fixture
def _hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the distribution's package is not installed."""
    monkeypatch.setattr("gcbarrier.collectors.bdwgc._LIBRARY", "libgc-that-is-not-here.so.1")


@pytest.mark.usefixtures("_hidden")
def test_without_the_library_everybody_says_so(tmp_path: Path) -> None:
    sentence = r"the collector bdwgc is not available here: .* \(have root run `apt install libgc-dev`\)"
    with pytest.raises(Unavailable, match=sentence) as caught:
        measure(boehm("ring"))
    assert caught.value.remedy == "have root run `apt install libgc-dev`"
    with pytest.raises(Unavailable, match=sentence):
        campaign.run("pause_times", out=tmp_path / "run", settings=settings.read(["collector=bdwgc"]))
    assert "apt install libgc-dev" in list_._summary("collectors", "bdwgc")
    assert list_._summary("collectors", "stop-the-world") == discovery.summary("collectors", "stop-the-world")
    (entry,) = [each for each in doctor._foreign() if each["name"] == "bdwgc"]
    assert not entry["native"]["works"]
    assert "libgc-that-is-not-here" in entry["native"]["why"]
    assert entry["native"]["remedy"] == "have root run `apt install libgc-dev`"


def test_without_its_header_the_command_ends_in_a_sentence(
    tmp_path: Path, needs, gcbarrier: Callable[..., subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("bdwgc")
    blind = tmp_path / "cc"
    blind.write_text('#!/bin/sh\nfor word in "$@"; do [ "$word" = gc/gc.h ] && exit 1; done\nexec cc "$@"\n')
    blind.chmod(0o755)
    monkeypatch.setenv("CC", str(blind))
    said = gcbarrier("run", "pause_times", "--quick", "--set", "collector=bdwgc", "--out", str(tmp_path / "run"))
    assert said.returncode == 2
    assert said.stderr.strip() == (
        "gcbarrier: the collector bdwgc is not available here: the Boehm collector's header gc/gc.h is not installed "
        "(have root run `apt install libgc-dev`)"
    )
    listed = json.loads(gcbarrier("list", "collectors", "--json").stdout)
    (summary,) = [each["summary"] for each in listed if each["name"] == "bdwgc"]
    assert summary.endswith("(have root run `apt install libgc-dev`))")


def test_it_takes_the_place_of_every_barrier_of_ours(needs) -> None:
    needs("bdwgc")
    shared = {"heap": "graph_edits", "heap_bytes": 16 * MIB}
    plan = campaign.Plan(
        configs=(
            Config(barrier="none", collector="stop-the-world", **shared),
            Config(barrier="uffd-wp-async", collector="mostly-concurrent", collector_params={"rounds": 2}, **shared),
            Config(barrier="soft-dirty", collector="mostly-concurrent", **shared),
        )
    )
    applied = settings.read(["collector=bdwgc", "bdwgc.markers=2"]).apply(plan)
    assert [config.label for config in applied.configs] == ["graph_edits/none/stop-the-world", "graph_edits/none/bdwgc"]
    assert dict(applied.configs[1].collector_params) == {"markers": 2}
    with pytest.raises(GcBarrierError, match=r"bdwgc brings its own memory, which uffd-wp-async .* does not watch"):
        settings.check(boehm("ring", barrier="uffd-wp-async"))
    with pytest.raises(GcBarrierError, match="the collector bdwgc has no parameter 'trigger'"):
        settings.check(boehm("ring", collector_params={"trigger": 0.5}))
