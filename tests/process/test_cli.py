"""The command line: one sentence for every mistake, and the right exit status."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from places import CHECKOUT

from gcbarrier import commands
from gcbarrier.commands import main
from gcbarrier.plugins import discovery

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder with one collector in it."""
    collector = tmp_path / "own" / "collectors" / "lazy_one.py"
    collector.parent.mkdir(parents=True)
    collector.write_text('"""Collects nothing."""\n')
    return tmp_path / "own"


@pytest.fixture
def add_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """``add_command("sleep", "the body of run()")``: one more command, by adding one file."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(folder)])
    before = set(sys.modules)

    def add(name: str, body: str) -> None:
        text = f"HELP = 'does {name}'\ndef prepare_parser(parser): pass\ndef run(args):\n"
        (folder / f"{name}.py").write_text(text + textwrap.indent(body, "    "))

    yield add
    for name in set(sys.modules) - before:
        if name.startswith("gcbarrier.commands."):
            del sys.modules[name]


def sentence(captured: str) -> str:
    """The one line that a mistake is answered with."""
    assert captured.count("\n") == 1, captured
    assert captured.startswith("gcbarrier: "), captured
    return captured.removeprefix("gcbarrier: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which command to run; `gcbarrier --help` shows all"),
        (["lits"], "there is no command 'lits'; did you mean 'list'? `gcbarrier --help` shows all"),
        (["--path", "/no/such/folder", "list", "heaps"], "/no/such/folder is not a folder"),
        (["--path", "~nosuchuser", "list", "heaps"], "~nosuchuser is not a folder: whose home it should lie in"),
        (["list"], "the following arguments are required"),
        (
            ["list", "barrier"],
            "'barrier' is not one of the choices; did you mean 'barriers'? choose from heaps, barriers",
        ),
        (
            ["list", "heaps", "--jason"],
            "unrecognized arguments: --jason (`gcbarrier list --help` shows how it is used)",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in sentence(captured.err)
    assert captured.out == ""


def test_list_prints_name_and_summary(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--path", str(own), "list", "collectors"]) == 0
    assert "lazy-one" in capsys.readouterr().out
    assert main(["list", "collectors", "--path", str(own)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("lazy-one "))
    assert line.split(maxsplit=1)[1] == "Collects nothing."


@pytest.mark.parametrize("kind", discovery.KINDS)
def test_list_json_is_an_array_of_three_texts(kind: str, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--path", str(own), "list", kind, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == discovery.names(kind)
    for entry in entries:
        assert set(entry) == {"name", "summary", "file"}
        assert Path(entry["file"]).is_file()


def test_one_broken_file_does_not_hide_the_others(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "collectors" / "broken.py").write_text("def (\n")
    assert main(["--path", str(own), "list", "collectors"]) == 0
    output = capsys.readouterr().out
    assert "Collects nothing." in output
    assert "line 1: SyntaxError" in output


def test_help_names_every_command_with_its_line(
    add_command: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    add_command("newcomer", "return 0\n")
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    output = capsys.readouterr().out
    assert "does newcomer" in output
    assert " list " in output, "list_.py is called list"


def test_every_command_keeps_the_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    for name in commands._commands():
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        assert f"usage: gcbarrier {name}" in capsys.readouterr().out
    assert all(commands._help_of(module) for module in commands._commands().values())


def test_version_goes_to_stdout(gcbarrier: Run) -> None:
    done = gcbarrier("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("gcbarrier 0.")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import pathlib\npathlib.Path('/dev/full').write_text('x')\n", "No space left on device; free some space"),
        ("open('/dev/null/' + 'x' * 300)\n", None),
        ("open('x' * 300)\n", "File name too long; choose a shorter name"),
        ("raise OSError(24, 'Too many open files')\n", "Too many open files; allow more open files (`ulimit -n`)"),
        ("raise OSError(12, 'Cannot allocate memory')\n", "Cannot allocate memory; allow more memory (`ulimit -v`)"),
        ("raise MemoryError\n", "the memory does not suffice; allow more memory (`ulimit -v`)"),
        ("raise RuntimeError('can\\'t start new thread')\n", "no thread can be started; allow more memory"),
        ("import pathlib\npathlib.Path('~nosuchuser').expanduser()\n", "there is no home folder; set HOME"),
        ("from gcbarrier.errors import Unavailable\nraise Unavailable('it', 'no', 'do')\n", "it is not available here"),
    ],
)
def test_what_the_user_can_mend_has_no_traceback(
    add_command: Callable[[str, str], None], body: str, said: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    add_command("stumble", body)
    if said is None:
        with pytest.raises(OSError, match="Not a directory"):
            main(["stumble"])
        return
    assert main(["stumble"]) == 2
    assert said in sentence(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("manifest.json", ["plot", "{folder}"]),
        ("outcomes.jsonl", ["plot", "{folder}"]),
        ("a.heapsnapshot", ["import", "{file}"]),
        ("a.graph.npz", ["run", "pause_times", "--set", "heap=snapshot", "--set", "snapshot.graph={file}"]),
    ],
)
def test_a_fifo_is_no_file_to_wait_for(name: str, arguments: list[str], tmp_path: Path, gcbarrier: Run) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1, "experiment": "pause_times"}')
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    words = [word.format(folder=tmp_path, file=tmp_path / name) for word in arguments]
    done = gcbarrier(*words, timeout=60)
    assert done.returncode == 2
    assert "It is a FIFO, a socket or a device and not a file" in sentence(done.stderr)


def test_a_full_disk_under_stdout_is_one_sentence(gcbarrier: Run) -> None:
    with open("/dev/full", "w") as full:
        done = gcbarrier("--version", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert "No space left on device" in sentence(done.stderr)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "gcbarrier", "--version"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, cwd=CHECKOUT)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


SLEEPER = """
import signal, sys
from gcbarrier import commands
commands.__path__.append({folder!r})
# A test run in the background or under nohup inherits these as ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.exit(commands.main(["sleep"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_cleans_up_and_ends_with_130(
    number: signal.Signals, add_command: Callable[[str, str], None], tmp_path: Path
) -> None:
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    add_command(
        "sleep",
        "import pathlib, time\n"
        "try:\n"
        f"    pathlib.Path({str(ready)!r}).touch()\n"
        "    time.sleep(60)\n"
        "finally:\n"
        f"    pathlib.Path({str(cleaned)!r}).touch()\n",
    )
    script = SLEEPER.format(folder=str(tmp_path / "commands"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT, **pipes) as child:
        deadline = time.monotonic() + 30
        while not ready.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(number)
        output, errors = child.communicate(timeout=30)
    assert (child.returncode, output, errors) == (130, "", "interrupted\n")
    assert cleaned.exists()


def test_nohup_is_respected(add_command: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]) -> None:
    add_command("tell", "import signal\nprint(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)\nreturn 0\n")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["tell"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "True" in capsys.readouterr().out


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    main(["lits"])
    assert signal.getsignal(signal.SIGTERM) is before


def test_listing_imports_no_plotting_and_no_native_code(own: Path) -> None:
    ask = (
        "import sys; from gcbarrier.commands import main; main(['list', 'collectors']); "
        "print(*(name for name in ('matplotlib', 'numpy', 'cffi', 'rich') if name in sys.modules), file=sys.stderr)"
    )
    environment = os.environ | {discovery.PATH_VARIABLE: str(own)}
    command = [sys.executable, "-c", ask]
    child = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT, env=environment)
    assert child.stderr.strip() == ""
    assert "lazy-one" in child.stdout


SHELL = ("/bin/sh", "-c")


@pytest.mark.parametrize("arguments", [["plot", "run"], ["--path", "own", "list", "heaps"], ["run", "pause_times"]])
def test_a_folder_that_is_gone_is_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = [*SHELL, 'rmdir ../gone && exec "$@"', "sh", sys.executable, "-m", "gcbarrier", *arguments]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path / "gone", env=environment, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "the folder that this was started in is gone" in sentence(done.stderr)


def test_what_a_terminal_has_no_letters_for_is_replaced(own: Path, gcbarrier: Run) -> None:
    (own / "collectors" / "another.py").write_text('"""Größer \N{GREATER-THAN OR EQUAL TO} 3."""\n', encoding="utf-8")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = gcbarrier("--path", str(own), "list", "collectors", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Gr??er ? 3." in done.stdout
    assert "lazy-one" in done.stdout


def test_closed_standard_streams_are_nobodys_file(own: Path, add_command: Callable[[str, str], None]) -> None:
    note = own / "note"
    add_command(
        "look", f"import os, pathlib\npathlib.Path({str(note)!r}).write_text(str(os.memfd_create('x')))\nprint(1)\n"
    )
    script = SLEEPER.format(folder=commands.__path__[-1]).replace('"sleep"', '"look"')
    command = [*SHELL, 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", script]
    done = subprocess.run(command, check=False, cwd=CHECKOUT, timeout=60)
    assert done.returncode == 0
    assert int(note.read_text()) > 2


def test_few_descriptors_are_one_sentence() -> None:
    command = [*SHELL, 'ulimit -n 6 && exec "$@"', "sh", sys.executable, "-m", "gcbarrier", "doctor", "--no-lab"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Too many open files; allow more open files (`ulimit -n`)" in sentence(done.stderr)


IMPORTING = """
import runpy, sys
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "gcbarrier.commands":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
runpy.run_module("gcbarrier", run_name="__main__", alter_sys=True)
"""


def test_interrupted_while_it_is_imported_it_ends_with_130() -> None:
    command = [sys.executable, "-c", IMPORTING]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"gcbarrier": "gcbarrier.__main__:main"}, "what guards the imports is what is started"
