"""``gcbarrier record``: the program's output, status and signals are its own, and what can't be recorded is said."""

import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from places import CHECKOUT

from gcbarrier.commands import main
from gcbarrier.core.build import compiler
from gcbarrier.page_traces.pagesfile import read
from gcbarrier.page_traces.records import Recording
from gcbarrier.recorder.descriptors import Signals
from gcbarrier.recorder.session import Wish, record

Run = Callable[..., subprocess.CompletedProcess[str]]
PYTHON = os.path.realpath(sys.executable)
RECORD = [sys.executable, "-m", "gcbarrier", "record"]


@pytest.fixture(autouse=True)
def _tracked(needs: Callable[..., None]) -> None:
    needs("async-uffd-wp", "pagemap-scan")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "found.pages"


def built(target: Path, text: str, *options: str) -> Path:
    command = [*compiler(), "-x", "c", "-", "-o", str(target), *options]
    subprocess.run(command, input=text, text=True, check=True)
    return target


def notes_of(found: Recording) -> str:
    return "\n".join(found.notes)


def test_the_programs_output_input_and_status_are_its_own(gcbarrier: Run, out: Path) -> None:
    script = 'read line; echo "got $line"; echo complaint >&2; exit 7'
    done = gcbarrier("record", "--out", str(out), "--", "sh", "-c", script, input="a line\nmore\n")
    assert (done.returncode, done.stdout) == (7, "got a line\n")
    assert done.stderr.startswith("complaint\n")
    assert f"{out}: " in done.stderr
    found = read(out)
    assert (found.command, found.tracker, found.every_ns) == (("sh", "-c", script), "uffd-wp-async", 10_000_000)
    (trace,) = found.traces
    assert (trace.began, trace.parent_pid, trace.ended) == ("start", None, "exit 7")
    assert trace.ticks
    assert trace.counts.sum()
    assert set(found.facts) >= {"kernel", "processor", "when", "transparent huge pages"}


def test_a_signal_that_ends_it_is_told_as_a_shell_tells_it(gcbarrier: Run, out: Path) -> None:
    done = gcbarrier("record", "--out", str(out), "--", "sh", "-c", "kill -USR1 $$")
    assert done.returncode == 128 + signal.SIGUSR1
    assert read(out).traces[0].ended == f"signal {int(signal.SIGUSR1)}"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGUSR2"])
def test_a_signal_sent_to_the_recorder_is_the_programs(out: Path, name: str) -> None:
    number = getattr(signal, name)
    script = f"trap 'echo caught; exit 5' {name[3:]}; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*RECORD, "--out", out, "--", "sh", "-c", script], stdout=subprocess.PIPE, cwd=CHECKOUT
    ) as it:
        assert it.stdout.readline() == b"ready\n"
        it.send_signal(number)
        assert it.stdout.read() == b"caught\n"
    assert it.returncode == 5
    assert read(out).traces[0].ended == "exit 5"


@pytest.mark.parametrize("more", [[], ["--for", "1ms"]], ids=["watched", "watched no longer"])
def test_a_signal_to_its_own_group_reaches_a_program_once(out: Path, more: list[str]) -> None:
    script = (
        "import signal, os, time\n"
        "came = []; signal.signal(signal.SIGTERM, lambda *_: came.append(1))\n"
        "os.killpg(0, signal.SIGTERM); time.sleep(0.5); print('came', len(came))"
    )
    command = [*RECORD, *more, "--out", out, "--", PYTHON, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, start_new_session=True)
    assert (done.returncode, done.stdout) == (0, "came 1\n"), done.stderr


def test_a_signal_that_comes_before_the_program_keeps_it_from_starting(out: Path) -> None:
    ran = out.with_name("ran")
    wish = Wish(command=("touch", str(ran)), out=out, every_ns=10_000_000)
    with Signals((signal.SIGUSR1,)) as signals:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        with pytest.raises(KeyboardInterrupt):
            record(wish, signals)
    assert list(out.parent.iterdir()) == []


def test_the_keys_of_a_terminal_come_to_the_program_once(out: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "keys = []\n"
        "signal.signal(signal.SIGINT, lambda *_: keys.append(1))\n"
        "print('ready', sys.stdin.isatty(), flush=True)\n"
        "while not keys: time.sleep(0.01)\n"
        "time.sleep(0.2)\n"
        "print('pressed', len(keys), flush=True)\n"
        "print('typed', input(), flush=True)\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(CHECKOUT)
        os.execv(sys.executable, [*RECORD, "--out", str(out), "--", PYTHON, "-c", program])
    text = b""

    def until(wanted: bytes) -> None:
        nonlocal text
        while wanted not in text:
            assert select.select([terminal], [], [], 60)[0], text
            text += os.read(terminal, 1000)

    until(b"ready True")
    os.write(terminal, b"\x03")
    until(b"pressed 1")
    os.write(terminal, b"hello\n")
    until(b"typed hello")
    until(b"found.pages")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)


def test_a_script_of_200_commands_is_recorded_and_runs_as_ever(gcbarrier: Run, out: Path) -> None:
    script = "for i in $(seq 100); do /bin/echo $i | cat; done"
    done = gcbarrier("record", "--out", str(out), "--every", "50ms", "--", "bash", "-c", script)
    assert done.returncode == 0
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 101))
    found = read(out)
    assert len([trace for trace in found.traces if trace.command[0] in ("cat", "/bin/echo")]) == 200
    assert {trace.ended for trace in found.traces} <= {"exit 0", "exec"}


def test_few_open_files_are_no_obstacle_and_the_program_has_the_limit_that_it_was_given(out: Path) -> None:
    script = "for i in $(seq 40); do sleep 0.5 & done; wait; ulimit -Sn"
    soft = ["prlimit", "--nofile=64:4096"]
    done = subprocess.run(
        [*soft, *RECORD, "--out", out, "--", "bash", "-c", script], capture_output=True, text=True, cwd=CHECKOUT
    )
    assert (done.returncode, done.stdout) == (0, "64\n"), done.stderr
    assert len([trace for trace in read(out).traces if trace.command[0] == "sleep"]) == 40
    # Where there are no more to be had, what there is no room for runs unwatched, and that is said.
    hard = ["prlimit", "--nofile=64:64"]
    done = subprocess.run(
        [*hard, *RECORD, "--out", out, "--", "bash", "-c", script], capture_output=True, text=True, cwd=CHECKOUT
    )
    assert (done.returncode, done.stdout) == (0, "64\n"), done.stderr
    assert "Too many open files" in notes_of(read(out))


def test_what_a_user_preloads_stays(gcbarrier: Run, out: Path, tmp_path: Path) -> None:
    theirs = built(tmp_path / "theirs.so", "int answer(void) { return 42; }", "-shared", "-fPIC")
    script = "import ctypes; print(ctypes.CDLL(None).answer())"
    environment = os.environ | {"LD_PRELOAD": str(theirs)}
    done = gcbarrier("record", "--out", str(out), "--", PYTHON, "-c", script, env=environment)
    assert done.stdout == "42\n", done.stderr


def test_launchers_are_followed_to_what_they_launch(gcbarrier: Run, out: Path, tmp_path: Path) -> None:
    launcher = tmp_path / "launcher"
    launcher.write_text(f"#!/usr/bin/env sh\nexec {PYTHON} -c 'print(6 * 7)'\n")
    launcher.chmod(0o755)
    done = gcbarrier("record", "--out", str(out), "--", str(launcher))
    assert done.stdout == "42\n"
    last = read(out).traces[-1]
    assert (last.began, last.command[0], last.ended) == ("exec", PYTHON, "exit 0")
    assert {trace.ended for trace in read(out).traces[:-1]} == {"exec"}


def test_what_can_not_be_recorded_is_refused_before_anything_runs(gcbarrier: Run, tmp_path: Path) -> None:
    static = built(tmp_path / "static", "int main(void) { return 0; }", "-static")
    done = gcbarrier("record", "--out", str(tmp_path / "x.pages"), "--", str(static))
    assert (done.returncode, done.stderr) == (
        2,
        f"gcbarrier: {static} can't be recorded: it is statically linked: nothing can be loaded into it\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["static"], "nothing half-written"


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--every", "soon", "--", "true"], "'soon' is no length of time"),
        (["--every", "0ms", "--", "true"], "'0ms' is no length of time"),
        (["--slow-down", "-1", "--", "true"], "--slow-down takes a number of runs, not -1"),
        (["--at", "10ms", "--", "true"], "add --slow-down N"),
        (["--with", "uffd", "--", "true"], "choose from uffd-wp-async, soft-dirty"),
        (["--with", "soft-dirty", "--", "true"], "soft-dirty is not available here"),
        (["--for", "1", "--", "true"], "'1' is no length of time"),
        (["--memory", "4GiB", "--", "true"], "--memory"),
        (["--"], "say what to record: gcbarrier record -- COMMAND"),
        (["--", "no-such-program"], "no program in PATH is called no-such-program: check the command"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    capsys: pytest.CaptureFixture[str], out: Path, extra: list[str], sentence: str
) -> None:
    assert main(["record", "--out", str(out), *extra]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert sentence in said
    assert not out.exists()


def test_descendants_that_got_away_are_noted(gcbarrier: Run, out: Path, tmp_path: Path) -> None:
    static = built(tmp_path / "static", "#include <unistd.h>\nint main(void) { return sleep(2); }", "-static")
    done = gcbarrier("record", "--out", str(out), "--", "sh", "-c", f"{static} & env -i sleep 2; wait")
    assert done.returncode == 0
    notes = notes_of(read(out))
    assert re.search(r"process \d+ \(static\), a child of \d+, was not followed: it is statically linked", notes)
    assert re.search(r"process \d+ \(sleep\), a child of \d+, was not followed: it was started without the prel", notes)
    assert len(read(out).traces) < 5
    assert "was not followed" in done.stderr


def test_a_program_that_empties_its_environment_and_ends_is_no_recording_of_what_it_executed(
    gcbarrier: Run, out: Path
) -> None:
    done = gcbarrier("record", "--out", str(out), "--", "env", "-i", "sleep", "1")
    assert done.returncode == 0
    (trace,) = read(out).traces
    assert (trace.command[0], trace.ended) == ("env", "exec")


def test_the_program_runs_to_its_end_when_recording_stops_earlier(gcbarrier: Run, out: Path) -> None:
    script = "import time; a = bytearray(1 << 20); time.sleep(1); a[0] = 1; print('end'); exit(4)"
    done = gcbarrier("record", "--out", str(out), "--for", "300ms", "--", PYTHON, "-c", script)
    assert (done.returncode, done.stdout) == (4, "end\n")
    (trace,) = read(out).traces
    assert trace.ended == "still running"
    assert 200_000_000 < trace.end_ns[-1] < 900_000_000


def test_the_program_goes_on_when_the_recorder_is_killed(out: Path) -> None:
    script = (
        "import os, sys; a = bytearray(1 << 20); print('ready', flush=True); sys.stdin.readline()\n"
        "a[::4096] = b'x' * 256; print(os.popen('echo child').read() + 'end', flush=True)"
    )
    command = [*RECORD, "--out", out, "--", PYTHON, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT) as it:
        assert it.stdout.readline() == b"ready\n"
        it.kill()
        it.wait()
        it.stdin.write(b"go\n")
        it.stdin.flush()
        assert it.stdout.read() == b"child\nend\n"
    assert not out.exists()


def test_the_program_goes_on_when_the_recording_can_not_be_written(gcbarrier: Run, out: Path) -> None:
    script = (
        "import random; a = {i: i for i in range(200000)}\nfor _ in range(900000): a[random.randrange(200000)] = 1.5"
    )
    script += "\nprint('end'); exit(3)"

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    done = gcbarrier("record", "--every", "1ms", "--out", str(out), "--", PYTHON, "-c", script, preexec_fn=small)
    assert (done.returncode, done.stdout) == (3, "end\n"), done.stderr
    assert "gcbarrier: nothing was recorded: " in done.stderr
    assert not list(out.parent.iterdir())


def test_a_folder_that_is_not_there_is_said_before_the_program_starts(gcbarrier: Run, tmp_path: Path) -> None:
    done = gcbarrier("record", "--out", str(tmp_path / "no" / "x.pages"), "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_the_slow_down_is_measured_in_runs_of_its_own(gcbarrier: Run, out: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    given = tmp_path / "given"
    given.write_text("skipped\nread\n")
    script = f"read line; echo $line; echo $line >> {log}"
    with given.open() as file:
        os.lseek(file.fileno(), len("skipped\n"), os.SEEK_SET)
        done = gcbarrier(
            "record", "--out", str(out), "--slow-down", "2", "--at", "5ms,20ms", "--", "sh", "-c", script, stdin=file
        )
    assert (done.returncode, done.stdout) == (0, "read\n"), "what further runs print is discarded"
    assert log.read_text() == "read\n" * 7, "each has read the same"
    found = read(out).slowdowns
    assert [each.every_ns for each in found] == [0, 5_000_000, 20_000_000]
    assert all(len(each.wall_ns) == len(each.cpu_ns) == 2 and min(each.wall_ns) > 0 for each in found)
    assert "looked at every 5 ms it took" in done.stderr


def test_a_program_that_reads_a_pipe_can_not_be_run_again(gcbarrier: Run, out: Path) -> None:
    done = gcbarrier("record", "--out", str(out), "--slow-down", "1", "--", "cat", input="x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "its input can be read only once: give a file" in done.stderr


def test_huge_pages_are_switched_off_unless_they_are_wanted(gcbarrier: Run, out: Path) -> None:
    script = "print([line for line in open('/proc/self/status') if line.startswith('THP_enabled')])"
    for wanted, expected in ([], "0"), (["--huge-pages"], "1"):
        done = gcbarrier("record", *wanted, "--out", str(out), "--", PYTHON, "-c", script)
        assert f"THP_enabled:\\t{expected}" in done.stdout


def test_a_reader_of_standard_error_that_has_left_changes_nothing(out: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*RECORD, "--out", out, "--", "sh", "-c", "exit 6"], stderr=writer, cwd=CHECKOUT)
    os.close(writer)
    assert done.returncode == 6
    assert time.time() - out.stat().st_mtime < 3600


def test_a_file_that_is_no_recording_is_not_replaced(
    gcbarrier: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "app.py"
    source.write_text("print('ran')\n")
    for lab in ([], ["--machine", "lab"]):
        assert main(["record", *lab, "--out", str(source), "--", PYTHON, str(source)]) == 2
        sentence = f"gcbarrier: {source} is no recording and would be replaced: choose another name\n"
        assert capsys.readouterr() == ("", sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]
    assert source.read_text() == "print('ran')\n"
    place = tmp_path / "app.pages"
    place.touch()  # as of mktemp
    for _ in range(2):
        assert gcbarrier("record", "--out", str(place), "--", "true").returncode == 0
        assert read(place).command == ("true",)
