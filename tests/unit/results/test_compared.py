"""Runs beside each other: what is matched, what is called, what differs."""

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from synthetic import make_manifest, make_outcome, make_run, write_run

from gcbarrier import compare
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Finding, Outcome, Probe, Reading, Temper
from gcbarrier.results.compared import Compared, Ratio
from gcbarrier.results.run import Run
from gcbarrier.results.summarizing import summarize
from gcbarrier.results.summary import public, read, write

NONE = Config(heap="graph_edits", barrier="none", collector="stop-the-world")
LOG = Config(heap="graph_edits", barrier="uffd-wp-log", collector="mostly-concurrent")
ASYNC = Config(heap="graph_edits", barrier="uffd-wp-async", collector="mostly-concurrent")


def outcomes(
    config: Config, n: int = 5, *, run: int = 0, slower: float = 1.0, seed: int | None = None
) -> list[Outcome]:
    """Invocations whose mutators' time alone is ``slower``; those of another ``run`` lie a little apart."""
    found = []
    for index in range(n):
        one = make_outcome(config, index)
        wobble = 1 + 0.004 * ((index * 7 + run * 3) % 5)
        invocation = evolve(one.invocation, seed=(1000 * (run + 1) if seed is None else seed) + index)
        cpu_ns = int(one.operations * 300 * slower * wobble)
        found.append(evolve(one, invocation=invocation, mutator_cpu_ns=cpu_ns, collector_cpu_ns=0))
    return found


def run_of(*groups: list[Outcome], **manifest: Any) -> Run:
    return make_run([one for group in groups for one in group], {**make_manifest(), **manifest})


def temper_of(others_ns: int) -> Temper:
    """Two processors for a second, of which others used so much."""
    second = 1_000_000_000
    return Temper(processors=2, wall_ns=second, own_ns=second // 2, others_ns=others_ns, steal_ns=0)


def only(found: Compared, measure: str) -> Ratio:
    (ratio,) = [one for one in found.ratios if one.measure == measure]
    return ratio


def test_what_got_slower_is_called_and_what_did_not_is_not() -> None:
    found = compare(run_of(outcomes(LOG)), run_of(outcomes(LOG, run=1, slower=1.3)))
    cpu = only(found, "cpu")
    assert cpu.verdict == "worse"
    assert 1.25 < cpu.ratio.low < cpu.ratio.centre < cpu.ratio.high < 1.35
    assert cpu.p_among_all is not None
    assert cpu.p is not None
    assert cpu.p <= cpu.p_among_all <= 0.05
    assert only(found, "remark").verdict == "chance"
    assert {one.measure for one in found.worse(0.05)} == {"cpu", "all-cpu"} & {one.measure for one in found.ratios}
    assert not found.worse(0.5), "by 30 % is not by more than half"


def test_what_got_faster_is_better_and_never_fails() -> None:
    found = compare(run_of(outcomes(LOG)), run_of(outcomes(LOG, run=1, slower=0.7)))
    assert only(found, "cpu").verdict == "better"
    assert not found.worse(0.0)


def test_a_point_beyond_the_limit_is_not_enough() -> None:
    """The interval decides: by 6 % with a spread of 1 % is no proof of more than 5.9 %."""
    found = compare(run_of(outcomes(LOG)), run_of(outcomes(LOG, run=1, slower=1.06)))
    cpu = only(found, "cpu")
    assert cpu.verdict == "worse"
    assert cpu.worse_by(cpu.ratio.low - 1 - 1e-6)
    assert not cpu.worse_by(cpu.ratio.centre - 1 - 1e-6)


@pytest.mark.parametrize(("first", "second"), [(4, 4), (5, 4), (1, 8)])
def test_of_few_invocations_nothing_is_told(first: int, second: int) -> None:
    found = compare(run_of(outcomes(LOG, first)), run_of(outcomes(LOG, second, run=1, slower=9.0)))
    assert not found.told
    assert {one.verdict for one in found.ratios} == {"unknown"}
    assert {one.ratio.kind for one in found.ratios} == {"range"}
    assert not found.worse(0.05)


def test_invocations_of_one_seed_are_pairs() -> None:
    seeded = compare(run_of(outcomes(LOG, 8, seed=7)), run_of(outcomes(LOG, 8, run=1, seed=7)))
    assert {one.pairing for one in seeded.ratios} == {"seed"}
    apart = compare(run_of(outcomes(LOG, 8, seed=7)), run_of(outcomes(LOG, 8, run=1, seed=3)))
    assert {one.pairing for one in apart.ratios} == {"none"}, "half of them have no partner"


def test_pairs_see_what_seeds_hide() -> None:
    """Every seed its own program: within each pair B is 2 % slower, and programs lie 50 % apart."""
    first = [
        evolve(one, mutator_cpu_ns=one.operations * 100 * (1 + at)) for at, one in enumerate(outcomes(LOG, 8, seed=1))
    ]
    second = [
        evolve(one, mutator_cpu_ns=int(one.mutator_cpu_ns * (1.02 + 0.001 * (at % 3)))) for at, one in enumerate(first)
    ]
    assert only(compare(run_of(first), run_of(second)), "cpu").verdict == "worse"
    moved = [evolve(one, invocation=evolve(one.invocation, seed=one.invocation.seed + 500)) for one in second]
    assert only(compare(run_of(first), run_of(moved)), "cpu").verdict == "chance"


def test_from_nothing_to_something_has_no_ratio_and_is_worse() -> None:
    faulting = [evolve(one, minor_faults=10_000 + one.invocation.index) for one in outcomes(NONE, run=1)]
    found = compare(run_of(outcomes(NONE)), run_of(faulting))
    faults = only(found, "faults")
    assert faults.verdict == "worse"
    assert faults.ratio.centre != faults.ratio.centre
    assert faults in found.worse(0.05)
    json.dumps(found.told_as_json(), allow_nan=False)


def test_where_one_invocation_has_nothing_all_of_b_must_lie_beyond_a() -> None:
    def faulting(*each: int, run: int) -> Run:
        changed = zip(outcomes(NONE, run=run), each, strict=True)
        return run_of([evolve(one, operations=1000, minor_faults=faults) for one, faults in changed])

    few = faulting(0, 100, 110, 120, 130, run=0)
    many = only(compare(few, faulting(900, 1000, 1100, 1200, 1300, run=1)), "faults")
    assert many.ratio.centre == pytest.approx(1100 / 92)
    assert many.ratio.low != many.ratio.low
    assert (many.verdict, many.worse_by(0.05), many.worse_by(30.0)) == ("worse", True, False)
    assert only(compare(few, faulting(0, 100, 110, 120, 150, run=1)), "faults").verdict == "chance"


def test_what_both_have_none_of_and_what_is_said_already_is_left_out() -> None:
    found = compare(run_of(outcomes(NONE)), run_of(outcomes(NONE, run=1)))
    assert {"faults", "stalls", "operation-tail"}.isdisjoint(one.measure for one in found.ratios)
    assert "remark" in {one.measure for one in found.ratios}
    assert "longest" not in {one.measure for one in found.ratios}, "each cycle has one pause"


def test_configurations_of_one_run_alone_are_named() -> None:
    found = compare(run_of(outcomes(LOG), outcomes(NONE)), run_of(outcomes(LOG, run=1), outcomes(ASYNC)))
    assert (found.only_a, found.only_b) == ((NONE.label,), (ASYNC.label,))
    assert {one.what for one in found.ratios} == {"graph_edits 64 MiB uffd-wp-log mostly-concurrent"}


def test_the_barriers_of_one_run_are_compared_with_its_baseline() -> None:
    """``none`` runs under another collector, as no barrier is needed to stop the world."""
    found = compare(run_of(outcomes(NONE), outcomes(LOG, slower=1.5), outcomes(ASYNC)), by="barrier")
    assert {one.what for one in found.ratios} == {
        f"graph_edits 64 MiB none → {barrier} stop-the-world → mostly-concurrent"
        for barrier in ("uffd-wp-log", "uffd-wp-async")
    }
    assert {one.pairing for one in found.ratios} == {"seed"}
    against = compare(run_of(outcomes(LOG), outcomes(ASYNC)), by="barrier", baseline="uffd-wp-log")
    assert {one.what for one in against.ratios} == {"graph_edits 64 MiB uffd-wp-log → uffd-wp-async mostly-concurrent"}


def test_two_runs_may_differ_in_the_barrier_alone() -> None:
    with pytest.raises(GcBarrierError, match="no configuration in common"):
        compare(run_of(outcomes(LOG)), run_of(outcomes(ASYNC)))
    found = compare(run_of(outcomes(LOG)), run_of(outcomes(ASYNC)), by="barrier")
    assert {one.what for one in found.ratios} == {"graph_edits 64 MiB uffd-wp-log → uffd-wp-async mostly-concurrent"}


def test_what_alone_two_runs_differ_in_is_named_for_by() -> None:
    plain, set_to_two = LOG, evolve(LOG, collector_params={"markers": 2})
    words = (
        r"in common but for mostly-concurrent\.markers, .*: .*, or compare them with --by mostly-concurrent\.markers$"
    )
    with pytest.raises(GcBarrierError, match=words):
        compare(run_of(outcomes(plain)), run_of(outcomes(set_to_two)))
    both = compare(run_of(outcomes(ASYNC), outcomes(plain)), run_of(outcomes(ASYNC), outcomes(set_to_two)))
    assert both.apart_by == "mostly-concurrent.markers"
    other = evolve(set_to_two, mutators=2)
    assert compare(run_of(outcomes(ASYNC), outcomes(plain)), run_of(outcomes(ASYNC), outcomes(other))).apart_by == ""


@pytest.mark.parametrize("by", ["collector_params.markers", "mostly-concurrent.markers"])
def test_a_parameter_is_compared_by_its_least_value(by: str) -> None:
    two, three = (evolve(LOG, collector_params={"markers": count}) for count in (2, 3))
    found = compare(run_of(outcomes(three), outcomes(two)), by=by)
    assert {one.what for one in found.ratios} == {"graph_edits 64 MiB uffd-wp-log mostly-concurrent markers=2 → 3"}


def test_as_few_parameters_as_tell_configurations_apart_are_named() -> None:
    configs = [
        evolve(LOG, heap_params={"rate_per_s": rate, "hot_share": rate / 1e6, "move_share": 0.0}) for rate in (1e3, 1e4)
    ]
    groups = [[outcomes(config, run=run) for config in configs] for run in (0, 1)]
    found = compare(run_of(*groups[0]), run_of(*groups[1]))
    assert {one.what for one in found.ratios} == {
        f"graph_edits 64 MiB uffd-wp-log mostly-concurrent hot_share={share}" for share in ("0.001", "0.01")
    }


def probed(value: float, n: int = 5) -> tuple[Finding, ...]:
    probe = Probe(function="gcbarrier.bench.costs:operations", barrier="cards", arguments={"densities": "1"})
    readings = [
        (
            Reading(what="store", x=1, value=value * (1 + at / 100), unit="ns"),
            Reading(what="lost", value=1, unit="pages"),
        )
        for at in range(n)
    ]
    return tuple(Finding(probe=probe, index=at, machine="native", readings=each) for at, each in enumerate(readings))


def test_what_probes_read_is_compared_where_more_is_worse() -> None:
    first, second = (evolve(run_of(), findings=probed(value)) for value in (10.0, 14.0))
    found = compare(first, second)
    (store,) = found.ratios
    assert (store.measure, store.title, store.verdict) == ("store@1", "store, 1", "worse")
    assert found.ratios == compare(first, second, measures=["store@1"]).ratios


def test_failed_invocations_count_nowhere_and_are_told() -> None:
    broken = [*outcomes(LOG, 5, run=1), make_outcome(LOG, 5, error="it crashed")]
    found = compare(run_of(outcomes(LOG)), run_of(broken))
    assert found.failed == 1
    assert only(found, "cpu").b.n == 5


def test_what_differs_between_the_runs_is_told() -> None:
    """What one of the two does not know (``privileged``) is no difference."""
    first = run_of(
        outcomes(LOG),
        quick=False,
        settings={"fields": {"heap_bytes": 1}, "seed": 1, "machine": "native"},
        sources={"barriers/x": {"shipped": True, "files": {"barriers/x.c": "ab" * 32, "barriers/x.py": "cd" * 32}}},
        command_line=["gcbarrier", "run"],
    )
    machines = make_manifest()["machines"]
    native = {**machines["native"], "kernel": {"release": "7.0"}, "load_average": [3.0, 0, 0], "privileged": True}
    second = run_of(
        outcomes(LOG, run=1),
        quick=True,
        settings={"fields": {"heap_bytes": 2}, "seed": 1},
        sources={"barriers/x": {"shipped": True, "files": {"barriers/x.c": "12" * 32, "barriers/x.py": "cd" * 32}}},
        command_line=["gcbarrier", "run", "--quick"],
        machines={**machines, "native": native},
    )
    found = compare(first, second)
    assert {(each.what, each.a, each.b) for each in found.differences} == {
        ("kernel.release", "6.18.5", "7.0"),
        ("quick", "no", "yes"),
        ("--set heap_bytes", "1", "2"),
        ("--set machine", "native", ""),
        ("barriers/x.c", "ab" * 6, "12" * 6),
    }
    assert [(each.a, each.b) for each in found.temper] == [("", "3.0")]
    untold = compare(public(summarize(first)), second).differences
    assert not any(each.what.startswith("--set") for each in untold), "a summary does not tell of settings"
    assert found.remarks == ("B was measured with --quick: for a first look, not for a paper",)


def test_how_busy_the_machines_were_is_told() -> None:
    quiet, busy = (
        run_of([evolve(one, temper=temper_of(others_ns)) for one in outcomes(LOG, run=run)])
        for run, others_ns in ((0, 0), (1, 1_600_000_000))
    )
    (told,) = [each for each in compare(quiet, busy).temper if each.what == "temper"]
    assert (told.a, told.b) == ("quiet", "busy in 5 of 5 invocations")


def test_a_run_that_did_not_end_says_so() -> None:
    found = compare(run_of(outcomes(LOG)), evolve(run_of(outcomes(LOG, run=1)), state="killed"))
    assert found.remarks == ("B is killed: what had ended until then is compared",)


def test_machines_are_not_mixed() -> None:
    guest = [evolve(one, machine="lab-6.12.95-tcg") for one in outcomes(LOG, slower=10)]
    found = compare(run_of(outcomes(LOG), guest), run_of(outcomes(LOG, run=1)))
    assert {one.machine for one in found.ratios} == {"native"}
    renamed = compare(run_of(guest), run_of(outcomes(LOG, run=1)))
    assert {one.machine for one in renamed.ratios} == {"lab-6.12.95-tcg"}, "each has one machine, whatever it is called"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"b": None}, "say with --by barrier"),
        ({"by": "colour"}, "no configuration has 'colour'"),
        ({"by": "barrier", "baseline": "cards"}, "no configuration has barrier=cards: there are"),
        ({"measures": ["cpus"]}, "did you mean 'cpu'"),
        ({"measures": ["operation-tail"]}, "neither run has measured operation-tail"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(changes: dict[str, Any], words: str) -> None:
    asked = {"a": run_of(outcomes(LOG)), "b": run_of(outcomes(LOG, run=1)), **changes}
    with pytest.raises(GcBarrierError, match=words):
        compare(**asked)


def test_runs_of_two_experiments_are_not_compared() -> None:
    with pytest.raises(GcBarrierError, match="only runs of one experiment"):
        compare(run_of(outcomes(LOG)), run_of(outcomes(LOG), experiment="goals"))


def test_a_summary_is_compared_like_its_run(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", outcomes(LOG))
    second = write_run(tmp_path / "b", outcomes(LOG, run=1, slower=1.3))
    write(public(summarize_path(second)), tmp_path / "b.json")
    of_runs, with_summary = compare(first, second), compare(first, tmp_path / "b.json")
    for one, other in zip(of_runs.ratios, with_summary.ratios, strict=True):
        assert (one.what, one.measure, one.verdict) == (other.what, other.measure, other.verdict)
        assert one.ratio.centre == pytest.approx(other.ratio.centre, rel=1e-4)


def summarize_path(path: Path) -> Any:
    from gcbarrier import load

    return summarize(load(path))


def test_a_summary_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = evolve(run_of(outcomes(LOG), outcomes(NONE)), findings=probed(3.0))
    summary = public(summarize(run))
    write(summary, tmp_path / "new" / "x.json")
    assert read(tmp_path / "new" / "x.json") == summary
    cells = summary.machines["native"].cells
    assert [cell.label for cell in cells] == [NONE.label, LOG.label, "operations/cards"]
    assert cells[1].config == {"heap": LOG.heap, "barrier": LOG.barrier, "collector": LOG.collector}
    assert cells[1].measures["cpu"].n == 5
    assert cells[1].measures["cpu"].kind == "interval"


def test_a_summary_to_be_committed_tells_nothing_of_whose_machine_it_was() -> None:
    machines = make_manifest()["machines"]
    told = {"kernel": {"release": "6.18.44-mine", "version": "built by me"}, "uid": 7, "sysctl": {"x": 1}}
    native = {**machines["native"], **told}
    graph = evolve(LOG, heap="snapshot", heap_params={"graph": "/home/me/app.graph.npz", "rate_per_s": 5.0})
    own = {"search_path": ["/home/me"], "command_line": ["/home/me/x"]}
    run = run_of(outcomes(LOG), outcomes(graph), machines={"native": native}, **own)
    summary = public(summarize(run))
    facts = summary.machines["native"].facts
    assert facts["kernel"] == {"release": "6.18.44"}
    assert {"uid", "sysctl"}.isdisjoint(facts)
    assert "/home/me" not in str(summary)
    assert "app.graph.npz" in str(summary)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "can't be read"),
        ("[]", "is no summary"),
        ('{"format": 1, "machines": 3, "experiment": "x"}', "is damaged"),
        ('{"format": 99, "machines": {}, "experiment": "x"}', "newer gcbarrier"),
    ],
)
def test_what_is_no_summary_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(GcBarrierError, match=words):
        read(tmp_path / "x.json")


def test_a_summary_that_lost_numbers_is_refused(tmp_path: Path) -> None:
    write(public(summarize(run_of(outcomes(LOG)))), tmp_path / "x.json")
    told = json.loads((tmp_path / "x.json").read_text())
    told["machines"]["native"]["cells"][0]["measures"]["cpu"]["each"].pop()
    (tmp_path / "x.json").write_text(json.dumps(told))
    with pytest.raises(GcBarrierError, match="numbers are missing"):
        compare(run_of(outcomes(LOG)), tmp_path / "x.json")


def test_a_run_without_outcomes_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "full", [make_outcome(Config(heap="gcbench", barrier="none", collector="stop-the-world"), 0)])
    write_run(tmp_path / "empty", [])
    with pytest.raises(GcBarrierError, match="empty has nothing to compare"):
        compare(tmp_path / "full", tmp_path / "empty")
