"""The manifest tells everything and nothing private; the probes tell the truth."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import CHECKOUT

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import features, host


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
    assert {"attrs", "cattrs", "cffi", "matplotlib", "numpy", "rich"} == set(manifest["packages"])
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


def test_every_feature_answers_and_explains_itself() -> None:
    for feature in features.features():
        assert feature.works == (feature.why == ""), feature
        assert feature is features.feature(feature.name), "tried once only"


def test_features_agree_with_the_kernels_configuration() -> None:
    config = host.kernel_config()
    if config["CONFIG_MEM_SOFT_DIRTY"] == "n":
        assert not features.feature("soft-dirty").works
    if config["CONFIG_PTE_MARKER_UFFD_WP"] == "n":
        assert not features.feature("async-uffd-wp").works
    if config["CONFIG_USERFAULTFD"] == "n":
        assert not features.feature("userfaultfd").works


def test_require_says_what_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = features.Feature(name="memfd", works=False, why="the moon is full", remedy="wait")
    monkeypatch.setattr(features, "feature", lambda _name: absent)
    with pytest.raises(Unavailable, match=r"memfd is not available here: the moon is full \(wait\)"):
        features.require("memfd")
    monkeypatch.undo()
    features.require("memfd")
    with pytest.raises(GcBarrierError, match="did you mean 'memfd'"):
        features.feature("memdf")


def test_a_kernel_without_tracking_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bits read zero, as soft-dirty's do where clear_refs succeeds and tracks nothing; then all read one."""
    for constant in (0, 1):
        monkeypatch.setattr(features.Pagemap, "bit", lambda *_, constant=constant: bool(constant))
        for name in ("soft-dirty", "async-uffd-wp"):
            answer = features.feature.__wrapped__(name)
            assert not answer.works
            assert answer.why


def test_a_promised_feature_fails_the_test_that_lacks_it(
    needs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = features.Feature(name="memfd", works=False, why="the moon is full")
    monkeypatch.setattr(features, "feature", lambda _name: absent)
    monkeypatch.setenv("GCBARRIER_REQUIRE", "")
    with pytest.raises(pytest.skip.Exception, match="the moon is full"):
        needs("memfd")
    monkeypatch.setenv("GCBARRIER_REQUIRE", "lab,memfd")
    with pytest.raises(pytest.fail.Exception, match="the moon is full"):
        needs("memfd")


def test_leaves_no_descriptor_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in ("memfd", "userfaultfd", "async-uffd-wp", "pagemap-scan", "perf-page-faults", "soft-dirty"):
        features.feature.__wrapped__(name)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_ordinary_user_has_the_same_tracking(needs: Callable[..., None]) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    ask = """
import ctypes, os
from gcbarrier.machines import features
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    # Changing identity hides /proc/self from its own process until it is dumpable again.
    assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0
assert os.geteuid() != 0
for name in ("async-uffd-wp", "pagemap-scan"):
    print(features.feature(name))
"""
    child = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert child.stdout.count("works=True") == 2, child.stdout
