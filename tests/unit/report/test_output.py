"""Figures as files, and their numbers as text."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console
from synthetic import make_outcome, make_outcomes, make_run

from gcbarrier import report, results
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Outcome, evolve
from gcbarrier.report import Comparison, Pauses, Report
from gcbarrier.report.looks import sort_key
from gcbarrier.report.text import fold
from gcbarrier.report.units import DASH, format_ns, format_number, format_ratio
from gcbarrier.results.run import Run

NONE = Config(heap="gcbench", barrier="none", collector="stop-the-world")
REPORT = Report(title="Q?", figure=Comparison(), table=Pauses())
PAGEMAP = Config(heap="gcbench", barrier="uffd-wp-pagemap", collector="mostly-concurrent")


def test_files_are_png_and_svg_and_redrawing_gives_the_same(tmp_path: Path) -> None:
    small = make_run(make_outcomes([NONE, PAGEMAP], invocations=1, cycles=3))
    first = report.save(REPORT.figures(small), tmp_path / "deep" / "a")
    again = report.save(REPORT.figures(small), tmp_path / "b")
    assert [path.name for path in first] == ["pause_times-native.png", "pause_times-native.svg"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [path.name for path in again]
    png, svg = (path.read_bytes() for path in first)
    assert png.startswith(b"\x89PNG")
    assert b"<svg " in svg
    assert svg == again[1].read_bytes()


def test_a_name_is_no_way_out_of_the_directory(tmp_path: Path) -> None:
    written = report.save({"../../my lab/x": Figure(figsize=(1, 1))}, tmp_path / "out")
    assert [path.name for path in written] == ["-..-my-lab-x.png", "-..-my-lab-x.svg"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_where_no_cache_can_be_written_nothing_is_said(tmp_path: Path) -> None:
    surroundings = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    surroundings |= {"XDG_CACHE_HOME": "/proc/mine", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", "import gcbarrier.report, matplotlib; print(matplotlib.get_cachedir())"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=surroundings)
    assert done.stderr == ""
    assert Path(done.stdout).parent == tmp_path
    assert list(tmp_path.iterdir()) == [], "what was private to the process went with it"


class Undrawable(Figure):
    def savefig(self, *_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")


def test_figures_appear_all_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    both = {"fine": Figure(figsize=(1, 1)), "broken": Undrawable()}
    with pytest.raises(GcBarrierError, match=r"can't be written to .*: No space left on device; free some space"):
        report.save(both, out)
    assert list(tmp_path.iterdir()) == []
    out.mkdir(parents=True)
    (out / "fine.png").write_text("older")
    with pytest.raises(GcBarrierError):
        report.save(both, out)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("fine.png", "older")]


def test_a_file_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(GcBarrierError, match="choose a folder you can write to with --out"):
            report.save({"x": Figure(figsize=(1, 1))}, place)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ns"),
        (999.4, "999 ns"),
        (999.9, "1 µs"),
        (12_345, "12.3 µs"),
        (999_990, "1 ms"),
        (42e6, "42 ms"),
        (3e9, "3 s"),
        (float("nan"), DASH),
    ],
)
def test_durations_read_like_text(value: float, text: str) -> None:
    assert format_ns(value) == text


def test_numbers_read_like_text() -> None:
    assert [format_number(v) for v in (0, 0.9612, 20.11, 9725.6, 3.33e6, float("nan"))] == [
        *("0", "0.961", "20.1", "9,730", "3,330,000", DASH)
    ]
    assert [format_ratio(v) for v in (1, 0.956, 0.0314, 73.21)] == ["1.00", "0.96", "0.0314", "73.2"]


def test_small_print_breaks_between_facts() -> None:
    assert fold(["one two", "three four-five", "six"], 20) == ["one two ·", "three four-five ·", "six"]
    assert fold(["one", "two"], 8) == ["one ·", "two"], "no line begins with a dot"
    assert fold(["one two three", "four"], 10) == ["one two", "three ·", "four"]


@pytest.fixture(scope="module")
def run() -> Run:
    outcomes = make_outcomes([NONE, PAGEMAP, evolve(PAGEMAP, barrier="new[bold]er")])
    return make_run([*outcomes, make_outcome(PAGEMAP, 3, error="lost: [red]no[/red] answer")])


def _all_cpu(outcome: Outcome) -> float:
    return (outcome.mutator_cpu_ns + outcome.collector_cpu_ns) / outcome.operations


def numbers(run: Run) -> dict[tuple[str, str], list[str]]:
    """What the row of a barrier and kind of pause must show, worked out from the pauses themselves."""
    base = np.prod([o.operations / o.wall_ns for o in run.outcomes[::3] if not o.error]) ** (1 / 3)
    cpu = np.prod([o.mutator_cpu_ns / o.operations for o in run.outcomes[::3] if not o.error]) ** (1 / 3)
    bill = np.prod([_all_cpu(o) for o in run.outcomes[::3] if not o.error]) ** (1 / 3)
    rows: dict[tuple[str, str], list[str]] = {}
    for cell in sorted(results.cells(run.outcomes), key=lambda cell: sort_key(cell.config.barrier)):
        for row, kind in enumerate(cell.kinds):
            good = [outcome for outcome in cell.outcomes if not outcome.error]
            pauses = [[pause for pause in outcome.pauses if pause.kind == kind] for outcome in good]
            every = [pause.pause_ns for one in pauses for pause in one]
            shown = [str(len(every))]
            shown.append(format_ns(np.median([np.median([pause.pause_ns for pause in one]) for one in pauses])))
            shown += [format_ns(np.percentile(every, 95)), format_ns(max(every))]
            for phase in ("ttsp_ns", "collect_ns", "rescan_ns"):
                shown.append(format_ns(np.median([np.median([getattr(p, phase) for p in one]) for one in pauses])))
            shown.append(str(sum(pause.preempted for one in pauses for pause in one)))
            if row == 0:
                cycles = [range(1 + max(p.cycle for p in o.pauses)) for o in good]
                sums = [
                    [sum(p.pause_ns for p in o.pauses if p.cycle == c) for c in r]
                    for o, r in zip(good, cycles, strict=True)
                ]
                shown.append(format_ns(np.median([np.median(one) for one in sums])))
                stalls = [stall.stall_ns for o in good for stall in o.stalls]
                shown += [str(len(stalls)), format_ns(max(stalls)) if stalls else DASH]
                shown.append(f"{np.prod([o.operations / o.wall_ns / base for o in good]) ** (1 / 3):.3f}")
                shown.append(f"{np.prod([o.mutator_cpu_ns / o.operations / cpu for o in good]) ** (1 / 3):.3f}")
                shown.append(f"{np.prod([_all_cpu(o) / bill for o in good]) ** (1 / 3):.3f}")
                shown.append(format_number(np.median([1000 * o.minor_faults / o.operations for o in good])))
            rows[cell.config.barrier, kind] = shown
    return rows


def test_the_table_for_a_pipe_is_plain_and_has_all_numbers(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    report.show(REPORT.table(run))
    output = capsys.readouterr().out
    assert "\x1b" not in output
    lines = [line for line in output.splitlines() if line]
    assert lines[0] == "native · gcbench, 64 MiB"
    rows = numbers(run)
    assert set(rows) == {
        *(("none", "full"), ("uffd-wp-pagemap", "remark"), ("uffd-wp-pagemap", "rearm"), ("new[bold]er", "remark"))
    }
    barrier = ""
    for line in lines[2:6]:
        barrier = line.split()[0] if not line.startswith(" ") else barrier
        kind = next(kind for kind in ("full", "remark", "rearm") if f" {kind} " in line)
        assert " ".join(line.split()).endswith(" ".join([kind, *rows.pop((barrier, kind))]))
    assert rows == {}
    cell = next(cell for cell in results.cells(run.outcomes) if cell.config.barrier == "none")
    late = [
        np.percentile([pause.pause_ns for pause in outcome.pauses], 95)
        for outcome in run.outcomes
        if outcome.invocation.config.barrier == "none"
    ]
    assert f"none full {format_ns(cell.percentile(95).centre)} ({format_ns(min(late))} {DASH}" in lines[6]
    assert lines[-2] == "In brackets: ranges of 3 invocations."
    assert lines[-1] == ("failed: native: gcbench/uffd-wp-pagemap/mostly-concurrent #3: lost: [red]no[/red] answer")


@pytest.mark.parametrize("width", [240, 80, 40])
def test_the_table_for_a_terminal_has_all_numbers_whatever_its_width(run: Run, width: int) -> None:
    screen = io.StringIO()
    Console(file=screen, width=width, force_terminal=True, color_system=None).print(REPORT.table(run))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    flat = " ".join(screen.getvalue().split())
    assert "…" not in flat
    position = 0
    for shown in numbers(run).values():
        # In a list what there is none of is left out.
        for number in (each for each in shown if width > 80 or each != DASH):
            assert number in flat[position:]
            position = flat.index(number, position)
    heads = ["n", "stopped/cycle", "ops/s vs none", "CPU/op vs none", "faults/1k ops"]
    assert all(head in flat for head in heads)


def test_a_table_without_pauses_or_outcomes_says_so() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=60)
    console.print(REPORT.table(make_run([])))
    console.print(REPORT.table(make_run([make_outcome(PAGEMAP, 0, cycles=0)])))
    assert screen.getvalue().startswith("no invocation was recorded\nnative · gcbench, 64 MiB\n")
    assert "no pauses · n 0 · preempted 0 · stalls 2 ·\n  worst stall 10 ms · faults/1k ops" in screen.getvalue()
