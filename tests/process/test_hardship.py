"""What goes wrong while it runs: a mutator that hangs, a guest that dies, a collector that can't keep up."""

import os
import signal
import threading
from pathlib import Path

import pytest
from places import PLUGINS

from gcbarrier import measure
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import runner
from gcbarrier.campaign.plans import Plan
from gcbarrier.machines import lab
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, evolve
from gcbarrier.plugins import discovery

MIB = 1 << 20
RING = Config(heap="ring", barrier="uffd-wp-async", collector="mostly-concurrent", heap_bytes=4 * MIB, duration_s=0.3)


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    discovery.add_path(PLUGINS)


def ring_that(does: str, folder: Path, *, head: str = "") -> runner.Step:
    """The ring, whose mutator ``does`` something before its first operation."""
    heap = folder / "heaps" / "other_ring"
    heap.mkdir(parents=True)
    for name in ("heap.py", "mutator.c"):
        text = (PLUGINS / "heaps" / "ring" / name).read_text()
        text = text.replace("while (gcb_next(m)) {", f"{does}\n  while (gcb_next(m)) {{")
        (heap / name).write_text(head + text if name == "mutator.c" else text)
    discovery.add_path(folder)
    plan = Plan(configs=(evolve(RING, heap="other_ring"),), invocations=1)
    (step,) = runner.steps(plan, seed=1, accelerator="native")
    return step


def test_a_mutator_that_forks_leaves_nobody_behind(tmp_path: Path) -> None:
    note = tmp_path / "note"
    body = f"""
  if (fork() == 0) {{
    FILE *note = fopen("{note}", "w");
    fprintf(note, "%d", (int)getpid());
    fclose(note);
    for (;;)
      pause();
  }}
  while (access("{note}", F_OK))
    usleep(1000);"""
    step = ring_that(body, tmp_path, head="#include <stdio.h>\n#include <unistd.h>\n")
    with FreshExecutor() as executor:
        (measured,) = runner.run([step], executor, machine="native")
    assert measured.record.error == ""
    assert not Path("/proc", note.read_text()).exists()


def test_a_mutator_that_stops_itself_is_a_failed_invocation(tmp_path: Path) -> None:
    step = ring_that("raise(SIGSTOP);", tmp_path, head="#include <signal.h>\n")
    with FreshExecutor() as executor:
        (measured,) = runner.run([step], executor, machine="native")
    assert "was stopped (SIGSTOP)" in measured.record.error


def test_a_mutator_without_safepoints_ends_with_its_deadline(tmp_path: Path) -> None:
    step = ring_that("if (gcb_next(m))\n    for (;;)\n      ;", tmp_path)
    with FreshExecutor() as executor:
        (measured,) = runner.run([evolve(step, deadline_s=3.0)], executor, machine="native")
    assert measured.record.error.startswith("it ran over its deadline of 3 s: a mutator did not come to a safepoint")


def test_a_run_ends_in_time_though_one_cycle_follows_the_other() -> None:
    (outcome,) = measure(evolve(RING, collector_params={"trigger": 0.0001}, duration_s=0.5))
    assert outcome.error == ""
    assert len(outcome.cycles) > 10
    assert outcome.wall_ns < 1.5e9


def test_a_run_without_a_reason_to_collect_has_one_cycle_at_its_end() -> None:
    (outcome,) = measure(evolve(RING, heap_bytes=512 * MIB, collector_params={"trigger": 1.0}, duration_s=0.1))
    assert [cycle.cause for cycle in outcome.cycles] == ["end"]


def test_waits_for_memory_are_told() -> None:
    (outcome,) = measure(evolve(RING, heap_bytes=2 * MIB, collector_params={"trigger": 1.0}))
    assert outcome.error == ""
    assert outcome.stalls
    for stall in outcome.stalls:
        assert 0 < stall.stall_ns < outcome.wall_ns
        assert (stall.mutator, stall.request_bytes) == (0, 40 + 8)
    assert "memory" in {cycle.cause for cycle in outcome.cycles}


def test_a_guest_that_dies_costs_one_try_and_no_later_invocation(needs) -> None:
    needs("lab")
    plan = Plan(configs=(evolve(RING, duration_s=1.0),), invocations=3)
    steps = runner.steps(plan, seed=1, accelerator="tcg")
    killed: list[int] = []

    def kill_the_guest() -> None:
        children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        for process in (int(each) for path in children for each in path.read_text().split()):
            if b"qemu-system" in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
                killed.append(process)

    def after(step: runner.Step, _measured: object) -> None:
        if step.job.invocation.index == 0:
            threading.Timer(0.3, kill_the_guest).start()

    with lab.LabExecutor(memory_bytes=1 << 30) as executor:
        machine = executor.facts.name
        outcomes = [m.record for m in runner.run(steps, executor, machine=machine, has_compiler=False, on_done=after)]
    assert killed
    assert [outcome.error for outcome in outcomes] == ["", "", ""]


def test_an_unknown_machine_is_no_native_one() -> None:
    with pytest.raises(campaign.GcBarrierError, match="machine='labb': did you mean 'lab'"):
        measure(RING, machine="labb")
