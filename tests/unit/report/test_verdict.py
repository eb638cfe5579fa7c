"""The sentence that a run is told in: a pause with its range, and its bill."""

import re

from synthetic import make_outcome, make_outcomes, make_run

from gcbarrier.model import Config, Finding, Probe, Reading, evolve
from gcbarrier.report.verdict import verdict

NONE = Config(heap="gcbench", barrier="none", collector="stop-the-world")
ASYNC = Config(heap="gcbench", barrier="uffd-wp-async", collector="mostly-concurrent")
DIRTY = Config(heap="gcbench", barrier="soft-dirty", collector="mostly-concurrent")


def test_the_shortest_is_said_with_its_range_beside_the_bound_and_with_its_bill() -> None:
    said = verdict(make_run(make_outcomes([NONE, ASYNC, DIRTY])))
    assert re.fullmatch(
        r"uffd-wp-async's remark, the shortest of 2, is \d+ µs \(range \d+ µs . \d+ µs, 3 invocations\), 0\.\d+ "
        r"\(range 0.\d+ . 0.\d+\) times stop-the-world's \d+ ms; "
        r"its mutators take 1\.\d+ \(range .*\) times as much processor time for an "
        r"operation, and with the collector's 1\.\d+ \(range .*\) times\.",
        said,
    )


def test_what_the_brackets_are_is_said() -> None:
    said = verdict(make_run(make_outcomes([NONE, ASYNC], invocations=6)))
    assert re.search(r"remark is \d+ µs \(95 % interval \d+ µs . \d+ µs, 6 invocations\), ", said)
    assert said.count("95 % interval") == 4
    assert "range" not in said


def test_a_barrier_under_two_collectors_is_said_with_its_collector() -> None:
    other = evolve(ASYNC, collector="generational")
    said = verdict(make_run(make_outcomes([NONE, ASYNC, other])))
    assert re.match(r"The remark of uffd-wp-async under [\w-]+, the shortest of 2, is ", said)


def test_several_workloads_are_said_from_end_to_end() -> None:
    configs = [evolve(each, heap=heap) for heap in ("gcbench", "graph_edits") for each in (NONE, ASYNC)]
    said = verdict(make_run(make_outcomes(configs)))
    assert re.match(r"uffd-wp-async's remark is \d+ µs to \d+ µs \(3 invocations each\) over 2 workloads, ", said)
    assert re.search(r"its mutators take 1.\d+( to 1.\d+)? times as much", said)


def test_without_a_baseline_the_bill_is_in_time() -> None:
    said = verdict(make_run(make_outcomes([ASYNC], invocations=1)))
    assert re.fullmatch(
        r"uffd-wp-async's remark is \d+ µs \(1 invocation\); its mutators take \d+ ns of a processor for an operation, "
        r"and with the collector's time \d+ ns\.",
        said,
    )
    free = [evolve(make_outcome(ASYNC, 0), operations=0, mutator_cpu_ns=0)]
    assert verdict(make_run(free)).endswith("; what its mutators pay was not measured.")


def test_each_machine_has_a_line_of_its_own() -> None:
    outcomes = make_outcomes([NONE, ASYNC]) + make_outcomes([NONE, ASYNC], machine="lab-6.12.95-tcg")
    native, lab = verdict(make_run(outcomes)).splitlines()
    assert native.startswith("On native, uffd-wp-async's remark is ")
    assert lab.startswith("On lab-6.12.95-tcg, uffd-wp-async's remark is ")


def test_where_nothing_can_be_said_nothing_is() -> None:
    assert verdict(make_run([])) == ""
    assert verdict(make_run([make_outcome(ASYNC, 0, error="it fell")])) == ""


def test_probes_are_said_from_the_least_to_the_most() -> None:
    def finding(barrier: str, value: float, index: int) -> Finding:
        probe = Probe(function="a:b", barrier=barrier)
        reading = Reading(what="first-store", value=value, unit="ns")
        return Finding(probe=probe, index=index, machine="native", readings=(reading,))

    found = [finding("cards", 2.0 + at, at) for at in (0, 1)] + [finding("mprotect", 4000.0, 0)]
    assert verdict(evolve(make_run([]), findings=tuple(found))) == (
        "first-store is from 2.5 ns with cards (range 2 ns \N{EN DASH} 3 ns, 2 invocations) to 4 µs with mprotect "
        "(1 invocation)."
    )
