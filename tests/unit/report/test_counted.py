"""What was counted beside the pauses, in the terminal's table."""

from planned import told
from synthetic import make_outcome, make_run

from gcbarrier.model import Config, Invocation, Note, Outcome, evolve
from gcbarrier.report import counted_table

CONFIG = Config(heap="graph_edits", barrier="uffd-wp-log", collector="mostly-concurrent")


def noted(index: int, *values: float, tallied: int = 0, error: str = "") -> Outcome:
    notes = tuple(Note(cycle=cycle, name="helped", value=value) for cycle, value in enumerate(values, start=1))
    return evolve(make_outcome(CONFIG, index, error=error), notes=notes, tallies={"fell back": tallied})


def test_medians_are_over_the_invocations_that_did_not_fail() -> None:
    table = counted_table(
        make_run(
            [
                noted(0, 1, 2, 60, tallied=5),
                noted(1, 4, tallied=8),
                noted(2, 10, 20, tallied=11),
                noted(3, 900, tallied=900, error="it hung"),
            ]
        )
    )
    title, _, *rows = told(table).splitlines()
    assert title.strip() == "counted beside the pauses"
    where = ["native", "graph_edits,", "64", "MiB", "uffd-wp-log", "mostly-concurrent"]
    assert [row.split() for row in rows] == [
        [*where, "fell", "back", "invocation", "8", "5", "11", "24"],
        ["helped", "cycle", "4", "2", "15", "97"],  # of the same: what stands above
    ]


def test_of_one_invocation_there_is_no_range() -> None:
    (row,) = told(counted_table(make_run([evolve(noted(0, 3, 5), tallies={})]))).splitlines()[2:]
    assert row.split()[-4:] == ["4", "–", "–", "8"]  # noqa: RUF001


def test_configurations_are_told_apart_by_their_parameters() -> None:
    slow, fast = (
        evolve(noted(0, 7), invocation=Invocation(config=evolve(CONFIG, heap_params={"rate": rate}), index=0, seed=1))
        for rate in (10, 20)
    )
    text = told(counted_table(make_run([slow, fast])))
    assert "graph_edits, 64 MiB (rate=10)" in text
    assert "graph_edits, 64 MiB (rate=20)" in text
    assert "fell back" not in text, "what never happened is not told"


def test_there_is_no_table_of_nothing() -> None:
    assert counted_table(make_run([make_outcome(CONFIG, 0), noted(1, 7, tallied=7, error="no")])) is None
