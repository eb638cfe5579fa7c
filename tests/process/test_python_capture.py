"""``gcbarrier import --python``: a program of known structure is found in its graph, and nothing of it is changed."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from places import CHECKOUT

from gcbarrier.graphs import graphfile
from gcbarrier.graphs.graphfile import Graph

GCBARRIER = [sys.executable, "-m", "gcbarrier", "import", "--python"]
MINORS = range(8, 15)


def interpreters() -> dict[str, str]:
    """Every CPython from 3.8 on that is here, this one among them, by version."""
    found = {"this one": sys.executable}
    for minor in MINORS:
        places = sorted(Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python"))
        if system := shutil.which(f"python3.{minor}", path="/usr/bin:/usr/local/bin"):
            places.append(Path(system))
        if places:
            found[f"3.{minor}"] = str(places[0])
    return found


PYTHONS = interpreters()


def run(folder: Path, *words: str, at: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    when = ["--at", at] if at else []
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [*GCBARRIER, *when, "--out", str(folder / "x.graph.npz"), "--", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def program(folder: Path, text: str, name: str = "app.py") -> str:
    (folder / name).write_text(textwrap.dedent(text))
    return name


def captured(folder: Path, *words: str, at: str = "", status: int = 0) -> Graph:
    done = run(folder, *words, at=at)
    assert done.returncode == status, done.stderr
    return graphfile.read(folder / "x.graph.npz")


def referred(graph: Graph, node: int) -> list[int]:
    return graph.targets[int(graph.offsets[node]) : int(graph.offsets[node + 1])].tolist()  # type: ignore[no-any-return]


def of_degree(graph: Graph, degree: int) -> list[int]:
    return np.flatnonzero(graph.out_degrees() == degree).tolist()  # type: ignore[no-any-return]


STRUCTURE = """
    class Node:
        __slots__ = ("next", "value")

    class Sized:
        def __sizeof__(self):
            print("asked")
            return 7

    first = None
    for number in range(1000):
        node = Node()
        node.next, node.value = first, 1.5 * number
        first = node
    ring = []
    ring.append(ring)
    table = {f"key {number}": 0.5 + number for number in range(700)}
    array = [float(number) for number in range(5003)]
    some = {float(number) for number in range(907)}
    pair = (None, array)
    sized = [Sized() for _ in range(611)]
"""


@pytest.mark.parametrize("version", PYTHONS)
def test_a_known_structure_is_in_the_graph(version: str, tmp_path: Path) -> None:
    done = run(tmp_path, PYTHONS[version], program(tmp_path, STRUCTURE))
    assert (done.returncode, done.stdout) == (0, ""), "nothing of the program's own is called"
    graph = graphfile.read(tmp_path / "x.graph.npz")
    assert graph.addresses is not None
    degrees = graph.out_degrees()
    # A list, its array, and the floats.
    (array,) = of_degree(graph, 5003)
    assert graph.sizes_bytes[array] >= 8 * 5003
    (owner,) = np.flatnonzero([array in referred(graph, node) for node in of_degree(graph, 1)])
    assert graph.sizes_bytes[of_degree(graph, 1)[owner]] == 16 + 40
    assert set(graph.sizes_bytes[referred(graph, array)]) == {24}
    # Keys and values of a dict in one table, which is all that its owner refers to.
    (table,) = of_degree(graph, 1400)
    assert graph.sizes_bytes[table] >= 700 * 16
    assert len(of_degree(graph, 907)) == 1
    # The chain: each node has its class (from 3.9 on), the next one and its value.
    floats = {node for node in of_degree(graph, 0) if graph.sizes_bytes[node] == 24}
    nodes = {
        node
        for node in np.flatnonzero((graph.sizes_bytes == 48) & (degrees >= 2) & (degrees <= 3)).tolist()
        if floats & set(referred(graph, node))
    }
    chained = {target for node in nodes for target in referred(graph, node) if target in nodes}
    assert len(nodes) == 1000
    assert len(chained) == 999
    # And a list that holds itself.
    assert any(
        referred(graph, part) == [node]
        for node in of_degree(graph, 1)
        for part in referred(graph, node)
        if graph.sizes_bytes[node] == 56
    )


def test_addresses_are_where_python_says_objects_are(tmp_path: Path) -> None:
    text = """
        import sys
        one, table, text = [None] * 777, {}, "a text of its own"
        class Plain: pass
        plain = Plain()
        print(id(one), id(text), id(plain), sys.getsizeof(text), sys.getsizeof(plain))
        Plain.__slots__ = one, text
    """
    done = run(tmp_path, program(tmp_path, text))
    one, text_at, plain, text_bytes, plain_bytes = map(int, done.stdout.split())
    graph = graphfile.read(tmp_path / "x.graph.npz")
    assert graph.addresses is not None
    by_address = dict(zip(graph.addresses.tolist(), graph.sizes_bytes.tolist(), strict=True))
    assert by_address[one - 16] == 56, "behind the collector's header"
    assert by_address[text_at] == text_bytes, "which texts have none of"
    before = [each for each in (16, 32) if plain - each in by_address]
    assert len(before) == 1
    assert by_address[plain - before[0]] == plain_bytes


def test_what_captures_is_not_in_the_graph(tmp_path: Path) -> None:
    text = """
        import atexit, gc
        def look():
            for each in gc.get_objects():
                code = getattr(each, "__code__", None)
                if code is not None and "sitecustomize" in code.co_filename and "captures" in code.co_filename:
                    print(id(each), id(each.__globals__))
        atexit.register(look)
    """
    done = run(tmp_path, program(tmp_path, text))
    ours = {int(word) for word in done.stdout.split()}
    assert len(ours) > 2, "it is there, and waits"
    graph = graphfile.read(tmp_path / "x.graph.npz")
    assert graph.addresses is not None
    assert not {each - 16 for each in ours} & set(graph.addresses.tolist())


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
def test_without_a_heap_there_is_a_sentence(words: Sequence[str], status: int, sentence: str, tmp_path: Path) -> None:
    done = run(tmp_path, *words)
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1, "and nothing else"
    assert done.returncode == status
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
        (["--format", "v8"], "leave --format out"),
        (["--out", "no/where.graph.npz"], "there is no folder no; make it first"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_runs(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    command = [*GCBARRIER, *arguments, "--", sys.executable, "-c", "print('ran')"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert sentence in done.stderr
    assert (done.returncode, done.stdout) == (2, "")


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


def test_what_was_frozen_is_there(tmp_path: Path) -> None:
    graph = captured(tmp_path, "-c", "import gc; x = [[] for _ in range(4001)]; gc.freeze()")
    (array,) = of_degree(graph, 4001)
    assert len(set(referred(graph, array))) == 4001


def test_garbage_that_no_collection_has_found_is_dropped(tmp_path: Path) -> None:
    text = "import gc; gc.disable(); x = [None] * 4001; x.append(x); y = [None] * 4003; del x"
    graph = captured(tmp_path, "-c", text)
    assert [len(of_degree(graph, count)) for count in (4002, 4003)] == [0, 1]


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
