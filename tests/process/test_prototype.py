"""Barriers in Python alone run under every collector and are judged like the others; their pauses say so."""

from pathlib import Path

import pytest
from places import PLUGINS

from gcbarrier import collectors, measure
from gcbarrier.bench.trial import try_out
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, Outcome
from gcbarrier.plugins import discovery
from gcbarrier.tracked import Tracked

SOURCE = (PLUGINS / "barriers" / "seed_protocol.py").read_text(encoding="utf-8")
INCREMENTAL = [
    name
    for name in discovery.names("collectors")
    if collectors.load(name).needs_tracking and not collectors.load(name).needs_snapshot
]


@pytest.fixture(autouse=True)
def _plugins(_own_environment: None, needs) -> None:
    needs("async-uffd-wp", "pagemap-scan")
    discovery.add_path(PLUGINS)


def run(barrier: str, collector: str = "mostly-concurrent") -> Outcome:
    (outcome,) = measure(
        Config(heap="ring", barrier=barrier, collector=collector, heap_bytes=4 << 20, duration_s=0.3, verify=True)
    )
    return outcome


def variant(tmp_path: Path, name: str, old: str, new: str) -> str:
    """The seed's protocol with one change, as a barrier of its own."""
    assert SOURCE.count(old) == 1
    folder = tmp_path / "barriers"
    folder.mkdir()
    (folder / f"{name}.py").write_text(SOURCE.replace(old, new), encoding="utf-8")
    discovery.add_path(tmp_path)
    return name


@pytest.mark.parametrize("collector", INCREMENTAL)
def test_the_seeds_protocol_in_thirty_lines(collector: str) -> None:
    assert len([line for line in SOURCE.splitlines() if line.strip()]) < 40
    outcome = run("seed-protocol", collector)
    assert outcome.error == ""
    assert outcome.verification is not None
    assert outcome.verification.written_granules > 0
    assert outcome.verification.lost_granules == 0
    assert outcome.pauses
    assert all(pause.prototype for pause in outcome.pauses)
    assert not any(pause.prototype for pause in run("uffd-wp-pagemap", collector).pauses)


def test_it_is_probed_and_watches_memory_like_any_other() -> None:
    assert try_out("seed-protocol") == 0
    with Tracked(1 << 20, "seed-protocol") as memory:
        memory.arm()
        memory.view[5 * 4096 + 7] = 1
        assert memory.collect(rearm=True).tolist() == [5]
        assert memory.collect(rearm=True).tolist() == []


def test_a_wrong_prototype_is_caught(tmp_path: Path) -> None:
    name = variant(tmp_path, "forgetful", "        return written\n", "        return written[1:]\n")
    with pytest.raises(GcBarrierError, match="a page written after it was armed was not reported"):
        try_out(name)
    with pytest.raises(GcBarrierError, match="not reported"):
        run(name)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (
            "        raise ZeroDivisionError('so it is')\n",
            r"raised ZeroDivisionError: so it is \(faulty\.py, line \d+\)",
        ),
        ("        return [self.memory.pages]\n", r"raised ValueError: collect\(\) returned a page that is not one of"),
        ("        return 7\n", "raised TypeError"),
    ],
)
def test_what_a_prototype_raises_is_one_sentence(tmp_path: Path, new: str, said: str) -> None:
    name = variant(tmp_path, "faulty", "        return written\n", new)
    with Tracked(1 << 20, name) as memory:
        memory.arm()
        with pytest.raises(GcBarrierError, match=said):
            memory.collect(rearm=False)
