"""``gcbarrier run`` as a user types it, mistakes included."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from places import PLUGINS

from gcbarrier import results
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.core.events import EVENT
from gcbarrier.machines.lab.paths import lab_home
from gcbarrier.plugins import discovery
from gcbarrier.results.run import load

Run = Callable[..., subprocess.CompletedProcess[str]]

NATIVE = ("--set", "machine=native", "--set", "barrier=uffd-wp-async")


@pytest.fixture
def run(gcbarrier: Run, needs, tmp_path: Path) -> Run:
    """``run("tiny", "--quick")`` with the tests' own plug-ins, in an empty folder."""
    needs("async-uffd-wp", "pagemap-scan")

    def start(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        return gcbarrier("--path", str(PLUGINS), "run", *arguments, **{"cwd": tmp_path, "timeout": 300} | options)

    return start


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_from_the_plan_to_the_figure(run: Run, tmp_path: Path) -> None:
    done = run("tiny", "--quick", "--out", "mine", "--set", "seed=7", *NATIVE)
    assert (done.returncode, done.stderr) == (0, ""), "quiet where there is no terminal"
    assert "uffd-wp-async" in done.stdout
    out = tmp_path / "mine"
    assert sorted(path.name for path in out.iterdir()) == [
        *("events", "figures", "manifest.json", "notes.csv", "outcomes.jsonl", "pauses.csv", "sources", "stalls.csv")
    ]
    assert sorted(path.name for path in (out / "figures").iterdir()) == ["tiny-native.png", "tiny-native.svg"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["seed"], manifest["quick"], manifest["experiment"]) == (7, True, "tiny")
    native = manifest["machines"]["native"]
    assert native["kernel"]["release"] == os.uname().release
    assert "-O2" in native["compiler"]["flags"]
    assert manifest["plans"]["native"]["configs"][0]["heap"] == "ring"
    with (out / "pauses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    loaded = load(out)
    assert len(rows) == len(results.pauses(loaded)) > 0
    assert {row["kind"] for row in rows} <= {"full", "remark"}
    assert len(loaded.outcomes) == 4
    for index, outcome in enumerate(loaded.outcomes):
        events = loaded.events(index)
        assert events.dtype == EVENT
        assert np.count_nonzero(events["kind"] == 1) >= len(outcome.pauses) > 0
        assert outcome.facts["fault_cost_ns"] > 0
    order = [(each.invocation.index, each.invocation.seed) for each in loaded.outcomes]
    assert order == [(0, 7), (0, 7), (1, 8), (1, 8)], "interleaved, each round with one seed"


def test_verify_says_what_was_checked(run: Run, tmp_path: Path) -> None:
    done = run("tiny", "--quick", "--verify", "--out", "mine", *NATIVE)
    assert done.returncode == 0, done.stderr
    for outcome in load(tmp_path / "mine").outcomes:
        assert outcome.verification is not None
        assert outcome.verification.checksum_matches
        assert outcome.verification.objects_checked > 0
    assert "checked" in done.stdout


def test_an_invocation_that_fails_is_recorded_and_the_rest_go_on(run: Run, tmp_path: Path) -> None:
    done = run("tiny", "--quick", "--out", "mine", *NATIVE, "--set", "ring.keep=true", "--set", "invocations=1")
    assert done.returncode == 1
    assert "out of memory" in done.stdout
    outcomes = load(tmp_path / "mine").outcomes
    assert len(outcomes) == 2
    assert all("out of memory" in outcome.error for outcome in outcomes)
    assert (tmp_path / "mine" / "figures" / "tiny-native.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tiney",), "no experiment is called 'tiney'; did you mean 'tiny'"),
        (("tiny", "--set", "heap_bytes=1TiB"), "a heap of 1024 GiB needs"),
        (("tiny", "--set", "heap_bytes=64"), "heap_bytes"),
        (("tiny", "--set", "barrier=soft-dirt"), "did you mean 'soft-dirty'"),
        (("tiny", "--set", "ring.entries=0"), "the heap ring can't be run like that"),
        (("tiny", "--set", "machine=native"), "soft-dirty is not available here: a written page does not read"),
        (("tiny", "--quick", "--fast"), "unrecognized arguments: --fast"),
        (("tiny", "--out", "/proc/mine", *NATIVE), "can't be written"),
        (("tiny", "--set", "heap=snapshot", "--set", "snapshot.graph=nowhere.npz", *NATIVE), "nowhere.npz"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    arguments: tuple[str, ...], said: str, run: Run, tmp_path: Path
) -> None:
    assert said in sentence(run(*arguments))
    assert list(tmp_path.iterdir()) == []


def test_without_a_lab_it_says_how_to_get_one(run: Run, tmp_path: Path) -> None:
    empty = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    said = sentence(run("tiny", env=empty))
    assert "soft-dirty" in said
    assert "run `gcbarrier lab setup`, or leave it out with `--set barrier=...`" in said


def test_without_a_compiler_it_says_what_to_do(run: Run, tmp_path: Path) -> None:
    empty = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "CC": "no-such-compiler"}
    assert "a C compiler is not available here: there is no no-such-compiler" in sentence(
        run("tiny", *NATIVE, env=empty)
    )


def test_a_taken_directory_is_refused_before_anything_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    begun = time.monotonic()
    assert "name another one with --out" in sentence(run("tiny", "--out", "mine", *NATIVE))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle_it_leaves_nothing(number: signal.Signals, tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    command = [sys.executable, "-c", STARTER, "--path", str(PLUGINS), "run", "tiny", "--out", "mine", *NATIVE]
    command += ["--set", "duration_s=30"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as child:
        worker = await_worker(child)
        child.send_signal(number)
        _, errors = child.communicate(timeout=30)
    assert (child.returncode, errors) == (130, "interrupted\n")
    assert list(tmp_path.iterdir()) == []
    assert not Path(f"/proc/{worker}").exists()


def test_killed_outright_it_leaves_no_process(tmp_path: Path, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    command = [sys.executable, "-c", STARTER, "--path", str(PLUGINS), "run", "tiny", "--out", "mine", *NATIVE]
    with subprocess.Popen([*command, "--set", "duration_s=30"], cwd=tmp_path) as child:
        worker = await_worker(child)
        child.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


STARTER = """
import signal, sys
from gcbarrier.commands import main
# A test run in the background inherits this as ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""


def await_worker(parent: subprocess.Popen[str]) -> int:
    """The process id of an invocation that has begun to run."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and parent.poll() is None:
        children = Path(f"/proc/{parent.pid}/task").glob("*/children")
        for worker in (int(each) for path in children for each in path.read_text().split()):
            try:
                if len(list(Path(f"/proc/{worker}/task").iterdir())) > 1:
                    return worker
            except OSError:
                continue
        time.sleep(0.02)
    raise AssertionError("no invocation was started")


def test_what_this_kernel_lacks_runs_in_the_lab_with_all_the_rest(run: Run, tmp_path: Path, needs) -> None:
    needs("lab")
    before = {path.name for path in lab_home().iterdir()}
    done = run("tiny", "--quick", "--verify", "--out", "mine", "--set", "invocations=1")
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = load(tmp_path / "mine")
    native, guest = loaded.machines
    assert native == "native"
    assert guest.startswith("lab-")
    assert {each.invocation.config.barrier for each in loaded.on("native")} == {"none", "uffd-wp-async"}
    assert {each.invocation.config.barrier for each in loaded.on(guest)} == {"none", "uffd-wp-async", "soft-dirty"}
    assert all(each.verification and each.verification.checksum_matches for each in loaded.outcomes)
    facts = loaded.facts(guest)
    assert facts["accelerator"] in ("tcg", "kvm")
    assert facts["kernel"]["config"]["CONFIG_MEM_SOFT_DIRTY"] in ("y", "unknown")
    assert facts["lab"]["qemu_version"]
    assert facts["compiler"] == loaded.facts("native")["compiler"], "the guest runs what was compiled here"
    assert {path.stem for path in (tmp_path / "mine" / "figures").iterdir()} == {"tiny-native", f"tiny-{guest}"}
    # At most a note of which accelerator served.
    left = {path.name for path in lab_home().iterdir()} - before
    assert all(name.startswith(("accelerator-", "base-")) for name in left)


def test_two_runs_of_one_second_have_a_directory_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(campaign.time, "strftime", lambda _: "20260101-000000")
    discovery.add_path(PLUGINS)
    chosen = settings.read(["machine=native", "barrier=uffd-wp-async", "invocations=1"])
    runs = [campaign.run("tiny", quick=True, settings=chosen) for _ in range(2)]
    assert [run.directory for run in runs] == [Path("runs/tiny-20260101-000000"), Path("runs/tiny-20260101-000000-2")]
    assert all(load(run.directory).outcomes for run in runs)
