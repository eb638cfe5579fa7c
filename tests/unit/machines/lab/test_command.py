"""``gcbarrier lab``: what it says, and with which status it ends, without a guest."""

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from gcbarrier.commands import main
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import lab
from gcbarrier.machines.lab import Kernel, LabStatus

READY = LabStatus(
    ready=True,
    kernels=(Kernel(suite="stable", release="6.12.9-cloud", image=Path("vmlinuz")),),
    kernel_release="6.12.9-cloud",
    qemu_version="10.0.2",
    accelerator="",
    missing="",
    remedy="",
)
EMPTY = evolve(
    READY,
    ready=False,
    kernels=(),
    kernel_release="",
    qemu_version="",
    missing="the lab's kernel: none has been fetched yet",
    remedy="run `gcbarrier lab setup`",
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: setup|status|run"),
        (["stat"], "'stat' is not one of the choices; did you mean 'status'? choose from setup, status, run"),
        (["status", "now"], "unrecognized arguments: now"),
        (["run"], "say which command to run in the guest: gcbarrier lab run -- COMMAND"),
        (["run", "--"], "say which command to run in the guest"),
        (["run", "--cpus", "two", "--", "ls"], "argument --cpus: invalid int value: 'two' (`gcbarrier lab run --help`"),
        (["run", "--memory", "much", "--", "ls"], "'much' is not a size: write a number and a unit"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "LabExecutor", FakeExecutor)
    assert main(["lab", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"gcbarrier: {said}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_without_a_kernel_a_run_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert main(["lab", "run", "--memory", "1MiB", "--", "ls"]) == 2
    assert capsys.readouterr().err == (
        "gcbarrier: the lab's kernel is not available here: none has been fetched yet (run `gcbarrier lab setup`)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_status_in_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "status", lambda **_: READY)
    assert main(["lab", "status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "kernel       6.12.9-cloud (stable)",
        "QEMU         10.0.2",
        "accelerator  found out when the first guest boots",
        "ready",
    ]
    monkeypatch.setattr(lab, "status", lambda **_: EMPTY)
    assert main(["lab", "status"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "not ready: the lab's kernel: none has been fetched yet; run `gcbarrier lab setup`\n"
    assert captured.err == "", "an answer is no error"


def test_status_in_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for found, code in ((READY, 0), (EMPTY, 2)):
        monkeypatch.setattr(lab, "status", lambda found=found, **_: found)
        assert main(["lab", "status", "--json"]) == code
        assert json.loads(capsys.readouterr().out) == {
            "ready": found.ready,
            "kernels": [{"suite": kernel.suite, "release": kernel.release} for kernel in found.kernels],
            "kernel_release": found.kernel_release,
            "qemu_version": found.qemu_version,
            "accelerator": found.accelerator,
            "damaged": [],
            "missing": found.missing,
            "remedy": found.remedy,
        }


def test_setup_prints_its_steps_and_nothing_else_off_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def setup(on_step: Any, kernel: str | None) -> LabStatus:
        asked.append(kernel)
        on_step("fetch a kernel")
        return READY

    monkeypatch.setattr(lab, "plan", lambda _: ["fetch a kernel"])
    monkeypatch.setattr(lab, "setup", setup)
    assert main(["lab", "setup", "--kernel", "sid"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "fetch a kernel\nready: Linux 6.12.9-cloud in QEMU 10.0.2\n"
    assert captured.err == ""
    assert asked == ["sid"]


def test_setup_with_nothing_to_do_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "plan", lambda _: [])
    monkeypatch.setattr(lab, "setup", lambda *_: READY)
    assert main(["lab", "setup"]) == 0
    assert capsys.readouterr().out == "nothing to do\nready: Linux 6.12.9-cloud in QEMU 10.0.2\n"


def test_setup_that_was_not_enough_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "plan", lambda _: [])
    monkeypatch.setattr(lab, "setup", lambda *_: evolve(EMPTY, missing="there is no setpriv", remedy="install it"))
    assert main(["lab", "setup"]) == 2
    assert capsys.readouterr().err == "gcbarrier: the lab still lacks something: there is no setpriv; install it\n"


@define
class FakeExecutor:
    """Records what it was made with; its jobs print their words and end with status 7."""

    memory_bytes: int
    cpus: int
    include: list[Path]
    kernel: str | None
    on_output: Any
    facts: str = "lab"
    job: tuple[object, ...] = ()
    left_with: list[object] = field(factory=list)

    def __enter__(self) -> "FakeExecutor":
        made.append(self)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.left_with.append(kind)

    def submit(self, *job: object) -> "FakeExecutor":
        self.job = job
        return self

    def result(self) -> int:
        self.on_output(1, b"\xffout\n")
        self.on_output(2, b"err\n")
        if failure:
            raise failure[0]
        return 7


made: list[FakeExecutor] = []
failure: list[BaseException] = []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[FakeExecutor]:
    made.clear()
    failure.clear()
    monkeypatch.setattr(lab, "LabExecutor", FakeExecutor)
    return made


def test_run_streams_output_and_ends_with_the_commands_status(
    fake: list[FakeExecutor], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = ["--kernel", "sid", "--memory", "1.5GiB", "--cpus", "3", "--include", "a", "--include", "b"]
    assert main(["lab", "run", *arguments, "--", "tool", "--memory", "--", "x"]) == 7
    captured = capfdbinary.readouterr()
    assert (captured.out, captured.err) == (b"\xffout\n", b"err\n")
    (executor,) = fake
    assert (executor.memory_bytes, executor.cpus, executor.kernel) == (3 << 29, 3, "sid")
    assert executor.include == [Path("a"), Path("b")]
    assert executor.job == (lab.run_command, ["tool", "--memory", "--", "x"], str(Path.cwd()))


@pytest.mark.parametrize("words", [["tool", "-x"], ["--", "tool", "-x"]])
def test_the_two_dashes_may_be_left_out(fake: list[FakeExecutor], words: list[str]) -> None:
    assert main(["lab", "run", *words]) == 7
    assert fake[0].job[1] == ["tool", "-x"]
    assert fake[0].memory_bytes == 2 << 30


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
        (GcBarrierError("the lab's guest crashed"), 2),
        (Unavailable("a tool", "why"), 2),
    ],
)
def test_what_ends_a_run_early_ends_the_guest(fake: list[FakeExecutor], problem: BaseException, code: int) -> None:
    failure.append(problem)
    # In a process of its own, standard output would be given up for good after a broken pipe.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gcbarrier.commands._abandon_stdout", lambda: None)
        assert main(["lab", "run", "tool"]) == code
    assert fake[0].left_with == [type(problem)]
