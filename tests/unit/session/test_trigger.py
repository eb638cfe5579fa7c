"""When the next cycle begins."""

import pytest

from gcbarrier.session.ours import trigger_bytes


@pytest.mark.parametrize(
    ("allocated_meanwhile", "expected"),
    [
        ([], 500),
        ([100, 300], 500),
        ([700, 300], 300),
        ([300, 700, 10], 300),
        ([950], 125),
        ([5000], 125),
    ],
)
def test_what_is_left_must_last_for_a_cycle(allocated_meanwhile: list[int], expected: int) -> None:
    assert trigger_bytes(0.5, 1000, allocated_meanwhile) == expected


def test_a_full_heap_is_collected_at_once() -> None:
    assert trigger_bytes(0.5, 0, [10]) == 1
