"""``gcbarrier import --python``: nothing of the program is changed, and what can't be captured is a sentence."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from captured import GCBARRIER, PYTHONS, captured, of_degree, program, referred, run
from places import CHECKOUT

from gcbarrier.commands import main
from gcbarrier.graphs import graphfile


def test_input_output_arguments_and_environment_are_the_programs_own(tmp_path: Path) -> None:
    text = """
        import os, sys, subprocess
        print(sys.argv, sys.stdin.read(), "sitecustomize" in sys.modules and sys.modules["sitecustomize"].__file__)
        print(sorted(os.environ) == eval(os.environ["NAMES"]), os.environ["PYTHONPATH"], sys.path[1])
        print(subprocess.run([sys.executable, "-c", "import sys; print(len(sys.path))"], capture_output=True).stdout)
        sys.stderr.write("so it is\\n")
        sys.exit(3)
    """
    name = program(tmp_path, text)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "NAMES": ""}
    environment["NAMES"] = repr(sorted(environment))
    words = [sys.executable, name, "--at", "-m", "--", "x y"]
    plain = subprocess.run(words, input="said", capture_output=True, text=True, env=environment, cwd=tmp_path)
    command = [*GCBARRIER, "--out", "x.graph.npz", "--", *words]
    done = subprocess.run(command, input="said", capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert "True" in plain.stdout
    assert done.stdout == plain.stdout
    assert done.stderr.startswith(plain.stderr)
    assert done.returncode == plain.returncode == 3
    assert (tmp_path / "x.graph.npz").exists(), "a program that fails has a heap, too"


def test_a_sitecustomize_of_its_own_has_its_turn(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("print('custom')\n")
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{tmp_path / 'own'}"}
    text = "import sys; print(sys.modules['sitecustomize'].__file__)"
    command = [*GCBARRIER, "--out", "x.graph.npz", "--", sys.executable, "-c", text]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    # The first line is of the interpreter that gcbarrier itself runs in.
    assert done.stdout.split() == ["custom", "custom", str(tmp_path / "own" / "sitecustomize.py")]
    assert (tmp_path / "x.graph.npz").exists()


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["-c", "import os; os._exit(4)"], 4, "it ended by os._exit, or executed another program in its place"),
        (["-c", "import os; os._exit(0)"], 2, "it ended by os._exit"),
        (["-c", "import os; os.kill(os.getpid(), 9)"], 137, "it was ended by SIGKILL"),
        (["-c", "import os; os.execvp('true', ['true'])"], 2, "executed another program"),
        (["-c", "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (999, 999))"], 2, "writing it down failed"),
        (["sh", "-c", "exit 7"], 7, "no Python that heeds PYTHONPATH began in it"),
        (["-I", "-c", "1"], 2, "started with -I, -E or -S"),
        (["-S", "-c", "1"], 2, "started with -I, -E or -S"),
        (["-E", "-c", "1"], 2, "started with -I, -E or -S"),
        (["no-such-program"], 2, "no-such-program can't be run: No such file or directory"),
        (["."], 2, ". can't be run: Permission denied"),
        ([], 2, "say what to run"),
    ],
)
def test_without_a_heap_there_is_a_sentence(
    words: Sequence[str],
    status: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", "--python", "--out", "x.graph.npz", "--", *words]) == status
    said = capfd.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1, "and nothing else"
    assert not list(tmp_path.iterdir())


def test_other_pythons_are_refused_by_name(tmp_path: Path) -> None:
    # As an interpreter that is no CPython says of itself.
    other = tmp_path / "other"
    other.mkdir()
    (other / "usercustomize.py").touch()
    text = """
        import os, sys
        sys.implementation.name = "pypy"
        sys.path.insert(0, os.environ["PYTHONPATH"].partition(os.pathsep)[0])
        try:
            import sitecustomize
        except ImportError:
            pass
    """
    script = program(tmp_path, text)
    done = run(tmp_path, sys.executable, "-S", script)
    assert "it runs on pypy, and only CPython's collector tells its objects" in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--at", "soon"], "--at soon: it takes exit, seconds"),
        (["--at", "-1"], "--at"),
        (["--at", "nan"], "--at nan: it takes exit"),
        (["--at", "SIGKILL"], "--at SIGKILL: it takes exit"),
        (["--at", "SIGCLD"], "--at SIGCLD: it takes exit"),
        (["--format", "v8"], "leave --format out"),
        (["--out", "no/where.graph.npz"], "there is no folder no; make it first"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_runs(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", "--python", *arguments, "--", sys.executable, "-c", "print('ran')"]) == 2
    out, err = capfd.readouterr()
    assert sentence in err
    assert out == ""


def test_only_the_first_process_is_captured(tmp_path: Path) -> None:
    text = """
        import os, subprocess, sys
        mine = [None] * 4001
        subprocess.run([sys.executable, "-c", "other = [None] * 4003"], check=True)
        if os.fork() == 0:
            mine += [None] * 4
            sys.exit(0)
        os.wait()
    """
    graph = captured(tmp_path, program(tmp_path, text))
    assert [len(of_degree(graph, count)) for count in (4001, 4003, 4005)] == [1, 0, 0]


def test_the_first_python_that_a_script_starts_is_captured(tmp_path: Path) -> None:
    graph = captured(tmp_path, "sh", "-c", f"{sys.executable} -c 'x = [None] * 4001'; {sys.executable} -c 'x = []'")
    assert len(of_degree(graph, 4001)) == 1


def test_after_seconds_with_threads_that_run(tmp_path: Path) -> None:
    text = """
        import threading, time
        def work(number):
            held = [float(each) for each in range(3000 + number)]
            while time.monotonic() < end:
                held[number] = {"a": [1.5]}
        end = time.monotonic() + 4
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for each in threads: each.start()
        for each in threads: each.join()
        print("through")
    """
    graph = captured(tmp_path, program(tmp_path, text), at="2")
    # What the frames of running threads hold is reached.
    assert [len(of_degree(graph, 3000 + number)) for number in range(3)] == [1, 1, 1]


def test_too_late_is_a_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", "pass", at="30")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "it ended before 30 s" in done.stderr


def test_at_a_signal_and_only_then(tmp_path: Path) -> None:
    text = """
        import os, signal
        early = [None] * 4001
        os.kill(os.getpid(), signal.SIGUSR1)
        del early
        late = [None] * 4003
        os.kill(os.getpid(), signal.SIGUSR1)
        print("and on")
    """
    name = program(tmp_path, text)
    done = run(tmp_path, name, at="SIGUSR1")
    assert (done.returncode, done.stdout) == (0, "and on\n")
    graph = graphfile.read(tmp_path / "x.graph.npz")
    assert [len(of_degree(graph, count)) for count in (4001, 4003)] == [1, 0]
    done = run(tmp_path, "-c", "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)", at="SIGUSR1")
    assert "it ended before SIGUSR1 or has a handler of its own for it" in done.stderr


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_what_the_program_has_frozen_stays_so_and_is_captured(python: str, tmp_path: Path) -> None:
    text = """
        import gc, os, signal
        array = [[] for _ in range(4001)]
        gc.freeze()
        before = gc.get_freeze_count()
        os.kill(os.getpid(), signal.SIGUSR1)
        print(gc.get_freeze_count() - before, "ctypes" in __import__("sys").modules)
    """
    done = run(tmp_path, python, program(tmp_path, text), at="SIGUSR1")
    assert (done.returncode, done.stdout) == (0, "0 False\n")
    graph = graphfile.read(tmp_path / "x.graph.npz")
    (array,) = of_degree(graph, 4001)
    assert len(set(referred(graph, array))) == 4001


@pytest.mark.parametrize("frozen", ["pass", "gc.freeze()"])
def test_a_graph_says_how_old_the_program_was(frozen: str, tmp_path: Path) -> None:
    text = f"import gc, os, signal, time; {frozen}; time.sleep(1); os.kill(os.getpid(), signal.SIGUSR1)"
    tool = captured(tmp_path, "-c", text, at="SIGUSR1").source.tool
    assert float(tool.split(", after ")[1].split()[0]) >= 1, tool


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_signals_are_the_programs(number: signal.Signals, tmp_path: Path) -> None:
    text = f"""
        import signal, sys, pathlib
        signal.signal({int(number)}, lambda *_: sys.exit(5))
        pathlib.Path("ready").touch()
        while True: signal.pause()
    """
    command = [*GCBARRIER, "--out", "x.graph.npz", "--", program(tmp_path, text)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 60
        while not (tmp_path / "ready").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(60) == 5
    assert (tmp_path / "x.graph.npz").exists()
