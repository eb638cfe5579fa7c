"""The words of reports: what a unit, an axis, a measure and a table say, and that every axis reads as what is on it."""

import re
import subprocess
import sys
from random import Random
from textwrap import dedent
from typing import Any

import pytest
from drawn import RATE, REMARK, labels, rated, small_run
from matplotlib.backends.backend_agg import FigureCanvasAgg
from planned import GUEST, NATIVE, looks_run, told
from synthetic import make_manifest, make_outcome, make_outcomes, make_run

from gcbarrier import report, results
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.plans import choose, product
from gcbarrier.model import Finding, Machine, Outcome, Reading, Verification, evolve
from gcbarrier.report import (
    BARRIER,
    BYTES,
    COUNT,
    INSTRUCTIONS,
    NS,
    PER_S,
    PERCENT,
    RATIO,
    SHARE,
    Across,
    Column,
    Comparison,
    Curves,
    Flag,
    Lines,
    Measure,
    Report,
    Rows,
    Tails,
    Unit,
    verification_table,
)
from gcbarrier.report.units import DASH, ticks
from gcbarrier.results import Cell, spread
from gcbarrier.results.run import Run

MIB = 1 << 20
SHAPES = {
    "ns": r"0|[\d.]+ (ns|µs|ms|s)",
    "per second": r"[\d.,]+( [kM])?",
    "count": r"[\d.,]+( [kM])?",
    "bytes": r"[\d.]+ (B|KiB|MiB|GiB)",
    "ratio": r"[\d.,]+",
    "%": r"0|[\d.,]+ %",
    "share": r"[\d.]+ %",
    "instructions": r"[\d.,]+",
}
"""How a tick of each unit reads."""


# Plans


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({"full": 1}, [1, 1, 1, 1]),
        ({"full": 1, "quick": 2}, [1, 2, 1, 2]),
        ({"full": 1, "emulated": 3}, [1, 1, 3, 3]),
        ({"full": 1, "quick": 2, "emulated": 3}, [1, 2, 3, 3]),
        ({"full": 1, "quick": 2, "emulated": 3, "emulated_quick": 4}, [1, 2, 3, 4]),
        ({"full": 1, "quick": 0, "emulated_quick": 4}, [1, 0, 1, 4]),
    ],
)
def test_the_nearest_that_is_given_is_chosen(given: dict[str, int], chosen: list[int]) -> None:
    machines = (NATIVE, NATIVE, GUEST, GUEST)
    assert [choose(m, quick)(**given) for m, quick in zip(machines, (False, True) * 2, strict=True)] == chosen


def test_a_product_has_every_combination_the_last_fastest() -> None:
    configs = product(
        heap="graph_edits",
        heap_bytes=[MIB, 2 * MIB],
        heap_params=lambda at: {"nodes": at["heap_bytes"] // MIB},
        pairs=[("none", "never"), ("cards", "mostly-concurrent", {"every_s": 0.5})],
    )
    assert [(one.heap_bytes, one.barrier, one.collector) for one in configs] == [
        *((MIB, "none", "never"), (MIB, "cards", "mostly-concurrent")),
        *((2 * MIB, "none", "never"), (2 * MIB, "cards", "mostly-concurrent")),
    ]
    assert [one.heap_params["nodes"] for one in configs] == [1, 1, 2, 2]
    assert [dict(one.collector_params) for one in configs[:2]] == [{}, {"every_s": 0.5}]


def test_the_example_of_the_docstring_is_whole() -> None:
    code = report.__doc__.partition("exports that::\n\n")[2].partition("\nKeys, captions")[0]
    script: dict[str, Any] = {}
    exec(dedent(code), script)
    plan = script["plan"](machine=NATIVE, quick=True)
    assert (len(plan.configs), plan.invocations) == (6, 1)
    run = make_run(make_outcomes(plan.configs), make_manifest("x"))
    assert [axes.get_label() for axes in script["figures"](run)["x-native"].axes] == [
        *("remark pause", "all stops of a cycle")
    ]
    assert "soft-dirty: longer than a millisecond from 10 k on" in told(script["table"](run))


# Units


@pytest.mark.parametrize("unit", [NS, PER_S, COUNT, BYTES, RATIO, PERCENT, SHARE, INSTRUCTIONS], ids=lambda u: u.name)
def test_a_unit_reads_the_same_in_tables_and_on_axes(unit: Unit) -> None:
    assert unit.words(float("nan")) == DASH
    for value in (1.0, 1024.0, 5e6):
        assert re.fullmatch(SHAPES[unit.name], unit.ticked(value))


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (2.1, 7.9, "log"),
        (11, 19, "log"),
        (900, 1100, "log"),
        (1, 9e6, "log"),
        (64 * MIB, 65 * MIB, "binary"),
        (0, 13, "linear"),
    ],
)
def test_no_axis_has_a_single_label_or_too_many(low: float, high: float, scale: str) -> None:
    for most in (4, 6):
        places = ticks(low, high, scale, most)
        assert 2 <= len(places) <= most
        assert all(low <= place <= high for place in places)


def test_tables_and_units_need_no_matplotlib() -> None:
    code = "import sys, gcbarrier.report.tables, gcbarrier.report.units; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Every axis of every experiment

# What each panel's axes are in, by its label; an axis with names on it has no unit.
UNITS: dict[str, dict[str, tuple[Unit | None, Unit | None]]] = {
    "pause_times": {
        "distribution": (NS, SHARE),
        "phases": (None, None),
        "throughput": (RATIO, None),
        "cpu": (RATIO, None),
        "all-cpu": (RATIO, None),
        "faults": (COUNT, None),
    },
    "dirty_rate": {
        "remark pause": (None, NS),
        "rounds before it": (None, COUNT),
        "all stops of a cycle": (None, NS),
        "stores per second managed": (None, PER_S),
    },
    "heap_scaling": {"the whole remark": (BYTES, NS), "its collect": (BYTES, None), "its rescan": (BYTES, None)},
    "rescan_rounds": {"remark pause": (NS, None), "collector, CPU": (NS, None), "mutator, CPU": (NS, None)},
    "stalls": {"tail": (NS, SHARE)},
    "boehm": {
        "stopped in a cycle": (NS, None),
        "processor time": (NS, None),
        "marking": (NS, None),
        "an allocation": (BYTES, NS),
    },
}


@pytest.mark.parametrize("name", UNITS)
def test_every_axis_of_sessions_reads_as_its_unit(name: str) -> None:
    seen = set()
    for figure in campaign.script_of(name).figures(looks_run(name)).values():
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            (panel,) = (label for label in UNITS[name] if axes.get_label().startswith(label))
            seen.add(panel)
            for axis, unit in zip((axes.xaxis, axes.yaxis), UNITS[name][panel], strict=True):
                there = labels(axis)
                if unit is not None:
                    assert len(there) > 1, f"{axes.get_label()}: {there} says nothing"
                    assert all(re.fullmatch(SHAPES[unit.name], text) for text in there), (axes.get_label(), there)
    assert seen == set(UNITS[name])


def probed(name: str, machine: Machine) -> Run:
    """A run of an experiment of probes, with readings such as they give."""
    own = "instructions" if machine.accelerator == "tcg-icount" else "ns"
    read = [
        Reading(what=what, x=x, value=value, low=value / 1.1, high=value * 1.2, unit=unit or own)
        for what, x, value, unit in READ[name]
    ]
    planned = campaign.script_of(name).plan(machine=machine, quick=True)
    findings = [
        Finding(probe=probe, index=index, machine=machine.name, readings=tuple(read))
        for probe in planned.probes
        for index in range(2)
    ]
    manifest = make_manifest(name)
    manifest["machines"][machine.name] = {**manifest["machines"]["native"], "accelerator": machine.accelerator}
    return evolve(make_run([], manifest), findings=tuple(findings))


_BOTH = (("arm", 0.0), ("first-store", 0.0), ("collect", 1.0), ("collect", 100.0))
READ: dict[str, list[tuple[str, float, float, str]]] = {
    "barrier_costs": [
        *((what, 0.0, 300.0, "") for what in ("store", "first-store", "arm")),
        *(("collect", x, 1000 * x + 50, "") for x in (0.03, 1.0, 10.0, 100.0)),
    ],
    "crossover": [("store", float(10**power), 900 / 10**power + 2, "") for power in range(6)],
    "overhead": [
        *((prefix + what, x, 1000.0, "") for prefix in ("", "bare-") for what, x in _BOTH),
        *((f"added-{what}", x, 2.0, "%") for what, x in _BOTH),
    ],
    "marking": [
        ("plain", 0.0, 20.0, ""),
        *((what, x, 18.0, unit) for what, unit in (("marker", ""), ("quotient", "x")) for x in (1.0, 2.0)),
        ("rescan", 1000.0, 900.0, ""),
    ],
}
_SIGNED = r"0|[+-][\d.,]+ %"


@pytest.mark.parametrize("name", READ)
def test_every_axis_of_probes_reads_as_one_unit(name: str) -> None:
    for figure in campaign.script_of(name).figures(probed(name, NATIVE)).values():
        FigureCanvasAgg(figure).draw()
        times = 0
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                there = labels(axis)
                shapes = {shape for shape in (*SHAPES.values(), _SIGNED) if all(re.fullmatch(shape, t) for t in there)}
                names = any(re.match(r"[^\d+-]", text) for text in there)
                assert shapes or names, (axes.get_label(), there)
                times += bool(there) and SHAPES["ns"] in shapes
        assert times, "no axis is in ns, and all of them measure time"


# Tables


def test_lines_have_a_row_for_each_cell_in_the_order_of_key_and_axis() -> None:
    run = small_run(rated("cards", 0.0), rated("cards", 1e5), rated("cards", 1e4), rated("none", 1e4, "never"))
    report = Report(
        title="Q?",
        figure=Comparison(),
        table=Lines(RATE, REMARK.ranged, Column(head="[n]", words=lambda cell: str(len(cell.good))), title="{heap}"),
    )
    table = told(report.table(run)).splitlines()
    assert table[0].strip() == "native · graph_edits"
    assert re.match(r"barrier +stores/s +remark +\[n\]", table[1])
    assert [row.split()[:2] for row in table[2:6]] == [["none", "10"], ["cards", "10"], ["100", "k"], ["no", "limit"]]
    assert re.search(rf"µs \([\d.]+ µs {DASH} [\d.]+ µs\)", table[3])


def test_across_has_a_column_for_each_value_and_what_is_said_of_a_row() -> None:
    run = small_run(rated("cards"), rated("cards", 1e5), rated("none", 1e5, "never"))
    table = Across(rows=BARRIER, columns=RATE, value=REMARK, last=[("cells", lambda cells: str(len(cells)))])
    rows = told(Report(title="Q?", figure=Comparison(), table=table).table(run)).splitlines()
    assert re.match(r"barrier +10 k stores/s +100 k stores/s +cells", rows[1])
    assert rows[2].split()[:2] == ["none", DASH]
    assert rows[3].split()[-1] == "2"


def test_a_column_may_compare_with_a_baseline_of_its_own_table() -> None:
    def ns(cell: Cell) -> float:
        return RATE.value(cell) * (1 if cell.config.barrier == "none" else 3)

    against = Measure("x", NS, ns).against(lambda cell: cell.config.barrier == "none", "/ none")
    run = small_run(*(rated(barrier, rate) for barrier in ("none", "cards") for rate in (1e4, 1e6)))
    rows = told(Report(title="Q?", figure=Comparison(), table=Lines(against, per=RATE)).table(run))
    assert rows.split().count("3.00") == 2


def test_sentences_are_filled_in_from_the_cells() -> None:
    late = Flag("late", lambda cell: RATE.value(cell) > 1e4)
    report = Report(
        title="Over {heap_bytes}, {heap_params.rate_per_s} a second.",
        figure=Comparison(),
        table=lambda machine, cells: [f"{machine}: {len(cells)} by hand"],
        closing=(late.first(RATE, "{barrier}: late from {x} on"), lambda _: ["one more", ""]),
    )
    run = small_run(rated("cards"), rated("cards", 1e5), rated("cards", 0.0), rated("none"))
    (figure,) = report.figures(run).values()
    assert figure.texts[0].get_text() == "Over 64 MiB, 0 or 10,000 or 100,000 a second. Machine: native"
    table = told(report.table(run))
    assert table.split("\n")[:3] == ["native: 4 by hand", "cards: late from 100 k on", "one more"]


def test_the_oracles_table_tells_collectors_apart() -> None:
    def verified(collector: str) -> Outcome:
        seen = Verification(
            cycles_checked=1,
            objects_checked=1,
            reported_granules=1,
            written_granules=1,
            false_dirty_granules=0,
            lost_granules=0,
            checksum_matches=True,
        )
        return evolve(make_outcome(rated("cards", collector=collector), 0), verification=seen)

    table = verification_table(make_run([verified("generational"), verified("mostly-concurrent")]))
    rows = [line.split() for line in told(table).splitlines()]
    assert "collector" in rows[1]
    assert [row[4:6] for row in rows[2:4]] == [["cards", "generational"], ["cards", "mostly-concurrent"]]


def test_what_the_oracle_has_not_seen_is_in_no_table_of_its_findings() -> None:
    def verified(barrier: str, cycles: int, written: int) -> Outcome:
        seen = Verification(
            cycles_checked=cycles,
            objects_checked=cycles,
            reported_granules=written,
            written_granules=written,
            false_dirty_granules=0,
            lost_granules=0,
            checksum_matches=True,
        )
        return evolve(make_outcome(rated(barrier), 0), verification=seen)

    seen, unseen = told(
        verification_table(make_run([verified("cards", 5, 7), verified("satb", 5, 0), verified("none", 0, 0)]))
    ).split("not seen by the oracle: ")
    rows = {row[4]: row[-4:] for row in map(str.split, seen.splitlines()) if row[4:5] in (["cards"], ["satb"])}
    assert rows == {"cards": ["7", "7", "0", "0"], "satb": ["-", "-", "-", "-"]}
    assert "none" not in seen
    assert unseen.startswith("checksums are right")
    assert "none" in unseen
    assert "pages" not in unseen


def test_cells_come_in_the_same_order_however_a_run_was_shuffled() -> None:
    configs = [rated(barrier, rate) for barrier in ("cards", "none") for rate in (1e6, 2e3, 1e5)]
    outcomes = make_outcomes([*configs, evolve(configs[0], heap_params={})], invocations=2)
    expected = [cell.config for cell in results.cells(outcomes)]
    assert [one.heap_params.get("rate_per_s") for one in expected] == [None, 2e3, 2e3, 1e5, 1e5, 1e6, 1e6]
    for seed in range(5):
        shuffled = Random(seed).sample(outcomes, len(outcomes))
        found = results.cells(shuffled)
        assert [cell.config for cell in found] == expected
        assert all([one.invocation.index for one in cell.outcomes] == [0, 1] for cell in found)


def test_a_report_of_nothing_says_so() -> None:
    report = Report(title="Q?", figure=(Curves(x=RATE, y=REMARK), Rows(rows=BARRIER, x=REMARK)), table=Lines(REMARK))
    assert "no invocation was recorded" in told(report.table(make_run([])))
    broken = make_run([evolve(make_outcome(rated("cards"), 0, error="out of [luck]"), pauses=())])
    assert report.figures(broken)
    assert "failed: native: graph_edits/cards/mostly-concurrent #0: out of [luck]" in told(report.table(broken))
    tails = Tails(of=lambda cell: results.histogram(cell.good), label="t", share="s")
    assert Report(title="Q?", figure=tails, table=Lines(REMARK)).figures(broken)
    assert not spread([])
