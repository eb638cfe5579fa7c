"""Of all that a dead process said, what is told."""

from gcbarrier.machines.lastwords import telling

NOISE = [f"noise {i}" for i in range(100)]


def test_without_a_report_the_end_is_told() -> None:
    assert telling(NOISE) == NOISE[-20:]


def test_a_report_is_told_from_its_beginning_whatever_follows() -> None:
    for begins in (
        "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x1",
        "WARNING: ThreadSanitizer: data race (pid=7)",
        "x.c:3:5: runtime error: signed integer overflow",
        "Segmentation fault at address 0x40, in mutator 0, running:",
        "where everybody is, innermost first:",
        "Stack (most recent call first):",
        "Current thread 0x00007f (most recent call first):",
    ):
        found = telling([*NOISE, begins, "why", *NOISE])
        assert found[:2] == [begins, "why"], begins
        assert len(found) < len(NOISE)
