"""Tables out of summaries; and those of the README are what the committed summaries say."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from places import CHECKOUT
from synthetic import make_manifest, make_outcome, make_run

from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, evolve
from gcbarrier.report.numbers import summaries, written
from gcbarrier.report.units import DASH, TIMES
from gcbarrier.results.summarizing import summarize
from gcbarrier.results.summary import public, write

SUMMARIES = CHECKOUT / "experiments" / "summaries"
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
NONE = Config(heap="gcbench", barrier="none", collector="stop-the-world")
LOG = Config(heap="gcbench", barrier="uffd-wp-log", collector="mostly-concurrent")
MARKED = "before\n<!-- numbers some -->\nold\n<!-- end of numbers -->\nafter\n"

TABLES = """
[[table]]
name = "some"
experiment = "pause_times"
row = [
  { title = "cost", measure = "cpu", of = { barrier = "none" } },
  { title = "times", measure = "cpu", of = { barrier = "uffd-wp-log" }, over = { barrier = "none", collector = "stop-the-world" } },
  { title = "lately", measure = "cpu", of = { barrier = "none" }, since = "2026-06-01" },
  { title = "nobody's", measure = "cpu", of = { barrier = "cards" } },
]

[[table]]
name = "wide"
head = "what"
experiment = "pause_times"
columns = [
  { title = "here", measure = "cpu" },
  { title = "nowhere", measure = "cpu", of = { heap = "snapshot" } },
]
row = [{ title = "none", of = { barrier = "none" } }, { title = "cards", of = { barrier = "cards" } }]
"""  # noqa: E501

Machine = Callable[[str, int, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tables.toml").write_text(TABLES)
    return tmp_path


@pytest.fixture
def machine(folder: Path) -> Machine:
    """Writes the summary of a machine where ``none`` costs so many ns an operation, and the log twice that."""

    def make(name: str, cost_ns: int, date: str) -> None:
        outcomes = [
            evolve(one, mutator_cpu_ns=one.operations * cost_ns * times)
            for config, times in ((NONE, 1), (LOG, 2))
            for one in (make_outcome(config, index) for index in range(5))
        ]
        run = make_run(outcomes, {**make_manifest(), "date": f"{date}T10:11:12+00:00"})
        write(public(summarize(run)), folder / name / "pause_times.json")

    return make


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_a_row_is_the_range_over_machines_and_says_how_many(folder: Path, machine: Machine) -> None:
    machine("a", 300, "2026-01-01")
    machine("b", 400, "2026-07-01")
    text = written(MARKED, folder)
    assert rows(text)[2:] == [
        ["cost", f"300{DASH}400 ns", f"300{DASH}400 ns", "2"],
        ["times", "2.00 times", "2.00 times", "2"],
        ["lately", "400 ns", "400 ns", "1"],
    ], "what no machine has is left out"
    assert text.startswith("before\n<!-- numbers some -->\n|")
    assert text.endswith("<!-- end of numbers -->\nafter\n")
    assert TIMES not in text, "how many processors, this manifest does not tell"
    assert re.search(r"Machines: `a`: Intel Xeon .*, Linux 6\.18\.5, 2026-01-01 .*; `b`: ", text)


def test_a_column_that_no_machine_has_is_left_out(folder: Path, machine: Machine) -> None:
    machine("a", 300, "2026-01-01")
    assert rows(written(MARKED.replace("some", "wide"), folder)) == [
        ["what", "here"],
        ["---", "---:"],
        ["none", "300 ns"],
    ]


def test_what_is_written_again_stays(folder: Path, machine: Machine) -> None:
    machine("a", 300, "2026-01-01")
    text = written(MARKED, folder)
    assert written(text, folder) == text
    assert written("no mark", folder) == "no mark"


def test_a_row_that_fits_two_configurations_is_refused(folder: Path, machine: Machine) -> None:
    machine("a", 300, "2026-01-01")
    (folder / "tables.toml").write_text(TABLES.replace('of = { barrier = "none" } }', 'of = { heap = "gcbench" } }'))
    with pytest.raises(GcBarrierError, match="'cost' fits 2 configurations"):
        written(MARKED, folder)


def test_what_is_missing_is_a_sentence(folder: Path, machine: Machine) -> None:
    with pytest.raises(GcBarrierError, match="holds no summaries"):
        written(MARKED, folder)
    machine("a", 300, "2026-01-01")
    with pytest.raises(GcBarrierError, match="no table 'other'"):
        written(MARKED.replace("some", "other"), folder)
    (folder / "tables.toml").write_text(TABLES.replace('measure = "cpu", of', "of", 1))
    with pytest.raises(GcBarrierError, match="does not say its 'measure'"):
        written(MARKED, folder)
    (folder / "tables.toml").write_text("[[")
    with pytest.raises(GcBarrierError, match=r"tables\.toml can't be read"):
        written(MARKED, folder)


def test_the_readme_has_the_numbers_of_the_committed_summaries() -> None:
    assert README.count("<!-- numbers ") == README.count("<!-- end of numbers -->") > 0
    assert written(README, SUMMARIES) == README, "write them anew: gcbarrier summary --readme README.md"


def test_a_number_that_is_typed_by_hand_would_be_found() -> None:
    block = README.partition("<!-- numbers goals -->")[2].partition("<!-- end of numbers -->")[0]
    number = re.search(r"\| (\d[\d.,]*)", block)
    assert number is not None
    changed = README.replace(block, block.replace(number[1], "1234", 1))
    assert written(changed, SUMMARIES) == README != changed


def test_committed_summaries_are_of_whole_runs_and_name_nobody() -> None:
    for name, experiments in summaries(SUMMARIES).items():
        assert re.fullmatch("[a-z]", name), "a machine is a letter"
        for experiment, summary in experiments.items():
            assert summary.experiment == experiment
            assert summary.state == "complete"
            assert not summary.asked.get("quick")
            assert public(summary) == summary
