"""``gcbarrier run --until``, interrupted among the invocations that it adds, and gone on with."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from places import PLUGINS

from gcbarrier.results import interval
from gcbarrier.results.run import load

EXPERIMENT = '''
"""Numbers that settle: how many invocations they take is known."""

from gcbarrier.campaign.plans import Plan, product
from gcbarrier.report import COUNT, Lines, Measure, Report, Rows
from gcbarrier.report.grammar import BARRIER

VALUES = [1.0, 2.0] + [1.5] * 100


def plan(*, machine, quick):
    pairs = [("none", "stop-the-world"), ("none", "never")]
    return Plan(configs=product(heap="ring", heap_bytes=8 << 20, duration_s=0.02, pairs=pairs), invocations=2)


SETTLING = Measure("settling", COUNT, lambda cell: cell.each(lambda one: VALUES[one.invocation.index]))
REPORT = Report(title="Q?", figure=Rows(rows=BARRIER, x=SETTLING), table=Lines(SETTLING.ranged))
figures, table = REPORT.figures, REPORT.table
'''
VALUES = [1.0, 2.0] + [1.5] * 100
ROUNDS = next(n for n in count(5) if interval(VALUES[:n]).half_width <= 0.4)
"""That it takes until the interval of the median is within 40 %."""

ASKED = ("--set", "machine=native", "--set", "seed=7")
STARTER = """
import signal, sys
from gcbarrier.commands import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of plug-ins with that experiment."""
    folder = Path(shutil.copytree(PLUGINS, tmp_path / "own", ignore=shutil.ignore_patterns("__pycache__")))
    (folder / "experiments" / "settles.py").write_text(EXPERIMENT)
    return folder


def interrupted(folder: Path, *arguments: str, after: int) -> None:
    """Interrupt a run once it has so many outcomes."""
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, "--path", "own", "run", *arguments], cwd=folder, stderr=subprocess.DEVNULL
    ) as child:
        deadline = time.monotonic() + 120
        lines = folder / "mine" / "outcomes.jsonl"
        while child.poll() is None and time.monotonic() < deadline:
            if lines.exists() and lines.read_bytes().count(b"\n") >= after:
                child.send_signal(signal.SIGINT)
                break
            time.sleep(0.01)
        child.communicate(timeout=60)


@pytest.mark.usefixtures("own")
def test_whole_rounds_are_added_and_an_interrupted_one_is_completed(gcbarrier: Command, tmp_path: Path) -> None:
    # The plan has two rounds of two.
    interrupted(tmp_path, "settles", "--out", "mine", "--until", "40%", "--budget", "2h", *ASKED, after=5)
    stopped = load(tmp_path / "mine")
    assert (stopped.state, "until" in stopped.manifest) == ("stopped", False)
    assert 5 <= len(stopped.outcomes) < 2 * ROUNDS
    done = gcbarrier("--path", "own", "run", "--resume", "mine", cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    run = load(tmp_path / "mine")
    told = run.manifest["until"]["native"]
    assert (run.state, told["why"], told["invocations"]) == ("complete", "narrow", ROUNDS)
    assert told["half_width"] == pytest.approx(interval(VALUES[:ROUNDS]).half_width)
    assert told["words"] in done.stdout.splitlines()
    assert run.manifest["plans"]["native"]["invocations"] == ROUNDS
    assert len(run.outcomes) == run.expected == 2 * ROUNDS
    order = [(each.invocation.index, each.invocation.seed) for each in run.outcomes]
    assert order == [(at, 7 + at) for at in range(ROUNDS) for _ in range(2)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--until", "5"), "in per cent, as 5%"),
        (("--until", "5%", "--budget", "long"), "as 90s, 30min or 2h"),
        (("--budget", "30min"), "there is no --until"),
    ],
)
def test_what_is_not_understood_is_refused(options, said, gcbarrier: Command, tmp_path: Path) -> None:
    done = gcbarrier("--path", str(PLUGINS), "run", "tiny", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()
