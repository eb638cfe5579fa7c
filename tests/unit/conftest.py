"""Unit tests compile nothing: what needs the compiler is refused, even where its result is in the cache."""

import pytest


@pytest.fixture(autouse=True)
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "unit-tests-have-no-compiler")
