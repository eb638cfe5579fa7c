"""What can be known before a guest is booted is said before, and what a remedy says is true."""

import json
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from attrs import evolve
from places import PLUGINS

from gcbarrier import measure
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign.lacking import require_lab
from gcbarrier.campaign.settings import Settings, read
from gcbarrier.commands import main
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import host, lab
from gcbarrier.machines.lab.status import LabStatus
from gcbarrier.model import Config
from gcbarrier.plugins import discovery

MIB = 1 << 20
EMPTY = LabStatus(
    ready=False, kernels=(), kernel_release="", qemu_version="", accelerator="", missing="it is away", remedy=""
)
READY = evolve(EMPTY, ready=True, missing="")
Refused = Callable[..., str]


class BootedError(Exception):
    """Somebody wanted a guest."""


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What guests were asked for; none is booted."""
    asked: list[dict[str, Any]] = []

    def boot(**options: Any) -> None:
        asked.append(options)
        raise BootedError

    monkeypatch.setattr(lab, "LabExecutor", boot)
    monkeypatch.setattr(lab, "status", lambda: READY)
    return asked


@pytest.fixture
def refused(tmp_path: Path, wanted: list[dict[str, Any]]) -> Refused:
    """Run the tests' smallest experiment with these settings, and return why that can't be, found without a guest."""
    discovery.add_path(PLUGINS)

    def ask(*settings: str) -> str:
        with pytest.raises(GcBarrierError) as caught:
            campaign.run("tiny", out=tmp_path / "run", quick=True, settings=read(settings))
        assert wanted == []
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    return ask


@pytest.mark.parametrize("machine", ["native", "", "lab"])
def test_without_a_compiler_no_guest_helps(machine: str, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    said = refused(*([f"machine={machine}"] if machine else []))
    assert said == (
        "a C compiler is not available here: there is no no-such-compiler (install gcc, or name a compiler in CC)"
    )


def test_doctor_says_which_barriers_want_a_compiler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Booted(Executor):
        def submit(self, *_: Any, **__: Any) -> NoReturn:
            raise BootedError

    monkeypatch.setattr(lab, "status", lambda: READY)
    monkeypatch.setattr(lab, "LabExecutor", lambda **_: Booted())
    monkeypatch.setenv("CC", "no-such-compiler")
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    expected = {
        "works": False,
        "why": "it needs a C compiler: there is no no-such-compiler",
        "remedy": "install gcc, or name a compiler in CC",
    }
    assert told["barriers"]
    for entry in told["barriers"]:
        assert entry["native"] == entry["lab"] == expected


def test_huge_pages_are_counted_before_anything_is_tried(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "free_huge_pages", lambda: 1)
    huge = ("memory=hugetlb", "heap_bytes=16MiB", "barrier=uffd-wp-async")
    for settings in (huge, (*huge, "machine=native")):
        said = refused(*settings)
        assert "needs 8 huge pages of 2 MiB, and 1 are free: have root run `sysctl vm.nr_hugepages=" in said
    config = Config(
        heap="ring", barrier="none", collector="stop-the-world", heap_bytes=16 * MIB, memory="hugetlb", duration_s=0.1
    )
    with pytest.raises(GcBarrierError, match="needs 8 huge pages"):
        measure(config)


def test_a_guest_has_the_huge_pages_that_the_plan_needs(tmp_path: Path, wanted: list[dict[str, Any]]) -> None:
    discovery.add_path(PLUGINS)
    for memory, huge_bytes in (("hugetlb", 16 * MIB), ("shmem", 0)):
        settings = read([f"memory={memory}", "heap_bytes=16MiB", "barrier=uffd-wp-async", "machine=lab"])
        with pytest.raises(BootedError):
            campaign.run("tiny", out=tmp_path / "run", settings=settings)
        assert wanted[-1]["huge_bytes"] == huge_bytes
    assert wanted[0]["memory_bytes"] - wanted[1]["memory_bytes"] == 16 * MIB


def test_a_remedy_says_no_more_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    mendable = Unavailable("the barrier x", "it is off", "turn it on")
    hopeless = Unavailable("the barrier x", "it is broken")
    native = Settings(machine="native")
    for problem, remedy in (
        (hopeless, "let it run in the lab, without machine=native"),
        (mendable, "turn it on, or let it run in the lab, without machine=native"),
    ):
        with pytest.raises(Unavailable) as caught:
            require_lab(native, {"x": problem})
        assert caught.value.remedy == remedy
    for status, remedy in (
        (EMPTY, "leave it out with `--set barrier=...`"),
        (evolve(EMPTY, remedy="fetch it"), "fetch it, or leave it out with `--set barrier=...`"),
    ):
        monkeypatch.setattr(lab, "status", lambda status=status: status)
        with pytest.raises(Unavailable) as caught:
            require_lab(Settings(), {"x": hopeless})
        assert caught.value.remedy == remedy
