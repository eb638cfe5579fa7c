"""What a failed invocation says: the line of the collector or of the mutator, and where everybody was."""

import re
from pathlib import Path

import pytest
from places import PLUGINS

from gcbarrier import measure
from gcbarrier.campaign import runner
from gcbarrier.campaign.plans import Plan
from gcbarrier.machines.fresh import FreshExecutor
from gcbarrier.model import Config, evolve
from gcbarrier.plugins import discovery

MIB = 1 << 20
RING = Config(heap="ring", barrier="none", collector="stop-the-world", heap_bytes=4 * MIB, duration_s=0.2)

COLLECTOR = '''"""Fails."""
from attrs import frozen
from gcbarrier.collectors import Marking
from gcbarrier.core.heap import Heap

NEEDS_TRACKING = False


@frozen(kw_only=True)
class Params(Marking):
    """None."""


def look(table, key):
    return table[key]


def collect(heap: Heap, params: Params) -> None:
    heap.full()
    {}
    heap.sweep()
'''


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None) -> None:
    discovery.add_path(PLUGINS)


def collecting(body: str, folder: Path) -> str:
    file = folder / "collectors" / "failing.py"
    file.parent.mkdir(parents=True)
    file.write_text(COLLECTOR.format(body))
    discovery.add_path(folder)
    (outcome,) = measure(evolve(RING, collector="failing"))
    assert outcome.facts, "what was seen until then is kept"
    return outcome.error.replace(str(file), "FILE")


def ring_that(body: str, folder: Path) -> str:
    """A heap whose mutators do this in the function ``strike`` once."""
    heap = folder / "heaps" / "struck"
    heap.mkdir(parents=True)
    source = PLUGINS / "heaps" / "ring"
    heap.joinpath("heap.py").write_text(source.joinpath("heap.py").read_text())
    text = source.joinpath("mutator.c").read_text()
    strike = f"__attribute__((noinline)) static void strike(gcb_mutator *m) {{\n  {body}\n}}\n\nvoid gcb_mutate"
    text = text.replace("void gcb_mutate", strike, 1)
    heap.joinpath("mutator.c").write_text(text.replace("while (gcb_next(m)) {", "strike(m);\n  while (gcb_next(m)) {"))
    discovery.add_path(folder)
    lines = heap.joinpath("mutator.c").read_text().splitlines()
    return f"strike (struck/mutator.c:{lines.index(f'  {body}') + 1})"


def test_an_exception_in_a_collector_has_its_lines(tmp_path: Path) -> None:
    said = collecting("look({}, 1)", tmp_path)
    assert said == "the collector failing raised KeyError: 1 (FILE:15 in look, called by FILE:20 in collect)"


def test_what_the_core_refuses_a_collector_has_the_line_that_asked_for_it(tmp_path: Path) -> None:
    said = collecting("heap.remark()", tmp_path)
    assert said == "no cycle has begun (asked for by the collector failing: FILE:20 in collect)"


def test_a_collector_that_ends_the_interpreter_is_told(tmp_path: Path) -> None:
    assert collecting("raise SystemExit(0)", tmp_path).startswith(
        "the collector failing raised SystemExit: 0 (FILE:20 in"
    )


@pytest.mark.parametrize("barrier", ["none", "mprotect"])
def test_a_crash_names_the_mutators_line_and_what_tells_more(barrier: str, tmp_path: Path) -> None:
    place = ring_that("*(volatile int *)(uintptr_t)(m->index + 64) = 1;", tmp_path)
    collector = "mostly-concurrent" if barrier == "mprotect" else "stop-the-world"
    (outcome,) = measure(evolve(RING, heap="struck", barrier=barrier, collector=collector))
    assert "crashed (SIGSEGV)" in outcome.error
    assert "at address 0x40, in mutator 0, running:" in outcome.error
    assert place in outcome.error
    assert "`gcbarrier run ... --sanitize address` tells more" in outcome.error


def test_of_mutators_that_crash_at_a_time_one_tells(tmp_path: Path) -> None:
    place = ring_that("*(volatile int *)(uintptr_t)(m->count + 64) = 1;", tmp_path)
    (outcome,) = measure(evolve(RING, heap="struck", heap_bytes=8 * MIB, mutators=8))
    assert len(re.findall("Segmentation fault at address", outcome.error)) == 1
    assert len(re.findall(r"mutator \d, running:", outcome.error)) == 1
    assert outcome.error.count(place) == 1


def test_a_stack_that_runs_over_is_told(tmp_path: Path) -> None:
    body = "volatile uint64_t deep[4096]; deep[m->count] = 1; if (deep[m->count]) strike(m); deep[0] = deep[1];"
    place = ring_that(body, tmp_path)
    (outcome,) = measure(evolve(RING, heap="struck"))
    assert "crashed (SIGSEGV)" in outcome.error
    assert "in mutator 0, running:" in outcome.error
    assert place in outcome.error


def test_a_sanitizers_report_is_told_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = ring_that("int here[4] = {0};  m->slept_ns += (uint64_t)((volatile int *)here)[m->count + 4];", tmp_path)
    monkeypatch.setenv("GCBARRIER_SANITIZE", "address")
    (outcome,) = measure(evolve(RING, heap="struck"))
    assert "AddressSanitizer: stack-buffer-overflow" in outcome.error
    assert re.search(rf"#\d+ 0x\w+ in strike .*{re.escape(place.split('(')[1].rstrip(')'))}", outcome.error)
    assert "--sanitize" not in outcome.error


def test_a_hang_is_told_with_every_mutators_stack(tmp_path: Path) -> None:
    place = ring_that("for (volatile uint64_t on = 1; on && m->index == 1;) on |= 1;", tmp_path)
    plan = Plan(configs=(evolve(RING, heap="struck", mutators=3),), invocations=1)
    (step,) = runner.steps(plan, seed=1, accelerator="native")
    with FreshExecutor() as executor:
        (measured,) = runner.run([evolve(step, deadline_s=4.0)], executor, machine="native")
    error = measured.record.error
    assert error.startswith("it ran over its deadline of 4 s: a mutator did not come to a safepoint")
    stacks = re.split(r"\n  \| (?=mutator \d|the collector)", error)
    who = [stack.partition(",")[0].partition(":")[0] for stack in stacks[1:]]
    assert who == ["mutator 0", "mutator 1", "mutator 2", "the collector's thread"]
    assert place in stacks[2]
    assert "gcb_mutate (struck/mutator.c:" in stacks[1]
    assert "gcb_stop_world" in stacks[4]
    assert "stop_the_world.py" in stacks[0], "what the collector was at, in Python"
