"""Adding invocations until a report is precise enough: what stops it, what it looks at, and what it says."""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import make_outcomes, make_run

from gcbarrier.campaign import until
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, evolve
from gcbarrier.report import NS, Curves, Lines, Measure, Report
from gcbarrier.report.grammar import Axis
from gcbarrier.report.shown import Shown
from gcbarrier.report.units import BYTES
from gcbarrier.results import Spread, spread

CARDS = Config(heap="gcbench", barrier="cards", collector="mostly-concurrent", heap_params={"x": 1})
MPROTECT = evolve(CARDS, barrier="mprotect", heap_params={"x": 2})
ROUND_S = 10.0


class Machine:
    """Invocations at so much each, of numbers that lie so far apart."""

    def __init__(self, apart=0.1, invocations=3):
        self.now, self.added, self.looks = 100.0, [], 0
        self._numbers = np.random.default_rng(6).normal(1, apart, 500)
        self._there = invocations

    def add(self, index):
        self.added.append(index)
        self.now += ROUND_S
        self._there += 1

    def shown(self):
        self.looks += 1
        return [Shown(cell=SimpleNamespace(config=CARDS), what="remark", value=spread(self._numbers[: self._there]))]

    def grow(self, wanted, budget_s=1e9, **given):
        start = self._there
        return until.grow(
            "here",
            self.add,
            self.shown,
            wanted=wanted,
            budget_s=budget_s,
            invocations=start,
            clock=lambda: self.now,
            **given,
        )


def test_it_stops_at_the_first_look_that_is_narrow_enough():
    machine = Machine()
    found = machine.grow(0.05)
    assert (found.why, found.invocations) == ("narrow", 3 + len(machine.added))
    assert machine.added == list(range(3, found.invocations)), "each round has the next number"
    assert 0 < found.half_width <= 0.05
    assert until.half_width(Shown(cell=None, what="", value=spread(machine._numbers[: found.invocations - 1]))) > 0.05
    assert machine.looks == found.invocations - 4, "none below five invocations"
    assert "each of the 1 intervals shown is within ±5 %" in found.words


def test_it_does_not_begin_a_round_that_would_end_beyond_the_budget():
    machine = Machine(apart=0.5)
    found = machine.grow(0.01, budget_s=95.0, spent_s=30.0)
    # 30 s for the plan's own three leave room for six at 10 s each.
    assert (found.why, found.invocations, len(machine.added)) == ("budget", 9, 6)
    assert "the budget of 95 s ended with 1 of 1 intervals wider than ±1 %; the widest, remark of" in found.words


def test_a_budget_that_is_spent_by_the_plan_leaves_a_range():
    machine = Machine()
    found = machine.grow(0.05, budget_s=20.0, spent_s=30.0)
    assert (found.why, machine.added) == ("budget", [])
    assert "a range as yet" in found.words


def test_it_ends_where_nothing_helps(monkeypatch):
    monkeypatch.setattr(until, "MOST", 12)
    assert Machine(apart=5).grow(0.001).words.count("12 invocations: no more are added") == 1


def test_where_no_interval_is_shown_none_is_waited_for():
    machine = Machine()
    machine.shown = lambda: [Shown(cell=None, what="x", value=spread([5.0]))]
    found = machine.grow(0.05)
    assert (found.why, found.invocations) == ("nothing", 5)
    assert "no interval over invocations" in found.words


@pytest.mark.parametrize(
    ("value", "width"),
    [
        (spread([1.0] * 5), 0),
        (spread([0.0] * 5), 0),
        (spread([1.0, 2]), float("inf")),
        (spread([1.0]), float("nan")),
        (spread([]), float("nan")),
        (spread([-1.0, 0, 0, 0, 1]), float("nan")),
        (Spread(centre=2.0, low=1.0, high=3.0, each=(1.0,) * 9, kind="interval"), 0.5),
        (Spread(centre=2.0, low=1.0, high=3.0, each=(1.0,) * 9, kind="range"), float("nan")),
        (Spread(centre=2.0, low=1.0, high=3.0, each=(1.0,) * 3, kind="samples"), float("nan")),
    ],
)
def test_how_wide_something_is(value, width):
    assert until.half_width(Shown(cell=None, what="x", value=value)) == pytest.approx(width, nan_ok=True)


def test_the_widest_is_named_by_what_it_differs_in():
    cells = [SimpleNamespace(config=config) for config in (CARDS, MPROTECT)]
    values = spread([1.0, 1.1, 1, 1, 1]), spread([1.0, 9, 1, 5, 1])
    shown = [Shown(cell=cell, what="remark", value=value) for cell, value in zip(cells, values, strict=True)]
    shown.append(Shown(cell=cells[0], what="rounds", value=spread([0.0, 0, 0, 1, 2])))
    found = until._looked("here", [*shown, *shown], 0.1, 5)
    assert (found.widest, found.shown, found.wider) == ("remark of gcbench/mprotect/mostly-concurrent (x=2)", 2, 1)
    assert found.around_zero == 1
    assert "1 around 0 have no relative width" in found.words


def test_it_looks_at_what_figures_and_tables_show_of_one_machine():
    remark = Measure("remark", NS, lambda cell: cell.medians("remark"))
    late = Measure("late", NS, lambda cell: cell.percentile(95))
    hidden = Measure("hidden", NS, lambda cell: cell.medians("remark", "ttsp_ns"))
    size = Axis("heap", "heap_bytes", BYTES)
    script = Report(title="Q?", figure=Curves(x=size, y=remark), table=Lines(late.ranged, hidden))
    report = SimpleNamespace(figures=script.figures, table=script.table)
    run = make_run([*make_outcomes([CARDS]), *make_outcomes([CARDS], machine="elsewhere", invocations=6)])
    assert [(one.what, len(one.value.each)) for one in until.shown_by(report, run, "elsewhere")] == [
        ("remark", 6),
        ("late", 6),
    ]


def test_a_plan_says_what_may_follow_it():
    words = until.promise(0.05, 1800)
    assert "within ±5 %: at least 5 in all, and for at most 30 min on a machine" in words


def test_how_narrow_and_for_how_long_are_read_as_they_are_written():
    assert [until.read_share(text) for text in ("5%", " 2.5 % ", "0.1%")] == pytest.approx([0.05, 0.025, 0.001])
    assert [until.read_time(text) for text in ("90s", "30min", "1.5 h")] == [90, 1800, 5400]
    for text in ("5", "0.05", "0%", "100%", "-5%", "wide", ""):
        with pytest.raises(GcBarrierError, match="per cent"):
            until.read_share(text)
    for text in ("30", "30m", "0s", "soon"):
        with pytest.raises(GcBarrierError, match="30min"):
            until.read_time(text)
