"""What reports show the width of, and the words for it."""

from planned import told
from synthetic import make_outcomes, make_run

from gcbarrier.model import Config
from gcbarrier.report import NS, Curves, Lines, Measure, Report, Rows
from gcbarrier.report.grammar import BARRIER, Axis, bracketed
from gcbarrier.report.shown import note, noting, spans
from gcbarrier.report.units import BYTES, DASH, format_ratio
from gcbarrier.results import spread

CARDS = Config(heap="gcbench", barrier="cards", collector="mostly-concurrent")
REMARK = Measure("remark\npause", NS, lambda cell: cell.medians("remark"))
LONGEST = Measure("longest", NS, lambda cell: cell.each(lambda one: max(pause.pause_ns for pause in one.pauses)))
SIZE = Axis("heap", "heap_bytes", BYTES)


def _run(invocations: int):
    return make_run(make_outcomes([CARDS], invocations=invocations))


def test_bars_and_brackets_are_noted_and_nothing_else_is():
    table = Report(title="Q?", figure=Curves(x=SIZE, y=LONGEST), table=Lines(REMARK.ranged, LONGEST))
    with noting() as shown:
        told(table.table(_run(5)))
    assert [(one.what, one.value.kind) for one in shown] == [("remark pause", "interval")]
    with noting() as shown:
        table.figures(_run(5))
    assert [one.what for one in shown] == ["longest"]
    with noting() as shown:
        Report(title="Q?", figure=Rows(rows=BARRIER, x=REMARK), table=()).figures(_run(2))
    assert [(one.what, one.value.kind, one.cell.config) for one in shown] == [("remark pause", "range", CARDS)]


def test_who_notes_within_another_takes_nothing_from_it():
    with noting() as outer:
        with noting() as inner:
            note(None, "x", spread([1.0]))
        note(None, "y", spread([1.0]))
    note(None, "z", spread([1.0]))
    assert ([one.what for one in outer], [one.what for one in inner]) == (["x", "y"], ["x"])


def test_below_a_table_stands_what_is_in_its_brackets():
    ranged = Report(title="Q?", figure=Curves(x=SIZE, y=REMARK), table=Lines(REMARK.ranged))
    plain = Report(title="Q?", figure=Curves(x=SIZE, y=REMARK), table=Lines(REMARK))
    assert "In brackets: 95 % bootstrap intervals over 7 invocations." in told(ranged.table(_run(7)))
    assert "In brackets: ranges of 3 invocations." in told(ranged.table(_run(3)))
    assert "brackets" not in told(ranged.table(_run(1)))
    assert "brackets" not in told(plain.table(_run(7)))


def test_ends_that_two_digits_do_not_tell_apart_have_more():
    assert bracketed(spread([1.0, 2.0]), format_ratio) == f"1.50 (1.00 {DASH} 2.00)"
    assert bracketed(spread([10610.0, 10690.0]), NS.words) == f"10.7 µs (10.6 µs {DASH} 10.7 µs)"
    assert bracketed(spread([7.0, 7.0]), NS.words) == "7 ns"


def test_both_are_named_where_there_are_both():
    few, five, nine = spread([1.0, 2, 3]), spread([1.0, 2, 3, 4, 5]), spread([float(n) for n in range(9)])
    assert spans([five, nine]) == "95 % bootstrap intervals over 5 to 9 invocations"
    assert spans([nine, few]) == (
        "95 % bootstrap intervals over 9 invocations, ranges of 3 invocations where there are fewer than 5"
    )
    assert spans([spread([1.0]), spread([])]) == ""
