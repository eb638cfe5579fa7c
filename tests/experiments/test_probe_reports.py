"""What the experiments without sessions show of readings that are made up: verdicts, ratios, crossings, quotients."""

import re
from collections.abc import Iterable
from typing import Any

import pytest
from drawn import keys, labels, lines, said
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from planned import looks_run, planned, told
from synthetic import make_manifest, make_run

from gcbarrier.campaign import experiments as campaign
from gcbarrier.model import Finding, Machine, Probe, Reading, evolve
from gcbarrier.results.points import points
from gcbarrier.results.run import Run

MIB = 1 << 20


def probed(name: str, *found: tuple[Probe, Iterable[Reading]], invocations: int = 1) -> Run:
    findings = [
        Finding(probe=probe, index=index, machine="native", readings=tuple(read))
        for probe, read in found
        for index in range(invocations)
    ]
    return evolve(make_run([], make_manifest(name)), findings=tuple(findings))


def shown(name: str, run: Run) -> tuple[Figure, str]:
    script = campaign.script_of(name)
    (figure,) = script.figures(run).values()
    FigureCanvasAgg(figure).draw()
    return figure, told(script.table(run))


def probe(barrier: str, **fields: Any) -> Probe:
    return Probe(function="f:f", barrier=barrier, **fields)


def marks(axes: Axes) -> dict[str, float]:
    """Where the mark of each row is."""
    names = [text.get_text() for text in axes.get_yticklabels()]
    drawn = [line for line in axes.lines if line.get_label() and not str(line.get_label()).startswith("_")]
    return {names[round(line.get_ydata()[0])]: line.get_xdata()[0] for line in drawn if len(line.get_xdata()) == 1}


def counted(name: str, **counts: int) -> list[Reading]:
    return [Reading(what=f"{name}/{what}", value=value, unit="pages", x=64) for what, value in counts.items()]


def test_accuracy_tells_exact_false_lost_and_no_answer_apart() -> None:
    refused = Reading(what="fork/refused", value=1, unit="answers", x=64, note="it crashed (SIGSEGV)")
    run = probed(
        "accuracy",
        (probe("mprotect"), [*counted("plain write", expected=2, false=0, lost=0), refused]),
        (probe("uffd-wp-async"), counted("plain write", expected=2, false=3, lost=0)),
        (probe("uffd-wp-async"), counted("plain write", expected=2, false=1, lost=0)),
        (probe("soft-dirty", memory="anonymous"), counted("plain write", expected=2, false=3, lost=1)),
    )
    figure, table = shown("accuracy", run)
    assert [axes.get_label() for axes in figure.axes] == ["shmem", "anonymous"]
    assert labels(figure.axes[0].yaxis) == ["plain write  (of 2 written)", "fork  (of \N{EN DASH} written)"]
    colours = {box.get_label(): box.get_facecolor() for axes in figure.axes for box in axes.patches}
    assert len(set(colours.values())) == len(colours) == 4, "a colour for each verdict"
    words = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {"exact", "3 false", "3 false\n1 lost", "crashes"} <= words, "the worst of the invocations"
    assert "“it crashed (SIGSEGV)”: mprotect (fork)." in said(figure)
    assert re.search(r"plain write +3 false +exact +2\n", table)
    assert re.search(r"native · anonymous · pages\n.*\nplain write +3 false, 1 lost +2\n", table)


def test_a_store_may_take_less_than_half_a_nanosecond() -> None:
    read = [Reading(what="store", value=0.3, low=0.25, high=0.4, unit="ns"), Reading(what="arm", value=900, unit="ns")]
    figure, table = shown("barrier_costs", probed("barrier_costs", (probe("cards"), read)))
    assert marks(figure.axes[0]) == {"cards": 0.3}
    assert "is drawn at" not in said(figure)
    assert "0" not in labels(figure.axes[0].xaxis)
    assert "0.3 ns" in table


def test_the_table_of_costs_has_the_shares_near_powers_of_ten() -> None:
    read = [Reading(what="collect", x=x, value=1000 * x, unit="ns") for x in (0.098, 0.3, 0.98, 3.0, 100.0)]
    _, table = shown("barrier_costs", probed("barrier_costs", (probe("cards"), read)))
    assert "barrier  collect 0.098 %  collect 0.98 %  collect 100 %" in table


@pytest.mark.parametrize(("first", "words", "at"), [(2000.0, "1,000", 1000), (1.0, "always cheaper", 1)])
def test_crossings_are_marked_and_hollow_where_there_is_none(first: float, words: str, at: float) -> None:
    rates = [float(10**power) for power in range(6)]
    fault = [Reading(what="store", x=x, value=first / x, unit="ns") for x in rates]
    flat, dear = ([Reading(what="store", x=x, value=cost, unit="ns") for x in rates] for cost in (2.0, 1e-6))
    run = probed(
        "crossover",
        (probe("uffd-wp-async"), fault),
        (probe("cards"), flat),
        (probe("log"), dear),
        (probe("none"), dear),
    )
    figure, table = shown("crossover", run)
    curves, rows = figure.axes
    assert marks(rows) == {"uffd-wp-async / cards": pytest.approx(at), "uffd-wp-async / log": pytest.approx(1e5)}
    crosses = [line.get_xdata()[0] for line in curves.lines if line.get_label() == "_crossing"]
    assert crosses == ([pytest.approx(1000)] if words == "1,000" else [])
    assert {words, "not up to 100,000"} == {text.get_text() for text in rows.texts}
    assert "hollow: beyond what was measured" in keys(figure)
    assert re.search(rf"uffd-wp-async +{words} +not up to 100,000", table)
    dashed = {name for name, line in lines(curves).items() if line.is_dashed()}
    assert dashed == {"cards", "log"}, "software barriers"


def turns(**added: float) -> list[Reading]:
    read = []
    for what, per_cent in added.items():
        name = what.replace("_", "-")
        read += [
            Reading(what=name, value=1000 + 10 * per_cent, unit="ns", samples=7),
            Reading(what=f"bare-{name}", value=1000, unit="ns", samples=7),
            Reading(what=f"added-{name}", value=per_cent, low=-1.0, high=20.0, unit="%", samples=7),
        ]
    return read


def test_overhead_has_both_times_and_the_share_added_beside_the_aim() -> None:
    sizes = (64 * MIB, 1024 * MIB)
    read = turns(first_store=8, arm=2)
    run = probed("overhead", *((probe("uffd-wp-async", heap_bytes=size), read) for size in sizes), invocations=3)
    figure, table = shown("overhead", run)
    taken, _, added, _ = figure.axes
    assert [axes.get_title(loc="left").partition("\n")[0] for axes in figure.axes] == ["64 MiB", "1 GiB"] * 2
    assert labels(taken.yaxis) == ["arm", "first store, each"]
    assert {line.get_label() for line in taken.lines} == {"through the framework", "bare system calls", "_range"}
    assert sorted(line.get_xdata()[0] for line in added.lines if line.get_marker() == "|") == [2, 8]
    assert {"+2.0 %", "+8.0 %"} <= {text.get_text() for text in added.texts}
    assert any(set(line.get_xdata()) == {5.0} for line in added.lines), "the aim"
    assert re.search(r"native · 1 GiB\n", table)
    assert re.search(r"arm +1.02 µs +1 µs +\+2.0 % +-1.0 … \+20.0 % +21\n", table)


def test_points_know_how_many_samples_they_are_of() -> None:
    run = probed("overhead", (probe("uffd-wp-async"), turns(arm=2)), invocations=3)
    assert {point.samples for point in points(run, "native")} == {21}


def test_a_quotient_is_a_ratio_and_no_curve() -> None:
    read = [
        Reading(what="plain", value=20, unit="ns"),
        Reading(what="marker", x=1, value=18, unit="ns"),
        Reading(what="quotient", x=1, value=0.9, low=0.85, high=1.1, unit=""),
        Reading(what="rescan", x=1000, value=900, unit="ns"),
    ]
    found = [(probe("none", heap_bytes=size), read) for size in (64 * MIB, 256 * MIB)]
    figure, table = shown("marking", probed("marking", *found))
    assert [set(lines(axes)) for axes in figure.axes] == [{"plain loop", "marker, 1 thread"}, {"1,000 pages"}]
    assert re.search(r"heap +plain loop +1 thread +1 thread / plain +rescan, 1,000 pages\n", table)
    assert re.search(r"256 MiB +20 ns +18 ns +0\.90 \(0\.85 . 1\.10\) +900 ns", table)


def test_what_does_not_fit_is_not_marked_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gcbarrier.machines.host.available_bytes", lambda: 3 << 30)
    plan = planned("marking", quick=False)
    assert [each.heap_bytes // MIB for each in plan.probes] == [64, 256, 1024]
    assert plan.left_out == ("4 GiB, 8 GiB, which did not fit into memory",)
    assert planned("marking", Machine(name="lab", accelerator="tcg"), quick=False).left_out == ()


def steps(**costs: float) -> list[Reading]:
    """Of a way: each step's cost, those of a share at 1 and at 100 per cent."""
    shared = {name: value for name, value in costs.items() if name not in ("store", "fork")}
    return [
        *(Reading(what=name, value=costs[name], unit="instructions") for name in ("store", "fork") if name in costs),
        *(
            Reading(what=name.replace("_", "-"), x=x, value=value * (1 + x / 100), unit="instructions")
            for name, value in shared.items()
            for x in (1.0, 100.0)
        ),
        Reading(what="arm-beside", x=64, value=150, unit="instructions"),
    ]


def test_both_ways_are_set_against_each_other_and_a_round_is_a_fault_and_its_share_of_a_scan() -> None:
    run = probed(
        "soft_dirty",
        (probe("none", memory="shmem"), [Reading(what="store", value=5, unit="instructions")]),
        (probe("soft-dirty", memory="shmem"), steps(store=1000, fork=4000, scan_again=100)),
        (probe("uffd-wp-async", memory="shmem"), steps(store=1100, fork=4000, scan_again=10)),
        invocations=2,
    )
    figure, table = shown("soft_dirty", run)
    cost, times, rounds, _ = figure.axes
    assert labels(cost.yaxis) == [
        *("first store, page there", "scan, arming again, 1 %", "scan, arming again, 100 %", "fork, all armed"),
    ]
    assert {"1.10", "0.10", "1.00"} <= {text.get_text() for text in times.texts}
    # 1000 and a hundred times 101, or 200; 1100 and a hundred times 10.1, or 20.
    drawn = {name: list(line.get_ydata()) for name, line in lines(rounds).items()}
    assert drawn == {"soft-dirty": pytest.approx([11100, 1200]), "uffd-wp-async": pytest.approx([2110, 1120])}
    assert "shmem: a round of uffd-wp-async takes 0.19 at 1 % and 0.93 at 100 % of soft-dirty's." in said(figure)
    assert re.search(r"first store, page there +1\.10", table)


def test_where_soft_dirty_is_missing_there_is_no_answer() -> None:
    run = probed("soft_dirty", (probe("uffd-wp-async"), steps(store=1100, scan_again=10)))
    figure, _ = shown("soft_dirty", run)
    assert "soft-dirty is not to be had on this machine: the question is the lab's." in said(figure)


def writing(order: str, *, wall: float, mappings: int) -> list[Reading]:
    return [
        Reading(what=f"{order}/wall", value=wall, low=wall, high=wall, unit="ratio"),
        Reading(what=f"{order}/collect", value=20, unit="ns"),
        Reading(what=f"{order}/interval", value=wall / 2, unit="ratio"),
        Reading(what=f"{order}/mappings", x=1.0, value=mappings, unit="mappings"),
    ]


def test_tracking_shows_slow_downs_by_size_and_mappings_by_pages() -> None:
    found = [
        (probe(barrier, heap_bytes=size * MIB), writing(order, wall=size / 16, mappings=count))
        for size in (64, 256)
        for barrier, count in (("mprotect", 5 * size), ("uffd-wp-async", 1))
        for order in ("sequential", "random")
    ]
    refused = Reading(what="random/refused", value=1, unit="answers", note="vm.max_map_count = 65530")
    run = probed("tracking", *found, (probe("mprotect", heap_bytes=1024 * MIB), [refused]))
    figure, table = shown("tracking", run)
    slower, *_, mappings = figure.axes
    assert list(lines(slower)["mprotect"].get_ydata()) == [4, 16]
    # A hundredth of either size's pages, and only those that were written in a random order.
    assert list(lines(mappings)["mprotect"].get_xdata()) == [164, 655]
    assert list(lines(mappings)["mprotect"].get_ydata()) == [320, 1280]
    assert set(lines(mappings)["uffd-wp-async"].get_ydata()) == {1}
    assert "“vm.max_map_count = 65530”: mprotect, 1 GiB random." in said(figure)
    # Those of 64 MiB have as much time for writing as for collecting, and are not late.
    late = said(figure).partition("Collects took longer than what was asked for between them")[2]
    assert len(re.findall(r", 256 MiB (?:sequential|random), 8", late)) == 4
    assert ", 64 MiB" not in late
    assert re.search(r"mprotect +2\.00 +8\.00\n", table)
    assert re.search(r"mprotect +320 +1,280\n", table)


def test_programs_are_set_against_themselves_without_a_barrier() -> None:
    cpu_ns = {"none": 1000, "uffd-wp-sigbus": 3000}
    outcomes = [
        evolve(each, mutator_cpu_ns=cpu_ns.get(each.invocation.config.barrier, 2000), operations=100)
        for each in looks_run("tracking").outcomes
    ]
    _, table = shown("tracking", make_run(outcomes, make_manifest("tracking")))
    assert re.search(r"\nbarrier +gcbench\b", table)
    assert re.search(r"\nuffd-wp-sigbus +3\.00\b", table)
    assert re.search(r"\nmprotect +2\.00\b", table)
    assert re.search(r"\nnone +1\.00\b", table)
    chosen = make_run(outcomes, {**make_manifest("tracking"), "settings": {"choices": {"barrier": ["mprotect"]}}})
    assert len(campaign.script_of("tracking").figures(chosen)) == 1, "also where somebody chose barriers"
