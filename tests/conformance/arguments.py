"""Calls that are wrong: each is one sentence's error, and the next call works."""

from conformance.subject import Subject, collect, demand, write
from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.tracked import Tracked

WRONG_SIZES = (0, 1, 4096, (32 << 10) + 1, (32 << 10) - 4096, 1 << 36)


def check_wrong_sizes(subject: Subject) -> None:
    """No memory at all, parts of a block, more than a heap can have."""
    for size in WRONG_SIZES:
        problem = _error(lambda size=size: subject_memory(subject, size))
        assert str(size) in problem or "MiB" in problem, f"{size} bytes: {problem}"


def check_wrong_names(subject: Subject) -> None:
    """A barrier or a memory that there isn't."""
    assert "did you mean" in _error(lambda: Tracked(1 << 20, subject.barrier + "x", plugin=subject.plugin))
    said = _error(lambda: Tracked(1 << 20, subject.barrier, memory="paper", plugin=subject.plugin), Unavailable)
    assert "paper" in said
    assert subject.memory in said, "it names what there is"


def check_closed_twice(subject: Subject) -> None:
    """Closing again does nothing, and memory opened later is as good as the first."""
    for _ in range(2):
        memory = subject.open(subject.least_pages)
        memory.arm()
        write(memory, [1, 6])
        demand(subject, collect(memory), [1, 6], "in memory opened again", subject.least_pages)
        memory.close()
        memory.close()


def subject_memory(subject: Subject, size_bytes: int) -> Tracked:
    """Memory of any size."""
    return Tracked(size_bytes, subject.barrier, memory=subject.memory, plugin=subject.plugin)


def _error(call: object, kind: type[GcBarrierError] = GcBarrierError) -> str:
    try:
        call()  # type: ignore[operator]
    except kind as problem:
        return str(problem)
    raise AssertionError("accepted")
