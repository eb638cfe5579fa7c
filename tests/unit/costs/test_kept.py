"""Constants are kept whole, for one kernel, processor and version."""

import json

import pytest
from constants import FACTS, usual

from gcbarrier.costs import kept
from gcbarrier.errors import GcBarrierError


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_what_was_kept_is_there_again() -> None:
    assert kept.kept(FACTS) is None
    kept.keep(usual())
    assert kept.kept(FACTS) == usual()
    assert kept.kept({**FACTS, "measured": "another day"}) == usual()


@pytest.mark.parametrize("fact", kept.KEYED)
def test_of_another_machine_there_are_none(fact: str) -> None:
    kept.keep(usual())
    assert kept.kept({**FACTS, fact: "another"}) is None


def test_a_damaged_file_is_measured_anew() -> None:
    path = kept.keep(usual())
    path.write_text(path.read_text(encoding="utf-8")[:-100], encoding="utf-8")
    assert kept.kept(FACTS) is None
    path.write_bytes(b"\xff\xfe")
    assert kept.kept(FACTS) is None


@pytest.mark.parametrize("draws", [(1.0,) * 100, (float("nan"),) * 200, (float("inf"),) * 200])
def test_a_file_with_other_draws_is_measured_anew(draws: tuple[float, ...]) -> None:
    path = kept.keep(usual())
    told = json.loads(path.read_text(encoding="utf-8"))
    told["barriers"][0]["first_store"]["draws"] = draws
    path.write_text(json.dumps(told), encoding="utf-8")
    assert kept.kept(FACTS) is None


def test_a_folder_that_can_not_be_made_is_told(tmp_path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(GcBarrierError, match="XDG_CACHE_HOME"):
        kept.keep(usual())
