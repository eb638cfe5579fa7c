"""A run on a busy machine says so wherever its numbers are looked at."""

from io import StringIO

import pytest
from rich.console import Console
from synthetic import make_outcome, make_run

from gcbarrier.model import Config, Temper, evolve
from gcbarrier.report import busy_lines
from gcbarrier.report.footer import footer
from gcbarrier.report.html.page import _notes
from gcbarrier.report.page import page
from gcbarrier.report.style import styled
from gcbarrier.results.run import Run

SECOND = 1_000_000_000
CONFIG = Config(heap="graph_edits", barrier="cards", collector="mostly-concurrent")
SAID = "the machine was busy in 1 of 2 invocations: others used 1 of the 2 processors"


def run(*, others_ns: int) -> Run:
    tempers = [Temper(processors=2, wall_ns=SECOND, others_ns=each, steal_ns=0) for each in (0, others_ns)]
    return make_run([evolve(make_outcome(CONFIG, index), temper=temper) for index, temper in enumerate(tempers)])


@pytest.mark.parametrize(("others_ns", "words"), [(SECOND, ", busy in 1 of 2 invocations"), (0, "")])
def test_the_heading_of_a_figure_says_so(others_ns: int, words: str) -> None:
    with styled():
        figure, _ = page(run(others_ns=others_ns), "native", "How long?", width=5, height=2)
    assert figure.texts[0].get_text() == f"How long? Machine: native{words}"


def test_so_does_what_is_printed_below_it() -> None:
    assert SAID in footer(run(others_ns=SECOND), "native", 1000)
    assert "busy" not in footer(run(others_ns=0), "native", 1000)


def test_and_the_terminal() -> None:
    console = Console(file=StringIO(), width=1000)
    console.print(busy_lines(run(others_ns=SECOND)))
    assert f"native: {SAID}" in console.file.getvalue()
    assert busy_lines(run(others_ns=0)) is None


def test_and_the_page_to_hand_on() -> None:
    assert any(SAID in note for note in _notes(run(others_ns=SECOND)))
    assert _notes(run(others_ns=0)) == []
