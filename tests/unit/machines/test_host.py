"""The manifest tells everything and nothing private; a heap that does not fit is refused."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from places import CHECKOUT

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines import host


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """As a reader of the file sees it."""
    written: dict[str, Any] = json.loads(json.dumps(host.manifest()))
    return written


def test_manifest_holds_what_a_result_depends_on(manifest: dict[str, Any]) -> None:
    assert manifest["kernel"]["release"] == os.uname().release
    assert set(manifest["kernel"]["config"]) == set(host.KERNEL_OPTIONS)
    assert set(manifest["sysctl"]) == set(host.SYSCTLS)
    assert manifest["cpu"]["affinity"] == sorted(os.sched_getaffinity(0))
    assert manifest["memory"]["total"] >= manifest["memory"]["available"] > 0
    assert {"attrs", "cattrs", "cffi", "matplotlib", "numpy", "rich", "scipy"} == set(manifest["packages"])
    assert manifest["packages"]["numpy"][0].isdigit()
    for key in ("date", "machine", "accelerator", "hypervisor", "thp", "compiler", "gcbarrier", "uid", "load_average"):
        assert key in manifest


def test_manifest_holds_no_path_and_no_empty_text(manifest: dict[str, Any]) -> None:
    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for inner in value.values() for text in texts(inner)]
        if isinstance(value, list):
            return [text for inner in value for text in texts(inner)]
        return [value] if isinstance(value, str) else []

    everything = texts(manifest)
    assert all(everything)
    assert not [text for text in everything if str(CHECKOUT) in text or str(Path.home()) in text]


def test_manifest_names_the_checkouts_commit(manifest: dict[str, Any]) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if head.returncode:
        assert manifest["gcbarrier"]["revision"] == host.UNKNOWN
    else:
        assert len(manifest["gcbarrier"]["revision"]) == len(head.stdout.strip())
        assert isinstance(manifest["gcbarrier"]["dirty"], bool)


def test_clock_is_measured(manifest: dict[str, Any]) -> None:
    assert 1 <= manifest["clock"]["resolution_ns"] <= 10_000_000
    assert 1 < manifest["clock"]["read_ns"] < 1_000_000


def test_a_coarse_clock_is_seen_as_coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**9))
    monkeypatch.setattr("time.monotonic_ns", lambda: 12_345 + next(ticks) // 3 * 4_000)
    assert host.manifest()["clock"]["resolution_ns"] == 4_000  # type: ignore[index]


def test_a_guest_is_told_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.machine_name() == "native"
    monkeypatch.setenv("GCBARRIER_MACHINE", "lab-6.12")
    monkeypatch.setenv("GCBARRIER_ACCELERATOR", "tcg")
    assert host.machine_name() == "lab-6.12"
    assert host.manifest()["accelerator"] == "tcg"
    assert host.manifest()["machine"] == "lab-6.12"


def test_what_cannot_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_kernel_config_text", lambda: None)
    monkeypatch.setattr(host, "_CHECKOUT", Path("nowhere"))
    monkeypatch.setenv("CC", "no-such-compiler")
    manifest: Any = host.manifest()
    assert set(manifest["kernel"]["config"].values()) == {host.UNKNOWN}
    assert manifest["compiler"]["version"] == host.UNKNOWN
    assert manifest["gcbarrier"]["revision"] == host.UNKNOWN


def test_kernel_options_are_read_as_built(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "CONFIG_HZ=250\n# CONFIG_PREEMPT is not set\nCONFIG_USERFAULTFD=y\nCONFIG_MEM_SOFT_DIRTY_X=y\n"
    monkeypatch.setattr(host, "_kernel_config_text", lambda: text)
    built = host.kernel_config()
    assert (built["CONFIG_HZ"], built["CONFIG_PREEMPT"], built["CONFIG_USERFAULTFD"]) == ("250", "n", "y")
    assert built["CONFIG_MEM_SOFT_DIRTY"] == "n"


def test_a_heap_that_does_not_fit_is_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "available_bytes", lambda: 2 << 30)
    host.fits(1 << 30)
    with pytest.raises(GcBarrierError, match=r"2 GiB needs 2\.08 GiB .* 2 GiB of memory is available"):
        host.fits(2 << 30)


def test_a_control_groups_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_control_group_limits", lambda: [64 << 20])
    assert host.available_bytes() == 64 << 20
