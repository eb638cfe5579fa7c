"""Which accelerator serves, and what the executor makes of guests that fail: with stand-ins for guests."""

import importlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.lab import LabExecutor
from gcbarrier.machines.lab import executor as executor_module
from gcbarrier.machines.lab.guest import GuestLost, GuestSpec
from gcbarrier.machines.lab.qemu import command, explain_kvm, tail
from gcbarrier.machines.lab.status import Kernel, Qemu, known_accelerator
from gcbarrier.machines.lab.wire import Call, Done, Hello, Message, Output, Progress
from gcbarrier.plugins import discovery

BOOT_MODULE = importlib.import_module("gcbarrier.machines.lab.boot")
HELLO = Hello(kernel_release="6.12.9-cloud", cpus=2, memory_bytes=2 << 30, clocksource="tsc")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GuestSpec:
    """What a guest would be made of, with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "gcbarrier" / "lab").mkdir(parents=True)
    kernel = Kernel(suite="stable", release="6.12.9-cloud", image=tmp_path / "vmlinuz")
    return GuestSpec(kernel=kernel, qemu=Qemu(program=tmp_path / "qemu", version="10.0"), memory_bytes=1 << 30, cpus=1)


@define
class Machines:
    """Which accelerators were tried, and which of them work."""

    working: set[str] = field(factory=lambda: {"kvm", "tcg"})
    tried: list[str] = field(factory=list)
    stop: threading.Event = field(factory=threading.Event)

    def guest(self, _spec: GuestSpec, accelerator: str, _deadline_s: float, _stop: threading.Event) -> str:
        self.tried.append(accelerator)
        if accelerator not in self.working:
            raise GuestLost("hung (it did not start within 8 s)", "  | (nothing)")
        return accelerator


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    made = Machines()
    monkeypatch.setattr(BOOT_MODULE, "Guest", made.guest)
    monkeypatch.setattr(BOOT_MODULE, "explain_kvm", lambda: "")
    return made


def test_kvm_is_taken_where_it_works(spec: GuestSpec, machines: Machines) -> None:
    assert BOOT_MODULE.boot(spec, machines.stop) == "kvm"
    assert known_accelerator(spec.kernel, spec.qemu) == "kvm"
    assert machines.tried == ["kvm"]


def test_where_kvm_fails_emulation_serves_and_that_is_remembered(spec: GuestSpec, machines: Machines) -> None:
    machines.working = {"tcg"}
    assert BOOT_MODULE.boot(spec, machines.stop) == "tcg"
    assert BOOT_MODULE.boot(spec, machines.stop) == "tcg"
    assert machines.tried == ["kvm", "tcg", "tcg"]
    other = evolve(spec, qemu=evolve(spec.qemu, version="11.0"))
    BOOT_MODULE.boot(other, machines.stop)
    assert machines.tried[3:] == ["kvm", "tcg"], "another QEMU is another question"


def test_a_note_of_an_earlier_boot_of_this_machine_is_forgotten(spec: GuestSpec, machines: Machines) -> None:
    home = Path(BOOT_MODULE.accelerator_note(spec.kernel, spec.qemu)).parent
    old = home / "accelerator-6.12.9-cloud-10.0-0123abcd"
    old.write_text("tcg")
    BOOT_MODULE.boot(spec, machines.stop)
    assert machines.tried == ["kvm"]
    assert [path.read_text() for path in home.iterdir()] == ["kvm"]


def test_a_missing_permission_is_asked_for_again(
    spec: GuestSpec, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BOOT_MODULE, "explain_kvm", lambda: "/dev/kvm is not open to this user")
    assert BOOT_MODULE.boot(spec, machines.stop) == "tcg"
    assert machines.tried == ["tcg"]
    assert known_accelerator(spec.kernel, spec.qemu) == ""


def test_being_told_to_stop_says_nothing_about_kvm(spec: GuestSpec, machines: Machines) -> None:
    machines.working = {"tcg"}
    machines.stop.set()
    with pytest.raises(GuestLost):
        BOOT_MODULE.boot(spec, machines.stop)
    assert machines.tried == ["kvm"]
    assert known_accelerator(spec.kernel, spec.qemu) == ""


def test_why_kvm_can_not_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.exists", lambda _: False)
    assert explain_kvm() == "there is no /dev/kvm"
    monkeypatch.setattr("os.path.exists", lambda _: True)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert explain_kvm() == "/dev/kvm is not open to this user"
    monkeypatch.setattr("os.access", lambda *_: True)
    assert explain_kvm() == ""


def test_what_does_not_fit_is_refused_before_anything_starts(spec: GuestSpec, machines: Machines) -> None:
    with pytest.raises(
        GcBarrierError, match=r"a guest of 1\.049e\+06 GiB does not fit: this machine has .* free; give"
    ):
        BOOT_MODULE.boot(evolve(spec, memory_bytes=1 << 50), machines.stop)
    for cpus in (0, -1, 256):
        with pytest.raises(GcBarrierError, match=f"a guest can't have {cpus} CPUs: give it 1 to 255"):
            BOOT_MODULE.boot(evolve(spec, cpus=cpus), machines.stop)
    assert machines.tried == []


def test_the_command_ends_with_this_process_and_after_a_panic(spec: GuestSpec) -> None:
    words = command(spec.qemu, spec.kernel, accelerator="tcg", memory_bytes=1 << 30, cpus=3, initrd=7, port=8)
    assert words[:5] == ["setpriv", "--pdeathsig", "KILL", "sh", "-c"]
    assert words[6:8] == [str(os.getpid()), str(spec.qemu.program)]
    assert "-no-reboot" in words
    assert "panic=-1" in words[words.index("-append") + 1].split()
    assert words[words.index("-m") + 1] == "1024M"
    assert words[words.index("-smp") + 1] == "3"
    assert "hugepages" not in words[words.index("-append") + 1]


@pytest.mark.parametrize(("huge_bytes", "pages"), [(16 << 20, 8), ((16 << 20) + 1, 9), (1, 2)])
def test_huge_pages_are_set_aside_when_the_guest_starts(spec: GuestSpec, huge_bytes: int, pages: int) -> None:
    options = {"accelerator": "tcg", "memory_bytes": 1 << 30, "cpus": 1, "initrd": 7, "port": 8}
    words = command(spec.qemu, spec.kernel, huge_bytes=huge_bytes, **options)
    assert f"hugepages={pages}" in words[words.index("-append") + 1].split()


def test_a_guest_whose_starter_is_gone_already_does_not_start(spec: GuestSpec) -> None:
    words = command(spec.qemu, spec.kernel, accelerator="tcg", memory_bytes=1, cpus=1, initrd=7, port=8)
    for starter, printed in ((str(os.getpid()), "started\n"), ("1234567890", "")):
        done = subprocess.run([*words[3:6], starter, "echo", "started"], stdout=subprocess.PIPE, text=True, check=False)
        assert done.stdout == printed


def test_a_console_is_made_fit_for_a_message() -> None:
    console = b"old\n" * 40 + b"\x1b[31mred\x1b[0m\r\n\n\xff\n"
    assert tail(console, lines=3) == "  | old\n  | [31mred[0m\n  | \N{REPLACEMENT CHARACTER}"
    assert tail(b"") == ""


@define
class FakeGuest:
    """A guest whose calls do what ``act`` does."""

    spec: GuestSpec
    act: Callable[[Call, Callable[[Message], None]], Any]
    accelerator: str = "tcg"
    hello: Hello = HELLO
    closed: bool = False

    def call(self, call: Call, _deadline_s: float | None, on_message: Callable[[Message], None]) -> Done:
        return Done(value=self.act(call, on_message))

    def close(self) -> None:
        self.closed = True


@define
class Guests:
    """All guests that were booted, and what their calls do."""

    act: Callable[[Call, Callable[[Message], None]], Any] = lambda _call, _on_message: None
    booted: list[FakeGuest] = field(factory=list)

    def boot(self, spec: GuestSpec, _stop: threading.Event) -> FakeGuest:
        self.booted.append(FakeGuest(spec, lambda call, on_message: self.act(call, on_message)))
        return self.booted[-1]


@pytest.fixture
def guests(spec: GuestSpec, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guests]:
    made = Guests()
    monkeypatch.setattr(executor_module, "find_kernel", lambda _: spec.kernel)
    monkeypatch.setattr(executor_module, "find_qemu", lambda: spec.qemu)
    monkeypatch.setattr(executor_module, "boot", made.boot)
    yield made
    assert all(guest.closed for guest in made.booted)


def crash(_call: Call, _on_message: Callable[[Message], None]) -> None:
    raise GuestLost("crashed (QEMU ended with status 1)", "  | the last line")


def test_one_guest_serves_all_jobs_and_knows_its_name(guests: Guests) -> None:
    guests.act = lambda call, _: (call.environment["GCBARRIER_MACHINE"], call.environment["GCBARRIER_ACCELERATOR"])
    with LabExecutor(memory_bytes=1 << 20, cpus=1) as lab:
        assert [lab.submit(len, "").result() for _ in range(3)] == [("lab-6.12.9-tcg", "tcg")] * 3  # type: ignore[comparison-overlap]
        assert lab.facts.name == "lab-6.12.9-tcg"
        assert (lab.facts.kernel_release, lab.facts.clocksource) == ("6.12.9-cloud", "tsc")
    assert len(guests.booted) == 1


def test_a_crash_is_tried_once_more_and_then_reported_with_the_console(guests: Guests) -> None:
    guests.act = crash
    with LabExecutor(memory_bytes=1 << 20) as lab:
        with pytest.raises(GcBarrierError) as caught:
            lab.submit(len, "").result()
        assert str(caught.value) == (
            "the lab's guest crashed (QEMU ended with status 1) while running len, and it was tried 2 times, each "
            "time on a guest of its own; its console ended with\n  | the last line"
        )
        assert len(guests.booted) == 2
        guests.act = lambda *_: 7
        assert lab.submit(len, "").result() == 7, "the next job gets a fresh guest"


def test_a_crash_that_does_not_repeat_is_no_failure(guests: Guests) -> None:
    def once(*_: object) -> str:
        if len(guests.booted) == 1:
            raise GuestLost("hung (no sign of life for 60 s)", "")
        return "fine"

    guests.act = once
    with LabExecutor(memory_bytes=1 << 20) as lab:
        assert lab.submit(len, "").result() == "fine"


def test_output_and_progress_reach_the_caller(guests: Guests) -> None:
    def talk(_call: Call, on_message: Callable[[Message], None]) -> None:
        for message in (Output(stream=1, data=b"a"), Output(stream=2, data=b"b"), Progress(value=3)):
            on_message(message)

    guests.act = talk
    output: list[tuple[int, bytes]] = []
    progress: list[int] = []
    with LabExecutor(
        memory_bytes=1 << 20, on_output=lambda *said: output.append(said), on_progress=progress.append
    ) as lab:
        lab.submit(len, "").result()
    assert output == [(1, b"a"), (2, b"b")]
    assert progress == [3]
    with LabExecutor(memory_bytes=1 << 20) as lab:
        lab.submit(len, "").result()


def test_a_callback_that_fails_stops_the_job_and_is_what_the_caller_hears(guests: Guests) -> None:
    guests.act = lambda _, on_message: on_message(Output(stream=1, data=b"a"))

    def broken(_stream: int, _data: bytes) -> None:
        raise BrokenPipeError

    with LabExecutor(memory_bytes=1 << 20, on_output=broken) as lab:
        with pytest.raises(BrokenPipeError):
            lab.submit(len, "").result()
        assert len(guests.booted) == 1, "it is not the guest's fault"
        assert guests.booted[0].closed


def test_the_search_path_of_the_moment_goes_with_the_job(guests: Guests, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "heaps").mkdir(parents=True)
    guests.act = lambda call, _: call.environment[discovery.PATH_VARIABLE]
    with LabExecutor(memory_bytes=1 << 20) as lab:
        assert lab.submit(len, "").result() == ""
        discovery.add_path(own)
        assert lab.submit(len, "").result() == str(own)
        assert lab.submit(len, "").result() == str(own)
    assert [guest.spec.search for guest in guests.booted] == [(), (own,)], "a new folder needs a new guest, once"


def test_mistakes_are_said_at_once(guests: Guests, tmp_path: Path) -> None:
    with pytest.raises(GcBarrierError, match="gone does not exist, so the guest can't be given it"):
        LabExecutor(include=[tmp_path / "gone"])
    with pytest.raises(GcBarrierError, match="does not fit"):
        LabExecutor(memory_bytes=1 << 50)

    def local() -> None: ...

    local.__module__ = "__main__"
    lab = LabExecutor(memory_bytes=1 << 20)
    with pytest.raises(GcBarrierError, match="local is defined in the script itself, which the guest can't import"):
        lab.submit(local)
    lab.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        lab.submit(len, "")
    assert guests.booted == []


def test_cancelling_leaves_queued_jobs_undone(guests: Guests) -> None:
    started, go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> str:
        started.set()
        go_on.wait(10)
        return "done"

    guests.act = wait
    lab = LabExecutor(memory_bytes=1 << 20)
    first, second = lab.submit(len, ""), lab.submit(len, "")
    assert started.wait(10)
    lab.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    lab.shutdown()
    assert first.result() == "done"
    assert second.cancelled()
