"""The policy of ``generational``: which cycle is full, and which phases it has."""

from typing import Any

import pytest

from gcbarrier.collectors.generational import Params, collect

MIB = 1 << 20


class Played:
    """A heap that writes down which phases are called, in place of doing them."""

    def __init__(self, *, dirty: tuple[int, ...] = (), waits: int = 0, **seen: int) -> None:
        self.seen = {"minor": 1, "live": 10 * MIB, "live_full": 10 * MIB, **seen}
        self.size_bytes = 64 * MIB
        self.granules = 1 << 14
        self.waits = waits
        self.calls: list[str] = []
        self.notes: dict[str, float] = {}
        self.left_ns = 0.0
        self._dirty = iter(dirty)

    def generation(self) -> dict[str, int]:
        fields = ("old", "young", "survived", "promoted", "granules", "objects", "references")
        return dict.fromkeys(fields, 7) | self.seen

    def stick(self, survivals: int) -> bool:
        self.calls.append(f"stick {survivals}")
        return bool(self.seen["minor"])

    def collect(self, *, rearm: bool) -> int:
        assert rearm
        self.calls.append("collect")
        return next(self._dirty)

    def remark(self, *, rounds: int, aim_ns: int) -> None:  # noqa: ARG002
        self.calls.append(f"remark after {rounds}")

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value

    def __getattr__(self, phase: str) -> Any:
        return lambda *_: self.calls.append(phase)


def phases(heap: Played, **params: Any) -> list[str]:
    collect(heap, Params(**params))  # type: ignore[arg-type]
    assert heap.calls[:2] == ["set_markers", f"stick {params.get('survivals', 1)}"]
    assert heap.calls[-1] == "sweep"
    return heap.calls[2:-1]


def test_a_minor_cycle_keeps_the_marks() -> None:
    heap = Played()
    assert phases(heap, concurrent=False) == ["minor"]
    assert heap.notes["full cycle"] == 0
    assert heap.notes["promoted bytes"] == 7


def test_the_first_cycle_is_full() -> None:
    heap = Played(minor=0)
    assert phases(heap, concurrent=False) == ["forget_marks", "full"]
    assert heap.notes == {"full cycle": 1}


@pytest.mark.parametrize(
    ("live", "growth", "full"),
    [
        (15, 1.5, False),
        (16, 1.5, True),
        (16, 2.0, False),
        # However much it may grow, half of what was free is left to the young.
        (37, 9.0, False),
        (38, 9.0, True),
    ],
)
def test_the_old_space_grows_so_far(live: int, growth: float, full: bool) -> None:
    called = phases(Played(live=live * MIB), concurrent=False, growth=growth)
    assert called == (["forget_marks", "full"] if full else ["minor"])


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_mutator_that_waits_again_gets_a_full_cycle_that_stops_the_world(concurrent: bool) -> None:
    assert "full" not in phases(Played(waits=1, dirty=(0, 0)), concurrent=concurrent)
    assert phases(Played(waits=2), concurrent=concurrent) == ["forget_marks", "full"]


@pytest.mark.parametrize(
    ("black", "before", "after"),
    [("always", ["allocate_black"], []), ("late", [], ["allocate_black"]), ("never", [], [])],
)
def test_a_concurrent_cycle_begins_with_what_was_written(black: str, before: list[str], after: list[str]) -> None:
    called = phases(Played(dirty=(0, 0)), rounds=1, black=black)
    first, again = ([], []) if black == "always" else (["mark", "collect", "rescan"], ["mark"])
    assert called == ["remember", *before, *first, "mark", *after, "collect", "rescan", *again, "remark after 0"]


def test_the_nursery_is_no_larger_than_what_the_trigger_leaves() -> None:
    assert Params().due_bytes(4 * MIB) == 4 * MIB
    assert Params(nursery_bytes=MIB).due_bytes(4 * MIB) == MIB
    assert Params(nursery_bytes=5 * MIB).due_bytes(4 * MIB) == 4 * MIB
