"""A real guest: jobs in it, crashes of it, and that nothing of it is left."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lab_jobs
import pytest
from attrs import define, field

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import features, host
from gcbarrier.machines.lab import LabExecutor, run_command, status
from gcbarrier.machines.lab.boot import boot
from gcbarrier.machines.lab.guest import GuestLost, GuestSpec
from gcbarrier.machines.lab.overlay import checkout_folders
from gcbarrier.machines.lab.paths import lab_home
from gcbarrier.machines.lab.status import find_kernel, find_qemu
from gcbarrier.machines.lab.wire import Call
from gcbarrier.plugins import discovery

Needs = Callable[..., None]


@define
class Shared:
    """The module's one executor and what it has heard; booted by whoever needs it first."""

    included: Path
    executor: LabExecutor | None = None
    output: list[tuple[int, bytes]] = field(factory=list)
    progress: list[Any] = field(factory=list)

    def printed(self, stream: int) -> bytes:
        return b"".join(data for number, data in self.output if number == stream)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        assert self.executor is not None
        return self.executor.submit(function, *arguments).result(120)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    made = Shared(tmp_path_factory.mktemp("included"))
    yield made
    if made.executor is not None:
        made.executor.shutdown()
        assert guests_of(os.getpid()) == []


@pytest.fixture
def lab(shared: Shared, needs: Needs) -> Shared:
    """The shared guest."""
    needs("lab")
    if shared.executor is None:
        (shared.included / "note").write_text("from the host")
        shared.executor = LabExecutor(
            memory_bytes=1 << 30,
            cpus=1,
            include=[shared.included, Path(lab_jobs.__file__)],
            on_output=lambda stream, data: shared.output.append((stream, data)),
            on_progress=shared.progress.append,
        )
    shared.output.clear()
    shared.progress.clear()
    return shared


def guests_of(process: int) -> list[int]:
    """The QEMUs that a process has started and that still run."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(child) for file in children for child in file.read_text().split()]
    return [child for child in found if b"qemu" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_result_comes_back_and_so_does_an_exception(lab: Shared) -> None:
    assert lab.run(lab_jobs.add, 40, 2) == 42
    with pytest.raises(ValueError, match="number 7") as caught:
        lab.run(lab_jobs.fail, 7)
    assert "lab_jobs.py" in caught.value.__notes__[0], "with its traceback in the guest"
    with pytest.raises(Unavailable) as refused:
        lab.run(lab_jobs.refuse)
    assert (refused.value.what, refused.value.why, refused.value.remedy) == ("the moon", "it is too far away", "wait")


def test_output_and_progress_arrive(lab: Shared) -> None:
    assert lab.run(lab_jobs.talk) == "said"
    assert lab.printed(1) == b"first\nlast\n"
    assert lab.printed(2) == b"aside\n"
    lab.run(lab_jobs.count)
    assert lab.progress == [{"step": 0}, {"step": 1}, {"step": 2}]


def test_much_output_and_large_values_pass(lab: Shared) -> None:
    assert lab.run(lab_jobs.print_much, 3 << 20) == 3 << 20
    assert len(lab.printed(1)) == 3 << 20
    assert lab.run(lab_jobs.great_bytes, 8 << 20) == b"\x5a" * (8 << 20)
    assert lab.run(len, b"x" * (8 << 20)) == 8 << 20


def test_the_guest_knows_what_it_is(lab: Shared) -> None:
    assert lab.executor is not None
    machine = lab.executor.facts
    assert machine.accelerator in ("kvm", "tcg")
    assert machine.accelerator == status().accelerator
    assert machine.kernel_release == status().kernel_release
    assert machine.name == f"lab-{status().kernels[0].short_release}-{machine.accelerator}"
    told = lab.run(lab_jobs.machine)
    assert (told["machine"], told["accelerator"]) == (machine.name, machine.accelerator)
    assert told["soft_dirty"] == "y"
    assert told["version"] == host.gcbarrier_version()


@pytest.mark.parametrize("name", ["memfd", "async-uffd-wp", "pagemap-scan", "soft-dirty"])
def test_features_work_there(lab: Shared, name: str) -> None:
    assert lab.run(features.feature, name) == features.Feature(name=name, works=True)


def test_what_was_included_is_at_the_same_place(lab: Shared) -> None:
    assert lab.run(lab_jobs.read, lab.included / "note") == "from the host"
    for root in checkout_folders():
        assert lab.run(lab_jobs.exists, str(root / "heaps"))
        assert not lab.run(lab_jobs.exists, str(root / ".git"))
    for kind in discovery.KINDS:
        assert lab.run(lab_jobs.list_names, kind) == discovery.names(kind)


def test_a_command_runs_with_its_status(lab: Shared) -> None:
    assert lab.run(run_command, ["sh", "-c", "uname -n; exit 9"], "/") == 9
    assert lab.printed(1) == b"lab\n"
    assert lab.run(run_command, ["gcbarrier", "--version"], "/no/such/folder") == 0
    assert lab.printed(1).startswith(b"lab\ngcbarrier ")
    with pytest.raises(GcBarrierError, match="the guest can't run no-such-tool"):
        lab.run(run_command, ["no-such-tool"], "/")


def test_a_job_that_dies_is_reported_and_the_guest_goes_on(lab: Shared) -> None:
    before = guests_of(os.getpid())
    with pytest.raises(GcBarrierError, match="the job's process in the lab's guest was killed"):
        lab.run(lab_jobs.kill_itself)
    with pytest.raises(GcBarrierError, match="was killed"):
        lab.run(lab_jobs.kill_itself_and_leave_a_child)
    for code in (0, 3):
        with pytest.raises(GcBarrierError, match=rf"the job's process .* ended without a result \(status {code}\)"):
            lab.run(lab_jobs.leave_in_c, code)
    assert lab.run(lab_jobs.add, 1, 1) == 2
    assert guests_of(os.getpid()) == before


def test_what_a_job_leaves_running_is_ended(lab: Shared) -> None:
    assert not lab.run(lab_jobs.is_alive, lab.run(lab_jobs.leave_a_child))


def test_the_cache_holds_what_it_should_and_nothing_else(lab: Shared) -> None:
    lab.run(lab_jobs.add, 1, 1)
    known = ("accelerator-", "base-", "kernels", "qemu")
    assert [path.name for path in lab_home().iterdir() if not path.name.startswith(known)] == []
    kernels = lab_home() / "kernels"
    assert [path.name for path in kernels.iterdir() if path.name.startswith(".")] == []


def test_a_guest_that_panics_is_reported_after_two_tries_with_its_console(lab: Shared) -> None:
    with pytest.raises(GcBarrierError) as caught:
        lab.run(lab_jobs.panic)
    message = str(caught.value)
    assert message.startswith(
        "the lab's guest crashed (Kernel panic - not syncing: sysrq triggered crash) while running"
    )
    assert "it was tried 2 times" in message
    assert "\n  | " in message
    assert guests_of(os.getpid()) == []


def test_a_guest_has_the_huge_pages_it_was_asked_for(needs: Needs) -> None:
    needs("lab")
    with LabExecutor(memory_bytes=1 << 30, huge_bytes=16 << 20, cpus=1) as executor:
        assert executor.submit(host.free_huge_pages).result(120) == 8
        assert executor.submit(features.feature, "hugetlb").result(120).works


def test_a_job_over_its_deadline_is_reported_as_hung(needs: Needs) -> None:
    needs("lab")
    spec = GuestSpec(kernel=find_kernel(), qemu=find_qemu(), memory_bytes=1 << 30, cpus=1)
    call = Call(module="time", job=pickle.dumps((time.sleep, (600,), {})), environment={})
    with boot(spec, threading.Event()) as guest, pytest.raises(GuestLost) as caught:
        guest.call(call, 0.5, lambda _: None)
    assert caught.value.how == "hung (it took longer than 0.5 s)"
    assert guests_of(os.getpid()) == []


def test_ctrl_c_ends_a_run_and_its_guest_at_once(needs: Needs) -> None:
    needs("lab")
    words = ["sh", "-c", "echo started; sleep 600"]
    command = [sys.executable, "-m", "gcbarrier", "lab", "run", "--memory", "1GiB", "--cpus", "1", "--", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        (guest,) = guests_of(child.pid)
        child.send_signal(signal.SIGINT)
        rest, errors = child.communicate(timeout=10)
    assert (child.returncode, rest, errors) == (130, "", "interrupted\n")
    assert not Path(f"/proc/{guest}").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_while_booting_leaves_nothing(needs: Needs, number: signal.Signals) -> None:
    needs("lab")
    command = [sys.executable, "-m", "gcbarrier", "lab", "run", "--memory", "1GiB", "--", "uname"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while not (found := guests_of(child.pid)):
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(number)
        child.communicate(timeout=5)
    assert child.returncode == (-number if number == signal.SIGKILL else 130)
    for _ in range(50):
        if not Path(f"/proc/{found[0]}").exists():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the guest outlived its parent")
