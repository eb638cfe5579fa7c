"""``gcbarrier doctor --quiet-machine``, on whatever machine this is."""

import json

import pytest
from burner import burning

from gcbarrier.bench import quiet
from gcbarrier.commands import _quiet, main

MS = 1_000_000


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quiet, "quiet", lambda core: quiet.quiet(core, each_ns=100 * MS))


def test_whoever_runs_beside_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with burning():
        assert main(["doctor", "--quiet-machine", "--json"]) == 1, "something is to be mended"
    found = json.loads(capsys.readouterr().out)
    assert found["wrong"]
    (others,) = (look for look in found["looks"] if look["what"] == "other threads")
    assert "python" in others["mend"]
    assert found["everywhere"]["preempted"] > 0


def test_a_person_reads_what_was_found_why_it_matters_and_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    status = main(["doctor", "--quiet-machine"])
    said = capsys.readouterr().out
    assert "a thread that only reads the clock" in said
    assert "isolated processors" in said
    assert "why it matters" in said
    assert ("\nmend " in said) == (status == 1), "advice alone is no reason for a status"


def test_it_is_no_look_at_a_barrier(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "cards", "--quiet-machine"]) == 2
    assert "leave one out" in capsys.readouterr().err
