"""Unit tests compile nothing: what needs the compiler is refused, even where its result is in the cache."""

from collections.abc import Iterator

import pytest

from gcbarrier.machines.features import feature


@pytest.fixture(autouse=True)
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CC", "unit-tests-have-no-compiler")
    yield
    # An answer is kept, and this one holds for unit tests alone.
    feature.cache_clear()
