"""Runs that are interrupted, killed, gone on with, and run again elsewhere."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from places import PLUGINS
from synthetic import make_outcome

from gcbarrier.campaign import again, provenance
from gcbarrier.campaign.course import first_words
from gcbarrier.campaign.plans import Plan
from gcbarrier.campaign.request import Request
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Measured, converter
from gcbarrier.results.run import Run, load
from gcbarrier.results.writer import RunWriter

NATIVE = ("--set", "machine=native", "--set", "barrier=uffd-wp-async")
SHORT = (*NATIVE, "--set", "seed=7", "--set", "duration_s=0.2", "--set", "invocations=3")

STARTER = """
import signal, sys
from gcbarrier.commands import main
# A test run in the background inherits this as ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def gc(gcbarrier: Command, needs, tmp_path: Path) -> Command:
    """``gc("run", "tiny")`` in an empty folder, with the tests' plug-ins where ``own`` put them."""
    needs("async-uffd-wp", "pagemap-scan")
    return lambda *arguments, **options: gcbarrier(*arguments, **{"cwd": tmp_path, "timeout": 300} | options)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of plug-ins that may be changed."""
    return Path(shutil.copytree(PLUGINS, tmp_path / "own", ignore=shutil.ignore_patterns("__pycache__")))


def stopped_by(number: signal.Signals, folder: Path) -> str:
    """End a run in ``folder`` after its first invocation; what it said."""
    command = [sys.executable, "-c", STARTER, "--path", "own", "run", "tiny", "--out", "mine", *SHORT]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 120
        while child.poll() is None and time.monotonic() < deadline:
            lines = folder / "mine" / "outcomes.jsonl"
            if lines.exists() and lines.read_bytes().count(b"\n") >= 1:
                child.send_signal(number)
                break
            time.sleep(0.01)
        return child.communicate(timeout=60)[1]


def order(run: Run) -> list[tuple[str, int, int]]:
    return [(each.invocation.config.barrier, each.invocation.index, each.invocation.seed) for each in run.outcomes]


@pytest.fixture
def stopped(own: Path, needs, tmp_path: Path) -> Path:
    """A run directory of a run that was interrupted."""
    needs("async-uffd-wp", "pagemap-scan")
    assert own.parent == tmp_path
    said = stopped_by(signal.SIGINT, tmp_path)
    assert said.splitlines()[-1] == "interrupted"
    assert "`gcbarrier run --resume mine` does the rest" in said
    return tmp_path / "mine"


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_was_finished_is_drawn_and_the_rest_is_done(number: signal.Signals, gc: Command, tmp_path: Path) -> None:
    stopped_by(number, tmp_path)
    run = load(tmp_path / "mine")
    assert run.state == ("stopped" if number == signal.SIGINT else "killed")
    assert run.expected == 6
    assert 0 < len(run.outcomes) < 6
    drawn = gc("--path", "own", "plot", "mine")
    assert drawn.returncode == 0, drawn.stderr
    assert f"{len(run.outcomes)} of 6 outcomes are there" in drawn.stdout
    assert list((tmp_path / "mine" / "figures").iterdir())
    done = gc("run", "--resume", "mine")
    assert done.returncode == 0, done.stderr
    whole = load(tmp_path / "mine")
    assert (whole.state, len(whole.outcomes)) == ("complete", 6)
    assert gc("--path", "own", "run", "tiny", "--out", "at_once", *SHORT).returncode == 0
    assert order(whole) == order(load(tmp_path / "at_once")), "the same seeds in the same order"
    assert [len(whole.events(index)) > 0 for index in range(6)] == [True] * 6
    again = gc("run", "--resume", "mine")
    assert (again.returncode, again.stdout) == (2, "")
    assert "is complete" in again.stderr


def test_a_run_whose_plug_in_changed_is_not_gone_on_with(stopped: Path, gc: Command, tmp_path: Path) -> None:
    mutator = tmp_path / "own" / "heaps" / "ring" / "mutator.c"
    mutator.write_text(mutator.read_text() + "/* as if it were another */\n")
    before = len(load(stopped).outcomes)
    done = gc("run", "--resume", "mine")
    assert (done.returncode, done.stdout) == (2, "")
    assert "heaps/ring has changed (heaps/ring/mutator.c)" in done.stderr
    assert len(load(stopped).outcomes) == before


def test_a_run_is_run_again_from_its_directory_alone(stopped: Path, gc: Command, tmp_path: Path) -> None:
    """Its plug-ins are gone, and so is the machine that had them: the copies serve."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stopped.rename(elsewhere / "theirs")
    shutil.rmtree(tmp_path / "own")
    done = gc("run", "--from", "theirs", "--out", "ours", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    theirs, ours = load(elsewhere / "theirs"), load(elsewhere / "ours")
    assert order(ours)[: len(theirs.outcomes)] == order(theirs)
    assert len(ours.outcomes) == ours.expected == 6
    assert ours.manifest["repeats"]["seed"] == 7
    assert "not as in" not in done.stderr


def test_a_manifest_alone_will_do_where_the_plug_ins_are(stopped: Path, gc: Command, tmp_path: Path) -> None:
    shutil.copy(stopped / "manifest.json", tmp_path / "a_paper.json")
    mutator = tmp_path / "own" / "heaps" / "ring" / "mutator.c"
    mutator.write_text(mutator.read_text() + "/* as if it were another */\n")
    done = gc("--path", "own", "run", "--from", "a_paper.json", "--out", "ours")
    assert done.returncode == 0, done.stderr
    assert "not as in a_paper.json: heaps/ring has changed" in done.stderr
    assert len(load(tmp_path / "ours").outcomes) == 6


def test_the_manifest_tells_how_it_was_run(stopped: Path) -> None:
    manifest = json.loads((stopped / "manifest.json").read_text())
    assert manifest["command_line"][1:] == ["--path", "own", "run", "tiny", "--out", "mine", *SHORT]
    assert manifest["search_path"] == ["own"]
    assert manifest["stopped"] == "interrupted"
    sources = manifest["sources"]
    assert {"heaps/ring", "experiments/tiny", "barriers/uffd-wp-async", "collectors/once-more"} <= set(sources)
    assert sources["heaps/ring"]["shipped"] is False
    for name in sources["heaps/ring"]["files"]:
        assert (stopped / "sources" / name).is_file()
    core = manifest["machines"]["native"]["core"]
    assert (stopped / "sources" / "built" / f"{core['name']}.so").is_file()


def test_a_run_is_gone_on_with_and_drawn_from_its_own_copies(stopped: Path, gc: Command, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "own")
    drawn = gc("plot", "mine")
    assert drawn.returncode == 0, drawn.stderr
    done = gc("run", "--resume", "mine")
    assert done.returncode == 0, done.stderr
    assert (load(stopped).state, len(load(stopped).outcomes)) == ("complete", 6)


@pytest.mark.usefixtures("own")
def test_a_run_that_was_killed_before_it_measured_is_gone_on_with(gc: Command, tmp_path: Path) -> None:
    """It has not said yet what it was made with, but where it searched."""
    assert gc("--path", "own", "run", "tiny", "--out", "mine", *SHORT).returncode == 0
    manifest = json.loads((tmp_path / "mine" / "manifest.json").read_text())
    shutil.rmtree(tmp_path / "mine")
    killed = {key: value for key, value in manifest.items() if key not in ("sources", "given", "awaited", "lacking")}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".gcbarrier-run").touch()
    (tmp_path / "mine" / "manifest.json").write_text(
        json.dumps(killed | {"plans": {}, "machines": {}, "state": "running"})
    )
    done = gc("run", "--resume", "mine")
    assert done.returncode == 0, done.stderr
    assert len(load(tmp_path / "mine").outcomes) == 6


@pytest.mark.usefixtures("own")
def test_who_interrupts_the_drawing_is_told_that_the_run_is_kept(gc: Command, tmp_path: Path) -> None:
    script = tmp_path / "own" / "experiments" / "tiny.py"
    script.write_text(script.read_text() + "\ndef figures(run):\n    raise KeyboardInterrupt\n")
    done = gc("--path", "own", "run", "tiny", "--out", "mine", "--quick", *NATIVE)
    assert (done.returncode, load(tmp_path / "mine").state) == (130, "complete")
    assert "`gcbarrier plot mine` draws it again\ninterrupted" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say which experiment to run"),
        (("--resume", "nowhere"), "there is no such directory"),
        (("--from", "nowhere"), "there is no such directory"),
        (("tiny", "--resume", "x"), "so EXPERIMENT can't be given with it: leave it out"),
        (("--resume", "x", "--from", "y", "--quick"), "so --from and --quick can't be given with it"),
        (("--from", "x", "--set", "seed=1"), "so --set can't be given with it"),
        (("--from", os.devnull), "is no run directory"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], said: str, gc: Command) -> None:
    done = gc("--path", str(PLUGINS), "run", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr


def test_a_run_whose_graph_is_gone_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its copy would be a file of another name, and so another configuration than those that were measured."""
    graph = tmp_path / "my.graph.npz"
    graph.write_bytes(b"a graph")
    config = Config(heap="snapshot", barrier="none", collector="never", heap_params={"graph": str(graph)})
    words = first_words(Request(experiment="pause_times"), seed=1) | {
        "plans": {"native": converter.unstructure(Plan(configs=(config,), invocations=2))},
        "given": {str(graph): provenance.digest(graph)},
    }
    with RunWriter(tmp_path / "run", words) as writer:
        writer.keep({provenance.copy_of(str(graph)): graph})
        writer.add(Measured(record=make_outcome(config, 0)))
    assert again.to_resume(tmp_path / "run")[0].seed == 1
    graph.unlink()
    with pytest.raises(GcBarrierError, match=r"my.graph.npz is not there any more \(a copy is .*given/"):
        again.to_resume(tmp_path / "run")


def test_a_dry_run_says_what_would_be_run_and_leaves_nothing(gc: Command, tmp_path: Path) -> None:
    done = gc("--path", str(PLUGINS), "run", "tiny", "--dry-run", *SHORT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ring/uffd-wp-async/once-more" in done.stdout
    assert "2 times 3 invocations: 6, some" in done.stdout
    assert list(tmp_path.iterdir()) == []
