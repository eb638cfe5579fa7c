"""When a session counts as hung, by its own length and by how fast the machine is."""

import pytest

from gcbarrier.session import deadline
from gcbarrier.session.deadline import Deadline


class Clock:
    """Time that passes when it is told to, and the alarm that was set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, guess_s: float) -> None:
        self.now_s = 1000.0
        self.alarm_s = guess_s
        monkeypatch.setattr(deadline.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(deadline.signal, "getitimer", lambda _: (self.alarm_s, 0.0))
        monkeypatch.setattr(deadline.signal, "setitimer", self._set)

    def _set(self, _which: int, seconds: float) -> None:
        self.alarm_s = seconds


def allowed_s(
    monkeypatch: pytest.MonkeyPatch, *, building_s: float, duration_s: float, guess_s: float = 600.0
) -> float:
    """How long the mutators may take."""
    clock = Clock(monkeypatch, guess_s)
    found = Deadline()
    clock.now_s += building_s
    found.built(duration_s)
    return clock.alarm_s


def test_a_short_session_has_a_short_deadline_whatever_was_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    short_s = allowed_s(monkeypatch, building_s=0.5, duration_s=1.0)
    assert 1.0 < short_s < 60.0
    assert allowed_s(monkeypatch, building_s=0.5, duration_s=31.0) - short_s == pytest.approx(60.0)


def test_a_slow_machine_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    fast_s = allowed_s(monkeypatch, building_s=0.5, duration_s=1.0)
    assert allowed_s(monkeypatch, building_s=5.0, duration_s=1.0) > 2 * fast_s


def test_it_never_exceeds_the_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    assert allowed_s(monkeypatch, building_s=5.0, duration_s=1.0, guess_s=8.0) == pytest.approx(3.0)


def test_what_follows_has_the_rest_of_the_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 600.0)
    found = Deadline()
    found.built(1.0)
    clock.now_s += 10.0
    found.over()
    assert clock.alarm_s == pytest.approx(590.0)


def test_without_an_alarm_none_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 0.0)
    found = Deadline()
    found.built(1.0)
    found.over()
    assert clock.alarm_s == 0.0
