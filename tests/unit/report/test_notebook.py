"""What a notebook shows of records: Jupyter asks each for ``_repr_html_`` or ``_repr_svg_``."""

from typing import Any
from xml.etree import ElementTree

from matplotlib.figure import Figure
from synthetic import make_outcome, make_outcomes, make_run

import gcbarrier
from gcbarrier.displayed import Displayed
from gcbarrier.model import Config, Finding, Probe, Reading, evolve
from gcbarrier.report import Comparison, Pauses, Report
from gcbarrier.report.displayed import Figures
from gcbarrier.results import cells
from gcbarrier.results.outcomes import Outcomes

HOSTILE = "<script>alert('&')</script>"
PAIRS = [("none", "stop-the-world"), ("uffd-wp-async", "mostly-concurrent"), ("soft-dirty", "mostly-concurrent")]
CONFIGS = [Config(heap="gcbench", barrier=barrier, collector=collector) for barrier, collector in PAIRS]
RUN = make_run([*make_outcomes(CONFIGS), make_outcome(CONFIGS[1], 9, error=HOSTILE)])


def shown(record: Any) -> tuple[str, list[list[str]]]:
    """What is said, and the rows of all tables in it."""
    html = record._repr_html_()
    assert "<script>" not in html
    root = ElementTree.fromstring(html)
    rows = [["".join(place.itertext()) for place in row] for row in root.iter("tr")]
    return " ".join("".join(each.itertext()) for each in root.iter("p")), rows


def test_a_run_is_its_configurations_with_pauses_and_bill() -> None:
    said, (head, *rows) = shown(RUN)
    assert "10 invocations, 1 failed" in said
    assert f"failed: gcbench/uffd-wp-async/mostly-concurrent: {HOSTILE}" in said
    assert [row[1] for row in rows] == ["none", "uffd-wp-async", "soft-dirty"]
    assert head[-4:] == ["median", "stopped/cycle", "CPU/op vs none", "all CPU vs none"]
    assert all(place for row in rows for place in row)


def test_outcomes_are_a_tuple_and_a_table() -> None:
    outcomes = Outcomes(RUN.outcomes)
    assert outcomes == RUN.outcomes
    said, rows = shown(outcomes)
    assert "10 invocations, 1 failed" in said
    assert rows == shown(RUN)[1]
    # As text: what is not known is nan, which is not even like itself.
    assert str(gcbarrier.pauses(outcomes).tolist()) == str(gcbarrier.pauses(RUN.outcomes).tolist())


def test_a_cell_is_its_invocations_and_an_outcome_its_pauses() -> None:
    cell = next(one for one in cells(RUN.outcomes) if one.config.barrier == "soft-dirty")
    said, (_, *rows) = shown(cell)
    assert "gcbench/soft-dirty/mostly-concurrent" in said
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert set(rows[0][1].split(" and ")) == {"remark", "rearm"}
    said, rows = shown(cell.outcomes[0])
    assert "invocation 0" in said
    assert {row[0] for row in rows[1:3]} == {"remark", "rearm"}
    assert rows[3][:2] == ["wall", "operations"]


def test_what_failed_is_told_and_no_more_of_it_than_one_can_read() -> None:
    said, rows = shown(make_outcome(CONFIGS[1], 0, error=HOSTILE + "x" * 5000))
    assert HOSTILE in said
    assert len(said) < 600
    many = Outcomes(make_outcome(CONFIGS[1], at, error="no") for at in range(9))
    assert "and 6 more that failed" in shown(many)[0]
    many = Outcomes(make_outcome(evolve(CONFIGS[1], mutators=at + 1), 0, cycles=1) for at in range(40))
    said, rows = shown(many)
    assert "and 10 more" in said
    assert len(rows) == 31


def test_a_finding_is_its_readings() -> None:
    reading = Reading(what="first-store", value=12.0, unit="ns", samples=3)
    said, rows = shown(Finding(probe=Probe(function="a:b", barrier="cards"), index=2, machine="m", readings=(reading,)))
    assert "b/cards" in said
    assert rows[1] == ["first-store", "0", "12", "ns", "3"]


def test_figures_show_themselves_one_by_one_and_together() -> None:
    figures = Report(title="x", figure=Comparison(), table=Pauses()).figures(RUN)
    (figure,) = figures.values()
    assert figure._repr_svg_().lstrip().startswith("<?xml")
    html = Figures({**figures, "by hand <": Figure()})._repr_html_()
    assert html is not None
    root = ElementTree.fromstring(html)
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    assert len([each for each in root.iter() if each.tag == "svg"]) == 2


def test_who_is_not_known_is_left_to_its_plain_words() -> None:
    class Another(Displayed):
        pass

    assert Another()._repr_html_() is None
