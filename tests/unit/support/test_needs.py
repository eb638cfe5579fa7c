"""A test skips where a feature is missing, and fails where it was promised."""

from collections.abc import Callable

import pytest

from gcbarrier.machines import features


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
