"""What the kernel can do is tried, not read, and said with a reason."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from places import CHECKOUT

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import features, host


def test_every_feature_answers_and_explains_itself() -> None:
    for name in features._TRIALS:
        feature = features.feature(name)
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


def test_a_kernel_that_sends_no_signal_is_not_believed(
    needs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the feature the write waits for an answer that nobody gives; then unprotecting is no help."""
    needs("uffd-sigbus")
    monkeypatch.setattr(features, "_MESSAGE_DEADLINE_MS", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(features, "UFFD_FEATURE_SIGBUS", 0)
        assert "raised no SIGBUS" in features.feature.__wrapped__("uffd-sigbus").why
    monkeypatch.setattr(features.Userfaultfd, "unprotect", lambda *_: None)
    assert "opened again could not be written" in features.feature.__wrapped__("uffd-sigbus").why


def test_pages_of_another_size_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features.mmap, "PAGESIZE", 1 << 14)
    for name in features._TRIALS:
        answer = features.feature.__wrapped__(name)
        assert answer.why == "a page has 16384 bytes here, and barriers tell pages of 4096 apart"
        assert answer.remedy == "boot a kernel with pages of 4 KiB"


def test_leaves_no_descriptor_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in (
        "memfd",
        "userfaultfd",
        "async-uffd-wp",
        "pagemap-scan",
        "perf-page-faults",
        "soft-dirty",
        "uffd-sigbus",
    ):
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
