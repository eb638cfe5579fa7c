"""The C core takes any calls in any order: it does as it is told or says why not, and neither crashes nor hangs."""

import native_calls
import pytest
from places import SUPPORT

from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.fresh import FreshExecutor


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


@pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "untracked"])
@pytest.mark.parametrize(("sanitizers", "sequences"), [("", 800), ("address,undefined", 300)], ids=["plain", "asan"])
def test_no_calls_crash_or_hang(
    sanitizers: str, sequences: int, tracked: bool, needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tracked:
        needs("async-uffd-wp", "pagemap-scan")
    monkeypatch.setenv("GCBARRIER_SANITIZE", sanitizers)
    with FreshExecutor(deadline_s=60, environment=build.preload()) as executor:
        counts = executor.submit(native_calls.play, 1, sequences, tracked).result()
    # Not refusals alone: every phase has also been gone through, if it can be without a barrier.
    for name in ("gcb_space_new", "gcb_start", "gcb_join", "gcb_begin_cycle", "gcb_mark", "gcb_full"):
        assert 0 < counts[f"-{name}"] < counts[name], (name, counts)
    for name in ("gcb_arm", "gcb_collect", "gcb_remark", "gcb_watch_collect"):
        assert tracked == (counts[f"-{name}"] < counts[name]), (name, counts)


@pytest.mark.parametrize("sanitizers", ["", "address,undefined"], ids=["plain", "asan"])
def test_misuse_is_refused_or_made_good(sanitizers: str, needs, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    monkeypatch.setenv("GCBARRIER_SANITIZE", sanitizers)
    with FreshExecutor(deadline_s=60, environment=build.preload()) as executor:
        assert executor.submit(native_calls.misuse).result() == {
            "join before start": "no mutators have run",
            "no mutators": "a heap has 1 to 256 mutators, not 0",
            "more mutators than globals": "a heap has 1 to 256 mutators, not 257",
            "start in a cycle": "mutators are started before a cycle begins",
            "remark without a cycle": "no cycle has begun",
            "watch with mutators": "the space has mutators, whose collector would miss what is taken here",
            "join while stopped": "",
            "free while stopped": None,
            "resume without a stop": "",
            "gcb_measured_granule_bytes": "there is no barrier to try",
            "gcb_fault_cost_ns": "there is no barrier to try",
        }


def test_a_crash_is_seen_as_one() -> None:
    """What the tests above would say."""
    with (
        FreshExecutor(deadline_s=60, environment=build.preload()) as executor,
        pytest.raises(GcBarrierError, match="crashed") as error,
    ):
        executor.submit(native_calls.crash).result()
    assert "gcb_space_address" in str(error.value)
